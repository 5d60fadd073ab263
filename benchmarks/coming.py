"""What the default training takes where other programs come or go, with its second look at the cores and without.

`python -m benchmarks.coming`, after `dvc repro download`, on a machine that does nothing else; in alternating rounds.
"""

import argparse
import math
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import table

ROOT = Path(__file__).parent.parent
ONCE = """
import runpy
from stages.shared.process import waiting

waiting._WORTH = float("inf")
runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
"""
WAYS = {"looks once": ["-c", ONCE], "looks again": ["-m", "stages.train"]}
# Each of the others: from when on it loops, and for how long, in seconds.
OTHERS: dict[str, list[tuple[float, float]]] = {
    "none": [],
    "one that ends after 4 s": [(0, 4)],
    "one that comes after 4 s": [(4, math.inf)],
    "two that come after 4 s": [(4, math.inf)] * 2,
}
LOOP = "import time; time.sleep({}); start = time.monotonic()\nwhile time.monotonic() - start < float('{}'): pass"


def run(way: str, others: str, root: Path) -> float:
    """Seconds of the whole stage, from nothing that was kept."""
    shutil.rmtree(root / ".dvc", ignore_errors=True)
    (root / ".dvc").mkdir()
    with ExitStack() as stack:
        for wait, how_long in OTHERS[others]:
            command = [sys.executable, "-c", LOOP.format(wait, how_long)]
            stack.callback(stack.enter_context(subprocess.Popen(command)).kill)
        time.sleep(0.3)
        start = time.monotonic()
        subprocess.run([sys.executable, *WAYS[way]], cwd=root, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in "stages", "data/download":
            shutil.copytree(ROOT / name, root / name)
        shutil.copy(ROOT / "params.yaml", root)
        cells = [(others, way) for others in OTHERS for way in WAYS]
        rounds = [{cell: run(cell[1], cell[0], root) for cell in cells} for _ in range(arguments.rounds)]
    rows = [
        [others, *(f"{statistics.median(each[others, way] for each in rounds):.1f}" for way in WAYS)]
        for others in OTHERS
    ]
    print(table(["other programs", *(f"{way}, s" for way in WAYS)], rows))


if __name__ == "__main__":
    main()
