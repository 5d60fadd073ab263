"""Read the images, labels and metadata that `download` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from stages.shared.arrays import Int64, Uint8, Uint16
from stages.shared.formats import read_array, read_json
from stages.shared.runtime.errors import corrupt_file

FOLDER = Path("data/download")
DESCRIPTION = FOLDER / "dataset.json"

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


class Range(NamedTuple):
    """The two values that become black and white; and the value of white of the pixel type, None if types differ."""

    black: float
    white: float
    white_of_type: float | None = None


@dataclass(frozen=True)
class DatasetInfo:
    """Name of the data set, its class names in label order (empty without labels), and how its pictures were converted.

    range: values of the picture files that became black and white; None if each picture was scaled by its type.
    fit: how pictures were resized.
    background: RGB color of margins, and behind transparent pixels.
    """

    name: str
    classes: list[str]
    range: Range | None = None
    fit: str = "pad"
    background: tuple[int, int, int] = (255, 255, 255)

    @classmethod
    def read(cls) -> "DatasetInfo":
        """Read `dataset.json`; raises `InputError` if it is missing or invalid."""
        value = read_json(DESCRIPTION, ["dataset", "classes"])
        name, classes = value["dataset"], value["classes"]
        texts = isinstance(classes, list) and all(isinstance(text, str) and text for text in [name, *classes])
        if not texts or len(set(classes)) < len(classes):
            raise corrupt_file(DESCRIPTION, "a data set's name and distinct class names")
        numbers = [*(value.get("range") or []), *(value.get("range_of_type") or [])]
        if len(numbers) not in (0, 4) or not all(isinstance(number, int | float) for number in numbers):
            raise corrupt_file(DESCRIPTION, "a range and a range_of_type, each null or two numbers")
        fit, background = value.get("fit", cls.fit), tuple(value.get("background", cls.background))
        if fit not in ("pad", "crop", "stretch") or len(background) != 3:
            raise corrupt_file(DESCRIPTION, "a fit (pad, crop or stretch) and a background of three numbers")
        return cls(name, classes, Range(numbers[0], numbers[1], numbers[3]) if numbers else None, fit, background)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `dataset.json`."""
        spread = self.range
        return {
            "dataset": self.name,
            "classes": self.classes,
            "range": spread and [spread.black, spread.white],
            "range_of_type": spread and [0, spread.white_of_type],
            "fit": self.fit,
            "background": list(self.background),
        }


def validation_size(validation: float, images: int) -> int:
    """Number of held-out images; `validation` is this number, or a share of the training images if it is below 1."""
    return round(validation * images) if validation < 1 else int(validation)


def images_file(split: Split) -> Path:
    """Path of the images of `split`."""
    return FOLDER / f"{split}_images.npy"


def read_images(split: Split, size: tuple[int, int, int] | None = None) -> Uint8:
    """Memory-map a split's images, uint8 [N, height, width, channels]; raises `InputError`.

    `size` is the expected height, width and channels: 1 for gray, 3 for RGB.
    """
    path = images_file(split)
    images: Uint8 = read_array(path, np.uint8, (None, *(size or (None, None, None))))
    if images.shape[3] not in (1, 3):
        raise corrupt_file(path, f"1 or 3 channels, got {images.shape[3]}")
    return images


def read_labels(split: Split, count: int, classes: int) -> Uint16 | None:
    """Memory-map a split's `count` labels, uint16 [N], each below `classes`; raises `InputError`.

    Returns None without classes.
    """
    if not classes:
        return None
    path = FOLDER / f"{split}_labels.npy"
    labels: Uint16 = read_array(path, np.uint16, (count,))
    if labels.max() >= classes:
        raise corrupt_file(path, f"labels below {classes}, got {labels.max()}")
    return labels


@dataclass(frozen=True)
class LabeledImages:
    """Images, uint8 [N, height, width, channels], and their labels, uint16 [N] (None without classes)."""

    images: Uint8
    labels: Uint16 | None

    @classmethod
    def read(cls, split: Split, size: tuple[int, int, int], classes: int) -> "LabeledImages":
        """Memory-map the images and labels of a split; raises `InputError`."""
        images = read_images(split, size)
        return cls(images, read_labels(split, len(images), classes))

    def __getitem__(self, indices: Int64) -> "LabeledImages":
        """Select the images and labels at these indices."""
        return LabeledImages(self.images[indices], None if self.labels is None else self.labels[indices])
