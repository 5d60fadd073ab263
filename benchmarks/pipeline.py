"""The pipeline: how long `dvc repro` takes, and how much of that goes into starting interpreters and importing."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from benchmarks.data import Data
from benchmarks.measure import one_process, table
from stages.shared.files import write_json
from stages.train import Params, choose_device, train

ROOT = Path(__file__).parent.parent
ROUNDS = 5


class Scratch:
    """A copy of the project, without git, that has its data set but no other output."""

    def __init__(self, root: Path, data: Data) -> None:
        self.root = root
        shutil.copytree(ROOT / "stages", root / "stages", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, root / name)
        synthetic = {"train_images": len(data.train_images), "test_images": len(data.test_images), "seed": 0}
        self.edit("download", dataset=data.dataset, synthetic=synthetic)
        download = root / "data" / "download"
        download.mkdir(parents=True)
        for split in ("train", "test"):
            for kind in ("images", "labels"):
                np.save(download / f"{split}_{kind}.npy", getattr(data, f"{split}_{kind}"))
        write_json(download / "dataset.json", {"dataset": data.dataset, "classes": data.classes})
        self.dvc("init", "--no-scm", "--quiet")
        shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots", dirs_exist_ok=True)
        self.dvc("commit", "--force", "--quiet", "download")

    def edit(self, section: str, **changes: Any) -> None:
        """Change a section of params.yaml."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params[section] |= changes
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def dvc(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run dvc, with this interpreter for the stages."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | environment
        return subprocess.run(["dvc", *arguments], cwd=self.root, env=env, check=True, capture_output=True, text=True)

    def repro(self) -> float:
        """Seconds that `dvc repro` takes."""
        start = time.perf_counter()
        self.dvc("repro")
        return time.perf_counter() - start

    def start_up(self) -> float:
        """The share of a `dvc repro` that its processes spend in starting Python and importing modules."""
        start = time.perf_counter()
        log = self.dvc("repro", PYTHONPROFILEIMPORTTIME="1").stderr
        wall = time.perf_counter() - start
        processes = log.count("import time: self [us]")
        imports = sum(int(own) for own in re.findall(r"^import time: +(\d+) \|", log, re.MULTILINE))
        return (imports / 1e6 + processes * _bare_interpreter()) / wall


def _bare_interpreter() -> float:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(5))


def _training_loop(data: Data, seed: int) -> float:
    """Seconds of the train stage's work alone, without start-up and DVC."""
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]
    p = Params.model_validate(section | {"seed": seed})
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(p, data.train_images, data.test_images, choose_device(p.device), Path(folder))
        return time.perf_counter() - start


def pipeline(data: Data) -> str:
    """Wall times of the whole pipeline, of nothing to do, and of a change to the plot alone."""
    loops, wholes, nothings, plots = [], [], [], []
    with TemporaryDirectory() as folder, one_process(tasks=1) as process:
        project = Scratch(Path(folder), data)
        for number in range(ROUNDS):  # each the seed, so that all must run anew, and the angle
            loops.append(process.submit(_training_loop, data, number).result())
            project.edit("train", seed=number)
            wholes.append(project.repro())
            nothings.append(project.repro())
            project.edit("plot", azimuth=number)
            plots.append(project.repro())
        nothing_start_up = project.start_up()
        project.edit("plot", azimuth=ROUNDS)
        plot_start_up = project.start_up()
        project.edit("train", seed=ROUNDS)
        whole_start_up = project.start_up()
    rows = [
        ["all stages, from downloaded data", f"{statistics.median(wholes):.1f}", f"{whole_start_up:.0%}"],
        ["nothing to do", f"{statistics.median(nothings):.1f}", f"{nothing_start_up:.0%}"],
        ["a change to the plot alone", f"{statistics.median(plots):.1f}", f"{plot_start_up:.0%}"],
    ]
    loop = statistics.median(loops)
    over = statistics.median(whole - 1.6 * own for whole, own in zip(wholes, loops, strict=True))
    return (
        f"Medians of {ROUNDS} alternating rounds.\n\n"
        + table(["`dvc repro`", "s", "start-up's share"], rows)
        + "\n\nStart-up is the starting of interpreters and the importing of modules, DVC's and the stages', "
        + "summed over the processes of one more such run, under `PYTHONPROFILEIMPORTTIME`.\n"
        + f"The training loop alone takes {loop:.1f} s; the whole is 1.6 times that and {over:.1f} s."
    )
