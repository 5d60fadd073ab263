"""evaluate: how good the reconstructions and the latents are, against the mean image, PCA, and the decoder's best.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/evaluate/metrics.json, classes.csv, confusion.csv, and errors.npy (float64 [N], each test image's)
"""

from stages.shared.process.run import run

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Float64, Int64, Uint8, Uint16, sample_rows
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import SPLITS, Dataset, Labelled, images_file
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import outputs
from stages.shared.scores import metrics
from stages.shared.scores.baselines import Codec, MeanImage, PcaBaseline
from stages.shared.scores.neighbors import nearest
from stages.shared.scores.refine import refine

FOLDER = Path("data/evaluate")
CANDIDATES = 2000  # training images among whose latents a refined one's search has its starts


class Params(params.Section):
    """How the latents are scored."""

    neighbors: int = Field(ge=1, le=1000)
    sample: int = Field(ge=3, le=10_000)
    seed: int = Field(ge=0)
    refine: int = Field(ge=0, le=1000)


@dataclass(frozen=True)
class Latents:
    """A codec's latents of the training and of the test images, float32 [N, latent size]."""

    train: Float32
    test: Float32

    @classmethod
    def of(cls, codec: Codec, train: Labelled, test: Labelled) -> "Latents":
        """Encode both; raises `InputError` where a latent is not finite."""
        latents = cls(codec.encode(train.images), codec.encode(test.images))
        if not (np.isfinite(latents.train).all() and np.isfinite(latents.test).all()):
            raise InputError(
                f"{MODEL}: gives latents that are not finite; train again, with a smaller train.learning_rate"
            )
        return latents

    def refined(self, p: Params, autoencoder: Autoencoder, images: Uint8) -> "Latents":
        """With the best latents for the decoder that are found for the test images, in `evaluate.refine` steps."""
        candidates = sample_rows(self.train, CANDIDATES, p.seed)
        return Latents(self.train, refine(autoencoder, images, self.test, candidates, p.refine))


@dataclass(frozen=True)
class Sample:
    """Test images that trustworthiness is measured on: their places, and how far apart they are as images."""

    places: Int64
    apart: Float32 | None  # [places, places]; None where all are the same

    @classmethod
    def draw(cls, p: Params, images: Uint8) -> "Sample":
        places = sample_rows(np.arange(len(images)), p.sample, p.seed)
        return cls(places, metrics.distances(images, places))

    def trustworthiness(self, latents: Float32, neighbors: int) -> float | None:
        """Of the test images' latents, [N, latent size]; None where images without a difference have no neighbors."""
        return None if self.apart is None else metrics.trustworthiness(self.apart, latents[self.places], neighbors)


@dataclass(frozen=True)
class Scores:
    """What came of a codec's latents on the test images."""

    collapsed: int
    errors: Float64  # [N], mean squared error per pixel of each image
    confusion: Int64 | None  # [actual class, predicted class]; None where there are not two classes
    trustworthiness: float | None
    search: dict[str, Any]  # how the neighbors that predict were found

    @property
    def mse(self) -> float:
        return float(self.errors.mean())

    @property
    def accuracy(self) -> float | None:
        return None if self.confusion is None else float(self.confusion.trace() / self.confusion.sum())


