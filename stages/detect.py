"""detect: what is abnormal, found by its reconstruction error; each class in turn is what is normal, or what is not.

Reads  data/train/autoencoder.safetensors (whose recipe is trained anew, on normal images alone),
       data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/detect/metrics.json (means over the classes), detect.csv (a row a class and method), roc.png, histogram.png
       (of the errors, with the threshold), abnormal.png (images, their reconstruction, and where it is wrong)
"""

from stages.shared.process.run import run

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Float64, Uint8, Uint16
from stages.shared.figure import draw_nothing, new_figure, show_grid, write_png
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import SPLITS, Dataset, Labelled
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process import params, waiting
from stages.shared.process.outputs import outputs
from stages.shared.scores.baselines import MeanImage, PcaBaseline
from stages.shared.scores.detection import Bools, Detection, by_error, by_neighbor, by_svm, detect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/detect")
OURS = "autoencoder"
WIDE = 32  # components of the PCA that is not as small as our latents
LEAST = 3  # training images of a class: two to fit to, one to hold out
SHOWN = 10  # classes in a picture
PICTURES = "roc.png", "histogram.png", "abnormal.png"
NORMAL, ABNORMAL = "tab:blue", "tab:red"


class Params(params.Section):
    """What is normal, one class or the rest of them; and what sets the threshold beyond which an image is abnormal."""

    normal: Literal["one", "rest"]
    held_out: float = Field(gt=0, lt=1)
    quantile: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True)
class Part:
    """A class's training images, uint8 [N, height, width, channels]: those to fit to, and those held out."""

    fit: Uint8
    held_out: Uint8


@dataclass(frozen=True)
class Task:
    """What a class asks: the labels that are normal then, and which test images are not, bool [N]."""

    label: int
    normal: list[int]
    abnormal: Bools


@dataclass(frozen=True)
class Found:
    """What came of a task: by method the scores of the test images, [N], and the figures; and the autoencoder."""

    task: Task
    scores: dict[str, Float64]
    figures: dict[str, Detection]
    autoencoder: Autoencoder


def divide(images: Uint8, labels: Uint16, held_out: float, seed: int) -> dict[int, Part]:
    """Each class's images, by its label; a share of them, drawn by the seed, is held out. Too few have no part."""
    random = np.random.default_rng(seed)
    parts = {}
    for label in np.unique(labels).tolist():
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(held_out * len(members))), len(members) - 2)
        if len(members) >= LEAST:
            parts[label] = Part(images[np.sort(members[count:])], images[np.sort(members[:count])])
    return parts


def tasks(known: Sequence[int], test_labels: Uint16, normal: str) -> Iterator[Task]:
    """A task for each class whose test images, and others, are there to be told apart."""
    for label in known:
        normals = [other for other in known if (other == label) == (normal == "one")]
        abnormal = (test_labels != label) == (normal == "one")
        if normals and abnormal.any() and not abnormal.all():
            yield Task(label, normals, abnormal)


Distances = Callable[[int, int | None], Float64]


def distances(parts: Mapping[int, Part], test_images: Uint8, seed: int) -> Distances:
    """How near an image of a label is to each of another's held-out images, or for None to each test image.

    As a function that remembers: a class is normal in many tasks.
    """
    return cache(
        lambda label, other: by_neighbor(parts[label].fit, seed)(
            test_images if other is None else parts[other].held_out
        )
    )


def solve(
    task: Task, parts: Mapping[int, Part], test_images: Uint8, near: Distances, p: Params, training: Mapping[str, Any]
) -> Found:
    """Fit every method to what is normal, and judge its scores of the test images."""
    fit, held_out = (
        np.concatenate([getattr(parts[label], name) for label in task.normal]) for name in ("fit", "held_out")
    )
    from stages.shared.training.again import train_again

    autoencoder = train_again(fit, {**training, "seed": p.seed})
    methods = {
        OURS: by_error(autoencoder),
        "mean_image": by_error(MeanImage.fit(fit)),
        "pca": by_error(PcaBaseline.fit(fit, autoencoder.latent_size, p.seed)),
        f"pca_{WIDE}": by_error(PcaBaseline.fit(fit, WIDE, p.seed)),
        "one_class_svm": by_svm(fit, p.seed),
    }
    scores = {name: (score(test_images), score(held_out)) for name, score in methods.items()}
    scores["nearest_pixels"] = (
        np.min([near(label, None) for label in task.normal], axis=0),
        np.concatenate([np.min([near(label, other) for label in task.normal], axis=0) for other in task.normal]),
    )
    figures = {name: detect(test, task.abnormal, normal, p.quantile) for name, (test, normal) in scores.items()}
    return Found(task, {name: test for name, (test, _) in scores.items()}, figures, autoencoder)


