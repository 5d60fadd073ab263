"""What is trained on: real Fashion-MNIST where it is at hand, else garments drawn by the project."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from stages.shared.arrays import Uint8, Uint16
from stages.shared.images.dataset import DESCRIPTION, SPLITS, DatasetInfo, Split, read_images, read_labels
from stages.shared.images.dataset_spec import DatasetSpec, Source, mirror_variable
from stages.train import Choice, Params

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Data:
    """A data set: images uint8 [N, height, width, channels], labels uint16 [N]."""

    dataset: str
    classes: list[str]
    train_images: Uint8
    train_labels: Uint16
    test_images: Uint8
    test_labels: Uint16


def recipe(changes: Mapping[str, Any] | None = None, name: str = "pixels") -> dict[str, Any]:
    """The params of that recipe, or of the changes' own, as `params.yaml` has them, with changes.

    They are flat, as the model file keeps them.
    """
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]
    changes = dict(changes or {})
    return Choice(changes.get("recipe", name), "benchmark").flatten(Params.model_validate(section)) | changes


def command(changes: Mapping[str, Any]) -> str:
    """The line that trains so."""
    block = changes.get("recipe", "pixels")
    keys = {"components": "components.count", "epochs": "checkpoints"} if block == "components" else {}
    settings = []
    for name, value in changes.items():
        key = keys.get(name) or (name if name in Params.model_fields else f"{block}.{name}")
        settings.append(f"-S 'train.{key}={value}'" if isinstance(value, list) else f"-S train.{key}={value}")
    return f"`{' '.join(['dvc exp run', *settings])}`"


def load() -> Data:
    """The files of `data/download` if they are Fashion-MNIST, else the mirror's if one is named, else synthetic."""
    if DESCRIPTION.exists() and DatasetInfo.read().name == "fashion-mnist":
        return _downloaded(DatasetInfo.read())
    named = os.environ.get(mirror_variable("fashion-mnist"))
    known = DatasetSpec.load(Path(f"data/{'fashion-mnist' if named else 'synthetic'}.yaml"))
    with TemporaryDirectory() as folder:
        source = known.open(Path(folder))
        train, test = (_arrays(known, source, split) for split in SPLITS)
    return Data(known.name, list(source.classes), *train, *test)


def _arrays(known: DatasetSpec, source: Source, split: Split) -> tuple[Uint8, Uint16]:
    pictures, labels = zip(*source.splits[split], strict=True)
    images = np.stack([np.asarray(picture)[..., np.newaxis] for picture in pictures])
    return images, np.array([known.find_class(label, source.classes) for label in labels], np.uint16)


def _downloaded(dataset: DatasetInfo) -> Data:
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
