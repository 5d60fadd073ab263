"""What is trained on: real Fashion-MNIST where it is at hand, else garments drawn by the project."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.download import MIRROR_VARIABLE, fetch_fashion_mnist
from stages.shared.images.dataset import Classes, read_images, read_labels
from stages.shared.arrays import Uint8
from stages.shared.images.garments import GARMENTS, draw

DOWNLOAD = Path("data/download")


@dataclass(frozen=True)
class Data:
    """A data set: images uint8 [N, height, width], labels uint8 [N]."""

    dataset: str
    classes: list[str]
    train_images: Uint8
    train_labels: Uint8
    test_images: Uint8
    test_labels: Uint8


def load() -> Data:
    """The files of `data/download` if they are Fashion-MNIST, else the mirror's if one is named, else synthetic."""
    if (DOWNLOAD / "dataset.json").exists() and Classes.read(DOWNLOAD / "dataset.json").dataset == "fashion-mnist":
        return _downloaded()
    if os.environ.get(MIRROR_VARIABLE):
        with TemporaryDirectory() as folder:
            classes, splits = fetch_fashion_mnist(Path(folder))
            (_, *train), (_, *test) = splits
        return Data("fashion-mnist", classes, *train, *test)
    images, labels = draw(7000, seed=0)
    return Data("synthetic", list(GARMENTS), images[:6000], labels[:6000], images[6000:], labels[6000:])


def _downloaded() -> Data:
    classes = Classes.read(DOWNLOAD / "dataset.json")
    arrays = []
    for split in ("train", "test"):
        images = read_images(DOWNLOAD / f"{split}_images.npy")
        arrays += [images, read_labels(DOWNLOAD / f"{split}_labels.npy", len(images), len(classes.names))]
    return Data(classes.dataset, classes.names, *arrays)


def tile(images: Uint8, count: int, path: Path) -> None:
    """Write `count` images to the .npy file at `path`: `images` over and over."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *images.shape[1:]))
    for start in range(0, count, len(images)):
        part = array[start : start + len(images)]
        part[:] = images[: len(part)]
    array.flush()
