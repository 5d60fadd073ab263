"""render: what the autoencoder makes of a few images, epoch by epoch.

Reads  data/train/checkpoints/, loss.csv, data/download/{train|test}_images.npy, classes.json
Writes data/render/reconstructions/1.png … one an epoch, and reconstructions.png, all the epochs on one sheet
"""

from stages.shared.command import run

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from stages.shared import params
from stages.shared.autoencoder import Autoencoder, Float32
from stages.shared.dataset import Classes, read_images
from stages.shared.errors import InputError
from stages.shared.figure import show_grid, write_png
from stages.shared.files import damaged, outputs
from stages.shared.history import checkpoint, read_history

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOWNLOAD = Path("data/download")
FOLDER = Path("data/render")
TILE = 1.1  # inches a picture


class Params(params.Section):
    """Which images: those at `indices`, or else the first `count` of the split."""

    split: Literal["train", "test"]
    count: int = Field(ge=1, le=100)
    indices: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100)] | None


def choose(p: Params, images: int) -> list[int]:
    """The indices to show, out of so many `images`; raises `InputError` where there are too few."""
    if p.indices is None and p.count > images:
        raise InputError(f"params.yaml: render.count: expected at most {images}, the images, got {p.count}")
    indices = list(range(p.count)) if p.indices is None else p.indices
    if max(indices) >= images:
        raise InputError(f"params.yaml: render.indices: expected indices below {images}, got {max(indices)}")
    return indices


def draw_rows(rows: Sequence[tuple[str, Float32]], indices: Sequence[int], title: str) -> "Figure":
    """A labelled row of pictures, float32 [N, height, width] in [0, 1], for each of `rows`, under the `indices`."""
    from matplotlib.figure import Figure

    labels, pictures = zip(*rows, strict=True)
    count, height, width = pictures[0].shape
    figure = Figure((TILE * count + 1.2, TILE * len(rows) * height / width + 0.7), layout="constrained")
    axes = figure.subplots()
    show_grid(axes, np.stack(pictures), labels, [f"#{index}" for index in indices])
    axes.tick_params(labeltop=True, labelbottom=False)
    figure.suptitle(title)
    return figure


def read_checkpoints(count: int) -> list[Autoencoder]:
    """The autoencoder after each of `count` epochs; raises `InputError` where they aren't of images of one size."""
    autoencoders = [Autoencoder.read(checkpoint(epoch)) for epoch in range(1, count + 1)]
    for epoch, autoencoder in enumerate(autoencoders, start=1):
        if (autoencoder.height, autoencoder.width) != (autoencoders[0].height, autoencoders[0].width):
            raise damaged(checkpoint(epoch), f"the height and width of {checkpoint(1).name}")
    return autoencoders


def main() -> None:
    p = params.read("render", Params)
    classes = Classes.read(DOWNLOAD / "classes.json")
    history = read_history()
    autoencoders = read_checkpoints(len(history))
    images = read_images(DOWNLOAD / f"{p.split}_images.npy", autoencoders[0].height, autoencoders[0].width)
    indices = choose(p, len(images))
    chosen = images[indices]  # uint8 [count, height, width]
    original = ("original", np.divide(chosen, 255, dtype=np.float32))
    of = f"{classes.dataset}, {p.split} images"
    epochs = []
    with outputs(FOLDER) as folder:
        (folder / "reconstructions").mkdir()
        for (epoch, _, loss), autoencoder in zip(history, autoencoders, strict=True):
            reconstructions = autoencoder.decode(autoencoder.encode(chosen))
            pair = [original, ("reconstruction", reconstructions)]
            figure = draw_rows(pair, indices, f"{of}, epoch {epoch}: test loss {loss:.4f}")
            write_png(figure, folder / "reconstructions" / f"{epoch}.png")
            epochs.append((f"epoch {epoch}\nloss {loss:.4f}", reconstructions))
        sheet = draw_rows([original, *epochs], indices, f"{of} and their reconstructions")
        write_png(sheet, folder / "reconstructions.png")


if __name__ == "__main__":
    run(main)
