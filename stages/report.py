"""report: the evaluation as pictures.

Reads  data/evaluate/errors.npy, confusion.csv, data/train/autoencoder.safetensors, data/download/test_images.npy,
       test_labels.npy, dataset.json
Writes data/report/examples.png (the best and the worst reconstructed test images), confusion.png
"""

from stages.shared.process.run import run

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float64, Int64, Uint8, Uint16
from stages.shared.figure import draw_nothing, new_figure, show_grid, write_png
from stages.shared.formats import read_array, read_csv
from stages.shared.images.dataset import Dataset, read_images, read_labels
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process import params
from stages.shared.process.errors import InputError, damaged
from stages.shared.process.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERRORS = Path("data/evaluate/errors.npy")
CONFUSION = Path("data/evaluate/confusion.csv")
FOLDER = Path("data/report")
MOST_LABELS = 40  # classes along a side of the confusion matrix that all have their names


class Params(params.Section):
    """How many of the best reconstructed images are shown, and as many of the worst."""

    examples: int = Field(ge=1, le=20)


def read_confusion(classes: list[str]) -> Int64:
    """The images of each actual and predicted class, int64 [actual, predicted]; raises `InputError`."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    place = {name: label for label, name in enumerate(classes)}
    rows = read_csv(CONFUSION, ["dataset", "actual", "predicted", "count", "share"], least=0)
    if len(rows) % max(len(classes), 1):
        raise damaged(CONFUSION, f"{len(classes)} rows for each actual class, got {len(rows)} in all")
    for row in rows:
        try:
            counts[place[row["actual"]], place[row["predicted"]]] = int(row["count"])
        except (KeyError, ValueError, OverflowError):
            raise damaged(CONFUSION, f"the classes of this data set and counts, got {','.join(row.values())}") from None
    return counts


def draw_confusion(of: Dataset, confusion: Int64) -> "Figure":
    """The confusion matrix: in each row, an actual class, the percentage of its test images predicted as each class."""
    totals = confusion.sum(axis=1, keepdims=True)
    percent = 100 * confusion / np.maximum(totals, 1)  # [actual, predicted]
    count = len(of.classes)
    side = min(max(0.62 * count, 3), 24)  # inches
    figure = new_figure(side + 2.2, side + 1.6, "constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    size = min(10, 72 * side / count * 0.7)  # points, of text that fits into a row
    every = -(-count // MOST_LABELS)
    names = [f"{name:.24}" for name in of.classes[::every]]
    ticks, label_size = range(0, count, every), min(10, size * every)
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=label_size)
    axes.set_yticks(ticks, names, fontsize=label_size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("actual class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    rounded = (percent + 0.5).astype(int)
    for actual, predicted in zip(*np.nonzero(rounded), strict=True) if every == 1 else ():
        color = "white" if percent[actual, predicted] > 50 else "black"
        text = str(rounded[actual, predicted])
        axes.text(predicted, actual, text, ha="center", va="center", color=color, fontsize=size)
    figure.colorbar(picture, shrink=0.8, aspect=30, label="% of the actual class").outline.set_visible(False)
    figure.suptitle(f"{of.name}: the class predicted by the nearest training latents")
    accuracy = confusion.trace() / confusion.sum()
    axes.set_title(f"{100 * accuracy:.1f} % of the test images right", fontsize="medium", color="dimgray")
    return figure


def draw_examples(
    of: Dataset, images: Uint8, labels: Uint16 | None, autoencoder: Autoencoder, errors: Float64, count: int
) -> "Figure":
    """The `count` best and the `count` worst reconstructed test images, each over its reconstruction and its error."""
    order = np.argsort(errors, kind="stable")
    row = 2.1 * autoencoder.height / autoencoder.width + 0.9  # inches
    figure = new_figure(max(1.05 * count + 1.5, 5), 2 * row + 0.4, "constrained")
    figure.suptitle(f"{of.name}: best and worst reconstructed test images")
    for axes, title, indices in zip(
        figure.subplots(2), ["best", "worst"], [order[:count], order[::-1][:count]], strict=True
    ):
        chosen = images[indices]
        # [2, count, height, width, channels]
        pairs = np.stack([chosen / 255, autoencoder.decode(autoencoder.encode(chosen))])
        names = [f"#{index}" if labels is None else f"{of.classes[labels[index]]:.14}" for index in indices]
        captions = [f"{name}\n{errors[index]:.4f}" for name, index in zip(names, indices, strict=True)]
        show_grid(axes, pairs, ["image", "reconstruction"], captions)
        axes.tick_params(labelsize=9)
        axes.set_title(f"{title}, by mean squared error per pixel", fontsize="medium", color="dimgray")
    return figure


def main() -> None:
    p = params.read("report", Params)
    of = Dataset.read()
    autoencoder = Autoencoder.read()
    images = read_images("test", autoencoder.size)
    labels = read_labels("test", len(images), len(of.classes))
    errors: Float64 = read_array(ERRORS, np.float64, (len(images),))
    if not np.isfinite(errors).all():
        raise damaged(ERRORS, "finite errors")
    confusion = read_confusion(of.classes)
    if confusion.sum() != (len(images) if len(of.classes) > 1 else 0):
        raise damaged(CONFUSION, f"the classes of {len(images)} test images, got those of {confusion.sum()}")
    if p.examples > len(images):
        raise InputError(
            f"params.yaml: report.examples: expected at most {len(images)}, the test images, got {p.examples}"
        )
    with outputs(FOLDER) as folder:
        picture = (
            draw_confusion(of, confusion) if confusion.any() else draw_nothing(f"{of.name}: no classes to confuse")
        )
        write_png(picture, folder / "confusion.png")
        write_png(draw_examples(of, images, labels, autoencoder, errors, p.examples), folder / "examples.png")


if __name__ == "__main__":
    run(main)
