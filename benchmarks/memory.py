"""Growth beyond memory: every stage on more images than its memory holds, the page cache cold.

`python -m benchmarks.memory` needs the right to make memory control groups of version 1 (root), and 15 GB of disk.
Each stage runs in a group that holds a GiB beside what PyTorch itself takes; the figures are the kernel's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from benchmarks.measure import table
from stages.shared.images.garments import GARMENTS, draw

ROOT = Path(__file__).parent.parent
GROUPS = Path("/sys/fs/cgroup/memory")
BEYOND = 2**30
STAGES = ("train", "render", "extract", "plot", "evaluate", "report", "explore")
# Train and test images, their shape, and params that differ from the defaults.
SETS = {
    "2,000,000 of 28 x 28, grey": (1_900_000, 100_000, (28, 28, 1), {"batch_size": 256, "epochs": 1}),
    "200,000 of 128 x 128, RGB": (190_000, 10_000, (128, 128, 3), {"batch_size": 256, "epochs": 1, "layers": [16, 12]}),
}


def write_images(root: Path, train: int, test: int, shape: tuple[int, int, int]) -> None:
    """What `download` leaves, of drawn garments blown up and each a little brighter or darker."""
    folder = root / "data/download"
    folder.mkdir(parents=True)
    drawn, labels = draw(2000, 0)
    factor = -(-shape[0] // 28)
    random = np.random.default_rng(0)
    for split, count in ("train", train), ("test", test):
        images = np.lib.format.open_memmap(folder / f"{split}_images.npy", "w+", np.uint8, (count, *shape))
        chosen = random.integers(len(drawn), size=count)
        for start in range(0, count, 1000):
            part = drawn[chosen[start : start + 1000]].repeat(factor, 1).repeat(factor, 2)[:, : shape[0], : shape[1]]
            shade = random.integers(128, 256, size=(len(part), 1, 1, shape[2]))
            images[start : start + 1000] = part * shade // 255
        images.flush()
        np.save(folder / f"{split}_labels.npy", labels[chosen])
    (folder / "dataset.json").write_text(json.dumps({"dataset": "drawn", "classes": list(GARMENTS)}))


def forget(root: Path) -> None:
    """Have the kernel drop the files below `root` from its cache."""
    os.sync()
    for path in root.rglob("*.npy"):
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
    arguments = parser.parse_args()
    rows = []
    for name in arguments.only or SETS:
        train, test, shape, recipe = SETS[name]
        with TemporaryDirectory(dir=arguments.scratch) as folder:
            root = Path(folder)
            params = yaml.safe_load((ROOT / "params.yaml").read_text())
            write_images(root, int(train * arguments.share), int(test * arguments.share), shape)
            own = run([sys.executable, "-c", "import torch"], root, 4 * BEYOND)[2]
            images = sum(path.stat().st_size for path in root.rglob("*_images.npy"))
            print(f"{name}: {images / 2**30:.1f} GiB, PyTorch alone {own / 2**20:.0f} MiB", flush=True)
            for shuffle in ("full", "blocks"):
                for stage in STAGES if shuffle == "blocks" else ("train",):
                    params["train"] |= recipe | {"shuffle": shuffle}
                    (root / "params.yaml").write_text(yaml.safe_dump(params))
                    forget(root)
                    shutil.rmtree(root / "data" / stage, ignore_errors=True)
                    seconds, anonymous, resident, said = run(
                        [sys.executable, "-m", f"stages.{stage}"], root, own + BEYOND
                    )
                    label = f"train, shuffle: {shuffle}" if stage == "train" else stage
                    rows.append([name, label, seconds, anonymous / 2**20, resident / 2**20])
                    print(rows[-1], said.strip().replace("\n", " | ")[-300:], flush=True)
    print(table(["images", "stage", "s", "peak anonymous, MiB", "peak resident, MiB"], rows))


if __name__ == "__main__":
    main()
