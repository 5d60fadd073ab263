"""Reading a folder of pictures: this project's download beside torchvision's ImageFolder through a DataLoader."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

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
    from stages.shared.images.folder import list_pictures
    from stages.shared.images.form import Form
    from stages.shared.images.write import write_pictures

    paths = list_pictures(Path(folder)).pictures[None]
    write_pictures(paths, Form(TARGET, TARGET, "rgb", "pad", (255, 255, 255)), Path(target))


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


def measure(reader: str, folder: Path, target: Path) -> tuple[float, float]:
    """Seconds of the reading without imports, and the process's peak memory in MiB, in a process of its own."""
    code = (
        "import sys, time, json; from benchmarks import growth, pictures; import torch.utils.data, torchvision\n"
        "from stages.shared.images import folder, form, write\n"
        f"start = time.perf_counter(); pictures.{reader}(sys.argv[1], sys.argv[2])\n"
        "print(json.dumps([time.perf_counter() - start, growth.peak() / 2**20]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(target)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    seconds, memory = json.loads(result.stdout.splitlines()[-1])
    return seconds, memory


def pictures(rounds: int) -> str:
    """Pictures a second of both, in alternating rounds, and the memory of this project's at two sizes of folder."""
    with TemporaryDirectory() as scratch:
        folders = {}
        for count in COUNTS:
            folders[count] = Path(scratch) / str(count)
            folders[count].mkdir()
            make(folders[count], count)
        target, most = Path(scratch) / "images.npy", max(COUNTS)
        readers = {"read_usually": "ImageFolder, Resize, DataLoader of two workers", "read_here": "download"}
        runs: dict[str, list[tuple[float, float]]] = {reader: [] for reader in readers}
        for _ in range(rounds):
            for reader in readers:
                runs[reader].append(measure(reader, folders[most], target))
        few = measure("read_here", folders[min(COUNTS)], target)
    times = {reader: [seconds for seconds, _ in of] for reader, of in runs.items()}
    rows = [
        [
            name,
            f"{most / statistics.median(times[reader]):,.0f}",
            f"{ratio(times['read_usually'], times[reader]):.2f}",
            f"{statistics.median(memory for _, memory in runs[reader]):.0f}",
        ]
        for reader, name in readers.items()
    ]
    rows.append([f"download, of {min(COUNTS):,}", f"{min(COUNTS) / few[0]:,.0f}", "", f"{few[1]:.0f}"])
    introduction = (
        f"{most:,} JPEGs of {SIDE} x {SIDE} to {TARGET} x {TARGET} RGB; medians of {rounds} alternating rounds, the "
        f"files in the page cache, {os.cpu_count()} cores. Memory is the main process's peak, the libraries of both "
        "imported."
    )
    return f"{introduction}\n\n" + table(["", "pictures/s", "times the usual", "peak MiB"], rows)


if __name__ == "__main__":
    started = time.perf_counter()
    print(pictures(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    print(f"({time.perf_counter() - started:.0f} s)", file=sys.stderr)
