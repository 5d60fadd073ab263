"""The pipeline: how long `dvc repro` takes, and how much of that goes into starting interpreters and importing."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data import Data, recipe
from benchmarks.measure import one_process, table
from stages.train import choose_device, train
from tests.inputs import write_download
from tests.project import Project

ROUNDS = 5


class Scratch(Project):
    """A copy of the project, without git, that has its data set but no other output."""

    @classmethod
    def of(cls, root: Path, data: Data) -> "Scratch":
        scratch = cls(Project.create(root, {}).root)
        write_download(
            root,
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
            data.classes,
            data.dataset,
        )
        scratch.run("dvc", "commit", "--force", "--quiet", "download", check=True)
        return scratch

    def seconds(self) -> float:
        """Seconds that `dvc repro` takes."""
        start = time.perf_counter()
        self.run("dvc", "repro", check=True)
        return time.perf_counter() - start

    def start_up(self) -> float:
        """The share of a `dvc repro` that its processes spend in starting Python and importing modules."""
        start = time.perf_counter()
        log = self.run("dvc", "repro", check=True, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
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
    training = recipe({"seed": seed})
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(training, data.train_images, data.test_images, choose_device(training["device"]), Path(folder))
        return time.perf_counter() - start


def pipeline(data: Data) -> str:
    """Wall times of the whole pipeline, of nothing to do, and of a change to the plot alone."""
    loops, wholes, nothings, plots = [], [], [], []
    with TemporaryDirectory() as folder, one_process(tasks=1) as process:
        project = Scratch.of(Path(folder) / "project", data)
        for number in range(ROUNDS):  # each the seed, so that all must run anew, and the angle
            loops.append(process.submit(_training_loop, data, number).result())
            project.edit({"train": {"seed": number}})
            wholes.append(project.seconds())
            nothings.append(project.seconds())
            project.edit({"plot": {"azimuth": number}})
            plots.append(project.seconds())
        nothing_start_up = project.start_up()
        project.edit({"plot": {"azimuth": ROUNDS}})
        plot_start_up = project.start_up()
        project.edit({"train": {"seed": ROUNDS}})
        whole_start_up = project.start_up()
    rows = [
        ["all stages, with the data already downloaded", f"{statistics.median(wholes):.1f}", f"{whole_start_up:.0%}"],
        ["nothing to do", f"{statistics.median(nothings):.1f}", f"{nothing_start_up:.0%}"],
        ["a change to the plot alone", f"{statistics.median(plots):.1f}", f"{plot_start_up:.0%}"],
    ]
    loop = statistics.median(loops)
    over = statistics.median(whole - 1.6 * own for whole, own in zip(wholes, loops, strict=True))
    return (
        f"The times are medians of {ROUNDS} alternating rounds.\n\n"
        + table(["`dvc repro`", "s", "time spent on start-up"], rows)
        + "\n\nStart-up is the time in which all processes start Python and import modules. It was measured in "
        + f"another run, with `PYTHONPROFILEIMPORTTIME`.\nThe training loop alone takes {loop:.1f} s. All stages take "
        + f"1.6 times the time of this loop, plus {over:.1f} s."
    )
