"""What a run of the pipeline leaves for `explore`, made up in a moment: random weights, real shapes."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from stages.shared.arrays import Uint8
from stages.shared.formats import write_csv, write_json
from stages.shared.latents.table import header
from stages.shared.model.operations import ACTIVATIONS, Operation
from tests.inputs import random_autoencoder, write_colors, write_download
from tests.project import ROOT, Project

if TYPE_CHECKING:
    from torch import nn

NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle_boot"]
WORDS = ("red", "green", "green", "blue, dark")
NUMBERS = ("1.5", "2", "", "10")
# A run with files, columns and pictures of a single color, for many tests
NAMED: dict[str, Any] = {
    "files": 'cats, "dogs"/IMG_{}.jpg',
    "columns": (("hue", WORDS), ("age", NUMBERS)),
    "plain": 2,
    "epochs": 2,
    "hidden": (16,),
    "latent_size": 2,
}
# The activations of the runs by their latent size
ACTIVATED = {1: "relu", 2: "silu", 3: "relu", 5: "relu"}
SECTION = {"epochs": 20, "neighbors": 6, "steps": 9, "cloud": False, "megabytes": 8}


@dataclass(frozen=True)
class Made:
    """A folder in which `explore` can run, and what is in it."""

    root: Path
    images: Uint8  # [N, 28, 28, channels]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    activation: str
    epochs: int

    @property
    def page(self) -> Path:
        return self.root / "data/explore/explorer.html"

    def explore(self) -> subprocess.CompletedProcess[str]:
        return Project(self.root).stage("explore")

    def network(self, part: str, epoch: int | None = None) -> "nn.Sequential":
        """The encoder or decoder after `epoch` (None: the last) in PyTorch, from the file's tensors: the oracle."""
        from safetensors.torch import load_file
        from torch import nn

        name = "autoencoder" if epoch is None else f"checkpoints/{epoch}"
        tensors = load_file(self.root / f"data/train/{name}.safetensors")
        tensors = {key.removeprefix(f"{part}."): value for key, value in tensors.items() if key.startswith(part)}
        layers: list[nn.Module] = []
        for position in range(len(tensors) // 2):
            outputs, inputs = tensors[f"{2 * position}.weight"].shape
            layers += [nn.Linear(inputs, outputs), getattr(nn, str(ACTIVATIONS[self.activation].torch))()]
        network = nn.Sequential(*layers[:-1])
        network.load_state_dict(tensors)
        return network.append(nn.Sigmoid()) if part == "decoder" else network

    def encode(self, epoch: int | None = None) -> NDArray[np.float32]:
        return self._apply("encoder", epoch, self.images.reshape(len(self.images), -1) / np.float32(255))

    def decode(self, latents: Any, epoch: int | None = None) -> NDArray[np.float32]:
        return self._apply("decoder", epoch, latents)

    def _apply(self, part: str, epoch: int | None, values: Any) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            return np.asarray(self.network(part, epoch)(torch.tensor(np.asarray(values, np.float32))))


def garments(count: int, labels: NDArray[np.int64], channels: int, random: np.random.Generator) -> Uint8:
    """Boxes whose size and shade depend on the class: enough for classes to lie apart."""
    images = np.zeros((count, 28, 28, channels), dtype=np.uint8)
    for image, label in zip(images, labels % 10, strict=True):
        height, width = 8 + 2 * label, 26 - 2 * label
        top, left = (28 - height) // 2, (28 - width) // 2
        image[top : top + height, left : left + width] = random.integers(60, 255, (height, width, channels))
    return images


def blend(first: list[Operation], second: list[Operation], share: float) -> list[Operation]:
    return [
        replace(
            a,
            tensors=tuple((x + share * (y - x)).astype(np.float32) for x, y in zip(a.tensors, b.tensors, strict=True)),
        )
        for a, b in zip(first, second, strict=True)
    ]


def make(
    root: Path,
    *,
    latent_size: int = 3,
    hidden: tuple[int, ...] = (128, 64, 12),
    activation: str = "relu",
    epochs: int = 4,
    count: int = 200,
    dataset: str = "fashion-mnist",
    names: list[str] = NAMES,
    channels: int = 1,
    cloud: bool = False,
    ends: tuple[int, int] | None = None,  # the first and the last index
    files: str = "",  # a format of the images' files, such as "cats/IMG_{:04}.jpg", by index
    columns: tuple[tuple[str, tuple[str, ...]], ...] = (),  # of metadata.csv, and what their rows repeat
    preprocessing: tuple[tuple[str, Any], ...] = (),  # further keys of dataset.json
    plain: int = 0,  # how many of the first images are of a single color
) -> Made:
    random = np.random.default_rng(latent_size)
    labels = random.integers(0, len(names) or 10, count)
    positions = np.sort(random.choice(10 * count, count, replace=False))
    if ends:
        positions[[0, -1]] = ends
    made = Made(root, garments(count, labels, channels, random), labels, positions, activation, epochs)
    made.images[:plain] = 17
    (root / "data").mkdir(parents=True)
    (root / "stages").symlink_to(ROOT / "stages")
    (root / "params.yaml").write_text(yaml.safe_dump({"explore": SECTION | {"cloud": cloud}}))

    training = {"layers": list(hidden), "latent_size": latent_size, "activation": activation, "epochs": epochs}
    start, end = (
        random_autoencoder(random, (28, 28, channels), hidden, latent_size, activation, training) for _ in "ab"
    )
    (root / "data/train/checkpoints").mkdir(parents=True)
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        encoder, decoder = blend(start.encoder, end.encoder, share), blend(start.decoder, end.decoder, share)
        model = replace(end, encoder=encoder, decoder=decoder)
        model.write(root / f"data/train/checkpoints/{epoch}.safetensors")
    model.write(root / "data/train/autoencoder.safetensors")
    rows = [[epoch, 0.1 / epoch, 0.11 / epoch] for epoch in range(1, epochs + 1)]
    write_csv(root / "data/train/loss.csv", ["epoch", "train_loss", "test_loss"], rows)

    split = made.images, labels.astype(np.uint16)
    write_download(root, split, split, names, dataset)
    edit_json(root / "data/download/dataset.json", **dict(preprocessing))
    if files:
        noted = [
            ["train", index, files.format(index), *(texts[i % len(texts)] for _, texts in columns)]
            for i, index in enumerate(positions)
        ]
        header_ = ["split", "index", "file", *(name for name, _ in columns)]
        write_csv(root / "data/download/pictures.csv", header_, noted)

    (root / "data/extract").mkdir()
    table = [
        [index, *([label, names[label]] if names else []), *latent]
        for index, label, latent in zip(positions, labels, model.encode(made.images), strict=True)
    ]
    write_csv(root / "data/extract/latents.csv", header(latent_size, bool(names)), table)
    np.save(root / "data/extract/images.npy", made.images)
    facts = {"dataset": dataset, "classes": names, "split": "train", "selection": "random", "count": len(labels)}
    write_json(root / "data/extract/selection.json", facts)
    write_colors(root, len(names))
    (root / "data/evaluate").mkdir()
    header_ = ["dataset", "method", "mse", "knn_accuracy", "collapsed_dimensions"]
    write_csv(
        root / "data/evaluate/scores.csv",
        header_,
        [[dataset, "autoencoder", 0.0231, 0.736, 0], [dataset, "mean image", 0.0866, 0.1, None]],
    )
    return made


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
