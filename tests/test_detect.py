"""detect, held against plain loops over small data, and a network trained beside it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages import detect
from stages.shared.images.dataset import DatasetInfo, LabeledImages
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.scores import detection
from stages.shared.training.build import make_trainer
from tests.inputs import noisy_images, write_colors, write_download

NAMES = ["coat", r"$\bag$", "sandal"]
SIZE = 6, 5, 3
RECIPE = {  # of docs/components.md
    "components": 48,
    "layers": [256, 128],
    "latent_size": 2,
    "activation": "silu",
    "epochs": 1,
    "steps": 30,
    "batch_size": 64,
    "sign_flips": 800,
    "optimizer": "adam",
    "learning_rate": 0.003,
    "schedule": "one-cycle",
    "seed": 4,
}
Made = tuple[LabeledImages, LabeledImages]


def make(folder: Path, names: list[str] = NAMES, train: int = 90, **p: Any) -> Made:
    """Write what detect reads into `folder`."""
    random = np.random.default_rng(1)
    splits = [noisy_images(random, count, SIZE, len(names) or 1) for count in (train, 40)]
    write_download(folder, splits[0], splits[1], names)
    write_colors(folder, len(names))
    values = {"normal": "one", "latent_size": 2, "steps": 30, "held_out": 0.2, "quantile": 0.75, "seed": 4} | p
    (folder / "params.yaml").write_text(json.dumps({"detect": values}))
    return LabeledImages(*splits[0]), LabeledImages(*splits[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def means() -> dict[str, float]:
    """The mean AUROC of each method."""
    with (detect.FOLDER / "means.csv").open(newline="") as file:
        return {row["method"]: float(row["auroc"]) for row in csv.DictReader(file)}


def rows() -> list[dict[str, str]]:
    with (detect.FOLDER / "detect.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def flat(images: Any) -> Any:
    return images.reshape(len(images), -1).astype(np.float64) / 255


def judged(scores: Any, abnormal: Any, held_out: Any, quantile: float) -> dict[str, float]:
    """The definitions, in plain loops."""
    pairs = [(a > n) + (a == n) / 2 for a in scores[abnormal] for n in scores[~abnormal]]
    beyond = [bool(score > np.quantile(held_out, quantile)) for score in scores]
    hits = sum(out and wrong for out, wrong in zip(beyond, abnormal, strict=True))
    return {"auroc": float(np.mean(pairs)), "precision": hits / max(sum(beyond), 1), "recall": hits / sum(abnormal)}


def by_hand(fit: Any, images: Any) -> dict[str, Any]:
    """The scores of `images` by each method, but for the one-class SVM."""
    x, known = flat(images), flat(fit)
    mean = known.mean(axis=0)
    components = np.linalg.svd(known - mean)[2]
    scores = {"mean_image": ((x - mean) ** 2).mean(axis=1)}
    for name, count in (("pca", 2), ("pca_32", 32)):
        kept = components[:count]
        scores[name] = ((x - np.clip((x - mean) @ kept.T @ kept + mean, 0, 1)) ** 2).mean(axis=1)
    scores["nearest_pixels"] = np.array([min(float(((row - other) ** 2).sum()) for other in known) ** 0.5 for row in x])
    trainer = make_trainer(fit, RECIPE, torch.device("cpu"))
    trainer.fit()
    autoencoder = trainer.space.autoencoder({})
    scores["autoencoder"] = ((flat(255 * autoencoder.decode(autoencoder.encode(images))) - x) ** 2).mean(axis=1)
    return scores


@pytest.mark.parametrize("normal", ["one", "rest"])
def test_figures_agree_with_their_definitions(normal: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = make(folder, train=180, normal=normal)
    detect.main()
    assert train.labels is not None
    assert test.labels is not None
    parts = detect.split_classes(train.images, train.labels, 0.2, 4)
    got: dict[str, list[float]] = {}
    for label, name in enumerate(NAMES):
        normals = [label] if normal == "one" else [other for other in range(3) if other != label]
        fit, held_out = (np.concatenate([getattr(parts[i], kind) for i in normals]) for kind in ("fit", "held_out"))
        abnormal = ~np.isin(test.labels, normals)
        scores, held = by_hand(fit, test.images), by_hand(fit, held_out)
        own = {row["method"]: row for row in rows() if row["class"] == name}
        assert set(own) == {*scores, "one_class_svm"}
        for method, values in scores.items():
            expected = judged(values, abnormal, held[method], 0.75)
            figures = {key: float(own[method][key]) for key in expected}
            assert figures == pytest.approx(expected), method
            got.setdefault(method, []).append(figures["auroc"])
    assert means().keys() == got.keys() | {"one_class_svm"}
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("detect: mean AUROC over 3 classes: autoencoder ")
    assert all(f"{method.replace('_', ' ')} {auroc:.3f}" in line for method, auroc in means().items())
    for method, aurocs in got.items():
        assert means()[method] == pytest.approx(np.mean(aurocs))


def test_what_is_held_out_is_of_each_class_and_not_fitted_to() -> None:
    images = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    labels = np.array([0] * 100 + [1] * 95 + [2] * 3 + [3] * 2, np.uint16)
    parts = detect.split_classes(images, labels, 0.1, 0)
    assert {label: (len(part.fit), len(part.held_out)) for label, part in parts.items()} == {
        0: (90, 10), 1: (85, 10), 2: (2, 1)
    }  # fmt: skip
    for label, part in parts.items():
        both = np.concatenate([part.fit, part.held_out]).ravel()
        np.testing.assert_array_equal(np.sort(both), np.flatnonzero(labels == label))


def test_equal_scores_count_half_and_nothing_beyond_has_no_precision() -> None:
    found = detection.detect(np.ones(4), np.array([True, False, True, False]), np.ones(3), 0.9)
    assert (found.auroc, found.precision, found.recall) == (0.5, None, 0)


def test_the_svm_finds_what_is_far_from_the_normal() -> None:
    random = np.random.default_rng(0)
    normal, strange = (random.integers(low, low + 60, (1500, *SIZE)).astype(np.uint8) for low in (0, 150))
    score = detection.by_svm(normal, 0)
    assert score(strange[:50]).min() > score(normal[:50]).max()
    np.testing.assert_array_equal(score(strange[:5]), detection.by_svm(normal, 0)(strange[:5]))


def test_the_same_seed_gives_the_same_bytes_and_another_others(folder: Path) -> None:
    make(folder)
    detect.main()
    first = {path.name: path.read_bytes() for path in detect.FOLDER.iterdir()}
    detect.main()
    assert first == {path.name: path.read_bytes() for path in detect.FOLDER.iterdir()}
    assert sorted(first) == ["abnormal.png", "detect.csv", "histogram.png", "means.csv", "roc.png"]
    for name in first:
        if name.endswith(".png"):
            with Image.open(detect.FOLDER / name) as picture:
                assert picture.width > 400
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace('"seed": 4', '"seed": 5'))
    detect.main()
    assert (detect.FOLDER / "detect.csv").read_bytes() != first["detect.csv"]


def test_the_picture_has_the_extremes_and_where_they_differ(folder: Path) -> None:
    train, test = make(folder)
    p, of = params.read("detect", detect.Params), DatasetInfo.read()
    found = detect.find(p, of, train, test)
    figure = detect.draw_examples(of, p, found, test)
    assert test.labels is not None
    for axes, (abnormal, pick) in zip(figure.axes[:3], [(True, max), (False, max), (True, min)], strict=True):
        errors = [float(text.get_text().split("\n")[1]) for text in axes.get_xticklabels()]
        names = [text.get_text().split("\n")[0] for text in axes.get_xticklabels()]
        for each, error, name in zip(found, errors, names, strict=True):
            scores = [s for s, a in zip(each.scores["autoencoder"], each.task.abnormal, strict=True) if a == abnormal]
            assert error == pytest.approx(pick(scores), abs=0.0006)
            assert (name != NAMES[each.task.label]) == abnormal
    ours = found[0].autoencoder
    image, reconstruction, where = detect.explained(ours, test.images[0])
    np.testing.assert_allclose(image, test.images[0] / 255, rtol=1e-6)
    difference = np.abs(image - reconstruction).mean(axis=2)
    assert np.argmax(where.sum(axis=2)) == np.argmax(difference)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("names", "solved"), [([], 0), (["one"], 0), (["one", "two"], 2), ([f"{i}" for i in range(30)], None)]
)
def test_any_number_of_classes(
    names: list[str], solved: int | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder, names)
    detect.main()
    classes = len({row["class"] for row in rows()})
    assert bool(means()) == (classes > 0)
    if solved is None:
        assert 0 < classes < 30
        assert "detect: left out" in capsys.readouterr().out
    else:
        assert classes == solved
    for name in detect.PICTURES:
        with Image.open(detect.FOLDER / name) as picture:
            assert picture.width > 300


def test_more_latents_than_the_48_components_get_as_many(folder: Path) -> None:
    train, test = make(folder, train=300, latent_size=50)
    found = detect.find(params.read("detect", detect.Params), DatasetInfo.read(), train, test)
    assert {result.autoencoder.latent_size for result in found} == {50}
    assert {result.autoencoder.encoder[0].tensors[0].shape[0] for result in found} == {50}


def test_refuses_in_words(folder: Path) -> None:
    make(folder, steps=9)
    with pytest.raises(InputError, match=r"params.yaml: detect.steps: .*10, got 9"):
        detect.main()
    assert not list(detect.FOLDER.glob("*"))
