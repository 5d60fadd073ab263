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
from stages.shared.runtime.errors import InputError
from stages.shared.scores import metrics as scores
from stages.shared.scores import neighbors
from stages.shared.scores.latent_optimization import optimize_latents
from tests.inputs import noisy_images, random_autoencoder, write_colors, write_download
from tests.project import ROOT, merge

DATASET = "little"
NAMES = ["coat", r"$\bag$", "sandal"]  # the second is not what matplotlib reads as mathematics
SIZE = HEIGHT, WIDTH, CHANNELS = 6, 5, 3
DEFAULTS = {"evaluate": {"neighbors": 5, "sample": 30, "seed": 0, "refine": 0}, "report": {"examples": 4}}
FILES = ["classes.csv", "confusion.csv", "errors.npy", "metrics.json", "scores.csv"]

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
    write_colors(folder, len(names))


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


def test_figures_agree_with_their_definitions(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    pca_errors = ((np.clip(scores[1] @ components + mean, 0, 1) - test) ** 2).mean(axis=1)
    predicted, pca_predicted = (
        predictions(z[0], train_labels, z[1], 5),
        predictions(scores[0], train_labels, scores[1], 5),
    )
    mean_image_mse = ((mean - test) ** 2).mean()
    assert got == pytest.approx(
        {
            "test_mse": errors.mean(),
            "mean_image_mse": mean_image_mse,
            "pca_mse": pca_errors.mean(),
            "knn_accuracy": np.mean(predicted == labels),
            "pca_knn_accuracy": np.mean(pca_predicted == labels),
            "trustworthiness": trust(test[sample], z[1][sample], 5),
        },
        rel=1e-4,
    )
    largest = np.mean(labels == np.bincount(train_labels).argmax())
    expected = {
        "autoencoder": [errors.mean(), got["knn_accuracy"], got["trustworthiness"], 0],
        "pca": [pca_errors.mean(), got["pca_knn_accuracy"], trust(test[sample], scores[1][sample], 5), 0],
        "mean image": [mean_image_mse, largest],
    }
    for row in rows(project, "scores.csv"):
        figures = [row[name] for name in ("mse", "knn_accuracy", "trustworthiness", "collapsed_dimensions")]
        assert row["dataset"] == DATASET
        assert [float(text) for text in figures if text] == pytest.approx(expected.pop(row["method"]), rel=1e-4)
        assert float(row["psnr_db"]) == pytest.approx(-10 * math.log10(float(row["mse"])), rel=1e-4)
    assert not expected
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"evaluate: error {errors.mean():.4f} (PCA {pca_errors.mean():.4f}), class accuracy {got['knn_accuracy']:.3f} "
        f"(always the largest class: {largest:.3f}), trustworthiness {got['trustworthiness']:.3f}"
    ]

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
    without = rows(project, "scores.csv")
    configure(project, refine=20)
    evaluate.main()
    got = {row["method"]: row for row in rows(project, "scores.csv")}
    refined = {name: float(text) for name, text in got.pop("refined").items() if name not in ("dataset", "method")}
    assert list(got.values()) == without
    assert 0 < refined["mse"] < 0.99 * metrics(project)["test_mse"]

    # What they are, from their definitions; of 90 training images, all are candidates.
    z = Autoencoder.read().encode(arrays["train_images"])
    best = optimize_latents(
        Autoencoder.read(), arrays["test_images"], Autoencoder.read().encode(arrays["test_images"]), z, 20
    )
    predicted = predictions(z, arrays["train_labels"], best, 5)
    sample = np.sort(np.random.default_rng(0).choice(40, 30, replace=False))
    assert refined["knn_accuracy"] == pytest.approx(np.mean(predicted == arrays["test_labels"]))
    expected = trust(flat(arrays["test_images"])[sample], best[sample], 5)
    assert refined["trustworthiness"] == pytest.approx(expected, rel=1e-4)


def test_where_comparing_all_latents_would_take_hours_a_draw_of_images_is_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = make(project, latent_size=20)
    monkeypatch.setattr(neighbors, "_MAX_COMPARED", 15 * 90 * 20)
    evaluate.main()
    assert metrics(project)["knn_images"] == 15
    sample = np.sort(np.random.default_rng(0).choice(40, 15, replace=False))
    train, test = (Autoencoder.read().encode(arrays[f"{split}_images"]) for split in ("train", "test"))
    right = predictions(train, arrays["train_labels"], test[sample], 5) == arrays["test_labels"][sample]
    assert metrics(project)["knn_accuracy"] == pytest.approx(np.mean(right))
    assert sum(int(row["count"]) for row in rows(project, "confusion.csv")) == 15
    report.main()


