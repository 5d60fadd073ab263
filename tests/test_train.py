"""The train stage as a person runs it: its files, its messages, its refusals."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process.errors import InputError
from stages.train import Params, check, choose_device
from tests.begin import begin
from tests.inputs import write_download

ROOT = Path(__file__).parent.parent
RECIPE = {
    "layers": [16, 8],
    "latent_size": 3,
    "activation": "relu",
    "epochs": 2,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "seed": 0,
    "device": "cpu",
    "shuffle": "full",
    "noise": 0,
    "noise_kind": "gaussian",
    "validation": 0,
    "threads": 1,
    "processes": 1,
}


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


def train(folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": RECIPE | changes}))
    return subprocess.run(
        [sys.executable, "-m", "stages.train"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_model_checkpoints_curve_and_metrics(folder: Path) -> None:
    run = train(folder)
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
        "dataset": "noise",
        "epochs": 2,
        "train_loss": float(rows[1]["train_loss"]),
        "test_loss": float(rows[1]["test_loss"]),
    }
    # Each row's test loss is that of its epoch's checkpoint, and the model is the last one.
    images = np.load(folder / "data" / "download" / "test_images.npy")
    for epoch, row in enumerate(rows, start=1):
        checkpoint = out / "checkpoints" / f"{epoch}.safetensors"
        assert float(row["test_loss"]) == pytest.approx(error(checkpoint, images), rel=1e-5)
    assert (out / "autoencoder.safetensors").read_bytes() == (out / "checkpoints" / "2.safetensors").read_bytes()
    assert Autoencoder.read(out / "autoencoder.safetensors").training == RECIPE


def test_held_out_images_are_not_trained_on_but_chosen_by(folder: Path) -> None:
    assert train(folder, validation=0.25, epochs=3, learning_rate=0.03).returncode == 0
    out, download = folder / "data/train", folder / "data/download"
    with (out / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "train_loss", "validation_loss"]
    images = {split: np.load(download / f"{split}_images.npy") for split in ("train", "test")}
    errors = [(error(out / f"checkpoints/{epoch}.safetensors", images["train"][150:])) for epoch in (1, 2, 3)]
    assert [float(row["validation_loss"]) for row in rows] == pytest.approx(errors, rel=1e-5)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["best_epoch"] == 1 + int(np.argmin(errors))
    assert metrics["test_loss"] == pytest.approx(error(out / "autoencoder.safetensors", images["test"]), rel=1e-5)
    weights = Autoencoder.read(out / "autoencoder.safetensors")

    np.save(download / "train_images.npy", images["train"][:150])
    assert train(folder, epochs=3, learning_rate=0.03).returncode == 0
    alone = Autoencoder.read(out / "autoencoder.safetensors")
    np.testing.assert_array_equal(weights.decoder[-2].tensors[0], alone.decoder[-2].tensors[0])


def error(model: Path, images: Uint8) -> float:
    autoencoder = Autoencoder.read(model)
    return float(np.square(autoencoder.decode(autoencoder.encode(images)) - images / 255).mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 201}, "train.batch_size: expected at most 200, the images, got 201"),
        ({"schedule": "one-cycle", "epochs": 1, "batch_size": 25}, "train.schedule: one-cycle needs at least 10 steps"),
        ({"threads": 4096}, "train.threads: expected at most"),
        ({"epochs": 0}, "train.epochs: expected"),
        ({"learning_rate": "0.1.2"}, "train.learning_rate: expected"),
        ({"activation": "selu"}, "train.activation: expected"),
        ({"rate": 0.1}, "unknown key 'rate'"),
        ({"device": "tpu"}, "train.device: expected"),
        ({"validation": 200}, "train.validation: expected 0, a share below 1, or a number of images below 200"),
        ({"validation": 1.5}, "train.validation: expected 0, a share"),
        ({"validation": 0.001}, "train.validation: expected 0, a share"),
        ({"validation": 190}, "train.batch_size: expected at most 10, the images, got 16"),
        ({"noise": 1.5}, "train.noise: expected"),
        ({"noise_kind": "gauss"}, "train.noise_kind: expected"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_writes_nothing(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": RECIPE | changes}))
    refused = begin("train", folder)
    assert refused is not None
    assert refused.startswith("params.yaml: ")
    assert message in refused
    assert len(refused.splitlines()) == 1
    assert not contents(folder / "data" / "train")


def test_a_refusal_is_all_that_a_process_says(folder: Path) -> None:
    run = train(folder, batch_size=201)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "params.yaml: train.batch_size: expected at most 200, the images, got 201\n"
    assert not contents(folder / "data" / "train")


def test_a_loss_that_is_not_finite_names_epoch_and_rate_and_leaves_nothing(folder: Path) -> None:
    # The sigmoid keeps the loss finite whatever the rate; only weights beyond float32 make it NaN.
    run = train(folder, learning_rate=1000.0, epochs=1000, layers=[64, 64, 64, 64, 64, 64])
    assert run.returncode == 1, run.stdout[-300:]
    assert "epoch" in run.stderr
    assert "rate 1000" in run.stderr
    assert "try a smaller train.learning_rate" in run.stderr
    assert not contents(folder / "data" / "train")


def test_one_cycle_takes_no_fewer_steps_than_it_needs() -> None:
    recipe = Params.model_validate(RECIPE | {"schedule": "one-cycle", "epochs": 1, "batch_size": 20})
    check(recipe, images=200, cores=2)  # 10 steps
    with pytest.raises(InputError, match="got 9 "):
        check(recipe, images=180, cores=2)


def test_the_default_threads_are_taken_on_one_core() -> None:
    check(Params.model_validate(RECIPE | {"threads": 2}), images=200, cores=1)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"train\.device: 'cuda' is not available"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
