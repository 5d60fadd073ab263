"""evaluate, held against plain loops over small data, and read by the real DVC."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import manifold

from stages import evaluate, report
from stages.shared import arrays
from stages.shared.model.autoencoder import MODEL, Autoencoder, scale
from stages.shared.process.errors import InputError
from stages.shared.scores import baselines
from stages.shared.scores import metrics as scores
from stages.shared.scores.refine import refine
from tests.inputs import noisy_images, random_autoencoder, write_download
from tests.project import ROOT, merge

DATASET = "little"
NAMES = ["coat", r"$\bag$", "sandal"]  # the second is not what matplotlib reads as mathematics
SIZE = HEIGHT, WIDTH, CHANNELS = 6, 5, 3
DEFAULTS = {"evaluate": {"neighbors": 5, "sample": 30, "seed": 0, "refine": 0}, "report": {"examples": 4}}
FILES = ["classes.csv", "confusion.csv", "errors.npy", "metrics.json"]

Arrays = dict[str, Any]


def make(folder: Path, latent_size: int = 2, names: list[str] = NAMES, train: int = 90, test: int = 40) -> Arrays:
    """Write what evaluate reads, with an untrained autoencoder, into `folder`."""
    random = np.random.default_rng(1)
    arrays: Arrays = {}
    for split, count in (("train", train), ("test", test)):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = noisy_images(random, count, SIZE, len(names) or 1)
    write(folder, arrays, names)
    (folder / "data/train").mkdir(parents=True)
    random_autoencoder(random, SIZE, latent_size=latent_size).write(folder / MODEL)
    configure(folder)
    return arrays


def write(folder: Path, arrays: Arrays, names: list[str] = NAMES) -> None:
    train, test = ((arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
    write_download(folder, train, test, names, DATASET)


def configure(folder: Path, stage: str = "evaluate", **values: int) -> None:
    (folder / "params.yaml").write_text(json.dumps(merge(DEFAULTS, {stage: values})))


def metrics(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / evaluate.FOLDER / "metrics.json").read_text())
    return value


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / evaluate.FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The oracles: the definitions, in plain loops.


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64) / 255


def nearest(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.argsort(((points - point) ** 2).sum(axis=1), kind="stable")


def predictions(train: np.ndarray, labels: np.ndarray, test: np.ndarray, k: int) -> list[int]:
    return [int(np.bincount(labels[nearest(train, point)[:k]]).argmax()) for point in test]


def trust(x: np.ndarray, z: np.ndarray, k: int) -> float:
    """Venna and Kaski's formula: each neighbor in z that is none in x costs its rank in x beyond k."""
    n, cost = len(x), 0
    for i in range(n):
        ranks = [j for j in nearest(x, x[i]) if j != i]
        for j in [j for j in nearest(z, z[i]) if j != i][:k]:
            cost += max(0, ranks.index(j) + 1 - k)
    return 1 - 2 * cost / (n * k * (2 * n - 3 * k - 1))


