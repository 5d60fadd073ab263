"""What a training shows of itself while it goes on, where DVC's plots and everybody else look."""

import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from PIL import Image

from stages.shared.runtime.outputs import outputs, publish
from tests.faults.marks import faults
from tests.project import Project, environment


def begun(project: Project) -> AbstractContextManager["subprocess.Popen[str]"]:
    """`dvc repro train`, of many epochs, after the first of them."""
    project.edit({"train": {"epochs": 2000, "batch_size": 8, "checkpoints": 2000}})
    return project.begun("dvc", "repro", "train", until="epoch 1/")


def test_losses_metrics_and_pictures_are_there_whole_at_any_moment_and_gone_after_a_failure(project: Project) -> None:
    folder = project.root / "data/train"
    seen: set[int] = set()
    with begun(project) as process:
        while len(seen) < 20:
            text = (folder / "loss.csv").read_text()
            assert text.endswith("\n")
            rows = list(csv.DictReader(io.StringIO(text)))
            assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
            metrics = json.loads((folder / "metrics.json").read_text())
            assert set(metrics) == {"train_loss", "test_loss"}
            with Image.open(folder / "reconstructions" / f"{len(rows) - 1 or 1}.png") as picture:
                picture.load()
            seen.add(len(rows))
        plots = project.run("dvc", "plots", "show", "--json", "data/train/loss.csv")
        assert "test_loss" in plots.stdout
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
    assert {path.name for path in folder.iterdir()} <= {".gitignore"}


def test_a_terminal_shows_the_time_left_for_the_whole_run(project: Project) -> None:
    project.edit({"train": {"epochs": 3, "batch_size": 100}})
    shutil.rmtree(project.root / ".dvc/tmp/train")
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    command = [sys.executable, "-m", "stages.train"]
    with subprocess.Popen(command, cwd=project.root, env=environment(), stdout=its_end, stderr=its_end) as process:
        os.close(its_end)
        shown = b""
        with suppress(OSError):  # how a terminal ends
            while read := os.read(terminal, 4096):
                shown += read
        os.close(terminal)
    assert process.returncode == 0, shown
    bars = re.findall(rb"epoch (\d)/3: .*?\| (\d+)/(\d+) \[[\d:]+<[\d:?]+", shown)
    assert {epoch for epoch, _, _ in bars} == {b"1", b"2", b"3"}
    assert {steps for _, _, steps in bars} == {b"9"}  # 3 epochs of 300 images


@faults
def test_what_a_killed_run_showed_is_cleared_by_the_next(project: Project) -> None:
    with begun(project) as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert (project.root / "data/train/loss.csv").exists()
    with outputs(project.root / "data/train"):
        assert not (project.root / "data/train/loss.csv").exists()


def test_what_stood_there_before_stays_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")

    def fail() -> None:
        with outputs(tmp_path) as work:
            for name in ("old.csv", "new.csv"):
                (work / name).write_text("new")
                publish(work / name)
            assert (tmp_path / "old.csv").read_text() == "old"
            assert (tmp_path / "new.csv").read_text() == "new"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    with outputs(tmp_path) as work:
        (work / "old.csv").write_text("new")
        publish(work / "old.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "new"
