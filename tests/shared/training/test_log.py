"""Training that goes wrong says so: an error that leaves nothing, or a warning beside results that mean something."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from stages import train
from stages.shared.arrays import Uint8, Uint16
from stages.shared.images.synthetic import GARMENTS, draw_garments
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime.errors import InputError, explain
from tests.conftest import State
from tests.inputs import write_download
from tests.project import ROOT, Project, merge, nest

IMAGES, LABELS = draw_garments(400, 1)
RECIPE = {"recipe": "pixels", "layers": [8, 4], "epochs": 6, "learning_rate": 0.02, "device": "cpu", "threads": 1}


class Run:
    """A data set of one's own making in a folder, and the stages over it, in this process."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys
        self.said = ""  # by the last stage, on stdout

    def give(self, train: Uint8, test: Uint8, labels: tuple[Uint16, Uint16] | None = None) -> None:
        of_train, of_test = labels or (np.zeros(len(images), np.uint16) for images in (train, test))
        write_download(self.root, (train, of_train), (test, of_test), list(GARMENTS), "own")

    def stage(self, name: str, **changes: Any) -> str:
        """Run it; what it says on stderr."""
        valid = yaml.safe_load((ROOT / "params.yaml").read_text())
        changes = nest(RECIPE | changes) if name == "train" else changes
        (self.root / "params.yaml").write_text(yaml.safe_dump(merge(valid, {name: changes})))
        Project(self.root).play(name)
        self.said, said = self.capsys.readouterr()
        return said

    def written(self, folder: str) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in (self.root / folder).rglob("*") if path.is_file())


@pytest.fixture
def own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    run = Run(tmp_path, capsys)
    run.give(IMAGES[:300], IMAGES[300:], (LABELS[:300], LABELS[300:]))
    return run


def test_a_training_that_learns_says_nothing(own: Run) -> None:
    assert own.stage("train", layers=[64], epochs=60, batch_size=16, learning_rate=0.005, schedule="one-cycle") == ""
    assert own.stage("extract", count=50) == ""


def test_a_training_that_makes_less_of_its_images_than_pca_is_a_warning(own: Run) -> None:
    """As of the recipe for pixels on a hundred pictures, whose few steps are over too early."""
    warning = own.stage("train", layers=[32], learning_rate=0.01)
    assert "PCA of the same size has a lower squared error on the test images, 0.0" in warning
    assert "% of PCA's gain over the mean image; try more epochs or steps" in warning
    own.give(IMAGES[:100], IMAGES[300:])
    warning = own.stage("train", layers=[128, 64, 12], epochs=40, learning_rate=0.003)
    assert "PCA of the same size has a lower squared error" in warning
    assert warning.count("\n") == 1


