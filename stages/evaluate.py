"""evaluate: score the reconstructions and the latents, and compare with the mean image, PCA and latent optimization.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/evaluate/metrics.json (the main scores), scores.csv (all scores, one row per method), classes.csv,
       confusion.csv, errors.npy (float64 [N], the error of each test image)
"""

from stages.shared.runtime.run import run

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Float64, Int64, Uint8, Uint16, sample_rows
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import SPLITS, DatasetInfo, LabeledImages
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.outputs import outputs
from stages.shared.scores import metrics
from stages.shared.scores.baselines import Codec, MeanImage, PcaBaseline
from stages.shared.scores.neighbors import affordable, nearest

FOLDER = Path("data/evaluate")
CANDIDATES = 2000  # training latents among which latent optimization finds its starts


class Params(params.Section):
    """Params of the scores: sample size, number of neighbors, seed, and steps of latent optimization."""

    neighbors: int = Field(ge=1, le=1000)
    sample: int = Field(ge=3, le=10_000)
    seed: int = Field(ge=0)
    refine: int = Field(ge=0, le=1000)


@dataclass(frozen=True)
class SplitLatents:
    """Latents of the training and test images, float32 [N, latent size]."""

    train: Float32
    test: Float32

    @classmethod
    def of(cls, codec: Codec, train: LabeledImages, test: LabeledImages) -> "SplitLatents":
        """Encode both splits; raises `InputError` if a latent is not finite."""
        latents = cls(codec.encode(train.images), codec.encode(test.images))
        if not (np.isfinite(latents.train).all() and np.isfinite(latents.test).all()):
            raise InputError(f"{MODEL}: its latents are not finite; train again with a smaller learning_rate")
        return latents

    def refined(self, p: Params, autoencoder: Autoencoder, images: Uint8) -> "SplitLatents":
        """Return a copy whose test latents are improved by `evaluate.refine` steps of latent optimization."""
        from stages.shared.scores.latent_optimization import optimize_latents

        candidates = sample_rows(self.train, CANDIDATES, p.seed)
        return SplitLatents(self.train, optimize_latents(autoencoder, images, self.test, candidates, p.refine))


@dataclass(frozen=True)
class Sample:
    """Sample of test images for trustworthiness: their indices and pairwise distances."""

    indices: Int64
    distances: Float32 | None  # [indices, indices]; None if all images are equal

    @classmethod
    def draw(cls, p: Params, images: Uint8) -> "Sample":
        indices = sample_rows(np.arange(len(images)), p.sample, p.seed)
        return cls(indices, metrics.pairwise_distances(images, indices))

    def trustworthiness(self, latents: Float32, neighbors: int) -> float | None:
        """Compute the trustworthiness of the test latents, [N, latent size], with at most `neighbors` neighbors.

        Returns None if all sampled images are equal, or if there are fewer than 3.
        """
        neighbors = min(neighbors, max_neighbors(len(self.indices)))
        if self.distances is None or not neighbors:
            return None
        return metrics.trustworthiness(self.distances, latents[self.indices], neighbors)


@dataclass(frozen=True)
class Scores:
    """Scores of a codec on the test images."""

    collapsed: int | None  # None for a single image
    errors: Float64  # [N], mean squared error per pixel of each image
    confusion: Int64 | None  # [actual class, predicted class]; None if no class can be predicted
    trustworthiness: float | None
    predicted: int  # images with a predicted class: all, or a sample if all would take hours

    @property
    def mse(self) -> float:
        return float(self.errors.mean())

    @property
    def accuracy(self) -> float | None:
        return None if self.confusion is None else float(self.confusion.trace() / self.confusion.sum())

    def recall(self, label: int) -> float | None:
        """Recall of a class: share of its test images that are predicted correctly; None if there are none."""
        row = self.confusion[label] if self.confusion is not None else np.zeros(1)
        return float(row[label] / row.sum()) if row.any() else None


