"""A labelled set of grey images, as the download stage leaves it."""

from dataclasses import dataclass
from pathlib import Path

from stages.shared.files import Uint8, damaged, read_array, read_json


@dataclass(frozen=True)
class Classes:
    """What the labels mean: the data set's name and the class names in label order."""

    dataset: str
    names: list[str]

    @classmethod
    def read(cls, path: Path) -> "Classes":
        """Read `classes.json`; raises `InputError` where it is missing or damaged."""
        value = read_json(path, ["dataset", "classes"])
        dataset, names = value["dataset"], value["classes"]
        texts = isinstance(names, list) and all(isinstance(name, str) and name for name in [dataset, *names])
        if not texts or not names or len(set(names)) < len(names):
            raise damaged(path, "a data set's name and distinct class names")
        return cls(dataset, names)


def read_images(path: Path, height: int | None = None, width: int | None = None) -> Uint8:
    """Map images, uint8 [N, height, width], into memory; raises `InputError`."""
    return read_array(path, (None, height, width))


def read_labels(path: Path, count: int, classes: int) -> Uint8:
    """Map `count` labels, uint8 [N], each below `classes`, into memory; raises `InputError`."""
    labels = read_array(path, (count,))
    if labels.max() >= classes:
        raise damaged(path, f"labels below {classes}, got {labels.max()}")
    return labels
