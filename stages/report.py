"""report: plot the results of evaluate.

Reads  data/evaluate/errors.npy, confusion.csv, data/train/autoencoder.safetensors, data/download/test_images.npy,
       test_labels.npy, pictures.csv, dataset.json, data/extract/colors.json
Writes data/report/examples.png (the best and the worst reconstructed test images), confusion.png
"""

from stages.shared.runtime.run import run

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float64, Int64
from stages.shared.figure import new_figure, show_grid, text_figure, wrap, write_png
from stages.shared.formats import read_array, read_csv
from stages.shared.images.dataset import DatasetInfo, LabeledImages
from stages.shared.images.pictures import Pictures, variances
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.palette import read_colors
from stages.shared.runtime import params
from stages.shared.runtime.errors import corrupt_file
from stages.shared.runtime.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERRORS = Path("data/evaluate/errors.npy")
CONFUSION = Path("data/evaluate/confusion.csv")
FOLDER = Path("data/report")
MAX_LABELS = 40  # classes of the confusion matrix up to which all have their names


class Params(params.Section):
    """Number of best and of worst reconstructed images in the picture."""

    examples: int = Field(ge=1, le=20)


def read_confusion(classes: list[str]) -> Int64:
    """Read the confusion matrix, int64 [actual, predicted]; raises `InputError`."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    place = {name: label for label, name in enumerate(classes)}
    rows = read_csv(CONFUSION, ["dataset", "actual", "predicted", "count", "share"], min_rows=0)
    if len(rows) % max(len(classes), 1):
        raise corrupt_file(CONFUSION, f"{len(classes)} rows for each actual class, got {len(rows)} in all")
    for row in rows:
        try:
            counts[place[row["actual"]], place[row["predicted"]]] = int(row["count"])
        except (KeyError, ValueError, OverflowError):
            raise corrupt_file(
                CONFUSION, f"classes of this data set and counts, got {','.join(row.values())}"
            ) from None
    return counts


def draw_confusion(dataset: DatasetInfo, confusion: Int64, colors: Sequence[str]) -> "Figure":
    """Plot the confusion matrix in percent of the test images of each actual class, one per row."""
    totals = confusion.sum(axis=1, keepdims=True)
    percent = 100 * confusion / np.maximum(totals, 1)  # [actual, predicted]
    count = len(dataset.classes)
    side = min(max(0.62 * count, 3), 24)  # inches
    figure = new_figure(side + 2.2, side + 1.6, "constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    size = min(10, 72 * side / count * 0.7)  # points, so that text fits into a row
    every = -(-count // MAX_LABELS)
    names = [fill(name, 24) for name in dataset.classes[::every]]
    ticks, label_size = range(0, count, every), min(10, size * every)
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=label_size)
    axes.set_yticks(ticks, names, fontsize=label_size)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, color in zip(labels, colors[:count:every], strict=True):
            label.set_color(color)
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
    figure.suptitle(f"{dataset.name}: the class predicted by the nearest training latents")
    right, largest = 100 * confusion.trace() / confusion.sum(), 100 * totals.max() / confusion.sum()
    text = f"{right:.1f} % of the test images right; the largest class is {largest:.1f} %"
    blank = "; blank: less than 0.5 %" if every == 1 else ""
    axes.set_title(text + blank, fontsize="medium", color="dimgray")
    return figure


def draw_examples(
    dataset: DatasetInfo,
    test: LabeledImages,
    files: Sequence[str],
    autoencoder: Autoencoder,
    errors: Float64,
    count: int,
) -> "Figure":
    """Draw the `count` best and `count` worst reconstructed test images, with their reconstructions.

    The rank is by error / variance of the image, because images of nearly one color always have a small error. Images
    of exactly one color have no rank. The label of an image is the share of the variance that is lost.
    """
    spread = variances(test.images)
    ranked = np.flatnonzero(spread)
    if not len(ranked):
        return text_figure(f"{dataset.name}: each test image is of a single color")
    lost = errors[ranked] / spread[ranked]
    order = np.argsort(lost, kind="stable")
    count = min(count, len(ranked))
    row = 2.1 * autoencoder.height / autoencoder.width + (1.1 if files else 0.9)  # inches
    figure = new_figure(max(1.05 * count + 1.5, 5), 2 * row + 0.4, "constrained")
    figure.suptitle(f"{dataset.name}: best and worst reconstructed test images")
    for axes, title, places in zip(
        figure.subplots(2), ["best", "worst"], [order[:count], order[::-1][:count]], strict=True
    ):
        chosen = test[ranked[places]]
        # [2, count, height, width, channels]
        pairs = np.stack([chosen.images / 255, autoencoder.decode(autoencoder.encode(chosen.images))])
        captions = []
        for i, index in enumerate(ranked[places]):
            names = [] if chosen.labels is None else [wrap(dataset.classes[chosen.labels[i]])]
            names += [_tail(files[index])] if files else []
            captions.append("\n".join([*(names or [f"#{index}"]), f"{lost[places[i]]:.0%}"]))
        show_grid(axes, pairs, ["image", "reconstruction"], captions)
        axes.tick_params(labelsize=9)
        axes.set_title(f"{title}, by the share of an image's variance that is lost", fontsize="medium", color="dimgray")
    return figure


def _tail(file: str, most: int = 14) -> str:
    """Return a file name; if it is longer than `most` characters, only its end."""
    name = file.rsplit("/", 1)[-1]
    return name if len(name) <= most else f"…{name[1 - most :]}"


def main() -> None:
    p = params.read("report", Params)
    dataset = DatasetInfo.read()
    autoencoder = Autoencoder.read()
    test = LabeledImages.read("test", autoencoder.size, len(dataset.classes))
    images = test.images
    files = Pictures.read("test", range(len(images))).files
    errors: Float64 = read_array(ERRORS, np.float64, (len(images),))
    if not np.isfinite(errors).all():
        raise corrupt_file(ERRORS, "finite errors")
    confusion = read_confusion(dataset.classes)
    if confusion.sum() > (len(images) if len(dataset.classes) > 1 else 0):
        raise corrupt_file(CONFUSION, f"counts of at most {len(images)} test images, got {confusion.sum()}")
    colors = read_colors(len(dataset.classes))["light"]
    if p.examples > len(images):
        print(f"report: shows all test images ({len(images)}), fewer than report.examples ({p.examples})")
    with outputs(FOLDER) as folder:
        picture = (
            draw_confusion(dataset, confusion, colors)
            if confusion.any()
            else text_figure(f"{dataset.name}: no classes to predict")
        )
        write_png(picture, folder / "confusion.png")
        write_png(draw_examples(dataset, test, files, autoencoder, errors, p.examples), folder / "examples.png")
    print(f"report: {FOLDER / 'examples.png'}, confusion.png")


if __name__ == "__main__":
    run(main)
