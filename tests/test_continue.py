"""A training that goes on where an earlier run of it ended: after kills, for more epochs, beside its like."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.shared.model.operations import ACTIVATIONS
from stages.shared.training.fit import Fit
from stages.shared.training.optimizers import OPTIMIZERS
from stages.shared.training.record import Record
from stages.shared.training.schedules import SCHEDULES
from stages.shared.training.state import Keeper, keeper
from stages.shared.training.state import State as Kept
from stages.shared.training.trainer import Trainer
from tests.conftest import State
from tests.faults.marks import faults
from tests.project import SMALL, Project, merge

TRAIN = ("dvc", "repro", "train")
LONG = {"train": {"epochs": 10, "batch_size": 4}}  # an epoch is 1,000 steps


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        count = 20 if metafunc.config.getoption("--torture") else 2
        chance = random.Random(7)
        moments = [(number + chance.random()) / count for number in range(count)]
        names = [f"at {moment:.0%}" for moment in moments]
        metafunc.parametrize("moment", moments, ids=names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, float]:
    """A project after ten epochs, and the seconds that they took; not to be changed."""
    project = Project.create(tmp_path_factory.mktemp("trained") / "project", merge(SMALL, LONG))
    project.draw({"train_images": 4000, "test_images": 100, "seed": 0})
    project.repro("download")
    with project.begun(*TRAIN, until="train: ") as process:
        start = time.monotonic()
        process.communicate()
        return project, time.monotonic() - start


def fresh(project: Project, root: Path) -> Project:
    """A copy in which nothing has been trained."""
    copy = project.copy(root)
    shutil.rmtree(copy.root / "data/train", ignore_errors=True)
    shutil.rmtree(copy.root / ".dvc/tmp/train", ignore_errors=True)
    shutil.rmtree(copy.root / ".dvc/cache")
    (copy.root / "dvc.lock").unlink()
    copy.repro("download")
    return copy


@faults
def test_a_training_killed_goes_on_and_ends_in_the_same_bytes(
    moment: float, trained: tuple[Project, float], tmp_path: Path, state: State
) -> None:
    whole, seconds = trained
    project = fresh(whole, tmp_path / "project")
    with project.begun(*TRAIN, until="train: ") as process:
        time.sleep(moment * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
    done = len(re.findall(r"^epoch \d+/10: ", output, re.MULTILINE))
    for name in (".dvc/tmp/rwlock", "dvc.lock"):  # DVC's own, which it writes in place
        if (path := project.root / name).exists() and not path.read_bytes():
            path.unlink()
    result = project.run(*TRAIN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test loss") <= 10 - done
    begins = re.search(r"goes on .* epoch (\d+)", result.stdout)
    assert project.contents("data/train") == whole.contents("data/train")
    state("a training of 10 epochs killed", went_on=int(bool(begins)), same_bytes=1)


@faults
def test_what_dvc_was_killed_before_it_took_note_of_is_not_trained_again(project: Project) -> None:
    before = project.contents("data/train")
    (project.root / "dvc.lock").unlink()
    shutil.rmtree(project.root / ".dvc/cache/runs")
    result = project.run(*TRAIN)
    assert "Running stage 'train'" in result.stdout
    assert "test loss" not in result.stdout
    assert project.contents("data/train") == before


def test_more_epochs_go_on_from_a_finished_run(project: Project, tmp_path: Path) -> None:
    project.edit({"train": {"epochs": 4}})
    result = project.run(*TRAIN)
    assert "from epoch 3" in result.stdout
    anew = fresh(project, tmp_path / "anew")
    assert "goes on" not in anew.run(*TRAIN).stdout
    assert project.contents("data/train") == anew.contents("data/train")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"threads": 2},
        {"learning_rate": 0.001},
        {"epochs": 1},
        {"epochs": 4, "schedule": "one-cycle"},
    ],
    ids=str,
)
def test_another_recipe_begins_anew(
    change: dict[str, Any], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.edit({"train": change})
    project.play("train")
    torch.set_num_threads(1)
    said = capsys.readouterr().out
    assert "goes on" not in said
    assert said.count("test loss") == change.get("epochs", 2)


def test_a_whole_training_run_once_more_is_done_once_more(project: Project) -> None:
    before = project.contents("data/train")
    result = project.run("dvc", "repro", "--force", "--single-item", "train")
    assert result.stdout.count("test loss") == 2
    assert project.contents("data/train") == before


def fit(folder: Path, keep: Keeper, **changes: Any) -> Fit:
    """A small training, not begun."""
    random = np.random.default_rng(0)
    images = (255 * random.random((203, 6, 5, 1)).cumsum(axis=1) / 6).astype(np.uint8)
    recipe: dict[str, Any] = {
        "layers": [16, 8],
        "latent_size": 3,
        "activation": "relu",
        "epochs": 4,
        "batch_size": 8,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "shuffle": "full",
        "seed": 1,
    }
    recipe |= changes
    folder = folder / ".partial"
    folder.mkdir(parents=True)
    trainer = Trainer(images, device=torch.device("cpu"), **recipe)
    return Fit(trainer, images[:50], "test", recipe, Record(folder, "noise", images), keep, keep_every=0)


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("data", [{"shuffle": "full"}, {"shuffle": "blocks"}, {"noise": 0.2}], ids=str)
def test_a_training_goes_on_from_the_very_step(
    activation: str, schedule: str, optimizer: str, data: dict[str, Any], tmp_path: Path
) -> None:
    recipe = {"activation": activation, "schedule": schedule, "optimizer": optimizer} | data
    whole = fit(tmp_path / "whole", Keeper(None), **recipe)
    whole.run()
    with keeper("key", tmp_path / "states") as keep:
        killed = fit(tmp_path / "killed", keep, **recipe)
        write, writes = keep.write, []

        def until_the_60th(state: Any) -> None:
            write(state)
            writes.append(state)
            if len(writes) == 60:  # two of these at the end of each epoch, of 26 steps
                raise Killed

        keep.write = until_the_60th  # type: ignore[method-assign]
        with pytest.raises(Killed):
            killed.run()
        assert killed.trainer.steps not in (0, 26)
    with keeper("key", tmp_path / "states") as keep:
        second = fit(tmp_path / "second", keep, **recipe)
        second.go_on()
        assert (second.trainer.epochs, second.trainer.steps) == (killed.trainer.epochs, killed.trainer.steps)
        second.run()
    assert second.losses == whole.losses
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert len(files) > 8
    for path in files:
        assert (tmp_path / "second" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_two_runs_of_one_key_are_kept_apart(tmp_path: Path) -> None:
    with keeper("key", tmp_path) as one, keeper("key", tmp_path) as other:
        assert one.own != other.own
    with keeper("key", tmp_path) as next_one:
        assert next_one.own == one.own


def test_old_states_go_and_those_in_use_stay(tmp_path: Path) -> None:
    state = Kept(fit(tmp_path / "fit", Keeper(None)).trainer.state())
    with keeper("used", tmp_path / "states"):
        for number in range(12):
            with keeper(f"key{number}", tmp_path / "states") as keep:
                keep.write(state)
        kept = {path.name for path in (tmp_path / "states").iterdir() if path.is_dir()}
    assert "used.0" in kept
    assert {"key11.0", "key10.0"} <= kept
    assert len(kept) <= 6


@pytest.mark.parametrize("name", ["state", "2.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_state_is_not_gone_on_from(name: str, damage: str, tmp_path: Path) -> None:
    with keeper("key", tmp_path / "states") as keep:
        fit(tmp_path / "first", keep).run()
        assert keep.read()
        assert keep.own
        path = keep.own / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[: 100 if damage == "cut" else None])
        if damage == "gone":
            path.unlink()
        assert keep.read() is None


def test_state_of_an_experiment_in_a_temporary_folder_is_kept_in_the_repository(
    project: Project, tmp_path: Path
) -> None:
    """`dvc exp run --temp` runs in a copy that is deleted; DVC_ROOT is where it was called."""
    elsewhere = project.copy(tmp_path / "elsewhere")
    for copy in (project, elsewhere):
        shutil.rmtree(copy.root / ".dvc/tmp/train")
    result = elsewhere.stage("train", env={"DVC_ROOT": str(project.root)})
    assert result.returncode == 0, result.stderr
    assert not (elsewhere.root / ".dvc/tmp/train").exists()
    assert list((project.root / ".dvc/tmp/train").glob("*/state"))