@pytest.mark.filterwarnings("error")
def test_figures_without_a_meaning_are_null(project: Path) -> None:
    arrays = make(project)
    write(project, {name: np.zeros_like(array) for name, array in arrays.items()})
    evaluate.main()
    got = metrics(project)
    assert got["mean_image_mse"] == got["pca_mse"] == 0
    assert {name for name, value in got.items() if value is None} == {"trustworthiness"}
    ours, pca, mean_image = rows(project, "scores.csv")
    assert (ours["trustworthiness"], pca["psnr_db"], pca["trustworthiness"], mean_image["psnr_db"]) == ("", "", "", "")
    assert ours["collapsed_dimensions"] == "2"


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
    apart = scores.pairwise_distances(images, sample)
    assert apart is not None
    got = scores.trustworthiness(apart, latents[sample], 7)
    assert got == pytest.approx(
        manifold.trustworthiness(scale(images[sample]), latents[sample], n_neighbors=7), abs=1e-12
    )
    assert 0.55 < got < 0.95


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ({}, {"sample": 2, "neighbors": 0}, ["evaluate.sample", "evaluate.neighbors", "got 0"]),
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


@pytest.mark.parametrize(
    ("train", "test", "lines"),
    [
        (90, 40, []),
        (90, 6, ["trustworthiness uses 2 neighbors, not evaluate.neighbors (5), because there are only 6 test images"]),
        (90, 2, ["trustworthiness is left out; it needs at least 3 test images, got 2"]),
        (
            4,
            12,
            ["classes are predicted from all 4 training images, because these are fewer than evaluate.neighbors (5)"],
        ),
        (4, 1, ["trustworthiness is left out", "classes are predicted from all 4"]),
    ],
)
def test_few_images_have_the_figures_that_they_allow(
    train: int, test: int, lines: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = make(project, train=train, test=test)
    evaluate.main()
    *printed, last = capsys.readouterr().out.splitlines()
    assert last.startswith("evaluate: error 0.")
    assert len(printed) == len(lines)
    assert all(line.startswith(f"evaluate: {start}") for line, start in zip(printed, lines, strict=True))
    found, most = metrics(project), (min(30, test) - 1) // 2
    latents = Autoencoder.read().encode(arrays["test_images"]).astype(np.float64)
    if most == 0:
        assert found["trustworthiness"] is None
    elif test <= 30:
        assert found["trustworthiness"] == pytest.approx(trust(flat(arrays["test_images"]), latents, min(5, most)))
    assert (rows(project, "scores.csv")[0]["collapsed_dimensions"] == "") == (test == 1)
    assert "knn_accuracy" in found


def test_two_pictures_alone_have_figures(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(project, train=1, test=1)
    evaluate.main()
    assert (
        "evaluate: there is only 1 training image, so PCA is little better than the mean image"
        in capsys.readouterr().out
    )
    assert metrics(project)["pca_mse"] == pytest.approx(metrics(project)["mean_image_mse"], rel=0.01)
    report.main()


@pytest.mark.parametrize(("train", "test"), [([0], [0, 1]), ([0, 1], [2])])
def test_no_class_is_predicted_where_none_can_be(
    train: list[int], test: list[int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = make(project)
    arrays["train_labels"], arrays["test_labels"] = (
        np.resize(labels, n).astype(np.uint16) for labels, n in ((train, 90), (test, 40))
    )
    write(project, arrays)
    evaluate.main()
    assert "class accuracy is left out; it needs training images of two classes" in capsys.readouterr().out
    assert "knn_accuracy" not in metrics(project)
    assert rows(project, "confusion.csv") == []
    assert [row["accuracy"] for row in rows(project, "classes.csv")] == [""] * len(test)
    report.main()


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
    shutil.copytree(ROOT / ".dvc/plots", project / ".dvc/plots")
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, project / name)
    git("add", "-A")
    git("commit", "-m", "first")
    return project


def write_latents(project: Path, size: int) -> None:
    (project / "data/extract").mkdir(exist_ok=True)
    header = ["index", "label", "class", *(f"z{dimension + 1}" for dimension in range(size))]
    lines = [[str(i), str(i % 3), NAMES[i % 3], *("0.5" for _ in range(size))] for i in range(6)]
    (project / "data/extract/latents.csv").write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")


def test_dvc_shows_the_metrics_and_fills_each_plot(tracked: Path) -> None:
    shown = dvc("metrics", "show")[""]["data"]["data/evaluate/metrics.json"]["data"]
    assert shown == metrics(tracked)
    check_plots("show", revisions={"workspace"})
    for latent_size in (1, 5):
        write_latents(tracked, latent_size)
        check_plots("diff", "HEAD", "workspace", revisions={"HEAD", "workspace"})


def check_plots(*command: str, revisions: set[str]) -> None:
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
