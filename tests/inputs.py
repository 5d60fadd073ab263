"""What one stage leaves for the next, made up in a moment: random weights, real files and shapes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.shared.arrays import Uint8, Uint16
from stages.shared.formats import write_csv, write_json
from stages.shared.model.architecture import dense
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.operations import Operation, parse
from stages.shared.palette import COLORS, class_colors

Size = tuple[int, int, int]  # height, width, channels


# A small training on pixels
RECIPE: dict[str, Any] = {
    "layers": [16, 8],
    "latent_size": 3,
    "activation": "relu",
    "epochs": 3,
    "batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "seed": 1,
}


def noisy_images(random: np.random.Generator, count: int, size: Size, classes: int = 3) -> tuple[Uint8, Uint16]:
    """Noise whose brightness and lit rows tell the class: uint8 [count, height, width, channels], and labels uint16."""
    labels = random.integers(classes, size=count).astype(np.uint16)
    images = random.integers(190, size=(count, *size))
    for image, label in zip(images, labels, strict=True):
        image[2 * (label % 3) : 2 * (label % 3) + 2] += 40 + int(label) % 25
    return images.astype(np.uint8), labels


def random_autoencoder(
    random: np.random.Generator,
    size: Size,
    layers: Sequence[int] = (8,),
    latent_size: int = 2,
    activation: str = "relu",
    training: dict[str, Any] | None = None,
) -> Autoencoder:
    """A dense autoencoder that was never trained."""
    parts = dense(int(np.prod(size)), layers, latent_size, activation)
    encoder, decoder = ([_operation(random, each) for each in part] for part in parts)
    return Autoencoder(encoder, decoder, *size, training or {})


def _operation(random: np.random.Generator, description: dict[str, Any]) -> Operation:
    """Weights that keep the spread of what comes in, and small biases."""
    kind, settings, shape = parse(description)
    tensors = []
    for each in kind.tensors(settings).values():
        spread = 0.3 if len(each) == 1 else (2 / each[1]) ** 0.5
        tensors.append(random.normal(0, spread, each).astype(np.float32))
    return Operation(description["kind"], settings, tuple(tensors), shape)


def write_download(
    root: Path,
    train: tuple[Uint8, Uint16],
    test: tuple[Uint8, Uint16],
    classes: Sequence[str],
    name: str = "little",
) -> None:
    """What `download` writes, into `root`; without classes, the labels are left out as it does."""
    folder = root / "data/download"
    folder.mkdir(parents=True, exist_ok=True)
    for split_name, (images, labels) in (("train", train), ("test", test)):
        np.save(folder / f"{split_name}_images.npy", images)
        np.save(folder / f"{split_name}_labels.npy", labels if classes else labels[:0])
    write_json(folder / "dataset.json", {"dataset": name, "classes": list(classes)})
    write_csv(folder / "pictures.csv", ["split", "index", "file"], [])
    write_csv(folder / "unreadable.csv", ["file", "reason"], [])


def write_colors(root: Path, classes: int) -> None:
    """The classes' colors as `extract` writes them, into `root`."""
    (root / COLORS).parent.mkdir(parents=True, exist_ok=True)
    write_json(root / COLORS, class_colors(np.random.default_rng(0).normal(size=(classes, 3))))
