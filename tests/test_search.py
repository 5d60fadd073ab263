"""search, held against scikit-learn and a plain loop over small data."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from stages import search
from stages.shared import arrays
from stages.shared.images.dataset import DatasetInfo, LabeledImages
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.errors import InputError
from stages.shared.scores import retrieval as room
from stages.shared.scores.neighbors import nearest
from stages.shared.scores.retrieval import retrieval
from tests.inputs import noisy_images, random_autoencoder, write_download

NAMES = ["coat", r"$\bag$", "sandal"]
SIZE = HEIGHT, WIDTH, CHANNELS = 6, 5, 3
Made = tuple[LabeledImages, LabeledImages]


def make(folder: Path, names: list[str] = NAMES, train: int = 90, test: int = 40, queries: int = 25) -> Made:
    """Write what search reads, with an untrained autoencoder, into `folder`."""
    random = np.random.default_rng(1)
    splits = [noisy_images(random, count, SIZE, len(names) or 1) for count in (train, test)]
    write_download(folder, splits[0], splits[1], names)
    (folder / "data/train").mkdir(parents=True)
    random_autoencoder(random, SIZE).write(folder / MODEL)
    (folder / "params.yaml").write_text(json.dumps({"search": {"queries": queries, "seed": 3}}))
    return LabeledImages(*splits[0]), LabeledImages(*splits[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows() -> dict[str, dict[str, str]]:
    """Of the table, by method."""
    with (search.FOLDER / "search.csv").open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def ranking(known: np.ndarray, query: np.ndarray) -> list[int]:
    """A plain loop; of equal distances, the earlier first."""
    rows = known.reshape(len(known), -1).astype(np.float64)
    distances = [float(((row - query.ravel().astype(np.float64)) ** 2).sum()) for row in rows]
    return sorted(range(len(known)), key=lambda place: (distances[place], place))


def by_hand(known: Any, labels: Any, queries: Any, query_labels: Any, at: int) -> list[float]:
    """Mean average precision and precision at `at`."""
    precisions, averages = [], []
    for query, label in zip(queries, query_labels, strict=True):
        order = ranking(known, query)
        relevant = labels[order] == label
        precisions.append(relevant[:at].mean())
        averages.append(average_precision_score(relevant, -np.arange(len(order))))
    return [float(np.mean(averages)), float(np.mean(precisions))]


def test_figures_agree_with_their_definitions(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = make(folder)
    monkeypatch.setattr(room, "_DISTANCES", 7 * 90)  # queries in several blocks
    monkeypatch.setattr(arrays, "_BATCH_NUMBERS", 16 * HEIGHT * WIDTH * CHANNELS)  # and training images
    search.main()
    got = rows()
    queries = test[np.random.default_rng(3).permutation(40)[:25]]
    autoencoder = Autoencoder.read()
    codes: dict[str, list[Any]] = {
        "autoencoder": [autoencoder.encode(of.images) for of in (train, queries)],
        "pixels": [train.images, queries.images],
    }
    for method, (known, asked) in codes.items():
        expected = by_hand(known, train.labels, asked, queries.labels, 10)
        figures = [float(got[method][name]) for name in ("mean_average_precision", "precision_at_10")]
        assert figures == pytest.approx(expected)
    assert {method: int(row["bytes"]) for method, row in got.items()} == {"autoencoder": 8, "pca": 8, "pixels": 90}
    assert "precision_at_1" in got["pca"]
    assert "precision_at_100" not in got["pca"], "there are 90 training images"
    assert "of 25 queries: autoencoder 0." in capsys.readouterr().out


def test_of_equal_distances_the_earlier_is_nearer() -> None:
    known = np.array([[9], [5], [1], [5], [1]], np.uint8)  # from 3: 6 2 2 2 2
    labels = np.array([0, 0, 1, 1, 0], np.uint16)
    query = np.array([[3]], np.uint8)
    assert nearest(known, query, 5).indices.tolist() == [[1, 2, 3, 4, 0]]
    found = retrieval(known, labels, query, np.array([1], np.uint16), [1, 3])
    assert found.precision == {1: 0, 3: pytest.approx(2 / 3)}
    assert found.average_precision == pytest.approx((1 / 2 + 2 / 3) / 2)
    nothing = retrieval(known, labels, query, np.array([2], np.uint16), [1])
    assert (nothing.precision, nothing.average_precision) == ({1: 0}, 0)


def test_latents_far_from_zero_are_told_apart() -> None:
    """Where float32 squares would have lost all that differs."""
    known = np.array([[1e5], [1e5 + 0.25], [1e5 + 0.5]], np.float32)
    assert nearest(known, known[1:2] + np.float32(0.0625), 2).indices.tolist() == [[1, 2]]


def test_the_picture_frames_what_is_of_another_class(folder: Path) -> None:
    train, test = make(folder)
    of, autoencoder = DatasetInfo.read(), Autoencoder.read()
    found = search.make_indexes(autoencoder, train.images, test.images, 0)
    figure = search.draw_hits(of, found, train, test)
    query, *others = figure.axes
    assert [label.get_text() for label in query.get_yticklabels()] == NAMES
    assert test.labels is not None
    assert train.labels is not None
    some = [int(np.flatnonzero(test.labels == label)[0]) for label in range(3)]
    for axes, index in zip(others, (found["autoencoder"], found["pixels"]), strict=True):
        places = [ranking(index.known, index.queries[place])[: search.HITS] for place in some]
        wrong = [[train.labels[place] != label for place in row] for label, row in enumerate(places)]
        assert len(axes.patches) == np.sum(wrong)
        sheet = axes.images[0].get_array()
        assert sheet is not None
        np.testing.assert_allclose(sheet[:HEIGHT, :WIDTH], train.images[places[0][0]] / 255)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [0, 1, 2, 300])
@pytest.mark.parametrize("train", [2, 90])
def test_any_number_of_classes_and_images(count: int, train: int, folder: Path) -> None:
    make(folder, [f"class number {label}" for label in range(count)], train=train, queries=2000)
    search.main()
    assert bool(rows()) == (count > 1)
    with Image.open(search.FOLDER / "search.png") as picture:
        assert 300 < picture.width < 4000


def test_refuses_in_words(folder: Path) -> None:
    make(folder, train=1)
    with pytest.raises(InputError, match=r"train_images\.npy: expected at least 2"):
        search.main()
    assert not search.FOLDER.exists()