def max_neighbors(images: int) -> int:
    """The largest number of neighbors that trustworthiness allows: less than half of the number of images."""
    return (images - 1) // 2


def check(p: Params, train: LabeledImages, test: LabeledImages, classes: int) -> None:
    """Print which scores can't be computed for these images, or only with fewer neighbors."""
    if len(train.images) < 2:
        print("evaluate: there is only 1 training image, so PCA is little better than the mean image")
    sampled = min(p.sample, len(test.images))
    most, param = max_neighbors(sampled), f"evaluate.neighbors ({p.neighbors})"
    if most < 1:
        print(f"evaluate: trustworthiness is left out; it needs at least 3 test images, got {sampled}")
    elif p.neighbors > most:
        neighbors = f"{most} neighbor{'s' * (most > 1)}"
        print(f"evaluate: trustworthiness uses {neighbors}, not {param}, because there are only {sampled} test images")
    if classes > 1 and not scorable(train, test):
        print("evaluate: class accuracy is left out; it needs training images of two classes and test images of one")
    elif classes > 1 and p.neighbors > len(train.images):
        count = len(train.images)
        print(f"evaluate: classes are predicted from all {count} training images, because these are fewer than {param}")


def scorable(train: LabeledImages, test: LabeledImages) -> bool:
    """Whether class predictions can be scored: training has two classes, and the test images have one of them."""
    if train.labels is None or test.labels is None:
        return False
    known = np.unique(train.labels)
    return len(known) > 1 and bool(np.isin(test.labels, known).any())


def compute_scores(
    p: Params,
    codec: Codec,
    train: LabeledImages,
    test: LabeledImages,
    sample: Sample,
    latents: SplitLatents,
    classes: int,
) -> Scores:
    """Compute test errors, class predictions from the nearest training latents, and trustworthiness.

    If comparing all latents would take hours, only a random sample of the test images gets a prediction.
    """
    confusion = None
    queries = sample_rows(np.arange(len(test.images)), affordable(latents.train, len(test.images)), p.seed)
    if train.labels is not None and test.labels is not None and scorable(train, test):
        found = nearest(latents.train, latents.test[queries], min(p.neighbors, len(latents.train)))
        confusion = metrics.confusion(train.labels, found.indices, test.labels[queries], classes)
    return Scores(
        collapsed=metrics.collapsed(latents.test) if len(latents.test) > 1 else None,
        errors=metrics.reconstruction_errors(codec, test.images, latents.test),
        confusion=confusion,
        predicted=len(queries),
        trustworthiness=sample.trustworthiness(latents.test, p.neighbors),
    )


Row = list[object]


def majority_share(train: LabeledImages, ours: Scores) -> float | None:
    """Accuracy of always predicting the largest training class; None if no class is predicted."""
    if train.labels is None or ours.confusion is None:
        return None
    counts = ours.confusion.sum(axis=1)  # [actual class]
    return float(counts[np.bincount(train.labels).argmax()] / counts.sum())


def figures(ours: Scores, pca: Scores, mean_image_mse: float) -> dict[str, Any]:
    """Make the content of `metrics.json`; a score that can't be computed is null.

    The scores about classes are left out if no class can be predicted.
    """
    accuracies: dict[str, Any] = {"knn_accuracy": ours.accuracy, "pca_knn_accuracy": pca.accuracy}
    if ours.predicted < len(ours.errors):
        accuracies["knn_images"] = ours.predicted
    return {
        "test_mse": ours.mse,
        "mean_image_mse": mean_image_mse,
        "pca_mse": pca.mse,
        **({} if ours.accuracy is None else accuracies),
        "trustworthiness": ours.trustworthiness,
    }


def score_rows(name: str, scores: Mapping[str, Scores], mean_image_mse: float, majority: float | None) -> list[Row]:
    """Make the rows of `scores.csv`.

    The mean image has no latents, so its class prediction is always the largest training class.
    """
    rows: list[Row] = [
        [name, method, of.mse, metrics.psnr(of.mse), of.accuracy, of.trustworthiness, of.collapsed]
        for method, of in scores.items()
    ]
    return [*rows, [name, "mean image", mean_image_mse, metrics.psnr(mean_image_mse), majority, None, None]]


