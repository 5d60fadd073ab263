"""How well what is abnormal is told from what is normal, by a score that is to be larger for it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64, Uint8, batches, sample_rows
from stages.shared.model.autoencoder import scale
from stages.shared.scores.baselines import Codec
from stages.shared.scores.metrics import reconstruction_errors

Bools = NDArray[np.bool_]
_SVM_IMAGES = 1000  # its AUROC on Fashion-MNIST is the same with 2000, in four times the time
_NEIGHBOR_BYTES = 2**28  # of float32 pixels that the nearest is looked for among: 85,000 images of Fashion-MNIST
Score = Callable[[Uint8], Float64]  # images, uint8 [N, height, width, channels], to how abnormal each is, [N]


def by_error(codec: Codec) -> Score:
    """Score by the reconstruction error of a codec that is fitted to normal images."""
    return lambda images: reconstruction_errors(codec, images, codec.encode(images))


def by_svm(normal: Uint8, seed: int) -> Score:
    """Score by scikit-learn's one-class SVM as it comes (RBF kernel, nu = 0.5), on the pixels.

    Fitted to a random draw of at most 1000 of the normal images: its time grows with the square of their number.
    Schölkopf et al., "Estimating the support of a high-dimensional distribution" (2001).
    """
    from sklearn.svm import OneClassSVM

    svm = OneClassSVM().fit(scale(sample_rows(normal, _SVM_IMAGES, seed)))

    def score(images: Uint8) -> Float64:
        parts = [svm.score_samples(scale(images[batch])) for batch in batches(len(images), images[0].size)]
        return -np.concatenate(parts)

    return score


def by_neighbor(normal: Uint8, seed: int) -> Score:
    """Score by the Euclidean distance to the nearest of the normal images, in their pixels.

    Of so many that they exceed 256 MiB as float32, to that of a random draw of them.
    """
    from sklearn.neighbors import NearestNeighbors

    most = max(1, _NEIGHBOR_BYTES // (4 * normal[0].size))
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(scale(sample_rows(normal, most, seed)))

    def score(images: Uint8) -> Float64:
        parts = [search.kneighbors(scale(images[batch]))[0][:, 0] for batch in batches(len(images), images[0].size)]
        return np.concatenate(parts).astype(np.float64)

    return score


class Detection(NamedTuple):
    """auroc: the chance that an abnormal image has a larger score than a normal one, ties counting half.

    precision: of those beyond the threshold, the share that is abnormal; None where none is beyond. recall: of the
    abnormal ones, the share beyond.
    """

    auroc: float
    threshold: float
    precision: float | None
    recall: float


def detect(scores: Float64, abnormal: Bools, held_out: Float64, quantile: float) -> Detection:
    """Judge the scores of images, [N], that hold both kinds; the threshold is a quantile of the held-out normals'."""
    from sklearn.metrics import roc_auc_score

    threshold = float(np.quantile(held_out, quantile))
    beyond = scores > threshold
    hits = int((beyond & abnormal).sum())
    precision = hits / int(beyond.sum()) if beyond.any() else None
    return Detection(float(roc_auc_score(abnormal, scores)), threshold, precision, hits / int(abnormal.sum()))