def check(p: Params, train: int, test: int) -> None:
    """Refuse what can't be computed from so few images; raises `InputError`."""
    if train < 2:
        raise InputError(f"{images_file('train')}: expected at least 2 images, to find PCA's components, got 1")
    if test < 3:
        raise InputError(f"{images_file('test')}: expected at least 3 images, to have neighbors, got {test}")
    sampled = min(p.sample, test)
    most = min(train, (sampled - 1) // 2)
    if p.neighbors > most:
        raise InputError(
            f"params.yaml: evaluate.neighbors: expected at most {most}, since there are {train} training images and "
            f"trustworthiness needs less than half of its {sampled} test images, got {p.neighbors}"
        )


def score(
    p: Params, codec: Codec, train: Labelled, test: Labelled, sample: Sample, latents: Latents, classes: int
) -> Scores:
    """Score by the test errors, the class predicted by the nearest training latents, and trustworthiness."""
    confusion, search = None, {}
    if train.labels is not None and test.labels is not None and classes > 1:
        found = nearest(latents.train, latents.test, p.neighbors)
        confusion, search = metrics.confusion(train.labels, found.indices, test.labels, classes), found.figures()
    return Scores(
        collapsed=metrics.collapsed(latents.test),
        errors=metrics.reconstruction_errors(codec, test.images, latents.test),
        confusion=confusion,
        search=search,
        trustworthiness=sample.trustworthiness(latents.test, p.neighbors),
    )


def figures(name: str, ours: Scores, pca: Scores, mean_image_mse: float) -> dict[str, Any]:
    """What `metrics.json` holds; null stands for a figure that is not finite, or means nothing.

    What asks for classes is left out where there aren't two.
    """
    accuracies = {"knn_accuracy": ours.accuracy, "pca_knn_accuracy": pca.accuracy} | ours.search
    return {
        "dataset": name,
        "test_mse": ours.mse,
        "psnr_db": metrics.psnr(ours.mse),
        "mean_image_mse": mean_image_mse,
        "mean_image_psnr_db": metrics.psnr(mean_image_mse),
        "pca_mse": pca.mse,
        "pca_psnr_db": metrics.psnr(pca.mse),
        "pca_error_removed": 1 - ours.mse / pca.mse if pca.mse > 0 else None,
        **({} if ours.accuracy is None else accuracies),
        "trustworthiness": ours.trustworthiness,
        "pca_trustworthiness": pca.trustworthiness,
        "collapsed_dimensions": ours.collapsed,
    }


def refined_figures(ours: Scores, refined: Scores) -> dict[str, Any]:
    """What `metrics.json` has of the best latents that were found for the decoder, which are not the encoder's."""
    return {
        "refined_mse": refined.mse,
        "refined_psnr_db": metrics.psnr(refined.mse),
        **({} if refined.accuracy is None else {"refined_knn_accuracy": refined.accuracy}),
        "refined_trustworthiness": refined.trustworthiness,
        "encoder_share_of_error": 1 - refined.mse / ours.mse if ours.mse > 0 else None,
    }


CLASSES_HEADER = ["dataset", "class", "count", "mse", "accuracy", "pca_mse", "pca_accuracy"]
CONFUSION_HEADER = ["dataset", "actual", "predicted", "count", "share"]


def class_rows(of: Dataset, labels: Uint16, ours: Scores, pca: Scores) -> list[list[object]]:
    """The rows of `classes.csv`, in label order; a class without test images has none."""
    rows: list[list[object]] = []
    for label in np.unique(labels):
        members = labels == label
        row = [of.name, of.classes[label], members.sum()]
        for scores in (ours, pca):
            right = None if scores.confusion is None else scores.confusion[label, label] / members.sum()
            row += [scores.errors[members].mean(), right]
        rows.append(row)
    return rows


def confusion_rows(of: Dataset, confusion: Int64) -> list[list[object]]:
    """The rows of `confusion.csv`, one for each two classes; `share` is of the actual class's images."""
    return [
        [of.name, actual, predicted, count, count / counts.sum()]
        for actual, counts in zip(of.classes, confusion, strict=True)
        for predicted, count in zip(of.classes, counts, strict=True)
        if counts.any()
    ]


def main() -> None:
    p = params.read("evaluate", Params)
    of = Dataset.read()
    autoencoder = Autoencoder.read()
    train, test = (Labelled.read(split, autoencoder.size, len(of.classes)) for split in SPLITS)
    check(p, len(train.images), len(test.images))
    mean_image = MeanImage.fit(train.images)
    mean_image_errors = metrics.reconstruction_errors(mean_image, test.images, mean_image.encode(test.images))
    pca = PcaBaseline.fit(train.images, autoencoder.latent_size, p.seed)
    latents = Latents.of(autoencoder, train, test)
    sample = Sample.draw(p, test.images)
    ours = score(p, autoencoder, train, test, sample, latents, len(of.classes))
    linear = score(p, pca, train, test, sample, Latents.of(pca, train, test), len(of.classes))
    found = figures(of.name, ours, linear, float(mean_image_errors.mean()))
    if p.refine:
        best = latents.refined(p, autoencoder, test.images)
        found |= refined_figures(ours, score(p, autoencoder, train, test, sample, best, len(of.classes)))
    with outputs(FOLDER) as folder:
        write_json(folder / "metrics.json", found)
        by_class = [] if test.labels is None else class_rows(of, test.labels, ours, linear)
        write_csv(folder / "classes.csv", CLASSES_HEADER, by_class)
        pairs = [] if ours.confusion is None else confusion_rows(of, ours.confusion)
        write_csv(folder / "confusion.csv", CONFUSION_HEADER, pairs)
        np.save(folder / "errors.npy", ours.errors)


if __name__ == "__main__":
    run(main)