def find(p: Params, of: Dataset, train_set: Labelled, test: Labelled, training: Mapping[str, Any]) -> list[Found]:
    """Solve the task of each class, and say how; none where there are no two classes."""
    if train_set.labels is None or test.labels is None:
        return []
    parts = divide(train_set.images, train_set.labels, p.held_out, p.seed)
    near = distances(parts, test.images, p.seed)
    found = []
    for task in tasks(list(parts), test.labels, p.normal):
        images = sum(len(parts[label].fit) for label in task.normal)
        if images < training["batch_size"]:
            print(f"detect: train.batch_size is {training['batch_size']}, of {images} images; all of them are a batch")
        found.append(solve(task, parts, test.images, near, p, training))
        auroc = found[-1].figures[OURS].auroc
        print(
            f"detect: {of.classes[task.label]}, {'' if p.normal == 'one' else 'ab'}normal: AUROC {auroc:.3f}",
            flush=True,
        )
    if 0 < len(found) < len(of.classes):
        print(f"detect: {len(of.classes) - len(found)} classes are left out: too few images, or none in a split")
    return found


def metrics(name: str, normal: str, found: Sequence[Found]) -> dict[str, Any]:
    """What `metrics.json` holds: means over the classes, ours without a prefix; without classes, none of them."""
    value: dict[str, Any] = {"dataset": name, "normal": normal, "classes": len(found)}
    for method in found[0].figures if found else ():
        prefix = "" if method == OURS else f"{method}_"
        figures = [of.figures[method] for of in found]
        value[f"{prefix}auroc"] = float(np.mean([each.auroc for each in figures]))
        precisions = [each.precision for each in figures if each.precision is not None]
        value[f"{prefix}precision"] = float(np.mean(precisions)) if precisions else None
        value[f"{prefix}recall"] = float(np.mean([each.recall for each in figures]))
    return value


HEADER = ["dataset", "normal", "class", "method", "auroc", "threshold", "precision", "recall"]


def rows(of: Dataset, normal: str, found: Sequence[Found]) -> list[list[object]]:
    """The rows of `detect.csv`, by class and method."""
    return [
        [of.name, normal, of.classes[each.task.label], method, *figures]
        for each in found
        for method, figures in each.figures.items()
    ]


def title(of: Dataset, normal: str) -> str:
    return f"{of.name}: {'each class in turn is normal' if normal == 'one' else 'each class in turn is abnormal'}"


def draw_roc(of: Dataset, p: Params, found: Sequence[Found]) -> "Figure":
    """Our curve for each class, and every method's mean over the classes."""
    from sklearn.metrics import roc_curve

    rates = np.linspace(0, 1, 201)
    figure = new_figure(10.5, 5.2, "constrained")
    figure.suptitle(f"{title(of, p.normal)}; how it is told from the others")
    left, right = figure.subplots(1, 2)
    for each in found[:SHOWN]:
        name = f"{of.classes[each.task.label]:.16}"
        left.plot(
            *roc_curve(each.task.abnormal, each.scores[OURS])[:2],
            linewidth=1.2,
            label=f"{each.figures[OURS].auroc:.3f}  {name}",
        )
    for method in found[0].scores:
        curves = [np.interp(rates, *roc_curve(each.task.abnormal, each.scores[method])[:2]) for each in found]
        mean = np.mean([each.figures[method].auroc for each in found])
        thick = 2.5 if method == OURS else 1.2
        right.plot(
            [0, *rates], [0, *np.mean(curves, axis=0)], linewidth=thick, label=f"{mean:.3f}  {method.replace('_', ' ')}"
        )
    for axes, text in ((left, "the autoencoder, by class"), (right, "mean over the classes")):
        axes.plot([0, 1], [0, 1], color="lightgray", linewidth=1, zorder=0)
        axes.set(xlabel="normal images called abnormal", ylabel="abnormal images found", aspect="equal")
        axes.set_title(text, fontsize="medium", color="dimgray")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(title="AUROC", loc="lower right", fontsize="small", alignment="left")
    return figure


