"""What a training of the defaults does while other programs want the cores, by how its threads wait for each other.

`python -m benchmarks.busy`, on a machine that does nothing else; in alternating rounds, each training in a process of
its own, over an endless loop on one core, before the training starts or after, and a second training at once.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

THREADS = 2
# What is in the environment; None: what the stage chooses as it starts.
WAYS: dict[str, dict[str, str] | None] = {
    "as train chooses": None,
    "spinning, as PyTorch's threads do by default": {},
    "spinning, each bound to a core (`OMP_PROC_BIND`)": {"OMP_PROC_BIND": "true"},
    "asleep (`OMP_WAIT_POLICY=passive`)": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"THREADS": "1"},
}
QUIET = "quiet"
OTHERS = (QUIET, "a loop before", "a loop after", "two loops after", "two trainings")


def measure(seconds: float) -> None:
    """Say that the training runs, wait for a line, and print the images a second; for a process of its own."""
    choice = None
    if "CHOOSE" in os.environ:
        from stages.shared.process import waiting

        choice = waiting.choose(THREADS, 1)
    import numpy as np
    import torch

    from benchmarks.growth import RECIPE
    from stages.shared.training.trainer import Trainer

    torch.set_num_threads(int(os.environ.get("THREADS", THREADS)))
    images = np.random.default_rng(0).integers(256, size=(60_000, 28, 28, 1), dtype=np.uint8)
    recipe = {key: value for key, value in RECIPE.items() if key != "processes"} | {"epochs": 1000}
    trainer = Trainer(images, device=torch.device("cpu"), **recipe)
    if choice and choice.asleep:
        trainer.work_on_one_thread()
    trainer.epoch(lambda batches: batches[:200])  # to warm up
    print("ready", flush=True)
    sys.stdin.readline()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        trainer.epoch(lambda batches: batches[:10])
        done += 10 * recipe["batch_size"]
    print(done / (time.perf_counter() - start))


def run(way: str, others: str, seconds: float) -> float:
    """Images a second, of two trainings the mean."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    environment |= {"CHOOSE": ""} if WAYS[way] is None else WAYS[way] or {}
    command = [sys.executable, "-m", "benchmarks.busy", "--seconds", str(seconds), "--measure"]
    root = Path(__file__).parent.parent
    with ExitStack() as stack:

        def loop() -> None:
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
            time.sleep(0.5)

        if others == "a loop before":
            loop()
        trainings = [
            stack.enter_context(
                subprocess.Popen(
                    command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(2 if others == "two trainings" else 1)
        ]
        for training in trainings:
            assert training.stdout
            while training.stdout.readline() != "ready\n":
                assert training.poll() is None
        for _ in range({"a loop after": 1, "two loops after": 2}.get(others, 0)):
            loop()
        for training in trainings:
            assert training.stdin
            training.stdin.write("go\n")
            training.stdin.flush()
        return statistics.mean(float(training.communicate()[0]) for training in trainings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--measure", action="store_true", help="in one of the processes")
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.seconds)
    from benchmarks.measure import table  # which imports PyTorch, before which a training has to choose

    cells = [(way, others) for way in WAYS for others in OTHERS]
    rounds = [{cell: run(*cell, arguments.seconds) for cell in cells} for _ in range(arguments.rounds)]
    rows = []
    for way in WAYS:
        rates = {others: statistics.median(each[way, others] for each in rounds) for others in OTHERS}
        shares = [f"{rate:,.0f} ({rate / rates[QUIET]:.2f})" for rate in rates.values()]
        rows.append([way, f"{rates[QUIET]:,.0f}", *shares[1:]])
    print(table(["images/s (share of quiet)", *OTHERS], rows))
    return None


if __name__ == "__main__":
    main()
