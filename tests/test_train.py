"""The train stage as a person runs it: its files, its messages, its refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime.errors import InputError
from stages.train import Choice, Params, check, choose_device
from tests.dry_run import dry_run
from tests.inputs import write_download
from tests.project import ROOT, Project, nest

RECIPE = {
    "recipe": "pixels",
    "layers": [16, 8],
    "latent_size": 3,
    "activation": "relu",
    "epochs": 2,
    "batch_size": 16,
    "loss": "mse",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "seed": 0,
    "device": "cpu",
    "noise": 0,
    "noise_kind": "gaussian",
    "validation": 0,
    "checkpoints": 20,
    "threads": 1,
    "processes": 1,
}


COMPONENTS = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]["components"]


PIXELS = Choice("pixels", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a stage may run: 200 and 50 images of 7 x 6 pixels."""
    random = np.random.default_rng(0)
    splits = []
    for count in (200, 50):
        images = (255 * random.random((count, 7, 6, 1)).cumsum(axis=1) / 7).astype(np.uint8)
        splits.append((images, np.zeros(count, np.uint16)))
    write_download(tmp_path, splits[0], splits[1], ["one", "other"], "noise")
    return tmp_path


def section(params: dict[str, Any]) -> dict[str, Any]:
    """The section `train` with these of the recipe for pixels."""
    return {"components": COMPONENTS} | nest(params)


def configure(folder: Path, **changes: Any) -> Project:
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": section(RECIPE | changes)}))
    return Project(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_model_checkpoints_curve_and_metrics(folder: Path) -> None:
    run = configure(folder).stage("train", {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr
    assert "noise, 200 images, on cpu" in run.stdout
    out = folder / "data" / "train"
    assert sorted(contents(out)) == [
        "autoencoder.safetensors",
        "checkpoints/1.safetensors",
        "checkpoints/2.safetensors",
        "loss.csv",
        "metrics.json",
        "reconstructions/1.png",
        "reconstructions/2.png",
    ]
    with (out / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics == {
        "train_loss": float(rows[1]["train_loss"]),
        "test_loss": float(rows[1]["test_loss"]),
    }
    # Each row's test loss is that of its epoch's checkpoint, and the model is the last one.
    images = np.load(folder / "data" / "download" / "test_images.npy")
    for epoch, row in enumerate(rows, start=1):
        checkpoint = out / "checkpoints" / f"{epoch}.safetensors"
        assert float(row["test_loss"]) == pytest.approx(error(checkpoint, images), rel=1e-5)
    assert (out / "autoencoder.safetensors").read_bytes() == (out / "checkpoints" / "2.safetensors").read_bytes()
    assert Autoencoder.read(out / "autoencoder.safetensors").training == RECIPE | {"reason": "train.recipe is pixels"}


def test_held_out_images_are_not_trained_on_but_chosen_by(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, validation=0.25, epochs=3, learning_rate=0.03).play("train")
    out, download = folder / "data/train", folder / "data/download"
    with (out / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "train_loss", "validation_loss"]
    images = {split: np.load(download / f"{split}_images.npy") for split in ("train", "test")}
    errors = [(error(out / f"checkpoints/{epoch}.safetensors", images["train"][150:])) for epoch in (1, 2, 3)]
    assert [float(row["validation_loss"]) for row in rows] == pytest.approx(errors, rel=1e-5)
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics) == ["train_loss", "validation_loss"], "no more than a screen has room for"
    test_loss = error(out / "autoencoder.safetensors", images["test"])
    last = f"the test loss after the last epoch is {test_loss:.5f}\n"
    assert f"lowest after epoch {1 + int(np.argmin(errors))} of 3; {last}" in capsys.readouterr().out
    weights = Autoencoder.read(out / "autoencoder.safetensors")

    np.save(download / "train_images.npy", images["train"][:150])
    configure(folder, epochs=3, learning_rate=0.03).play("train")
    alone = Autoencoder.read(out / "autoencoder.safetensors")
    np.testing.assert_array_equal(weights.decoder[-2].tensors[0], alone.decoder[-2].tensors[0])


def error(model: Path, images: Uint8) -> float:
    autoencoder = Autoencoder.read(model)
    return float(np.square(autoencoder.decode(autoencoder.encode(images)) - images / 255).mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "train.pixels.batch_size: expected"),
        (
            {"schedule": "one-cycle", "epochs": 1, "batch_size": 25},
            "train.pixels.schedule: one-cycle needs at least 10 steps",
        ),
        ({"threads": 4096}, "train.threads: expected at most"),
        ({"epochs": 0}, "train.pixels.epochs: expected"),
        ({"learning_rate": "0.1.2"}, "train.pixels.learning_rate: expected"),
        ({"activation": "selu"}, "train.pixels.activation: expected"),
        ({"rate": 0.1}, "unknown key 'rate'"),
        ({"device": "tpu"}, "train.device: expected"),
        ({"validation": 200}, "train.validation: expected 0, a share below 1, or a number of images below 200"),
        ({"validation": 1.5}, "train.validation: expected 0, a share"),
        ({"validation": 0.001}, "train.validation: expected 0, a share"),
        ({"loss": "bce"}, "train.pixels.loss: expected"),
        ({"noise": 1.5}, "train.pixels.noise: expected"),
        ({"noise_kind": "gauss"}, "train.pixels.noise_kind: expected"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_writes_nothing(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    configure(folder, **changes)
    refused = dry_run("train", folder)
    assert refused is not None
    assert refused.startswith("params.yaml: ")
    assert message in refused
    assert len(refused.splitlines()) == 1
    assert not contents(folder / "data" / "train")


def test_a_refusal_is_all_that_a_process_says(folder: Path) -> None:
    run = configure(folder, threads=4096).stage("train", {"PYTHONPATH": str(ROOT)})
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("params.yaml: train.threads: expected at most ")
    assert run.stderr.count("\n") == 1
    assert not contents(folder / "data" / "train")


def test_a_loss_that_is_not_finite_names_epoch_and_rate_and_leaves_nothing(folder: Path) -> None:
    # The sigmoid keeps the loss finite whatever the rate; only weights beyond float32 make it NaN.
    project = configure(folder, learning_rate=1000.0, epochs=1000, layers=[64, 64, 64, 64, 64, 64])
    with pytest.raises(InputError, match=r"epoch.*rate 1000.*try a smaller learning_rate"):
        project.play("train")
    assert not contents(folder / "data" / "train")


def test_one_cycle_takes_no_fewer_steps_than_it_needs() -> None:
    recipe = Params.model_validate(section(RECIPE | {"schedule": "one-cycle", "epochs": 1, "batch_size": 20}))
    check(recipe, PIXELS, images=200, cores=2)  # 10 steps
    with pytest.raises(InputError, match="got 9;"):
        check(recipe, PIXELS, images=180, cores=2)


def test_the_default_threads_are_taken_on_one_core() -> None:
    check(Params.model_validate(section(RECIPE | {"threads": 2})), PIXELS, images=200, cores=1)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"train\.device: 'cuda' is not available"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
