"""What is trained on: real Fashion-MNIST where it is at hand, else garments drawn by the project."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.shared.arrays import Uint8, Uint16
from stages.shared.images.dataset import DESCRIPTION, Dataset, read_images, read_labels
from stages.shared.images.known import Known, mirror_variable


@dataclass(frozen=True)
class Data:
    """A data set: images uint8 [N, height, width, channels], labels uint16 [N]."""

    dataset: str
    classes: list[str]
    train_images: Uint8
    train_labels: Uint16
    test_images: Uint8
    test_labels: Uint16


def load() -> Data:
    """The files of `data/download` if they are Fashion-MNIST, else the mirror's if one is named, else synthetic."""
    if DESCRIPTION.exists() and Dataset.read().name == "fashion-mnist":
        return _downloaded(Dataset.read())
    named = os.environ.get(mirror_variable("fashion-mnist"))
    known = Known.load(Path(f"data/{'fashion-mnist' if named else 'synthetic'}.yaml"))
    with TemporaryDirectory() as folder:
        splits = known.read(Path(folder))
    return Data(known.name, known.classes, *splits["train"], *splits["test"])


def _downloaded(dataset: Dataset) -> Data:
    train, test = read_images("train"), read_images("test")
    train_labels = read_labels("train", len(train), len(dataset.classes))
    test_labels = read_labels("test", len(test), len(dataset.classes))
    assert train_labels is not None
    assert test_labels is not None
    return Data(dataset.name, dataset.classes, train, train_labels, test, test_labels)


def tile(images: Uint8, count: int, path: Path) -> None:
    """Write `count` images to the .npy file at `path`: `images` over and over."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *images.shape[1:]))
    for start in range(0, count, len(images)):
        part = array[start : start + len(images)]
        part[:] = images[: len(part)]
    array.flush()