def test_checkpoints_that_take_much_are_said_before(own: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    own.stage("train", layers=[32])
    assert "checkpoints take" not in own.said
    monkeypatch.setattr(train, "WARN_BYTES", 1e6)
    own.stage("train", layers=[32], epochs=7)
    weights = 784 * 32 + 32 + 32 * 3 + 3 + 3 * 32 + 32 + 32 * 784 + 784
    assert f"7 checkpoints take {7 * 4 * weights / 1e9:.1f} GB in data/train" in own.said


@pytest.mark.parametrize(("activation", "rate"), [("silu", 1000.0), ("gelu", 1000.0), ("relu", 1000.0)])
def test_a_rate_that_diverges_is_an_error_that_leaves_nothing(activation: str, rate: float, own: Run) -> None:
    with pytest.raises(InputError) as caught:
        own.stage("train", layers=[64] * 10, learning_rate=rate, activation=activation)
    message = str(caught.value)
    assert re.search(r"in epoch \d: training diverged with learning_rate 1000\.0", message)
    assert "try a smaller learning_rate, such as 100" in message
    assert len(message.splitlines()) == 1
    assert own.written("data/train") == []


@pytest.mark.parametrize("rate", [0.3, 10.0, 1000.0])
def test_a_rate_that_diverges_behind_the_sigmoid_is_a_warning(rate: float, own: Run) -> None:
    """The loss stays finite, since pixels do; the weights are worth nothing."""
    warning = own.stage("train", layers=[128, 64, 12], learning_rate=rate)
    assert warning.startswith("train: warning: the test loss 0.1")
    assert "is no better than the mean training image's, 0.0" in warning
    assert "try a smaller learning_rate" in warning
    assert len(warning.splitlines()) == 1


def test_a_rate_that_kills_every_relu_is_a_warning(own: Run) -> None:
    dead = {}
    for seed in range(30):  # which of them die depends on the last bits
        warning = own.stage("train", learning_rate=0.3, epochs=4, seed=seed)
        autoencoder = Autoencoder.read(own.root / "data/train/autoencoder.safetensors")
        dead[seed] = np.ptp(autoencoder.encode(IMAGES[300:]), axis=0).max() == 0
        told = warning.startswith("train: warning: every test image has the same latent")
        assert told == dead[seed]
        if told:
            assert "activation: silu" in warning
            break
    assert any(dead.values())


def rest_of_the_pipeline(own: Run, count: int, state: State) -> dict[str, str]:
    """Run the stages after train: each ends well, with or without a warning, or says in a line why it can't."""
    said = {}
    changes = {"extract": {"count": count}, "render": {"count": min(count, 5)}}
    changes |= {"evaluate": {"neighbors": 1}, "report": {"examples": 1}}
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]:
        if stage in ("download", "train"):
            continue
        try:
            said[stage] = own.stage(stage, **changes.get(stage, {}))
        except (InputError, FileNotFoundError) as error:  # the second where the stage before it was refused
            said[stage] = explain(error) or ""
        refused = not own.written(f"data/{stage}")
        assert len(said[stage].splitlines()) <= 1
        assert not refused or said[stage].startswith(("data/", "params.yaml: "))
        state("stages over a data set with nothing to learn", ran=not refused, refused=refused)
    return said


@pytest.mark.parametrize("shade", [0, 255])
def test_images_that_are_all_the_same_are_a_warning(shade: int, own: Run, state: State) -> None:
    blank = np.full((100, 28, 28, 1), shade, np.uint8)
    own.give(blank, blank[:20])
    warning = own.stage("train")
    assert warning == "train: warning: all training images are equal (100), so there is nothing to learn\n"
    rest_of_the_pipeline(own, 20, state)


def test_a_single_class_is_a_warning_of_who_reads_the_labels(own: Run, state: State) -> None:
    sandals = IMAGES[LABELS[0] == LABELS]
    labels = np.full(len(sandals), LABELS[0], np.uint16)
    own.give(sandals[:-5], sandals[-5:], (labels[:-5], labels[-5:]))
    own.stage("train", batch_size=8)
    said = rest_of_the_pipeline(own, 20, state)
    assert said["extract"] == f"extract: warning: all 20 images have the class {list(GARMENTS)[LABELS[0]]}\n"


def test_one_image(own: Run, state: State) -> None:
    own.give(IMAGES[:1], IMAGES[1:2])
    warning = own.stage("train")
    assert warning == "train: warning: all training images are equal (1), so there is nothing to learn\n"
    rest_of_the_pipeline(own, 1, state)


def test_fewer_images_than_a_batch_are_a_batch_and_that_is_said(own: Run) -> None:
    own.give(IMAGES[:63], IMAGES[63:])
    own.stage("train", batch_size=63)
    weights = Autoencoder.read(own.root / "data/train/autoencoder.safetensors").encode(IMAGES[63:])
    own.stage("train")
    assert "train: each batch has all 63 images, fewer than train.pixels.batch_size (64)\n" in own.said
    again = Autoencoder.read(own.root / "data/train/autoencoder.safetensors").encode(IMAGES[63:])
    np.testing.assert_array_equal(again, weights)


def test_dvc_repro_shows_the_error_and_leaves_nothing(project: Project) -> None:
    """The fixture `finished` holds that `dvc repro` shows a warning, and nothing else."""
    assert (project.root / "data/train/autoencoder.safetensors").exists()
    project.edit({"train": {"learning_rate": 1000.0, "layers": [64] * 10}})
    result = project.dvc("repro", "--single-item", "train")
    assert "try a smaller learning_rate, such as 100" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode != 0
    assert {path.name for path in (project.root / "data/train").iterdir()} <= {".gitignore"}
