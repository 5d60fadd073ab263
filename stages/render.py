"""render: reconstruct a few images after each epoch.

Reads  data/train/checkpoints/, loss.csv, data/download/{train|test}_images.npy, dataset.json
Writes data/render/reconstructions/1.png … (one per epoch), reconstructions.png (all epochs on one sheet)
"""

from stages.shared.runtime.run import run

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32
from stages.shared.figure import new_figure, show_grid, write_png
from stages.shared.images.dataset import DatasetInfo, Split, read_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.history import checkpoint, read_history
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError, corrupt_file
from stages.shared.runtime.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/render")
TILE = 1.1  # inches per picture


class Params(params.Section):
    """The images to reconstruct: those at `indices`, or if it is empty, the first `count` images of the split."""

    split: Split
    indices: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100)] | None
    count: int = Field(ge=1, le=100)


def choose_indices(p: Params, images: int) -> list[int]:
    """Choose the indices of the images to show; `images` is the number of images in the split.

    Raises `InputError` if an index is too large.
    """
    if p.indices is None and p.count > images:
        print(f"render: shows all images of the {p.split} split ({images}), fewer than render.count ({p.count})")
    indices = list(range(min(p.count, images))) if p.indices is None else p.indices
    if max(indices) >= images:
        raise InputError(f"params.yaml: render.indices: expected indices below {images}, got {max(indices)}")
    return indices


def draw_rows(rows: Sequence[tuple[str, Float32]], indices: Sequence[int], title: str) -> "Figure":
    """Draw one row of pictures for each of `rows`.

    A row is a label and pictures, float32 [N, height, width, channels] in [0, 1]. `indices` are the column labels.
    """
    labels, pictures = zip(*rows, strict=True)
    count, height, width, _ = pictures[0].shape
    figure = new_figure(TILE * count + 1.2, TILE * len(rows) * height / width + 0.7, "constrained")
    axes = figure.subplots()
    show_grid(axes, np.stack(pictures), labels, [f"#{index}" for index in indices])
    axes.tick_params(labeltop=True, labelbottom=False)
    figure.suptitle(title)
    return figure


def read_checkpoints(epochs: list[int]) -> list[Autoencoder]:
    """Read the checkpoint of each of the epochs; raises `InputError` if their image sizes differ."""
    autoencoders = [Autoencoder.read(checkpoint(epoch)) for epoch in epochs]
    for epoch, autoencoder in zip(epochs, autoencoders, strict=True):
        if autoencoder.size != autoencoders[0].size:
            raise corrupt_file(checkpoint(epoch), f"the height, width and channels of {checkpoint(epochs[0]).name}")
    return autoencoders


def main() -> None:
    p = params.read("render", Params)
    dataset = DatasetInfo.read()
    history = read_history()
    autoencoders = read_checkpoints(history.kept)
    images = read_images(p.split, autoencoders[0].size)
    indices = choose_indices(p, len(images))
    chosen = images[indices]  # uint8 [count, height, width, channels]
    original = ("original", np.divide(chosen, 255, dtype=np.float32))
    of = f"{dataset.name}, {p.split} images"
    epochs = []
    with outputs(FOLDER) as folder:
        (folder / "reconstructions").mkdir()
        for epoch, autoencoder in zip(history.kept, autoencoders, strict=True):
            loss = history.losses[epoch - 1].after
            reconstructions = autoencoder.decode(autoencoder.encode(chosen))
            pair = [original, ("reconstruction", reconstructions)]
            figure = draw_rows(pair, indices, f"{of}, epoch {epoch}: {history.split} loss {loss:.4f}")
            write_png(figure, folder / "reconstructions" / f"{epoch}.png")
            epochs.append((f"epoch {epoch}\nloss {loss:.4f}", reconstructions))
        sheet = draw_rows([original, *epochs], indices, f"{of} and their reconstructions")
        write_png(sheet, folder / "reconstructions.png")
    after = (
        f"each of {len(epochs)}" if len(epochs) == len(history.losses) else f"{len(epochs)} of {len(history.losses)}"
    )
    print(f"render: {FOLDER / 'reconstructions.png'}, {len(chosen)} {p.split} images after {after} epochs")


if __name__ == "__main__":
    run(main)
