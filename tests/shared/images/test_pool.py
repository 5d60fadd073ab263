"""Exact copies among images: found, kept in one split where `download` draws it, counted where it is given."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from stages.shared.images.pool import Pool
from tests.project import ROOT, Project

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["download"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def add(folder: Path, name: str, color: tuple[int, int, int], side: int = 8) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), color).save(path)


def download(folder: Path, **changes: Any) -> dict[str, list[tuple[str, tuple[int, ...], int]]]:
    """Each split's files, colors and labels, in their order."""
    root = folder.parent
    params = PARAMS | {"source": str(folder), "height": 8, "width": 8} | changes
    (root / "params.yaml").write_text(yaml.safe_dump({"download": params}))
    Project(root).play("download")
    out = root / "data/download"
    with (out / "pictures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    splits = {}
    for split in ("train", "test"):
        files = [row["file"] for row in rows if row["split"] == split]
        images, labels = np.load(out / f"{split}_images.npy"), np.load(out / f"{split}_labels.npy")
        assert images.shape == (len(files), 8, 8, 3)
        colors = [tuple(image[0, 0].tolist()) for image in images]
        splits[split] = list(zip(files, colors, labels.tolist() or [0] * len(files), strict=True))
    return splits


def test_copies_stay_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of other kinds and sizes are copies if they come out with the same pixels."""
    for index in range(60):
        color = (index % 40, 5 * (index % 40), 0)  # the first twenty twice
        name = f"{'ab'[index % 2]}/{index}.{'bmp' if index >= 40 else 'png'}"
        add(folder, name, color, 16 if index >= 40 else 8)
    splits = download(folder)
    said = capsys.readouterr().out
    assert "download: 20 of 60 images are exact copies of others; all copies of an image are in the same split" in said
    train, test = (Counter(color for _, color, _ in splits[split]) for split in ("train", "test"))
    assert not set(train) & set(test)
    assert len(test) == 8, "a share of the different ones"
    assert sum((train + test).values()) == 60
    for file, pixel, label in splits["train"] + splits["test"]:
        assert pixel[0] == int(Path(file).stem) % 40, "pictures.csv says which is which"
        assert label == "ab".index(file[0])
    assert download(folder) == splits
    assert download(folder, seed=1) != splits


def test_without_copies_the_split_is_the_one_of_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(20):
        add(folder, f"{'ab'[index % 2]}/{index}.png", (index, 0, 0))
    splits = download(folder)
    train = [14, 15, 16, 13, 0, 2, 8, 4, 7, 17, 6, 11, 19, 1, 10, 9]
    assert [color[0] for _, color, _ in splits["train"]] == train
    assert [color[0] for _, color, _ in splits["test"]] == [12, 3, 18, 5]
    assert "copies" not in capsys.readouterr().out


def test_what_has_more_copies_than_the_test_has_room_for_stays_in_the_training(folder: Path) -> None:
    """As the picture that stands for a missing one."""
    for index in range(50):
        add(folder, f"{index}.png", (max(0, index - 20), 0, 0))
    for seed in range(8):
        splits = download(folder, seed=seed)
        assert (0, 0, 0) not in {color for _, color, _ in splits["test"]}
        assert len(splits["test"]) == 6


def test_one_different_picture_is_enough_for_the_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, color in (("a", 1), ("b", 1), ("c", 2)):
        add(folder, f"{name}.png", (color, 0, 0))
    for seed in range(6):
        splits = download(folder, seed=seed, test_share=0.4)
        assert [file for file, _, _ in splits["test"]] == ["c.png"]
    assert "1 of 3 images is an exact copy of another" in capsys.readouterr().out


def test_copies_are_divided_where_a_split_would_be_empty(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(10):
        add(folder, f"{index}.png", (7, 7, 7))
    splits = download(folder)
    assert (len(splits["train"]), len(splits["test"])) == (8, 2)
    said = capsys.readouterr().out
    assert "9 of 10 images are exact copies of others; with all copies of an image in one split, there would be" in said
    assert "so 2 test images are copies of training images" in said


def test_copies_are_divided_where_a_class_would_not_be_trained_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(10):
        add(folder, f"{'ab'[index % 2]}/{index}.png", (index % 2, 0, 0))
    splits = download(folder)
    assert [sorted({label for _, _, label in splits[split]}) for split in splits] == [[0, 1], [0, 1]]
    assert "8 of 10 images are exact copies of others" in capsys.readouterr().out


def test_splits_that_are_given_stay_and_their_copies_are_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(5):
        add(folder, f"train/{index}.png", (index, 0, 0))
    for index in range(3, 8):
        add(folder, f"test/{index}.png", (index, 0, 0))
    splits = download(folder)
    assert [sorted(int(Path(file).stem) for file, _, _ in splits[split]) for split in splits] == [
        [0, 1, 2, 3, 4],
        [3, 4, 5, 6, 7],
    ]
    said = capsys.readouterr().out
    assert "2 of 10 images are exact copies of others; 2 test images are copies of training images" in said
    for index in range(3, 8):
        add(folder, f"test/{index}.png", (max(index, 6), 1, 0))
    download(folder)
    assert (
        "3 of 10 images are exact copies of others, but no test image is a copy of a training image"
        in capsys.readouterr().out
    )


def test_a_known_data_set_that_is_not_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scikit-learn's digits as one pixel each: many are alike."""
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({"download": PARAMS | {"source": str(ROOT / "data/digits.yaml"), "height": 1, "width": 1}})
    )
    Project(tmp_path).play("download")
    assert "images are exact copies of others; all copies of an image are in the same split" in capsys.readouterr().out
    train, test = (np.load(tmp_path / f"data/download/{split}_images.npy") for split in ("train", "test"))
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert len(train) + len(test) == 1797


@pytest.mark.parametrize("counts", [(5000,), (4500, 300)])
def test_images_are_moved_in_blocks(counts: tuple[int, ...], tmp_path: Path) -> None:
    """More of them than are read at once; as NumPy does it with all of them in memory."""
    random = np.random.default_rng(0)
    images = random.integers(0, 4, (sum(counts), 2, 2, 3)).astype(np.uint8)
    images[4700] = images[3]
    files = [tmp_path / f"{index}.npy" for index in range(len(counts))]
    for file, part in zip(files, np.split(images, np.cumsum(counts)[:-1]), strict=True):
        np.save(file, part)
    pool = Pool(files, np.zeros(len(images), np.uint16))
    _, first, inverse = np.unique(images.reshape(len(images), -1), axis=0, return_index=True, return_inverse=True)
    assert np.array_equal(pool.copies, first[inverse.ravel()])
    order = random.permutation(len(images))
    pool.move((order[:4200], order[4200:]), tmp_path)
    assert np.array_equal(np.load(tmp_path / "train_images.npy"), images[order[:4200]])
    assert np.array_equal(np.load(tmp_path / "test_images.npy"), images[order[4200:]])
