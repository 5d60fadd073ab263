"""What a training shows of itself while it goes on, where DVC's plots and everybody else look."""

import csv
import io
import json
import os
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image

from stages.shared.process.outputs import outputs, show
from tests.faults.marks import faults
from tests.project import Project


def begun(project: Project) -> AbstractContextManager["subprocess.Popen[str]"]:
    """`dvc repro train`, of many epochs, after the first of them."""
    project.edit({"train": {"epochs": 2000, "batch_size": 8}})
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
            assert metrics["epochs"] >= len(rows) - 1  # the one is written after the other
            with Image.open(folder / "reconstructions" / f"{len(rows) - 1 or 1}.png") as picture:
                picture.load()
            seen.add(len(rows))
        plots = project.run("dvc", "plots", "show", "--json", "data/train/loss.csv")
        assert "test_loss" in plots.stdout
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
    assert {path.name for path in folder.iterdir()} <= {".gitignore"}


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
                show(work / name)
            assert (tmp_path / "old.csv").read_text() == "old"
            assert (tmp_path / "new.csv").read_text() == "new"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    with outputs(tmp_path) as work:
        (work / "old.csv").write_text("new")
        show(work / "old.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "new"
