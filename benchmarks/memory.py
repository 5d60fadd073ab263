"""Growth beyond memory: every stage on more images than its memory holds, the page cache cold.

`python -m benchmarks.memory` needs the right to make memory control groups of version 1 (root), and 15 GB of disk.
Each stage runs in a group that holds a GiB beside what PyTorch itself takes; the figures are the kernel's. The gray
images are drawn by `download` itself, the colored ones are JPEGs in a folder of class folders.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.measure import table
from stages.shared.images.synthetic import GARMENTS, generate_garments
from tests.project import merge

ROOT = Path(__file__).parent.parent
GROUPS = Path("/sys/fs/cgroup/memory")
BEYOND = 2**30
# In turn, and what else of its params is changed.
STAGES: list[tuple[str, dict[str, Any]]] = [
    ("download", {}),
    ("train", {"recipe": "pixels"}),
    ("train", {"recipe": "components"}),
    *((stage, {}) for stage in ("render", "extract", "plot", "evaluate", "report", "explore")),
    ("evaluate", {"sample": 10_000}),
]
# Train and test images, the pixels of a side, and params that differ from the defaults.
SETS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "2,000,000 of 28 x 28, gray": (1_900_000, 100_000, 28, {"batch_size": 256, "epochs": 1}),
    "200,000 of 128 x 128, RGB": (190_000, 10_000, 128, {"batch_size": 256, "epochs": 1, "layers": [16, 12]}),
}
ENDINGS = (".npy", ".jpg")  # of what is large


def describe_drawn(root: Path, train: int, test: int) -> str:
    """The source of so many garments that `download` draws."""
    known = yaml.safe_load((ROOT / "data/synthetic.yaml").read_text())
    drawn = {"train_images": train, "test_images": test, "seed": 0}
    (root / "drawn.yaml").write_text(yaml.safe_dump(known | {"synthetic": drawn}))
    return "drawn.yaml"


def write_pictures(root: Path, train: int, test: int, side: int) -> str:
    """The source of so many JPEGs, no two alike, laid out as [train/, test/][<class>/]picture."""
    for split, count in ("train", train), ("test", test):
        for name in GARMENTS:
            (root / "pictures" / split / name.replace("/", " ")).mkdir(parents=True)
        with Pool() as pool:
            parts = [
                (root / "pictures" / split, start, min(start + 1000, count), side) for start in range(0, count, 1000)
            ]
            pool.starmap(_write_part, parts)
    return "pictures"


def _write_part(folder: Path, start: int, stop: int, side: int) -> None:
    """Pictures of those numbers: garments blown up, each in a color and on a dark ground of its own."""
    random = np.random.default_rng([start, len(folder.name)])
    names = [name.replace("/", " ") for name in GARMENTS]
    for number, (image, label) in zip(
        range(start, stop), generate_garments(stop - start, int(random.integers(2**31))), strict=True
    ):
        large = Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BILINEAR)
        ground, ink = (tuple(random.integers(low, low + 64, size=3).tolist()) for low in (0, 192))
        picture = Image.composite(Image.new("RGB", large.size, ink), Image.new("RGB", large.size, ground), large)
        picture.save(folder / names[label] / f"{number}.jpg")


def forget(root: Path) -> None:
    """Have the kernel drop the files below `root` from its cache."""
    os.sync()
    for path in root.rglob("*"):
        if path.suffix in ENDINGS:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(command: list[str], root: Path, limit: int) -> tuple[float, int, int, str]:
    """Seconds, peak anonymous memory and all that was resident at once, in bytes, and what was said."""
    group = GROUPS / f"benchmark{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        start = time.monotonic()
        process = subprocess.Popen(
            ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        peaks = {"RssAnon": 0, "VmHWM": 0}
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text().split("\n")
            for line in status:
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], 1024 * int(value.split()[0]))
            time.sleep(0.05)
        said = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"{command}: {process.returncode}: {said}")
        return time.monotonic() - start, peaks["RssAnon"], peaks["VmHWM"], said
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SETS, action="append")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--share", type=float, default=1, help="of the images, for a trial")
    parser.add_argument("--stages", nargs="+", default=[name for name, _ in STAGES], help="these alone, for a trial")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.only or SETS:
        train, test, side, recipe = SETS[name]
        with TemporaryDirectory(dir=arguments.scratch) as folder:
            counts = int(arguments.share * train), int(arguments.share * test)
            for row in measure(Path(folder), *counts, side, recipe, arguments.stages):
                rows.append([name, *row])
                print(rows[-1], flush=True)
    print(table(["images", "stage", "s", "peak anonymous, MiB", "peak resident, MiB"], rows))


def measure(
    root: Path, train: int, test: int, side: int, recipe: dict[str, Any], stages: Sequence[str]
) -> Iterator[list[str]]:
    """Each stage's label, seconds, and peaks in MiB."""
    source = describe_drawn(root, train, test) if side == 28 else write_pictures(root, train, test, side)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["download"] |= {"source": source, "height": side, "width": side}
    params["train"] = merge(params["train"], {"pixels": recipe})
    own = run([sys.executable, "-c", "import torch"], root, 4 * BEYOND)[2]
    print(f"PyTorch alone {own / 2**20:.0f} MiB", flush=True)
    for stage, changes in STAGES:
        if stage in stages:
            params[stage] |= changes
            (root / "params.yaml").write_text(yaml.safe_dump(params))
            forget(root)
            shutil.rmtree(root / "data" / stage, ignore_errors=True)
            seconds, *peaks, said = run([sys.executable, "-m", f"stages.{stage}"], root, own + BEYOND)
            print(said.strip(), flush=True)
            label = ", ".join([stage, *(f"{key}: {value}" for key, value in changes.items())])
            yield [label, f"{seconds:,.0f}", *(f"{peak / 2**20:,.0f}" for peak in peaks)]
        shutil.rmtree(root / "pictures", ignore_errors=True)  # after the download


if __name__ == "__main__":
    main()
