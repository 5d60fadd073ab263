"""restore, held against scikit-image's own figures, a plain search for the best setting, a network trained beside."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import median_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stages import restore
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.process.errors import InputError
from stages.shared.scores import restoration
from stages.shared.training.noise import Noise
from stages.shared.training.trainer import Trainer
from tests.inputs import noisy_images, random_autoencoder, write_download

SIZE = 12, 10, 3
RECIPE: dict[str, Any] = {
    "validation": 0,
    "layers": [8],
    "latent_size": 2,
    "activation": "relu",
    "epochs": 2,
    "batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.02,
    "schedule": "constant",
    "noise": 0.2,
    "noise_kind": "gaussian",
    "seed": 9,
    "device": "auto",
    "threads": 1,
    "processes": 1,
}
PARAMS = {"kind": "gaussian", "amounts": [0.1, 0.4], "sample": 15, "tuned_on": 6, "seed": 4}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where restore may run: 50 and 20 images without classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    train, test = (noisy_images(random, count, SIZE) for count in (50, 20))
    write_download(tmp_path, train, test, [])
    (tmp_path / "data/train").mkdir(parents=True)
    return tmp_path


def run(folder: Path, recipe: dict[str, Any] = RECIPE, **p: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The stage's metrics and rows."""
    random_autoencoder(np.random.default_rng(2), SIZE, training=recipe).write(folder / MODEL)
    (folder / "params.yaml").write_text(json.dumps({"restore": PARAMS | p}))
    restore.main()
    with (restore.FOLDER / "noise.csv").open(newline="") as file:
        return json.loads((restore.FOLDER / "metrics.json").read_text()), list(csv.DictReader(file))


def chosen(folder: Path, amount: float) -> tuple[Any, Any]:
    """The test images, clean and noisy, as the stage is said to draw them: float32 [N, height, width, channels]."""
    images = np.load(folder / "data/download/test_images.npy")
    sample = np.sort(np.random.default_rng(4).permutation(20)[:15])
    clean = np.divide(images[sample], 255, dtype=np.float32)
    noise = Noise("gaussian", amount, SIZE, 15, 4, torch.device("cpu"))
    noise.draw(0)
    return clean, noise.add(torch.tensor(clean).flatten(1), noise.drawn).numpy().reshape(clean.shape)


def test_the_figures_are_scikit_images_of_the_networks_images(folder: Path) -> None:
    metrics, rows = run(folder)
    clean, noisy = chosen(folder, 0.4)
    autoencoder = Autoencoder.read(folder / MODEL)
    expected = {"noisy": noisy, "autoencoder": autoencoder.decode(autoencoder.encode(noisy))}
    for name, images in expected.items():
        (row,) = [row for row in rows if row["amount"] == "0.4" and row["method"] == name]
        similar = [
            structural_similarity(*pair, data_range=1, channel_axis=2) for pair in zip(clean, images, strict=True)
        ]
        assert float(row["psnr_db"]) == pytest.approx(peak_signal_noise_ratio(clean, images, data_range=1), rel=1e-5)
        assert float(row["ssim"]) == pytest.approx(np.mean(similar), rel=1e-5)
        assert metrics["amounts"]["0.4"][f"{name}_psnr_db"] == float(row["psnr_db"])
    with Image.open(restore.FOLDER / "restored.png") as picture:
        assert min(picture.size) > 300


def test_a_filter_is_set_by_training_images_and_the_best_stands_beside_ours(folder: Path) -> None:
    metrics, rows = run(folder, RECIPE | {"noise": 0})
    clean, noisy = chosen(folder, 0.4)
    size = int(float(next(row["setting"] for row in rows if (row["amount"], row["method"]) == ("0.4", "median"))))
    tuned_on = np.load(folder / "data/download/train_images.npy")[-6:] / np.float32(255)
    noise = Noise("gaussian", 0.4, SIZE, 6, 4, torch.device("cpu"))
    noise.draw(1)
    given = noise.add(torch.tensor(tuned_on).flatten(1), noise.drawn).numpy().reshape(tuned_on.shape)

    def error(of: Any, wanted: Any, side: int) -> float:
        return float(np.square(np.stack([median_filter(image, (side, side, 1)) for image in of]) - wanted).mean())

    assert size == min((3, 5, 7), key=lambda side: error(given, tuned_on, side))
    (row,) = [row for row in rows if (row["amount"], row["method"]) == ("0.4", "median")]
    assert float(row["mse"]) == pytest.approx(error(noisy, clean, size), rel=1e-5)
    filters = {row["method"]: float(row["psnr_db"]) for row in rows if row["amount"] == "0.4" and row["setting"]}
    assert set(filters) == set(restoration.FILTERS)
    best = max(filters, key=lambda name: filters[name])
    assert (metrics["amounts"]["0.4"]["filter"], metrics["amounts"]["0.4"]["best_filter_psnr_db"]) == (
        best,
        filters[best],
    )


def test_a_network_trained_on_noise_is_held_against_the_same_without(folder: Path) -> None:
    metrics, rows = run(folder)
    images = np.load(folder / "data/download/train_images.npy")
    recipe = {name: RECIPE[name] for name in RECIPE if name not in ("validation", "device", "threads", "processes")}
    trainer = Trainer(images, **recipe | {"noise": 0}, device=torch.device("cpu"))
    trainer.epoch()
    trainer.epoch()
    plain = trainer.autoencoder({})
    clean, noisy = chosen(folder, 0.1)
    error = np.square(plain.decode(plain.encode(noisy)) - clean).mean()
    (row,) = [row for row in rows if row["amount"] == "0.1" and "without noise" in row["method"]]
    assert float(row["mse"]) == pytest.approx(error, rel=1e-4)
    assert metrics["trained_on_noise"] == 0.2
    _, rows = run(folder, RECIPE | {"noise": 0})
    assert not [row for row in rows if "without noise" in row["method"]]


def test_pictures_smaller_than_the_window_have_no_similarity_and_all_noise_no_class(folder: Path) -> None:
    small = np.full((2, 5, 5, 1), 0.5, np.float32)
    assert restoration.score(small, small) == restoration.Score(0, None, None)
    metrics, _ = run(folder, kind="square", amounts=[1.0], sample=10_000, tuned_on=10_000)
    assert metrics["amounts"]["1"]["noisy_psnr_db"] < 10


@pytest.mark.parametrize("wrong", [{"amounts": [0.0]}, {"amounts": []}, {"kind": "rain"}, {"amounts": [1.5]}])
def test_no_noise_and_unknown_noise_are_refused(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"restore\.{next(iter(wrong))}"):
        run(folder, **wrong)
    assert not restore.FOLDER.exists()


def test_a_model_file_without_its_recipe_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="the params that it was trained with"):
        run(folder, {"noise": 0.3})
