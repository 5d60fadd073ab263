"""Times, and how they are told: alternating rounds, medians, tables, the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import Any

import torch


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes: on a GPU between two events on the device, elsewhere by the clock."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def one_process(tasks: int | None = None) -> ProcessPoolExecutor:
    """A process to work in, a new one after so many `tasks`.

    One loop's threads, and how they treat numbers next to zero, are then no other's.
    """
    return ProcessPoolExecutor(1, get_context("spawn"), _start_children_as_the_platform_does, max_tasks_per_child=tasks)


def _start_children_as_the_platform_does() -> None:
    set_start_method(None, force=True)  # a spawned process would spawn a DataLoader's workers: seconds an epoch


@contextmanager
def in_subprocess(make: Callable[..., Callable[[], float]], *arguments: Any) -> Iterator[Callable[[], float]]:
    """What `make(*arguments)` gives, made and called in a process of its own."""
    with one_process() as process:
        process.submit(_Made.make, make, *arguments).result()
        yield lambda: process.submit(_Made.call).result()


class _Made:
    work: Callable[[], float]

    @classmethod
    def make(cls, make: Callable[..., Callable[[], float]], *arguments: Any) -> None:
        cls.work = staticmethod(make(*arguments))

    @classmethod
    def call(cls) -> float:
        return cls.work()


def alternate(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each of `works`, which give a time, once a round, so that a noisy machine is noisy to all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # warm up
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(work())
    return times


def ratio(times: Sequence[float], reference: Sequence[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(a / b for a, b in zip(times, reference, strict=True))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, numbers to the right."""
    cells = [[f"{cell:,.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(device: torch.device) -> str:
    """Hardware, versions and thread counts, one line each."""
    lines = [
        f"processor: {_processor()}, {os.cpu_count()} cores; {platform.system()} {platform.machine()}",
        f"device: {torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type}, "
        f"{torch.get_num_threads()} threads",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy", "matplotlib", "dvc")),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def merge(page: str, introduction: str, sections: Mapping[str, str]) -> str:
    """A Markdown page with a new introduction and these sections, by title; its other sections stay where they are."""
    _, *others = f"\n{page}".split("\n## ")
    kept = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in others}
    return (
        "\n\n".join([introduction, *(f"## {title}\n\n{text}" for title, text in (kept | dict(sections)).items())])
        + "\n"
    )
