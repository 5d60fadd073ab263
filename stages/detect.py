"""detect: anomaly detection by reconstruction error; each class in turn is the normal one, or the only abnormal one.

Trains an autoencoder on the normal images of each task, by a short form of the recipe `components`.

Reads  data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json, data/extract/colors.json
Writes data/detect/detect.csv (one row per class and method), means.csv (one row per method), roc.png, histogram.png
       (errors and threshold), abnormal.png (images, reconstructions and their differences)
"""

from stages.shared.runtime.run import run

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Float64, Uint8, Uint16
from stages.shared.figure import new_figure, show_grid, text_figure, wrap, write_png
from stages.shared.formats import write_csv
from stages.shared.images.dataset import SPLITS, DatasetInfo, LabeledImages, read_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.palette import read_colors
from stages.shared.runtime import params
from stages.shared.runtime.outputs import outputs
from stages.shared.scores.baselines import MeanImage, PcaBaseline
from stages.shared.scores.detection import Bools, Detection, by_error, by_neighbor, by_svm, detect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/detect")
AUTOENCODER = "autoencoder"
NAMES = {  # on pictures, with the components of PCA
    AUTOENCODER: "autoencoder, {0} latents",
    "mean_image": "mean image",
    "pca": "PCA, {0} components",
    "pca_32": "PCA, 32 components",
    "one_class_svm": "one-class SVM",
    "nearest_pixels": "nearest image, by pixels",
}
WIDE = 32  # components of the larger PCA
MIN_IMAGES = 3  # training images of a class: two to fit, one to hold out
MAX_SHOWN = 10  # classes in a picture
PICTURES = "roc.png", "histogram.png", "abnormal.png"
COMPONENTS = 48  # or `latent_size`, if that is larger
DIFFERENCE = "inferno"  # the colormap
NORMAL, ABNORMAL = "tab:blue", "tab:red"


class Params(params.Section):
    """Which classes are normal, the autoencoders' size and length of training, and how the threshold is set."""

    normal: Literal["one", "rest"]
    latent_size: int = Field(ge=1, le=10_000)
    steps: int = Field(ge=10, le=1_000_000)
    held_out: float = Field(gt=0, lt=1)
    quantile: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True)
class Part:
    """Training images of a class, uint8 [N, height, width, channels], in two parts.

    fit: images to train on.
    held_out: other images, whose scores set the threshold.
    """

    fit: Uint8
    held_out: Uint8


@dataclass(frozen=True)
class Task:
    """A detection task.

    Fields: the class it is named after, the labels of the normal classes, and which test images are abnormal, bool [N].
    """

    label: int
    normal: list[int]
    abnormal: Bools


@dataclass(frozen=True)
class Result:
    """Result of a task: scores of the test images, [N], and measures, both by method; and the trained autoencoder."""

    task: Task
    scores: dict[str, Float64]
    figures: dict[str, Detection]
    autoencoder: Autoencoder


def split_classes(images: Uint8, labels: Uint16, held_out: float, seed: int) -> dict[int, Part]:
    """Split the images of each class into `fit` and `held_out`; classes with too few images are left out.

    Returns the two parts of each class, by label.
    """
    random = np.random.default_rng(seed)
    parts = {}
    for label in np.unique(labels).tolist():
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(held_out * len(members))), len(members) - 2)
        if len(members) >= MIN_IMAGES:
            parts[label] = Part(images[np.sort(members[count:])], images[np.sort(members[:count])])
    return parts


def tasks(known: Sequence[int], test_labels: Uint16, normal: str) -> Iterator[Task]:
    """Yield one task for each class, if the test split has normal and abnormal images for it.

    known: labels of the classes with enough training images. normal: the param `detect.normal`.
    """
    for label in known:
        normals = [other for other in known if (other == label) == (normal == "one")]
        abnormal = (test_labels != label) == (normal == "one")
        if normals and abnormal.any() and not abnormal.all():
            yield Task(label, normals, abnormal)


Distances = Callable[[int, int | None], Float64]


def cached_distances(parts: Mapping[int, Part], test_images: Uint8, seed: int) -> Distances:
    """Return a cached function (label, other) of distances to the nearest training image of class `label`.

    The distances are those of the held-out images of class `other`, or of the test images if `other` is None. A class
    is normal in many tasks, so the cache avoids computing its distances again.
    """
    return cache(
        lambda label, other: by_neighbor(parts[label].fit, seed)(
            test_images if other is None else parts[other].held_out
        )
    )