def test_figures_agree_with_their_definitions(project: Path) -> None:
    arrays = make(project)
    evaluate.main()
    got = metrics(project)

    train, test = flat(arrays["train_images"]), flat(arrays["test_images"])
    train_labels, labels = arrays["train_labels"], arrays["test_labels"]
    autoencoder = Autoencoder.read()
    mean = train.mean(axis=0)
    components = np.linalg.svd(train - mean)[2][:2]
    sample = np.sort(np.random.default_rng(0).choice(len(test), 30, replace=False))

    z = [autoencoder.encode(arrays[f"{split}_images"]).astype(np.float64) for split in ("train", "test")]
    ours = flat(255 * autoencoder.decode(z[1].astype(np.float32)))
    scores = [(x - mean) @ components.T for x in (train, test)]
    errors = ((ours - test) ** 2).mean(axis=1)
    pca_errors = ((scores[1] @ components + mean - test) ** 2).mean(axis=1)
    predicted, pca_predicted = (
        predictions(z[0], train_labels, z[1], 5),
        predictions(scores[0], train_labels, scores[1], 5),
    )
    expected = {
        "test_mse": errors.mean(),
        "psnr_db": -10 * math.log10(errors.mean()),
        "mean_image_mse": ((mean - test) ** 2).mean(),
        "mean_image_psnr_db": -10 * math.log10(((mean - test) ** 2).mean()),
        "pca_mse": pca_errors.mean(),
        "pca_psnr_db": -10 * math.log10(pca_errors.mean()),
        "pca_error_removed": 1 - errors.mean() / pca_errors.mean(),
        "knn_accuracy": np.mean(predicted == labels),
        "pca_knn_accuracy": np.mean(pca_predicted == labels),
        "trustworthiness": trust(test[sample], z[1][sample], 5),
        "pca_trustworthiness": trust(test[sample], scores[1][sample], 5),
        "collapsed_dimensions": 0,
    }
    assert (got.pop("dataset"), got.pop("knn_search")) == (DATASET, "exact")
    assert got == pytest.approx(expected, rel=1e-4)

    for label, row in enumerate(rows(project, "classes.csv")):
        members = labels == label
        assert (row["dataset"], row["class"], int(row["count"])) == (DATASET, NAMES[label], members.sum())
        assert float(row["mse"]) == pytest.approx(errors[members].mean(), rel=1e-4)
        assert float(row["pca_mse"]) == pytest.approx(pca_errors[members].mean(), rel=1e-4)
        assert float(row["accuracy"]) == pytest.approx(np.mean(np.array(predicted)[members] == label))
        assert float(row["pca_accuracy"]) == pytest.approx(np.mean(np.array(pca_predicted)[members] == label))
    for row in rows(project, "confusion.csv"):
        actual, guess = NAMES.index(row["actual"]), NAMES.index(row["predicted"])
        count = sum(a == actual and b == guess for a, b in zip(labels, predicted, strict=True))
        assert int(row["count"]) == count
        assert float(row["share"]) == pytest.approx(count / (labels == actual).sum())


def test_outputs_repeat_and_are_all_there(project: Path) -> None:
    make(project)
    evaluate.main()
    first = {path.name: path.read_bytes() for path in sorted(evaluate.FOLDER.iterdir())}
    evaluate.main()
    assert list(first) == FILES
    assert first == {path.name: path.read_bytes() for path in sorted(evaluate.FOLDER.iterdir())}


@pytest.mark.parametrize("latent_size", [1, 3, 40])
def test_any_latent_size(project: Path, latent_size: int) -> None:
    make(project, latent_size)  # 40 is more than the pixels
    evaluate.main()
    assert 0 <= metrics(project)["pca_mse"] < metrics(project)["mean_image_mse"]


def test_fewer_images_than_components(project: Path) -> None:
    make(project, latent_size=8, train=5, test=4)
    configure(project, neighbors=1)
    evaluate.main()
    assert metrics(project)["pca_mse"] > 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [2, 40, 300])
def test_any_number_of_classes(project: Path, count: int) -> None:
    names = [f"class number {label}" for label in range(count)]
    arrays = make(project, names=names, train=600)
    evaluate.main()
    present = [names[label] for label in sorted(set(arrays["test_labels"].tolist()))]
    assert [row["class"] for row in rows(project, "classes.csv")] == present
    assert len(rows(project, "confusion.csv")) == len(present) * count
    assert 0 <= metrics(project)["knn_accuracy"] < 1


@pytest.mark.parametrize("names", [[], ["all"]])
def test_fewer_than_two_classes_have_no_accuracy(names: list[str], project: Path) -> None:
    make(project, names=names)
    configure(project, refine=2)
    evaluate.main()
    assert not [name for name in metrics(project) if "accuracy" in name]
    assert metrics(project)["test_mse"] > 0
    assert rows(project, "confusion.csv") == []
    assert [(row["class"], row["accuracy"]) for row in rows(project, "classes.csv")] == [(name, "") for name in names]


