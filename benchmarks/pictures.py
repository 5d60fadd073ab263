"""Reading a folder of pictures: this project's download beside torchvision's ImageFolder and a DataLoader."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.measure import ratio, table

SIDE, TARGET = 256, 64
COUNTS = (2_000, 20_000)


def make(folder: Path, count: int) -> None:
    """`count` JPEGs of 256 x 256 in ten classes: smooth noise, about as many bytes as photographs of that size."""
    random = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir()
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (24, 24, 3)).astype(np.uint8))
        fine = random.normal(0, 8, (SIDE, SIDE, 1))
        pixels = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) + fine
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / str(index % 10) / f"{index}.jpg", quality=90
        )


def read_here(folder: str, target: str) -> None:
    """As the download stage does."""
    from stages.shared.images.layout import list_pictures
    from stages.shared.images.preprocessing import Preprocessing
    from stages.shared.images.write import write_pictures

    paths = list_pictures(Path(folder)).pictures[None]
    write_pictures(paths, Preprocessing(TARGET, TARGET, "rgb", "pad", (255, 255, 255)), Path(target))


def read_usually(folder: str, target: str) -> None:
    """ImageFolder with Resize, two workers; written into an array, too."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, PILToTensor, Resize

    images = ImageFolder(folder, Compose([Resize((TARGET, TARGET)), PILToTensor()]))
    out = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(len(images), 3, TARGET, TARGET))
    start = 0
    for batch, _ in DataLoader(images, batch_size=256, num_workers=2):
        out[start : start + len(batch)] = batch.numpy()
        start += len(batch)


class Run(NamedTuple):
    """Of a reading, without imports: seconds, CPU seconds of all its processes, the main one's peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(reader: str, folder: Path, target: Path) -> Run:
    """One reading, in a process of its own."""
    code = (
        "import sys, time, json; from benchmarks import growth, pictures; import torch.utils.data, torchvision\n"
        "from stages.shared.images import layout, write\n"
        "start, before = time.perf_counter(), pictures.cpu_seconds()\n"
        f"pictures.{reader}(sys.argv[1], sys.argv[2])\n"
        "print(json.dumps([time.perf_counter() - start, pictures.cpu_seconds() - before, growth.peak() / 2**20]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(target)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return Run(*json.loads(result.stdout.splitlines()[-1]))


def gray_levels_off(folder: Path, target: Path) -> float:
    """How far the pixels in `target` are from one antialiased resize of each picture, on average over the first 200."""
    from stages.shared.images.layout import list_pictures

    images, differences = np.load(target, mmap_mode="r"), []
    for image, path in zip(images, list_pictures(folder).pictures[None][:200], strict=False):
        with Image.open(path) as picture:
            exact = picture.resize((TARGET, TARGET), Image.Resampling.BILINEAR)
        differences.append(np.abs(np.asarray(exact, float) - image).mean())
    return float(np.mean(differences))


def pictures(rounds: int) -> str:
    """Pictures and CPU seconds of both, in alternating rounds, and the memory of this project's at two sizes."""
    with TemporaryDirectory() as scratch:
        folders = {}
        for count in COUNTS:
            folders[count] = Path(scratch) / str(count)
            folders[count].mkdir()
            make(folders[count], count)
        target, most = Path(scratch) / "images.npy", max(COUNTS)
        readers = {"read_usually": "ImageFolder, Resize, DataLoader with two workers", "read_here": "`download`"}
        runs: dict[str, list[Run]] = {reader: [] for reader in readers}
        for _ in range(rounds):
            for reader in readers:
                runs[reader].append(measure(reader, folders[most], target))
        off = gray_levels_off(folders[most], target)
        few = measure("read_here", folders[min(COUNTS)], target)
    usual = runs["read_usually"]
    rows = [
        [
            name,
            f"{most / statistics.median(run.seconds for run in runs[reader]):,.0f}",
            f"{ratio([run.seconds for run in usual], [run.seconds for run in runs[reader]]):.2f}",
            f"{statistics.median(run.cpu for run in runs[reader]):.1f}",
            f"{ratio([run.cpu for run in runs[reader]], [run.cpu for run in usual]):.2f}",
            f"{statistics.median(run.memory for run in runs[reader]):.0f}",
        ]
        for reader, name in readers.items()
    ]
    rows.append(
        [
            f"`download`, {min(COUNTS):,} pictures",
            f"{min(COUNTS) / few.seconds:,.0f}",
            "",
            f"{few.cpu:.1f}",
            "",
            f"{few.memory:.0f}",
        ]
    )
    introduction = (
        f"{most:,} JPEGs of {SIDE} x {SIDE} are converted to {TARGET} x {TARGET} RGB, on {os.cpu_count()} cores. The "
        f"numbers are medians of {rounds} alternating rounds, and the relative numbers are medians of the ratios in "
        "each round; the files are in the page cache. CPU seconds are the sum over all processes, without imports. "
        "Memory is the peak of the main process; every measurement imports the libraries of both ImageFolder and "
        "`download`. `download` decodes these JPEGs at a reduced size before it resizes them. On average, its pixel "
        f"values differ by {off:.2f} (of 255) from those of a single antialiased resize of the full picture."
    )
    heads = [
        "",
        "pictures/s",
        "speed relative to ImageFolder",
        "CPU seconds",
        "CPU seconds relative to ImageFolder",
        "peak MiB",
    ]
    return f"{introduction}\n\n" + table(heads, rows)


if __name__ == "__main__":
    started = time.perf_counter()
    print(pictures(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    print(f"({time.perf_counter() - started:.0f} s)", file=sys.stderr)
