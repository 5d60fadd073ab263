"""Anomaly scores and their evaluation. A higher score means more anomalous."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64, Uint8, batches, sample_rows
from stages.shared.model.autoencoder import scale
from stages.shared.scores.baselines import Codec
from stages.shared.scores.metrics import reconstruction_errors
from stages.shared.scores.neighbors import nearest

Bools = NDArray[np.bool_]
_SVM_IMAGES = 1000  # 2000 give the same AUROC on Fashion-MNIST, in four times the time
_NEIGHBOR_BYTES = 2**28  # of float32 pixels to search: 85,000 images of Fashion-MNIST
AnomalyScore = Callable[[Uint8], Float64]  # uint8 [N, height, width, channels] to anomaly scores, [N]


def by_error(codec: Codec) -> AnomalyScore:
    """Score images by the reconstruction error of a codec that was fitted to normal images."""
    return lambda images: reconstruction_errors(codec, images, codec.encode(images))


def by_svm(normal: Uint8, seed: int) -> AnomalyScore:
    """Score images by scikit-learn's one-class SVM on pixels, with its defaults (RBF kernel, nu = 0.5).

    It is fitted to at most 1000 random normal images, because the time grows with the square of their number. Schölkopf
    et al., "Estimating the support of a high-dimensional distribution" (2001).
    """
    from sklearn.svm import OneClassSVM

    svm = OneClassSVM().fit(scale(sample_rows(normal, _SVM_IMAGES, seed)))

    def score(images: Uint8) -> Float64:
        parts = [svm.score_samples(scale(images[batch])) for batch in batches(len(images), images[0].size)]
        return -np.concatenate(parts)

    return score


def by_neighbor(normal: Uint8, seed: int) -> AnomalyScore:
    """Score images by the Euclidean distance to the nearest normal image, in pixel space.

    If the normal images take more than 256 MiB as float32, only a random sample of them is searched.
    """
    some = sample_rows(normal, max(1, _NEIGHBOR_BYTES // (4 * normal[0].size)), seed)
    return lambda images: nearest(some, images, 1).distances[:, 0] / 255


class Detection(NamedTuple):
    """Measures of anomaly detection.

    auroc: probability that an abnormal image has a higher score than a normal one; ties count half.
    precision: share of abnormal images among the images above the threshold; None if no image is above it.
    recall: share of the abnormal images that are above the threshold.
    """

    auroc: float
    threshold: float
    precision: float | None
    recall: float


def detect(scores: Float64, abnormal: Bools, held_out: Float64, quantile: float) -> Detection:
    """Evaluate the scores of normal and abnormal images, [N].

    abnormal: which of the images are abnormal. The threshold is a quantile of `held_out`, scores of other normal
    images.
    """
    from sklearn.metrics import roc_auc_score

    threshold = float(np.quantile(held_out, quantile))
    beyond = scores > threshold
    hits = int((beyond & abnormal).sum())
    precision = hits / int(beyond.sum()) if beyond.any() else None
    return Detection(float(roc_auc_score(abnormal, scores)), threshold, precision, hits / int(abnormal.sum()))
