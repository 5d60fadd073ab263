"""extract: the latents of a few images.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/extract/latents.csv, and for the stages that show them images.npy (the images, in the same order) and
       selection.json (which these are)
"""

from stages.shared.process.run import run

import sys
from typing import Literal

import numpy as np
from pydantic import Field

from stages.shared.arrays import Int64, Uint16
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import Dataset, read_images, read_labels
from stages.shared.latents.table import FOLDER, SELECTION, TABLE, header
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.process import params
from stages.shared.process.errors import InputError, damaged
from stages.shared.process.outputs import outputs

Selection = Literal["first", "random", "balanced"]


class Params(params.Section):
    """Which images, and how many."""

    split: Literal["train", "test"]
    count: int = Field(ge=1, le=10_000)
    selection: Selection
    seed: int = Field(ge=0)


def select(labels: Uint16 | None, images: int, count: int, selection: Selection, seed: int) -> Int64:
    """The indices of `count` out of so many images, ascending: the first, a random draw, or as many of each class.

    Where `count` is no multiple of the classes, a balanced draw gives the first classes one more. Raises `InputError`
    where there are too few images, or no classes to balance.
    """
    if count > images:
        raise InputError(f"params.yaml: extract.count: expected at most {images}, the images, got {count}")
    random = np.random.default_rng(seed)
    match selection:
        case "first":
            return np.arange(count)
        case "random":
            return np.sort(random.choice(images, count, replace=False))
        case "balanced":
            if labels is None:
                raise InputError("params.yaml: extract.selection: these images have no classes; take first or random")
            return np.sort(np.concatenate(_draw_classes(labels, count, random)))


def _draw_classes(labels: Uint16, count: int, random: np.random.Generator) -> list[Int64]:
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
    dataset = Dataset.read()
    autoencoder = Autoencoder.read()
    images = read_images(p.split, autoencoder.size)
    labels = read_labels(p.split, len(images), len(dataset.classes))
    indices = select(labels, len(images), p.count, p.selection, p.seed)
    if (
        labels is not None
        and len(dataset.classes) > 1
        and p.count > 1
        and (labels[indices] == labels[indices[0]]).all()
    ):
        name = dataset.classes[labels[indices[0]]]
        print(f"extract: warning: all {p.count} images are of the class {name}", file=sys.stderr)
    latents = autoencoder.encode(images[indices])  # [count, latent size]
    if not np.isfinite(latents).all():
        raise damaged(MODEL, "weights that give finite latents")
    rows: list[list[object]] = [[index] for index in indices]
    if labels is not None:
        rows = [[index, labels[index], dataset.classes[labels[index]]] for index in indices]
    rows = [[*row, *latent] for row, latent in zip(rows, latents, strict=True)]
    with outputs(FOLDER) as folder:
        write_csv(folder / TABLE.name, header(autoencoder.latent_size, labels is not None), rows)
        np.save(folder / "images.npy", images[indices])
        selection = {"dataset": dataset.name, "classes": dataset.classes, "split": p.split, "selection": p.selection}
        write_json(folder / SELECTION.name, selection | {"count": p.count})


if __name__ == "__main__":
    run(main)
