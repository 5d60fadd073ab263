"""A set of images, labelled or not, as the download stage leaves it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stages.shared.arrays import Int64, Uint8, Uint16
from stages.shared.formats import read_array, read_json
from stages.shared.process.errors import damaged

FOLDER = Path("data/download")
DESCRIPTION = FOLDER / "dataset.json"

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """The data set's name, and its class names in label order: none where its images have no labels."""

    name: str
    classes: list[str]

    @classmethod
    def read(cls) -> "Dataset":
        """Read `dataset.json`; raises `InputError` where it is missing or damaged."""
        value = read_json(DESCRIPTION, ["dataset", "classes"])
        name, classes = value["dataset"], value["classes"]
        texts = isinstance(classes, list) and all(isinstance(text, str) and text for text in [name, *classes])
        if not texts or len(set(classes)) < len(classes):
            raise damaged(DESCRIPTION, "a data set's name and distinct class names")
        return cls(name, classes)


def count_held_out(validation: float, images: int) -> int:
    """How many of so many training images `train.validation` holds out, the last ones: a share below 1, or a number."""
    return round(validation * images) if validation < 1 else int(validation)


def images_file(split: Split) -> Path:
    """Where the images of `split` are."""
    return FOLDER / f"{split}_images.npy"


def read_images(split: Split, size: tuple[int, int, int] | None = None) -> Uint8:
    """Map a split's images, uint8 [N, height, width, channels], into memory; raises `InputError`.

    `size` is what height, width and channels must be; channels are 1, grey, or 3, RGB.
    """
    path = images_file(split)
    images: Uint8 = read_array(path, np.uint8, (None, *(size or (None, None, None))))
    if images.shape[3] not in (1, 3):
        raise damaged(path, f"1 or 3 channels, got {images.shape[3]}")
    return images


def read_labels(split: Split, count: int, classes: int) -> Uint16 | None:
    """Map a split's `count` labels, uint16 [N], each below `classes`, into memory; raises `InputError`.

    None where the data set has no classes.
    """
    if not classes:
        return None
    path = FOLDER / f"{split}_labels.npy"
    labels: Uint16 = read_array(path, np.uint16, (count,))
    if labels.max() >= classes:
        raise damaged(path, f"labels below {classes}, got {labels.max()}")
    return labels


@dataclass(frozen=True)
class Labelled:
    """Images, uint8 [N, height, width, channels], and their labels, uint16 [N]; None where they have no classes."""

    images: Uint8
    labels: Uint16 | None

    @classmethod
    def read(cls, split: Split, size: tuple[int, int, int], classes: int) -> "Labelled":
        """Map a split of images of that height, width and channels into memory; raises `InputError`."""
        images = read_images(split, size)
        return cls(images, read_labels(split, len(images), classes))

    def __getitem__(self, places: Int64) -> "Labelled":
        """Those at these places."""
        return Labelled(self.images[places], None if self.labels is None else self.labels[places])
