"""render: what the autoencoder makes of a few images, epoch by epoch.

Reads  data/train/checkpoints/, loss.csv, data/download/{train|test}_images.npy, dataset.json
Writes data/render/reconstructions/1.png … one an epoch, and reconstructions.png, all the epochs on one sheet
"""

from stages.shared.process.run import run

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32
from stages.shared.figure import new_figure, show_grid, write_png
from stages.shared.images.dataset import Dataset, Split, read_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.history import checkpoint, read_history
from stages.shared.process import params
from stages.shared.process.errors import InputError, damaged
from stages.shared.process.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/render")
TILE = 1.1  # inches a picture


class Params(params.Section):
    """Which images: those at `indices`, or else the first `count` of the split."""

    split: Split
    indices: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100)] | None
    count: int = Field(ge=1, le=100)


def choose(p: Params, images: int) -> list[int]:
    """The indices to show, out of so many `images`; raises `InputError` where there are too few."""
    if p.indices is None and p.count > images:
        raise InputError(f"params.yaml: render.count: expected at most {images}, the images, got {p.count}")
    indices = list(range(p.count)) if p.indices is None else p.indices
    if max(indices) >= images:
        raise InputError(f"params.yaml: render.indices: expected indices below {images}, got {max(indices)}")
    return indices


def draw_rows(rows: Sequence[tuple[str, Float32]], indices: Sequence[int], title: str) -> "Figure":
    """A labelled row of pictures, float32 [N, height, width, channels] in [0, 1], for each of `rows`."""
    labels, pictures = zip(*rows, strict=True)
    count, height, width, _ = pictures[0].shape
    figure = new_figure(TILE * count + 1.2, TILE * len(rows) * height / width + 0.7, "constrained")
    axes = figure.subplots()
    show_grid(axes, np.stack(pictures), labels, [f"#{index}" for index in indices])
    axes.tick_params(labeltop=True, labelbottom=False)
    figure.suptitle(title)
    return figure


def read_checkpoints(count: int) -> list[Autoencoder]:
    """The autoencoder after each of `count` epochs; raises `InputError` where they aren't of images of one size."""
    autoencoders = [Autoencoder.read(checkpoint(epoch)) for epoch in range(1, count + 1)]
    for epoch, autoencoder in enumerate(autoencoders, start=1):
        if autoencoder.size != autoencoders[0].size:
            raise damaged(checkpoint(epoch), f"the height, width and channels of {checkpoint(1).name}")
    return autoencoders


def main() -> None:
    p = params.read("render", Params)
    dataset = Dataset.read()
    history = read_history()
    autoencoders = read_checkpoints(len(history.losses))
    images = read_images(p.split, autoencoders[0].size)
    indices = choose(p, len(images))
    chosen = images[indices]  # uint8 [count, height, width, channels]
    original = ("original", np.divide(chosen, 255, dtype=np.float32))
    of = f"{dataset.name}, {p.split} images"
    epochs = []
    with outputs(FOLDER) as folder:
        (folder / "reconstructions").mkdir()
        for (epoch, _, loss), autoencoder in zip(history.losses, autoencoders, strict=True):
            reconstructions = autoencoder.decode(autoencoder.encode(chosen))
            pair = [original, ("reconstruction", reconstructions)]
            figure = draw_rows(pair, indices, f"{of}, epoch {epoch}: {history.split} loss {loss:.4f}")
            write_png(figure, folder / "reconstructions" / f"{epoch}.png")
            epochs.append((f"epoch {epoch}\nloss {loss:.4f}", reconstructions))
        sheet = draw_rows([original, *epochs], indices, f"{of} and their reconstructions")
        write_png(sheet, folder / "reconstructions.png")


if __name__ == "__main__":
    run(main)
