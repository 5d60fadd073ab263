"""evaluate: how good the reconstructions and the latents are, against the mean image and PCA.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, classes.json
Writes data/evaluate/metrics.json, classes.csv, confusion.csv, confusion.png, examples.png
"""

from stages.shared.command import run

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stages.shared import params
from stages.shared.autoencoder import Autoencoder
from stages.shared.dataset import Classes, read_images, read_labels
from stages.shared.errors import InputError
from stages.shared.figure import show_grid, write_png
from stages.shared.files import Uint8, outputs, write_csv, write_json
from stages.shared.judgement import (
    Codec,
    Float64,
    Int64,
    MeanImage,
    Principal,
    collapsed,
    psnr,
    reconstruction_errors,
    trustworthiness,
    vote,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOWNLOAD = Path("data/download")
MODEL = Path("data/train/autoencoder.safetensors")
FOLDER = Path("data/evaluate")


class Params(params.Section):
    """How the latents are judged, and how many examples are shown."""

    neighbors: int = Field(ge=1, le=1000)
    sample: int = Field(ge=3, le=10_000)
    seed: int = Field(ge=0)
    examples: int = Field(ge=1, le=20)


@dataclass(frozen=True)
class Split:
    """Images, uint8 [N, height, width], and their labels, uint8 [N]."""

    images: Uint8
    labels: Uint8


@dataclass(frozen=True)
class Verdict:
    """What came of a codec on the test images."""

    collapsed: int
    errors: Float64  # [N], mean squared error per pixel of each image
    confusion: Int64  # [actual class, voted class]
    trustworthiness: float | None

    @property
    def mse(self) -> float:
        return float(self.errors.mean())

    @property
    def accuracy(self) -> float:
        return float(self.confusion.trace() / self.confusion.sum())


def check(p: Params, train: int, test: int) -> None:
    """Refuse what can't be computed from so few images; raises `InputError`."""
    if train < 2:
        raise InputError(
            f"{DOWNLOAD / 'train_images.npy'}: expected at least 2 images, to find PCA's components, got 1"
        )
    if test < 3:
        raise InputError(f"{DOWNLOAD / 'test_images.npy'}: expected at least 3 images, to have neighbours, got {test}")
    sampled = min(p.sample, test)
    most = min(train, (sampled - 1) // 2)
    if p.neighbors > most:
        raise InputError(
            f"params.yaml: evaluate.neighbors: expected at most {most}, since there are {train} training images and "
            f"trustworthiness needs less than half of its {sampled} test images, got {p.neighbors}"
        )
    if p.examples > test:
        raise InputError(f"params.yaml: evaluate.examples: expected at most {test}, the test images, got {p.examples}")


def judge(p: Params, codec: Codec, train: Split, test: Split, classes: int) -> Verdict:
    """Judge `codec` by its test errors, the class vote of the nearest training latents, and trustworthiness."""
    train_latents, latents = codec.encode(train.images), codec.encode(test.images)
    if not (np.isfinite(train_latents).all() and np.isfinite(latents).all()):
        raise InputError(f"{MODEL}: gives latents that are not finite; train again, with a smaller train.learning_rate")
    size = min(p.sample, len(latents))
    sample = np.sort(np.random.default_rng(p.seed).choice(len(latents), size, replace=False))
    return Verdict(
        collapsed=collapsed(latents),
        errors=reconstruction_errors(codec, test.images, latents),
        confusion=vote(train_latents, train.labels, latents, test.labels, p.neighbors, classes),
        trustworthiness=trustworthiness(test.images[sample], latents[sample], p.neighbors),
    )


def metrics(dataset: str, ours: Verdict, pca: Verdict, mean_image_mse: float) -> dict[str, Any]:
    """What `metrics.json` holds; null stands for a figure that is not finite, or means nothing."""
    return {
        "dataset": dataset,
        "test_mse": ours.mse,
        "psnr_db": psnr(ours.mse),
        "mean_image_mse": mean_image_mse,
        "mean_image_psnr_db": psnr(mean_image_mse),
        "pca_mse": pca.mse,
        "pca_psnr_db": psnr(pca.mse),
        "pca_error_removed": 1 - ours.mse / pca.mse if pca.mse > 0 else None,
        "knn_accuracy": ours.accuracy,
        "pca_knn_accuracy": pca.accuracy,
        "trustworthiness": ours.trustworthiness,
        "pca_trustworthiness": pca.trustworthiness,
        "collapsed_dimensions": ours.collapsed,
    }


CLASSES_HEADER = ["dataset", "class", "count", "mse", "accuracy", "pca_mse", "pca_accuracy"]
CONFUSION_HEADER = ["dataset", "actual", "voted", "count", "share"]


def class_rows(classes: Classes, labels: Uint8, ours: Verdict, pca: Verdict) -> list[list[object]]:
    """The rows of `classes.csv`, in label order; a class without test images has none."""
    rows: list[list[object]] = []
    for label in np.unique(labels):
        members = labels == label
        row = [classes.dataset, classes.names[label], members.sum()]
        for verdict in (ours, pca):
            row += [verdict.errors[members].mean(), verdict.confusion[label, label] / members.sum()]
        rows.append(row)
    return rows


def confusion_rows(classes: Classes, confusion: Int64) -> list[list[object]]:
    """The rows of `confusion.csv`, one for each two classes; `share` is of the actual class's images."""
    return [
        [classes.dataset, actual, voted, count, count / counts.sum()]
        for actual, counts in zip(classes.names, confusion, strict=True)
        for voted, count in zip(classes.names, counts, strict=True)
        if counts.any()
    ]


def draw_confusion(classes: Classes, verdict: Verdict, neighbors: int) -> "Figure":
    """The confusion matrix: in each row, an actual class, the percentage of its test images voted into each class."""
    from matplotlib.figure import Figure

    totals = verdict.confusion.sum(axis=1, keepdims=True)
    percent = 100 * verdict.confusion / np.maximum(totals, 1)  # [actual, voted]
    count = len(classes.names)
    side = min(max(0.62 * count, 3), 24)  # inches
    figure = Figure((side + 2.2, side + 1.6), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    size = min(10, 72 * side / count * 0.7)  # points, of text that fits into a row
    axes.set_xticks(range(count), classes.names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(count), classes.names, fontsize=size)
    axes.set_xlabel("voted class")
    axes.set_ylabel("actual class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    rounded = (percent + 0.5).astype(int)
    for actual, voted in zip(*np.nonzero(rounded), strict=True):
        color = "white" if percent[actual, voted] > 50 else "black"
        axes.text(voted, actual, str(rounded[actual, voted]), ha="center", va="center", color=color, fontsize=size)
    figure.colorbar(picture, shrink=0.8, aspect=30, label="% of the actual class").outline.set_visible(False)
    figure.suptitle(f"{classes.dataset}: the vote of the {neighbors} nearest training latents")
    axes.set_title(f"{100 * verdict.accuracy:.1f} % of the test images right", fontsize="medium", color="dimgray")
    return figure


def draw_examples(classes: Classes, test: Split, autoencoder: Autoencoder, errors: Float64, count: int) -> "Figure":
    """The `count` best and the `count` worst reconstructed test images, each over its reconstruction and its error."""
    from matplotlib.figure import Figure

    order = np.argsort(errors, kind="stable")
    row = 2.1 * autoencoder.height / autoencoder.width + 0.9  # inches
    figure = Figure((max(1.05 * count + 1.5, 5), 2 * row + 0.4), layout="constrained")
    figure.suptitle(f"{classes.dataset}: best and worst reconstructed test images")
    for axes, title, indices in zip(
        figure.subplots(2), ["best", "worst"], [order[:count], order[::-1][:count]], strict=True
    ):
        images = test.images[indices]
        pairs = np.stack([images / 255, autoencoder.decode(autoencoder.encode(images))])  # [2, count, height, width]
        names = [
            f"{classes.names[label]:.14}\n{errors[index]:.4f}"
            for index, label in zip(indices, test.labels[indices], strict=True)
        ]
        show_grid(axes, pairs, ["image", "reconstruction"], names)
        axes.tick_params(labelsize=9)
        axes.set_title(f"{title}, by mean squared error per pixel", fontsize="medium", color="dimgray")
    return figure


def main() -> None:
    p = params.read("evaluate", Params)
    classes = Classes.read(DOWNLOAD / "classes.json")
    autoencoder = Autoencoder.read(MODEL)
    train, test = (_read_split(name, autoencoder, classes) for name in ("train", "test"))
    check(p, len(train.images), len(test.images))
    mean_image = MeanImage.fit(train.images)
    mean_image_errors = reconstruction_errors(mean_image, test.images, mean_image.encode(test.images))
    pca = Principal.fit(train.images, autoencoder.latent_size, p.seed)
    ours, linear = (judge(p, codec, train, test, len(classes.names)) for codec in (autoencoder, pca))

    import matplotlib

    # Plain text, since a class name may hold two $.
    with outputs(FOLDER) as folder, matplotlib.rc_context({"text.parse_math": False}):
        write_json(folder / "metrics.json", metrics(classes.dataset, ours, linear, float(mean_image_errors.mean())))
        write_csv(folder / "classes.csv", CLASSES_HEADER, class_rows(classes, test.labels, ours, linear))
        write_csv(folder / "confusion.csv", CONFUSION_HEADER, confusion_rows(classes, ours.confusion))
        write_png(draw_confusion(classes, ours, p.neighbors), folder / "confusion.png")
        write_png(draw_examples(classes, test, autoencoder, ours.errors, p.examples), folder / "examples.png")


def _read_split(name: str, autoencoder: Autoencoder, classes: Classes) -> Split:
    images = read_images(DOWNLOAD / f"{name}_images.npy", autoencoder.height, autoencoder.width)
    return Split(images, read_labels(DOWNLOAD / f"{name}_labels.npy", len(images), len(classes.names)))


if __name__ == "__main__":
    run(main)
