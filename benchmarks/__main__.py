"""Measure this project: `python -m benchmarks` prints its tables and writes them to docs/benchmarks.md."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import data as data_module
from benchmarks.growth import growth
from benchmarks.measure import machine, merge
from benchmarks.pictures import pictures
from benchmarks.pipeline import pipeline
from benchmarks.throughput import throughput
from benchmarks.time_to_loss import time_to_loss
from stages.train import choose_device

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="alternating rounds of the throughput (default 15)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help="throughput, pictures, time-to-loss, pipeline, growth"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder for the tables and the plot (docs/)")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    data = data_module.load()
    picture = arguments.output / "growth.png"
    parts: dict[str, tuple[str, Callable[[], str]]] = {
        "throughput": ("Training throughput", lambda: throughput(data, device, arguments.threads, arguments.rounds)),
        "pictures": ("A folder of pictures", lambda: pictures(5)),
        "time-to-loss": ("Time to loss", lambda: time_to_loss(data, device, arguments.threads)),
        "pipeline": ("The pipeline", lambda: pipeline(data)),
        "growth": ("Growth", lambda: growth(data, device, arguments.threads, picture) + "\n\n![growth](growth.png)"),
    }
    unknown = set(arguments.only or []) - set(parts)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}")

    gpu = "" if device.type == "cuda" else UNMEASURED
    introduction = INTRODUCTION.format(images=len(data.train_images), dataset=data.dataset, gpu=gpu)
    arguments.output.mkdir(parents=True, exist_ok=True)
    target = arguments.output / "benchmarks.md"
    for name in arguments.only or parts:
        title, work = parts[name]
        print(f"{title} …", flush=True)
        section = work()
        print(section, end="\n\n", flush=True)
        page = target.read_text(encoding="utf-8") if target.exists() else ""
        target.write_text(merge(page, introduction + machine(device), {title: section}), encoding="utf-8")
    print(f"written to {target}")


INTRODUCTION = """# Benchmarks

See how fast the project trains, reads pictures and runs its stages, and how time and memory grow with the data.
`make bench` measures the sections up to *Growth* on your machine, and `python -m benchmarks --only throughput` measures
one section. The data are the {images:,} training images of {dataset}. Compare times only within a section, because the
speed of the machine varies. The *tutorial* is a plain PyTorch training with a DataLoader (`benchmarks/baseline.py`).
{gpu}
"""
UNMEASURED = """The GPU code has never run, because no GPU was available. It captures a training step in a CUDA graph.
"""

if __name__ == "__main__":
    main()