def test_refined_latents_are_scored_beside_the_encoders(project: Path) -> None:
    arrays = make(project)
    evaluate.main()
    without = metrics(project)
    configure(project, refine=20)
    evaluate.main()
    got = metrics(project)
    refined = {name: got.pop(name) for name in set(got) - set(without)}
    assert got == without
    assert refined.keys() == {
        "refined_mse",
        "refined_psnr_db",
        "refined_knn_accuracy",
        "refined_trustworthiness",
        "encoder_share_of_error",
    }
    assert 0 < refined["refined_mse"] < 0.99 * got["test_mse"]
    assert refined["encoder_share_of_error"] == pytest.approx(1 - refined["refined_mse"] / got["test_mse"])
    assert refined["refined_psnr_db"] > got["psnr_db"]

    # What they are, from their definitions; of 90 training images, all are candidates.
    z = Autoencoder.read().encode(arrays["train_images"])
    best = refine(Autoencoder.read(), arrays["test_images"], Autoencoder.read().encode(arrays["test_images"]), z, 20)
    predicted = predictions(z, arrays["train_labels"], best, 5)
    sample = np.sort(np.random.default_rng(0).choice(40, 30, replace=False))
    assert refined["refined_knn_accuracy"] == pytest.approx(np.mean(predicted == arrays["test_labels"]))
    expected = trust(flat(arrays["test_images"])[sample], best[sample], 5)
    assert refined["refined_trustworthiness"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("error")
def test_figures_without_a_meaning_are_null(project: Path) -> None:
    arrays = make(project)
    write(project, {name: np.zeros_like(array) for name, array in arrays.items()})
    evaluate.main()
    got = metrics(project)
    assert got["mean_image_mse"] == got["pca_mse"] == 0
    nulls = {"mean_image_psnr_db", "pca_psnr_db", "pca_error_removed", "trustworthiness", "pca_trustworthiness"}
    assert {name for name, value in got.items() if value is None} == nulls
    assert got["collapsed_dimensions"] == 2


@pytest.mark.parametrize(
    ("latents", "expected"),
    [
        ([[1, 2], [2, 1], [3, 3]], 0),
        ([[1, 5], [2, 5], [3, 5]], 1),
        ([[1, 0.001], [2, 0.002], [3, 0.03]], 0),
        ([[1, 0.001], [2, 0.002], [3, 0.011]], 1),
        ([[7, 5], [7, 5], [7, 5]], 2),
        ([[7, 5], [7.000001, 5], [7, 5.000001]], 2),
    ],
)
def test_collapsed_dimensions(latents: list[list[float]], expected: int) -> None:
    assert scores.collapsed(np.array(latents, np.float32)) == expected


def test_pca_takes_a_draw_of_more_images_than_its_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = noisy_images(np.random.default_rng(0), 200, SIZE)
    monkeypatch.setattr(baselines, "_PCA_BYTES", 4 * HEIGHT * WIDTH * CHANNELS * 50)
    pca_baseline = baselines.PcaBaseline.fit(images, 2, seed=3)
    assert pca_baseline.pca.n_samples_ == 50
    assert pca_baseline.encode(images).shape == (200, 2)
    np.testing.assert_array_equal(
        pca_baseline.encode(images), baselines.PcaBaseline.fit(images, 2, seed=3).encode(images)
    )


def test_batches_change_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = make(project)["test_images"]
    autoencoder = Autoencoder.read()
    whole = scores.reconstruction_errors(autoencoder, images, autoencoder.encode(images))
    monkeypatch.setattr(arrays, "_BATCH_NUMBERS", 16 * HEIGHT * WIDTH * CHANNELS)  # 16 of 40 together
    parts = scores.reconstruction_errors(autoencoder, images, autoencoder.encode(images))
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_trustworthiness_in_blocks_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    images = random.integers(256, size=(120, *SIZE), dtype=np.uint8)
    latents = images.reshape(120, -1)[:, :20].astype(np.float32)
    sample = np.sort(random.choice(120, 100, replace=False))
    monkeypatch.setattr(arrays, "_BATCH_NUMBERS", 16)  # of the sample are together
    apart = scores.distances(images, sample)
    assert apart is not None
    got = scores.trustworthiness(apart, latents[sample], 7)
    assert got == pytest.approx(
        manifold.trustworthiness(scale(images[sample]), latents[sample], n_neighbors=7), abs=1e-12
    )
    assert 0.55 < got < 0.95


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ({}, {"neighbors": 15}, ["evaluate.neighbors", "at most 14", "got 15"]),
        ({"train": 6}, {"neighbors": 7}, ["evaluate.neighbors", "at most 6", "got 7"]),
        ({}, {"sample": 2, "neighbors": 0}, ["evaluate.sample", "evaluate.neighbors", "got 0"]),
        ({"train": 1}, {}, ["train_images.npy", "at least 2"]),
        ({"test": 2}, {}, ["test_images.npy", "at least 3", "got 2"]),
        ({}, {"neighbours": 3}, ["unknown key 'neighbours'", "'neighbors'"]),
    ],
)
def test_refuses_in_words(project: Path, sizes: dict[str, int], values: dict[str, int], words: list[str]) -> None:
    make(project, **sizes)  # type: ignore[arg-type]
    configure(project, "evaluate", **values)
    with pytest.raises(InputError) as caught:
        evaluate.main()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not evaluate.FOLDER.exists()