def draw_histograms(of: Dataset, p: Params, found: Sequence[Found]) -> "Figure":
    """The errors of normal and of abnormal test images, each with the threshold."""
    shown = found[:SHOWN]
    columns = min(len(shown), 5)
    down = -(-len(shown) // columns)
    figure = new_figure(max(2.6 * columns, 7), 2.1 * down + 1.2, "constrained")
    grid = figure.subplots(down, columns, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, each in zip(grid, shown, strict=False):
        errors, ours = each.scores[OURS], each.figures[OURS]
        bins = np.linspace(0, np.quantile(errors, 0.995), 60)
        for members, color, text in (
            (~each.task.abnormal, NORMAL, "normal"),
            (each.task.abnormal, ABNORMAL, "abnormal"),
        ):
            axes.hist(errors[members], bins, density=True, color=color, alpha=0.55, label=text)
        axes.axvline(
            ours.threshold,
            color="black",
            linewidth=1,
            label=f"threshold: the {p.quantile:g} quantile of held-out normal images",
        )
        axes.set_title(f"{of.classes[each.task.label]:.16}", fontsize="medium")
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
        )
        axes.set_yticks([])
        axes.locator_params("x", nbins=4)
        axes.tick_params(labelsize="small")
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"{title(of, p.normal)}; test images by their mean squared error per pixel")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_examples(of: Dataset, p: Params, found: Sequence[Found], test: Labelled) -> "Figure":
    """Of each class's task the most abnormal image, the worst false alarm and the one that passes best, and where."""
    shown = found[:SHOWN]
    row = 3 * 0.95 * test.images.shape[1] / test.images.shape[2]  # inches
    figure = new_figure(max(0.98 * len(shown) + 1.5, 6), 3 * (row + 0.75) + 0.4, "constrained")
    figure.suptitle(title(of, p.normal))
    kinds = {  # whether it is abnormal, and which of those by their error
        "abnormal, the largest error: what is found first": (True, -1),
        "normal, the largest error: the first false alarm": (False, -1),
        "abnormal, the smallest error: what passes": (True, 0),
    }
    for axes, (text, (abnormal, rank)) in zip(figure.subplots(3), kinds.items(), strict=True):
        columns, captions = [], []
        for each in shown:
            candidates = np.flatnonzero(each.task.abnormal == abnormal)
            place = candidates[np.argsort(each.scores[OURS][candidates], kind="stable")[rank]]
            columns.append(explained(each.autoencoder, test.images[place]))
            name = "" if test.labels is None else f"{of.classes[test.labels[place]]:.12}\n"
            captions.append(f"{name}{each.scores[OURS][place]:.3f}")
        show_grid(axes, np.stack(columns, axis=1), ["image", "reconstruction", "where"], captions)
        axes.tick_params(labelsize=9)
        axes.set_title(text, fontsize="medium", color="dimgray", pad=18)
        heads = axes.secondary_xaxis("top")
        heads.set_xticks(axes.get_xticks(), [f"{of.classes[each.task.label]:.12}" for each in shown])
        heads.tick_params(length=0, labelsize=9, labelcolor=NORMAL if p.normal == "one" else ABNORMAL)
        heads.spines[:].set_visible(False)
    return figure


def explained(autoencoder: Autoencoder, image: Uint8) -> Float32:
    """The image, its reconstruction, and in colors their difference, from black to yellow: [3, height, width, 3]."""
    import matplotlib

    pixels = image / np.float32(255)  # [height, width, channels]
    reconstruction = autoencoder.decode(autoencoder.encode(image))[0]
    where = matplotlib.colormaps["inferno"](np.abs(pixels - reconstruction).mean(axis=2))[..., :3]
    return np.stack([*(np.broadcast_to(each, where.shape) for each in (pixels, reconstruction)), where])


def draw(of: Dataset, p: Params, found: Sequence[Found], test: Labelled) -> "dict[str, Figure]":
    """The pictures by their files' names; a line in their place where nothing was found."""
    if not found:
        nothing = f"{of.name}: no two classes, of which one could be abnormal"
        return {name: draw_nothing(nothing) for name in PICTURES}
    figures = draw_roc(of, p, found), draw_histograms(of, p, found), draw_examples(of, p, found, test)
    return dict(zip(PICTURES, figures, strict=True))


def main() -> None:
    p = params.read("detect", Params)
    of = Dataset.read()
    autoencoder = Autoencoder.read()
    train_set, test = (Labelled.read(split, autoencoder.size, len(of.classes)) for split in SPLITS)
    waiting.choose(autoencoder.training.get("threads"), 1)
    from stages.shared.training.again import check_recipe

    check_recipe(autoencoder.training)
    with outputs(FOLDER) as folder:
        found = find(p, of, train_set, test, autoencoder.training)
        write_json(folder / "metrics.json", metrics(of.name, p.normal, found))
        write_csv(folder / "detect.csv", HEADER, rows(of, p.normal, found))
        for name, picture in draw(of, p, found, test).items():
            write_png(picture, folder / name)


if __name__ == "__main__":
    run(main)
