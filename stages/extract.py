"""extract: the latents of a few images.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, classes.json
Writes data/extract/latents.csv, and for the stages that show them images.npy (the images, in the same order) and
       selection.json (which these are)
"""

from stages.shared.command import run

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.shared import params
from stages.shared.autoencoder import Autoencoder
from stages.shared.dataset import Classes, read_images, read_labels
from stages.shared.errors import InputError
from stages.shared.files import Uint8, damaged, outputs, write_csv, write_json

DOWNLOAD = Path("data/download")
MODEL = Path("data/train/autoencoder.safetensors")
FOLDER = Path("data/extract")

Selection = Literal["first", "random", "balanced"]


class Params(params.Section):
    """Which images, and how many."""

    split: Literal["train", "test"]
    count: int = Field(ge=1, le=10_000)
    selection: Selection
    seed: int = Field(ge=0)


def select(labels: Uint8, count: int, selection: Selection, seed: int) -> NDArray[np.int64]:
    """The indices of `count` images, ascending: the first, a random draw, or a draw with as many of each class.

    Where `count` is no multiple of the classes, a balanced draw gives the first classes one more. Raises `InputError`
    where there are too few images.
    """
    if count > len(labels):
        raise InputError(f"params.yaml: extract.count: expected at most {len(labels)}, the images, got {count}")
    random = np.random.default_rng(seed)
    match selection:
        case "first":
            return np.arange(count)
        case "random":
            return np.sort(random.choice(len(labels), count, replace=False))
        case "balanced":
            return np.sort(np.concatenate(_draw_classes(labels, count, random)))


def _draw_classes(labels: Uint8, count: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    present = np.unique(labels)
    draws = []
    for place, label in enumerate(present):
        members = np.flatnonzero(labels == label)
        wanted = count // len(present) + (place < count % len(present))
        if wanted > len(members):
            raise InputError(
                f"params.yaml: extract.count: a balanced {count} needs {wanted} images of each class, "
                f"and class {label} has {len(members)}; take fewer, or selection: random"
            )
        draws.append(random.choice(members, wanted, replace=False))
    return draws


def main() -> None:
    p = params.read("extract", Params)
    classes = Classes.read(DOWNLOAD / "classes.json")
    autoencoder = Autoencoder.read(MODEL)
    images = read_images(DOWNLOAD / f"{p.split}_images.npy", autoencoder.height, autoencoder.width)
    labels = read_labels(DOWNLOAD / f"{p.split}_labels.npy", len(images), len(classes.names))
    indices = select(labels, p.count, p.selection, p.seed)
    if p.count > 1 and (labels[indices] == labels[indices[0]]).all():
        name = classes.names[labels[indices[0]]]
        print(f"extract: warning: all {p.count} images are of the class {name}", file=sys.stderr)
    latents = autoencoder.encode(images[indices])  # [count, latent size]
    if not np.isfinite(latents).all():
        raise damaged(MODEL, "weights that give finite latents")
    rows = [
        [index, label, classes.names[label], *latent]
        for index, label, latent in zip(indices, labels[indices], latents, strict=True)
    ]
    header = ["index", "label", "class", *(f"z{dimension}" for dimension in range(1, autoencoder.latent_size + 1))]
    with outputs(FOLDER) as folder:
        write_csv(folder / "latents.csv", header, rows)
        np.save(folder / "images.npy", images[indices])
        facts = {"dataset": classes.dataset, "classes": classes.names, "split": p.split, "selection": p.selection}
        write_json(folder / "selection.json", facts | {"count": p.count})


if __name__ == "__main__":
    run(main)