def test_refuses_latents_that_are_not_finite(project: Path) -> None:
    make(project)
    autoencoder = Autoencoder.read()
    for operation in autoencoder.encoder:
        for tensor in operation.tensors:
            np.multiply(tensor, np.float32(1e30), out=tensor)
    autoencoder.write(MODEL)
    with np.errstate(all="ignore"), pytest.raises(InputError, match=r"autoencoder\.safetensors.*not finite"):
        evaluate.main()


def test_imports_no_torch_and_nothing_slow_before_the_checks(project: Path) -> None:
    make(project)
    code = """
import sys
from stages import evaluate
assert not {"torch", "sklearn", "matplotlib"} & sys.modules.keys()
evaluate.main()
assert "torch" not in sys.modules and "sklearn" in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)


# DVC


def dvc(*arguments: str) -> Any:
    command = [sys.executable, "-m", "dvc", *arguments, "--json"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"}
    )
    return json.loads(done.stdout)


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


PLOTS = {
    "data/train/loss.csv": ["epoch", "train_loss", "test_loss"],
    "data/extract/latents.csv": ["label", "class", "z1"],
    "data/evaluate/classes.csv": ["class", "mse", "pca_mse"],
    "data/evaluate/confusion.csv": ["actual", "predicted", "share"],
}
PICTURES = [
    "data/render/reconstructions.png",
    "data/plot/latents.png",
    "data/report/confusion.png",
    "data/report/examples.png",
]


@pytest.fixture
def tracked(project: Path) -> Path:
    """A git repository with the project's DVC files, evaluate's outputs and stand-ins for the other stages'."""
    make(project)
    evaluate.main()
    report.main()
    (project / "data/train/loss.csv").write_text("epoch,train_loss,test_loss\n1,0.5,0.4\n2,0.3,0.2\n")
    (project / "data/train/metrics.json").write_text('{"test_loss": 0.2}')
    for name in PICTURES[:2]:
        (project / name).parent.mkdir()
        shutil.copy(report.FOLDER / "examples.png", project / name)
    write_latents(project, 3)
    git("init")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    shutil.copytree(ROOT / ".dvc/plots", project / ".dvc/plots")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    git("add", "-A")
    git("commit", "-m", "first")
    return project


def write_latents(project: Path, size: int) -> None:
    (project / "data/extract").mkdir(exist_ok=True)
    header = ["index", "label", "class", *(f"z{dimension + 1}" for dimension in range(size))]
    lines = [[str(i), str(i % 3), NAMES[i % 3], *("0.5" for _ in range(size))] for i in range(6)]
    (project / "data/extract/latents.csv").write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")


def test_dvc_shows_the_metrics(tracked: Path) -> None:
    shown = dvc("metrics", "show")[""]["data"]["data/evaluate/metrics.json"]["data"]
    assert shown == metrics(tracked)


def test_dvc_fills_each_plot(tracked: Path) -> None:
    for latent_size in (1, 2, 3, 5):
        write_latents(tracked, latent_size)
        check_plots()


def check_plots() -> None:
    for command, revisions in ((["show"], {"workspace"}), (["diff", "HEAD", "workspace"], {"HEAD", "workspace"})):
        shown = dvc("plots", *command)
        assert not {error["name"] for error in shown.get("errors", [])} & {*PLOTS, *PICTURES}
        for name, fields in PLOTS.items():
            (plot,) = shown["data"][name]
            assert "<DVC_" not in json.dumps(plot["content"])
            assert "vega-lite" in plot["content"]["$schema"]
            values = plot["content"]["data"]["values"]
            assert {value["rev"] for value in values} == revisions
            assert all(field in value for value in values for field in fields)
        for name in PICTURES:
            assert {revision for picture in shown["data"][name] for revision in picture["revisions"]} == revisions
