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
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from stages import restore
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.errors import InputError
from stages.shared.scores import restoration
from stages.shared.training.build import make_trainer
from stages.shared.training.noise import Noise
from tests.inputs import noisy_images, random_autoencoder, write_download

SIZE = 12, 10, 3
PARAMS = {"kind": "gaussian", "amounts": [0.1, 0.4], "linear_up_to": 0, "sample": 15, "tuned_on": 6, "seed": 4}
NETWORK = {"layers": [8], "latent_size": 3, "epochs": 2, "learning_rate": 0.01}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where restore may run: 50 and 20 images without classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    train, test = (noisy_images(random, count, SIZE) for count in (50, 20))
    write_download(tmp_path, train, test, [])
    (tmp_path / "data/train").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any network trains for long enough to be used without a comparison."""
    monkeypatch.setattr(restore, "ENOUGH_STEPS", 0)


def run(folder: Path, **p: Any) -> list[dict[str, str]]:
    """The stage's rows."""
    random_autoencoder(np.random.default_rng(2), SIZE).write(folder / MODEL)
    (folder / "params.yaml").write_text(json.dumps({"restore": PARAMS | NETWORK | p}))
    restore.main()
    with (restore.FOLDER / "noise.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def chosen(folder: Path, amount: float) -> tuple[Any, Any]:
    """The test images, clean and noisy, as the stage is said to draw them: float32 [N, height, width, channels]."""
    images = np.load(folder / "data/download/test_images.npy")
    sample = np.sort(np.random.default_rng(4).permutation(20)[:15])
    clean = np.divide(images[sample], 255, dtype=np.float32)
    noise = Noise("gaussian", amount, SIZE, 15, 4, torch.device("cpu"))
    noise.draw(0)
    return clean, noise.add(torch.tensor(clean).flatten(1), noise.drawn).numpy().reshape(clean.shape)


def test_the_figures_are_scikit_images_of_the_networks_images(folder: Path) -> None:
    rows = run(folder)
    clean, noisy = chosen(folder, 0.4)
    explored = Autoencoder.read(folder / MODEL)
    expected = {"noisy": noisy, "the explorer's model": explored.decode(explored.encode(noisy))}
    for name, images in expected.items():
        (row,) = [row for row in rows if row["amount"] == "0.4" and row["method"] == name]
        similar = [
            structural_similarity(*pair, data_range=1, channel_axis=2) for pair in zip(clean, images, strict=True)
        ]
        assert float(row["psnr_db"]) == pytest.approx(peak_signal_noise_ratio(clean, images, data_range=1), rel=1e-5)
        assert float(row["ssim"]) == pytest.approx(np.mean(similar), rel=1e-5)
    with Image.open(restore.FOLDER / "restored.png") as picture:
        assert min(picture.size) > 300


def test_a_filter_is_set_by_training_images_and_the_best_stands_beside_ours(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(folder)
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
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("restore: noise of 0.4: noisy ")
    assert f", {best} {filters[best]:.1f} dB, autoencoder " in line


@pytest.mark.usefixtures("long")
def test_an_autoencoder_is_trained_on_each_amount_of_the_noise(folder: Path) -> None:
    rows = run(folder)
    images = np.load(folder / "data/download/train_images.npy")
    for amount in (0.1, 0.4):
        recipe = NETWORK | {"activation": "silu", "batch_size": 50, "optimizer": "adam", "schedule": "one-cycle"}
        recipe |= {"noise": amount, "noise_kind": "gaussian", "seed": 4}
        trainer = make_trainer(images, recipe, torch.device("cpu"))
        trainer.fit()
        ours = trainer.space.autoencoder({})
        clean, noisy = chosen(folder, amount)
        (row,) = [row for row in rows if row["amount"] == str(amount) and row["method"] == "autoencoder"]
        error = np.square(ours.decode(ours.encode(noisy)) - clean).mean()
        assert float(row["mse"]) == pytest.approx(error, rel=1e-4)


@pytest.mark.usefixtures("long")
def test_up_to_an_amount_the_autoencoder_is_the_best_linear_one(folder: Path) -> None:
    """Here by NumPy's least squares, on the scores of scikit-learn's PCA, with ten noisy images per component."""
    networks, rows = (run(folder, linear_up_to=up_to, latent_size=20) for up_to in (0, 0.1))
    both = [[row["mse"] for row in each if row["method"] == "autoencoder"] for each in (networks, rows)]
    assert both[0][0] != both[1][0]
    assert both[0][1] == both[1][1]

    images = np.load(folder / "data/download/train_images.npy") / np.float32(255)
    noise = Noise("gaussian", 0.1, SIZE, 50, 4, torch.device("cpu"))
    given = []
    for number in range(2, 2 + 10 * 20 // 50):
        noise.draw(number)
        given.append(noise.add(torch.tensor(images).flatten(1), noise.drawn).numpy())
    pca = PCA(20, svd_solver="full").fit(images.reshape(50, -1))
    fitted = LinearRegression().fit(
        pca.transform(np.concatenate(given)), pca.transform(np.tile(images.reshape(50, -1), (len(given), 1)))
    )
    clean, noisy = chosen(folder, 0.1)
    restored = pca.inverse_transform(fitted.predict(pca.transform(noisy.reshape(15, -1)))).clip(0, 1)
    assert float(both[1][0]) == pytest.approx(np.square(restored - clean.reshape(15, -1)).mean(), rel=1e-3)


@pytest.mark.parametrize(("epochs", "used"), [(2, "linear autoencoder"), (300, "network")])
def test_a_short_training_is_held_against_the_linear_autoencoder(
    epochs: int, used: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars at ten places lie on a curve, so two linear latents can't tell them apart; two latents of a network can."""
    images = np.zeros((70, *SIZE), np.uint8)
    images[np.arange(70), :, np.arange(70) % 10] = 255
    np.save(folder / "data/download/train_images.npy", images[:50])
    np.save(folder / "data/download/test_images.npy", images[50:])
    network = {"layers": [32], "latent_size": 2, "epochs": epochs, "learning_rate": 0.01, "amounts": [0.2]}

    def errors(**p: Any) -> list[str]:
        return [row["mse"] for row in run(folder, **network | p) if row["method"] == "autoencoder"]

    chosen = errors()
    lines = [line for line in capsys.readouterr().out.splitlines() if "held-out" in line]
    assert [line.split(";")[0] for line in lines] == [f"restore: noise of 0.2: uses a {used}"]
    assert "on 6 held-out training images, a network has" in lines[0]
    linear = errors(linear_up_to=1)
    monkeypatch.setattr(restore, "ENOUGH_STEPS", 0)
    both = {"linear autoencoder": linear, "network": errors()}
    assert chosen == both[used] == min(both.values(), key=lambda each: float(each[0]))
    assert "held-out" not in capsys.readouterr().out, "nothing to choose"


def test_one_training_image_is_enough_to_choose(folder: Path) -> None:
    path = folder / "data/download/train_images.npy"
    np.save(path, np.load(path)[:1])
    assert run(folder)


def test_one_training_image_and_more_latents_than_images_have_a_linear_autoencoder(folder: Path) -> None:
    images = np.load(folder / "data/download/train_images.npy")
    for few in (images[:1], images[:3]):
        ours = restoration.fit_linear(few, lambda rows, number: rows, 500, 0)
        assert np.abs(ours.decode(ours.encode(few)) * 255 - few).max() < 1


def test_pictures_smaller_than_the_window_have_no_similarity_and_all_noise_no_class(folder: Path) -> None:
    small = np.full((2, 5, 5, 1), 0.5, np.float32)
    assert restoration.score_restoration(small, small) == restoration.RestorationScore(0, None, None)
    random = np.random.default_rng(1)
    write_download(folder, noisy_images(random, 8, SIZE), noisy_images(random, 4, SIZE), [])
    noisy, *_ = run(folder, kind="square", amounts=[1.0], sample=10_000, tuned_on=10_000)
    assert float(noisy["psnr_db"]) < 10


@pytest.mark.parametrize("wrong", [{"amounts": [0.0]}, {"amounts": []}, {"kind": "rain"}, {"amounts": [1.5]}])
def test_no_noise_and_unknown_noise_are_refused(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"restore\.{next(iter(wrong))}"):
        run(folder, **wrong)
    assert not restore.FOLDER.exists()