def train(p: Params, images: Uint8) -> Autoencoder:
    """Train an autoencoder on images, by the recipe `components` (docs/components.md) with few steps."""
    from stages.shared.training.build import train_autoencoder

    recipe = {
        "components": max(COMPONENTS, p.latent_size),
        "layers": [256, 128],
        "latent_size": p.latent_size,
        "activation": "silu",
        "epochs": 1,
        "steps": p.steps,
        "batch_size": 64,
        "sign_flips": 800,
        "optimizer": "adam",
        "learning_rate": 0.003,
        "schedule": "one-cycle",
        "seed": p.seed,
    }
    return train_autoencoder(images, recipe)


def solve(task: Task, parts: Mapping[int, Part], test_images: Uint8, distances: Distances, p: Params) -> Result:
    """Fit every method to the normal images, and score the test images."""
    fit, held_out = (
        np.concatenate([getattr(parts[label], name) for label in task.normal]) for name in ("fit", "held_out")
    )
    autoencoder = train(p, fit)
    methods = {
        AUTOENCODER: by_error(autoencoder),
        "mean_image": by_error(MeanImage.fit(fit)),
        "pca": by_error(PcaBaseline.fit(fit, p.latent_size, p.seed)),
        f"pca_{WIDE}": by_error(PcaBaseline.fit(fit, WIDE, p.seed)),
        "one_class_svm": by_svm(fit, p.seed),
    }
    scores = {name: (score(test_images), score(held_out)) for name, score in methods.items()}
    scores["nearest_pixels"] = (
        np.min([distances(label, None) for label in task.normal], axis=0),
        np.concatenate([np.min([distances(label, other) for label in task.normal], axis=0) for other in task.normal]),
    )
    figures = {name: detect(test, task.abnormal, normal, p.quantile) for name, (test, normal) in scores.items()}
    return Result(task, {name: test for name, (test, _) in scores.items()}, figures, autoencoder)


def find(p: Params, dataset: DatasetInfo, train_set: LabeledImages, test: LabeledImages) -> list[Result]:
    """Solve the task of each class, and print its result. Returns an empty list if there are fewer than two classes."""
    if train_set.labels is None or test.labels is None:
        return []
    parts = split_classes(train_set.images, train_set.labels, p.held_out, p.seed)
    distances = cached_distances(parts, test.images, p.seed)
    results = []
    for task in tasks(list(parts), test.labels, p.normal):
        results.append(solve(task, parts, test.images, distances, p))
        auroc = results[-1].figures[AUTOENCODER].auroc
        print(
            f"detect: {dataset.classes[task.label]} is {'' if p.normal == 'one' else 'ab'}normal: AUROC {auroc:.3f}",
            flush=True,
        )
    if 0 < len(results) < len(dataset.classes):
        left_out = len(dataset.classes) - len(results)
        print(f"detect: left out {left_out} classes, because they have too few images, or none in one split")
    return results


