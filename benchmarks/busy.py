"""Training of the defaults beside other programs: images a second on two threads, on one, and as `train` chooses.

`python -m benchmarks.busy`, on a machine that does nothing else; in alternating rounds, each training in a process of
its own, beside an endless loop that runs before it or starts after it, and beside a second training.
"""

import argparse
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent
THREADS = {"as train chooses": 2, "two threads": 2, "one thread": 1}
OTHERS = ("quiet", "a loop before", "a loop after", "two trainings")
EPOCH = 6_400  # images


def measure(way: str, seconds: float) -> None:
    """Print "ready", wait for a line, and print the images a second; for a process of its own."""
    from stages.shared.runtime.cores import Cores

    cores = Cores("train") if way == "as train chooses" else None
    import numpy as np
    import torch

    from benchmarks.growth import RECIPE
    from stages.shared.training import threads
    from stages.shared.training.build import make_trainer

    torch.set_num_threads(THREADS[way])
    images = np.random.default_rng(0).integers(256, size=(EPOCH, 28, 28, 1), dtype=np.uint8)
    trainer = make_trainer(images, RECIPE | {"epochs": 1000}, torch.device("cpu"))

    def epoch() -> None:
        threads.adapt(trainer, None, cores)
        with trainer.no_grad():
            for batch in trainer.batches():
                trainer.train_batch(batch)
        trainer.end_epoch()

    epoch()  # to warm up
    print("ready", flush=True)
    sys.stdin.readline()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        epoch()
        done += EPOCH
    print(done / (time.perf_counter() - start))


def run(way: str, others: str, seconds: float) -> float:
    """Images a second, of two trainings the mean."""
    command = [sys.executable, "-m", "benchmarks.busy", "--seconds", str(seconds), "--measure", way]
    with ExitStack() as stack:

        def start(*command: str) -> "subprocess.Popen[str]":
            pipe = subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
            stack.callback(process.kill)
            return process

        if others == "a loop before":
            start(sys.executable, "-c", "while True: pass")
            time.sleep(0.5)
        trainings = [start(*command) for _ in range(2 if others == "two trainings" else 1)]
        for training in trainings:
            assert training.stdout
            while (line := training.stdout.readline()) != "ready\n":
                assert line
        if others == "a loop after":
            start(sys.executable, "-c", "while True: pass")
        for training in trainings:
            assert training.stdin
            training.stdin.write("go\n")
            training.stdin.flush()
        return statistics.mean(float(training.communicate()[0].split()[-1]) for training in trainings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--measure", choices=THREADS, help="in one of the processes")
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.measure, arguments.seconds)
    from benchmarks.measure import table  # which imports PyTorch

    cells = [(way, others) for way in THREADS for others in OTHERS]
    rounds = [{cell: run(*cell, arguments.seconds) for cell in cells} for _ in range(arguments.rounds)]
    quiet = statistics.median(each["two threads", "quiet"] for each in rounds)
    rows = []
    for way in THREADS:
        rates = [statistics.median(each[way, others] for each in rounds) for others in OTHERS]
        rows.append([way, *(f"{rate:,.0f} ({rate / quiet:.2f})" for rate in rates)])
    print(table(["images/s (share of two threads, quiet)", *OTHERS], rows))
    return None


if __name__ == "__main__":
    main()
