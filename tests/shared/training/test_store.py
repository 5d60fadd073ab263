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

from stages.shared.model.history import checkpoint_epochs
from stages.shared.model.operations import ACTIVATIONS
from stages.shared.training.build import make_trainer
from stages.shared.training.log import TrainingLog
from stages.shared.training.loop import Trainer
from stages.shared.training.optimizers import OPTIMIZERS
from stages.shared.training.schedules import SCHEDULES
from stages.shared.training.store import CheckpointStore, open_store
from tests.conftest import State
from tests.faults.marks import faults
from tests.inputs import RECIPE
from tests.project import ROOT, SMALL, Project, merge

TRAIN = ("dvc", "repro", "train")
LONG = {"train": {"epochs": 10, "batch_size": 4}}  # an epoch is 1,000 steps


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        count = 20
        chance = random.Random(7)
        moments = [(number + chance.random()) / count for number in range(count)]
        names = [f"at {moment:.0%}" for moment in moments]
        if metafunc.config.getoption("--torture"):
            metafunc.parametrize("moment", moments, ids=names)
        else:
            metafunc.parametrize("moment", [None], ids=["after three epochs"])


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
    moment: float | None, trained: tuple[Project, float], tmp_path: Path, state: State
) -> None:
    whole, seconds = trained
    project = fresh(whole, tmp_path / "project")
    begun, done = ("epoch 3/", 3) if moment is None else ("train: ", 0)
    with project.begun(*TRAIN, until=begun) as process:
        time.sleep(moment * seconds if moment else 0)
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
    done += len(re.findall(r"^epoch \d+/10: ", output, re.MULTILINE))
    for name in (".dvc/tmp/rwlock", "dvc.lock"):  # DVC's own, which it writes in place
        if (path := project.root / name).exists() and not path.read_bytes():
            path.unlink()
    result = project.run(*TRAIN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test loss") <= 10 - done
    begins = re.search(r"resumes an earlier training from epoch (\d+)", result.stdout)
    assert begins or moment is not None
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


def test_more_epochs_go_on_from_a_finished_run(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.edit({"train": {"epochs": 4}})
    anew = project.copy(tmp_path / "anew")
    assert "from epoch 3" in project.stage("train").stdout  # a process: the modules that it imports count
    shutil.rmtree(anew.root / ".dvc/tmp/train")
    anew.play("train")
    assert "resumes an earlier" not in capsys.readouterr().out
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
    assert "resumes an earlier" not in said
    assert said.count("test loss") == change.get("epochs", 2)


def test_a_whole_training_run_once_more_is_done_once_more(project: Project) -> None:
    before = project.contents("data/train")
    result = project.dvc("repro", "--force", "--single-item", "train")
    assert result.stdout.count("test loss") == 2
    assert project.contents("data/train") == before


def fit(folder: Path, store: CheckpointStore, **changes: Any) -> Trainer:
    """A small training from where the store has it."""
    random = np.random.default_rng(0)
    images = (255 * random.random((203, 6, 5, 1)).cumsum(axis=1) / 6).astype(np.uint8)
    params = RECIPE | {"epochs": 4} | changes
    folder = folder / ".partial"
    folder.mkdir(parents=True)
    store.save_every = 0
    trainer = make_trainer(images, params, torch.device("cpu"))
    log = TrainingLog(folder, images[:50], "test", params)
    trainer.resume(log, store)
    trainer.fit(images[:50], log, store)
    return trainer


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize(
    "recipe",
    [
        *({"activation": activation} for activation in ACTIVATIONS),
        *({"schedule": schedule, "optimizer": optimizer} for schedule in SCHEDULES for optimizer in OPTIMIZERS),
        {"noise": 0.2},
        {"steps": 110, "schedule": "one-cycle"},
    ],
    ids=str,
)
def test_a_training_goes_on_from_the_very_step(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fit(tmp_path / "whole", CheckpointStore(None), **recipe)
    with open_store("key", tmp_path / "states") as store:
        save, saves = store.save, []

        def until_the_60th(state: Any, model: Path | None = None) -> None:
            save(state, model)
            saves.append(state)
            if len(saves) == 60:  # two of these at the end of each epoch, of 26 steps or more
                raise Killed

        store.save = until_the_60th  # type: ignore[method-assign]
        with pytest.raises(Killed):
            fit(tmp_path / "killed", store, **recipe)
    capsys.readouterr()
    with open_store("key", tmp_path / "states") as store:
        second = fit(tmp_path / "second", store, **recipe)
    assert re.search(r"resumes an earlier training from epoch 3, step \d", capsys.readouterr().out)
    assert second.losses == whole.losses
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert len(files) > 8
    for path in files:
        assert (tmp_path / "second" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_more_epochs_go_on_where_few_checkpoints_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("key", tmp_path / "states") as store:
        fit(tmp_path / "short", store, epochs=5, checkpoints=3)
    with open_store("key", tmp_path / "states") as store:
        fit(tmp_path / "long", store, epochs=9, checkpoints=3)
        assert store.own
        assert {path.stem for path in store.own.glob("*.safetensors")} == {"4", "8", "9"}
    assert "from epoch 6" in capsys.readouterr().out
    fit(tmp_path / "anew", CheckpointStore(None), epochs=9, checkpoints=3)
    files = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("long", "anew")]
    assert [path.stem for path in files[1] if path.suffix == ".safetensors"] == ["4", "8", "9"]
    assert len((tmp_path / "anew/.partial/loss.csv").read_text().splitlines()) == 10
    for path, other in zip(*files, strict=True):
        assert path.name == other.name
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("epochs", "most", "kept"),
    [(10, 20, range(1, 11)), (21, 20, [*range(2, 21, 2), 21]), (50, 20, [*range(4, 49, 4), 50]), (7, 1, [7])],
)
def test_so_many_checkpoints_are_kept_at_most_evenly_spread(epochs: int, most: int, kept: list[int]) -> None:
    assert checkpoint_epochs(epochs, most) == [*kept]
    for longer in range(epochs, 5 * epochs):
        wanted = checkpoint_epochs(longer, most)
        assert len(wanted) <= most
        assert {epoch for epoch in wanted if epoch < epochs} <= {*kept}


def test_two_runs_of_one_key_are_kept_apart(tmp_path: Path) -> None:
    with open_store("key", tmp_path) as one, open_store("key", tmp_path) as other:
        assert one.own != other.own
    with open_store("key", tmp_path) as next_one:
        assert next_one.own == one.own


def test_old_states_go_and_those_in_use_stay(tmp_path: Path) -> None:
    state = fit(tmp_path / "fit", CheckpointStore(None)).state()
    with open_store("used", tmp_path / "states"):
        for number in range(12):
            with open_store(f"key{number}", tmp_path / "states") as store:
                store.save(state)
        kept = {path.name for path in (tmp_path / "states").iterdir() if path.is_dir()}
    assert "used.0" in kept
    assert {"key11.0", "key10.0"} <= kept
    assert len(kept) <= 6


def test_of_finished_trainings_the_last_state_stays(project: Project) -> None:
    root = project.root / ".dvc/tmp/train"
    (first,) = stores(root)
    for seed in (4, 5):
        project.edit({"train": {"seed": seed}})
        project.play("train")
        assert len(stores(root)) == 1
    assert stores(root) != {first}


def stores(root: Path) -> set[Path]:
    return {path for path in root.iterdir() if path.is_dir()}


def test_outs_cache_and_state_share_what_they_can(tmp_path: Path) -> None:
    """As the project's own configuration of DVC has it, on a file system with hard links."""
    project = Project.create(tmp_path / "project", merge(SMALL, {"train": {"epochs": 10, "layers": [64]}}))
    config = (ROOT / ".dvc/config").read_text()
    (project.root / ".dvc/config").write_text(config.replace("[core]\n", "[core]\n    no_scm = true\n"))
    project.play("download", "train")
    project.dvc("commit", "--force", "download", "train", check=True)
    folders = ["data/train", ".dvc/cache", ".dvc/tmp/train"]
    checkpoints = list((project.root / "data/train/checkpoints").iterdir())
    assert len(checkpoints) == 10
    everything = [path for folder in folders for path in (project.root / folder).rglob("*") if path.is_file()]
    sizes = {(status := path.stat()).st_ino: status.st_size for path in everything}
    downloads = sum(path.stat().st_size for path in (project.root / "data/download").rglob("*") if path.is_file())
    assert sum(sizes.values()) - downloads <= 1.5 * sum(path.stat().st_size for path in checkpoints)


@pytest.mark.parametrize("name", ["state", "2.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_state_is_not_gone_on_from(name: str, damage: str, tmp_path: Path) -> None:
    with open_store("key", tmp_path / "states") as store:
        fit(tmp_path / "first", store)
        assert store.load(4, [1, 2, 3, 4])
        assert store.own
        path = store.own / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[: 100 if damage == "cut" else None])
        if damage == "gone":
            path.unlink()
        assert store.load(4, [1, 2, 3, 4]) is None


def test_state_of_an_experiment_in_a_temporary_folder_is_kept_in_the_repository(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` runs in a copy that is deleted; DVC_ROOT is where it was called."""
    elsewhere = project.copy(tmp_path / "elsewhere")
    for copy in (project, elsewhere):
        shutil.rmtree(copy.root / ".dvc/tmp/train")
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    elsewhere.play("train")
    assert not (elsewhere.root / ".dvc/tmp/train").exists()
    assert list((project.root / ".dvc/tmp/train").glob("*/state"))
