"""When several processes pay: images a second of two processes of one thread, and of one process of two threads.

`python -m benchmarks.processes`; in alternating rounds, over batch sizes and the first layer's width.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import table

BATCHES = (64, 256, 1024, 4096)
WIDTHS = (128, 1024)
IMAGES = 16_384


def measure(seconds: float) -> None:
    """Print the images a second of each setting; for a process that a launcher starts."""
    import numpy as np
    import torch

    from benchmarks.growth import RECIPE
    from stages.shared.training.build import make_trainer
    from stages.shared.training.distributed import init_process_group, local_rank_and_size

    cpu = torch.device("cpu")
    torch.set_num_threads(2 // local_rank_and_size()[1])
    images = np.random.default_rng(0).integers(256, size=(IMAGES, 28, 28, 1)).astype(np.uint8)
    rates = []
    with init_process_group(cpu) as group:
        for width in WIDTHS:
            for batch_size in BATCHES:
                recipe = RECIPE | {"layers": [width, 64, 12], "batch_size": batch_size}
                trainer = make_trainer(images, recipe, cpu, group)
                batches = list(trainer.batches())
                for batch in batches[:4]:  # to warm up
                    trainer.train_batch(batch)
                start, done = time.perf_counter(), 0
                while group.broadcast(time.perf_counter() - start < seconds):
                    with trainer.no_grad():
                        for batch in batches[: max(1, 4096 // batch_size)]:
                            trainer.train_batch(batch)
                            done += batch_size
                rates.append(done / (time.perf_counter() - start))
        if group.is_rank_zero:
            print(json.dumps(rates))


def run(processes: int, seconds: float) -> list[float]:
    """Images a second."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [sys.executable, "-m", *(launcher if processes > 1 else [])]
    result = subprocess.run(
        [*command, "benchmarks.processes", "--seconds", str(seconds), "--measure"],
        cwd=Path(__file__).parent.parent,
        env=os.environ | ({"OMP_NUM_THREADS": "1"} if processes > 1 else {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: list[float] = json.loads(result.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--measure", action="store_true", help="in one of the processes")
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.seconds)
    rounds = [(run(1, arguments.seconds), run(2, arguments.seconds)) for _ in range(arguments.rounds)]
    settings = [(width, batch) for width in WIDTHS for batch in BATCHES]
    rows = []
    for number, (width, batch) in enumerate(settings):
        one, two = (statistics.median(each[which][number] for each in rounds) for which in (0, 1))
        rows.append([f"{width}", f"{batch:,}", f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f}"])
    print(table(["first layer's width", "batch size", "1 process, images/s", "2 processes, images/s", "times"], rows))
    return None


if __name__ == "__main__":
    main()