def summary(ours: Scores, pca: Scores, majority: float | None) -> str:
    """Describe the main scores in one line."""
    parts = [f"error {ours.mse:.4f} (PCA {pca.mse:.4f})"]
    if ours.accuracy is not None and majority is not None:
        parts.append(f"class accuracy {ours.accuracy:.3f} (always the largest class: {majority:.3f})")
    if ours.trustworthiness is not None:
        parts.append(f"trustworthiness {ours.trustworthiness:.3f}")
    return f"evaluate: {', '.join(parts)}"


SCORES_HEADER = ["dataset", "method", "mse", "psnr_db", "knn_accuracy", "trustworthiness", "collapsed_dimensions"]
CLASSES_HEADER = ["dataset", "class", "count", "mse", "accuracy", "pca_mse", "pca_accuracy"]
CONFUSION_HEADER = ["dataset", "actual", "predicted", "count", "share"]


def class_rows(dataset: DatasetInfo, labels: Uint16, ours: Scores, pca: Scores) -> list[list[object]]:
    """Make the rows of `classes.csv`, in label order; classes without test images are left out."""
    rows: list[list[object]] = []
    for label in np.unique(labels):
        members = labels == label
        row = [dataset.name, dataset.classes[label], members.sum()]
        for scores in (ours, pca):
            row += [scores.errors[members].mean(), scores.recall(label)]
        rows.append(row)
    return rows


def confusion_rows(dataset: DatasetInfo, confusion: Int64) -> list[list[object]]:
    """Make the rows of `confusion.csv`, one per pair of classes; `share` refers to the images of the actual class."""
    return [
        [dataset.name, actual, predicted, count, count / counts.sum()]
        for actual, counts in zip(dataset.classes, confusion, strict=True)
        for predicted, count in zip(dataset.classes, counts, strict=True)
        if counts.any()
    ]


def main() -> None:
    p = params.read("evaluate", Params)
    dataset = DatasetInfo.read()
    autoencoder = Autoencoder.read()
    train, test = (LabeledImages.read(split, autoencoder.size, len(dataset.classes)) for split in SPLITS)
    check(p, train, test, len(dataset.classes))
    mean_image = MeanImage.fit(train.images)
    mean_image_errors = metrics.reconstruction_errors(mean_image, test.images, mean_image.encode(test.images))
    pca = PcaBaseline.fit(train.images, autoencoder.latent_size, p.seed)
    latents = SplitLatents.of(autoencoder, train, test)
    sample = Sample.draw(p, test.images)
    ours = compute_scores(p, autoencoder, train, test, sample, latents, len(dataset.classes))
    linear = compute_scores(p, pca, train, test, sample, SplitLatents.of(pca, train, test), len(dataset.classes))
    mean_image_mse, majority = float(mean_image_errors.mean()), majority_share(train, ours)
    scores = {"autoencoder": ours, "pca": linear}
    if p.refine:
        best = latents.refined(p, autoencoder, test.images)
        scores["refined"] = compute_scores(p, autoencoder, train, test, sample, best, len(dataset.classes))
    with outputs(FOLDER) as folder:
        write_json(folder / "metrics.json", figures(ours, linear, mean_image_mse))
        write_csv(folder / "scores.csv", SCORES_HEADER, score_rows(dataset.name, scores, mean_image_mse, majority))
        by_class = [] if test.labels is None else class_rows(dataset, test.labels, ours, linear)
        write_csv(folder / "classes.csv", CLASSES_HEADER, by_class)
        pairs = [] if ours.confusion is None else confusion_rows(dataset, ours.confusion)
        write_csv(folder / "confusion.csv", CONFUSION_HEADER, pairs)
        np.save(folder / "errors.npy", ours.errors)
    print(summary(ours, linear, majority))


if __name__ == "__main__":
    run(main)