def means(results: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """For each method, compute the means over all classes of AUROC, precision and recall."""
    value: dict[str, dict[str, float | None]] = {}
    for method in results[0].figures if results else ():
        scores = [result.figures[method] for result in results]
        precisions = [score.precision for score in scores if score.precision is not None]
        value[method] = {
            "auroc": float(np.mean([score.auroc for score in scores])),
            "precision": float(np.mean(precisions)) if precisions else None,
            "recall": float(np.mean([score.recall for score in scores])),
        }
    return value


HEADER = ["dataset", "normal", "class", "method", "auroc", "threshold", "precision", "recall"]
MEANS_HEADER = ["dataset", "normal", "method", "auroc", "precision", "recall"]


def rows(dataset: DatasetInfo, normal: str, results: Sequence[Result]) -> list[list[object]]:
    """Make the rows of `detect.csv`: one for each class and method."""
    return [
        [dataset.name, normal, dataset.classes[result.task.label], method, *figures]
        for result in results
        for method, figures in result.figures.items()
    ]


def title(dataset: DatasetInfo, normal: str) -> str:
    return f"{dataset.name}: one class at a time is {'normal' if normal == 'one' else 'abnormal'}"


def draw_roc(dataset: DatasetInfo, p: Params, results: Sequence[Result], colors: Sequence[str]) -> "Figure":
    """Plot the autoencoder's ROC curve for each class, and the mean curve of every method."""
    from sklearn.metrics import roc_curve

    rates = np.linspace(0, 1, 201)
    figure = new_figure(10.5, 5.2, "constrained")
    figure.suptitle(f"{title(dataset, p.normal)}: ROC curves on the test images")
    left, right = figure.subplots(1, 2)
    for result in sorted(results[:MAX_SHOWN], key=lambda result: -result.figures[AUTOENCODER].auroc):
        name = shorten(dataset.classes[result.task.label], 24, placeholder="…")
        left.plot(
            *roc_curve(result.task.abnormal, result.scores[AUTOENCODER])[:2],
            linewidth=1.2,
            color=colors[result.task.label],
            label=f"{result.figures[AUTOENCODER].auroc:.3f}  {name}",
        )
    means = {method: np.mean([result.figures[method].auroc for result in results]) for method in results[0].scores}
    for method, mean in sorted(means.items(), key=lambda pair: -pair[1]):
        curves = [np.interp(rates, *roc_curve(result.task.abnormal, result.scores[method])[:2]) for result in results]
        ours = {"linewidth": 2.5, "color": "black"} if method == AUTOENCODER else {"linewidth": 1.2}
        name = NAMES[method].format(results[0].autoencoder.latent_size)
        right.plot([0, *rates], [0, *np.mean(curves, axis=0)], label=f"{mean:.3f}  {name}", **ours)
    for axes, text in ((left, "the autoencoder, by class"), (right, "mean over the classes")):
        axes.plot([0, 1], [0, 1], color="lightgray", linewidth=1, zorder=0)
        axes.set(
            xlabel="share of normal images called abnormal", ylabel="share of abnormal images found", aspect="equal"
        )
        axes.set_title(text, fontsize="medium", color="dimgray")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(title="AUROC", loc="lower right", fontsize="small", alignment="left")
    return figure


def draw_histograms(dataset: DatasetInfo, p: Params, results: Sequence[Result]) -> "Figure":
    """Plot histograms of the errors of normal and abnormal test images, with the threshold."""
    shown = results[:MAX_SHOWN]
    columns = min(len(shown), 5)
    down = -(-len(shown) // columns)
    figure = new_figure(max(2.6 * columns, 7), 2.1 * down + 1.2, "constrained")
    grid = figure.subplots(down, columns, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, result in zip(grid, shown, strict=False):
        errors, ours = result.scores[AUTOENCODER], result.figures[AUTOENCODER]
        bins = np.linspace(0, np.quantile(errors, 0.995), 60)
        for members, color, text in (
            (~result.task.abnormal, NORMAL, "normal"),
            (result.task.abnormal, ABNORMAL, "abnormal"),
        ):
            axes.hist(errors[members], bins, density=True, color=color, alpha=0.55, label=text)
        axes.axvline(
            ours.threshold,
            color="black",
            linewidth=1,
            label=f"threshold: the {p.quantile:g} quantile of held-out normal images",
        )
        axes.set_title(f"{dataset.classes[result.task.label]:.16}", fontsize="medium")
        found_share = "–" if ours.precision is None else f"{ours.precision:.2f}"
        axes.text(
            0.97,
            0.95,
            f"precision {found_share}\nrecall {ours.recall:.2f}",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize="small",
            color="dimgray",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},  # the threshold may be behind
        )
        axes.set_yticks([])
        axes.locator_params("x", nbins=4)
        axes.tick_params(labelsize="small")
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"{title(dataset, p.normal)}; test images by their mean squared error per pixel")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_examples(dataset: DatasetInfo, p: Params, results: Sequence[Result], test: LabeledImages) -> "Figure":
    """Draw for each class the abnormal image with the highest score, the first false alarm and a missed anomaly.

    Each has its reconstruction and the absolute difference.
    """
    from matplotlib.cm import ScalarMappable

    shown = results[:MAX_SHOWN]
    row = 3 * 0.95 * test.images.shape[1] / test.images.shape[2]  # inches
    figure = new_figure(max(0.98 * len(shown) + 1.5, 6), 3 * (row + 0.75) + 0.4, "constrained")
    figure.suptitle(f"{title(dataset, p.normal)} (the class in color); below each image its class and its error")
    kinds = {  # whether the image is abnormal, and its rank by error
        "abnormal with the largest error: found first": (True, -1),
        "normal with the largest error: the first false alarm": (False, -1),
        "abnormal with the smallest error: missed": (True, 0),
    }
    panels = figure.subplots(3)
    for axes, (text, (abnormal, rank)) in zip(panels, kinds.items(), strict=True):
        columns, captions = [], []
        for result in shown:
            candidates = np.flatnonzero(result.task.abnormal == abnormal)
            place = candidates[np.argsort(result.scores[AUTOENCODER][candidates], kind="stable")[rank]]
            columns.append(explained(result.autoencoder, test.images[place]))
            name = "" if test.labels is None else f"{wrap(dataset.classes[test.labels[place]], 12)}\n"
            captions.append(f"{name}{result.scores[AUTOENCODER][place]:.3f}")
        show_grid(axes, np.stack(columns, axis=1), ["image", "reconstruction", "difference"], captions)
        axes.tick_params(labelsize=9)
        axes.set_title(text, fontsize="medium", color="dimgray", pad=20)
        heads = axes.secondary_xaxis("top")
        heads.set_xticks(axes.get_xticks(), [wrap(dataset.classes[result.task.label], 12) for result in shown])
        heads.tick_params(length=0, labelsize=9, labelcolor=NORMAL if p.normal == "one" else ABNORMAL)
        heads.spines[:].set_visible(False)
    scale = figure.colorbar(ScalarMappable(cmap=DIFFERENCE), ax=panels, shrink=0.3, aspect=25, pad=0.01)
    scale.set_label("absolute difference of pixels in [0, 1]")
    return figure


def explained(autoencoder: Autoencoder, image: Uint8) -> Float32:
    """Stack an image, its reconstruction, and their absolute difference: [3, height, width, 3].

    The difference is in colors from black (none) to yellow.
    """
    import matplotlib

    pixels = image / np.float32(255)  # [height, width, channels]
    reconstruction = autoencoder.decode(autoencoder.encode(image))[0]
    where = matplotlib.colormaps[DIFFERENCE](np.abs(pixels - reconstruction).mean(axis=2))[..., :3]
    return np.stack([*(np.broadcast_to(result, where.shape) for result in (pixels, reconstruction)), where])


def draw_pictures(
    dataset: DatasetInfo, p: Params, results: Sequence[Result], test: LabeledImages, colors: Sequence[str]
) -> "dict[str, Figure]":
    """Draw all pictures, by file name. If there are no results, each picture is a line of text that says so."""
    if not results:
        nothing = f"{dataset.name}: needs two classes, a normal and an abnormal one"
        return {name: text_figure(nothing) for name in PICTURES}
    figures = (
        draw_roc(dataset, p, results, colors),
        draw_histograms(dataset, p, results),
        draw_examples(dataset, p, results, test),
    )
    return dict(zip(PICTURES, figures, strict=True))


def main() -> None:
    p = params.read("detect", Params)
    dataset = DatasetInfo.read()
    size = read_images("train").shape[1:]
    train_set, test = (LabeledImages.read(split, size, len(dataset.classes)) for split in SPLITS)
    colors = read_colors(len(dataset.classes))["light"]
    with outputs(FOLDER) as folder:
        results = find(p, dataset, train_set, test)
        average = means(results)
        over_classes = [[dataset.name, p.normal, method, *result.values()] for method, result in average.items()]
        write_csv(folder / "means.csv", MEANS_HEADER, over_classes)
        write_csv(folder / "detect.csv", HEADER, rows(dataset, p.normal, results))
        for name, picture in draw_pictures(dataset, p, results, test, colors).items():
            write_png(picture, folder / name)
    if average:
        of_each = (f"{method.replace('_', ' ')} {result['auroc']:.3f}" for method, result in average.items())
        print(f"detect: mean AUROC over {len(results)} class{'es' * (len(results) > 1)}: {', '.join(of_each)}")


if __name__ == "__main__":
    run(main)
