"""extract: encode a sample of the images.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/extract/latents.csv, images.npy (the sampled images, for other stages), selection.json (how they were
       selected), colors.json (a color for each class, for all later plots and the page)
"""

from stages.shared.runtime.run import run

import sys
from typing import Literal

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float64, Int64, Uint8, Uint16
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import DatasetInfo, read_images, read_labels
from stages.shared.latents.table import FOLDER, SELECTION, TABLE, header
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.palette import COLORS, MAX_COLORS, class_colors
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError, corrupt_file
from stages.shared.runtime.outputs import outputs

PER_CLASS = 50  # images for the mean latent of a class
Selection = Literal["first", "random", "balanced"]


class Params(params.Section):
    """The split, the number of images, and how to select them."""

    split: Literal["train", "test"]
    count: int = Field(ge=1, le=10_000)
    selection: Selection
    seed: int = Field(ge=0)


def select(labels: Uint16 | None, images: int, count: int, selection: Selection, seed: int) -> Int64:
    """Select at most `count` of `images` images; return ascending indices.

    A balanced selection has the same number of images of each class. If `count` is not a multiple of the number of
    classes, the first classes have one more. A class with too few images contributes all of them. Raises `InputError`
    for a balanced selection without classes.
    """
    random = np.random.default_rng(seed)
    match selection:
        case "first":
            return np.arange(min(count, images))
        case "random":
            return np.sort(random.choice(images, min(count, images), replace=False))
        case "balanced":
            if labels is None:
                raise InputError(
                    "params.yaml: extract.selection: these images have no classes; set it to first or random"
                )
            return np.sort(np.concatenate(_draw_classes(labels, count, random)))


def _draw_classes(labels: Uint16, count: int, random: np.random.Generator) -> list[Int64]:
    present = np.unique(labels)
    draws = []
    for place, label in enumerate(present):
        members = np.flatnonzero(labels == label)
        wanted = count // len(present) + (place < count % len(present))
        draws.append(random.choice(members, min(wanted, len(members)), replace=False))
    return draws


def class_centers(autoencoder: Autoencoder, images: Uint8, labels: Uint16 | None, classes: int) -> Float64:
    """Mean latent of the first images of each class, [classes, latent size]; NaN for a class without images.

    Classes beyond the first 256, whose colors repeat, also have NaN.
    """
    centers = np.full((classes, autoencoder.latent_size), np.nan)
    for label in range(min(classes, MAX_COLORS) if labels is not None else 0):
        members = np.flatnonzero(labels == label)[:PER_CLASS]
        if len(members):
            centers[label] = autoencoder.encode(images[members]).mean(axis=0)
    return centers


def main() -> None:
    p = params.read("extract", Params)
    dataset = DatasetInfo.read()
    autoencoder = Autoencoder.read()
    images = read_images(p.split, autoencoder.size)
    labels = read_labels(p.split, len(images), len(dataset.classes))
    indices = select(labels, len(images), p.count, p.selection, p.seed)
    if len(indices) < p.count:
        reason = "there are no others" if len(indices) == len(images) else "some classes have too few"
        print(f"extract: {len(indices)} {p.split} images, fewer than extract.count ({p.count}), because {reason}")
    if (
        labels is not None
        and len(dataset.classes) > 1
        and len(indices) > 1
        and (labels[indices] == labels[indices[0]]).all()
    ):
        name = dataset.classes[labels[indices[0]]]
        print(f"extract: warning: all {len(indices)} images have the class {name}", file=sys.stderr)
    latents = autoencoder.encode(images[indices])  # [count, latent size]
    if not np.isfinite(latents).all():
        raise corrupt_file(MODEL, "weights with finite latents")
    colors = class_colors(class_centers(autoencoder, images, labels, len(dataset.classes)))
    rows: list[list[object]] = [[index] for index in indices]
    if labels is not None:
        rows = [[index, labels[index], dataset.classes[labels[index]]] for index in indices]
    rows = [[*row, *latent] for row, latent in zip(rows, latents, strict=True)]
    with outputs(FOLDER) as folder:
        write_csv(folder / TABLE.name, header(autoencoder.latent_size, labels is not None), rows)
        np.save(folder / "images.npy", images[indices])
        selection = {"dataset": dataset.name, "classes": dataset.classes, "split": p.split, "selection": p.selection}
        write_json(folder / COLORS.name, colors)
        write_json(folder / SELECTION.name, selection | {"count": len(indices)})
    print(f"extract: {TABLE}, {len(indices)} {p.split} images, {autoencoder.latent_size} numbers each")


if __name__ == "__main__":
    run(main)
