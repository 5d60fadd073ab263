"""Metrics of reconstructions and of latents."""

import math

import numpy as np

from stages.shared.arrays import Float32, Float64, Int64, Uint8, Uint16, batches
from stages.shared.model.autoencoder import scale
from stages.shared.scores.baselines import Codec
from stages.shared.scores.neighbors import nearest_others

COLLAPSED = 0.01  # share of the widest dimension's standard deviation
_ROUNDING = 1e-5  # share of a dimension's largest value: more than the rounding of float32


def reconstruction_errors(codec: Codec, images: Uint8, latents: Float32) -> Float64:
    """Mean squared error of each image, [N], over all its pixels and channels, in [0, 1]."""
    parts = []
    for batch in batches(len(images), images[0].size):
        x = scale(images[batch])  # [batch, pixels]
        x -= codec.decode(latents[batch]).reshape(x.shape)
        parts.append(np.square(x, out=x).mean(axis=1, dtype=np.float64))
    return np.concatenate(parts)


def psnr(mse: float) -> float | None:
    """Peak signal-to-noise ratio in dB for pixels in [0, 1]: 10 log10(1 / mse). None (infinite) if mse is 0."""
    return 10 * math.log10(1 / mse) if mse > 0 else None


def confusion(train_labels: Uint16, nearest: Int64, labels: Uint16, classes: int) -> Int64:
    """Confusion matrix; the predicted class is the majority class of the nearest training latents.

    nearest: indices of training latents, [N, neighbors]. Returns the numbers of images, [actual class, predicted
    class].
    """
    from scipy.stats import mode

    predicted = mode(train_labels[nearest], axis=1).mode  # the first class for ties
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def pairwise_distances(images: Uint8, indices: Int64) -> Float32 | None:
    """Euclidean distances between the images at `indices`, [indices, indices]; the diagonal is infinite.

    Returns None if all these images are equal.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    if all(np.array_equal(images[index], images[indices[0]]) for index in indices):
        return None
    distances = np.empty((len(indices), len(indices)), np.float32)
    for rows in batches(len(indices), images[0].size):
        block = scale(images[indices[rows]])
        for columns in batches(rows.stop, images[0].size):
            distances[rows, columns] = euclidean_distances(block, scale(images[indices[columns]]))
            distances[columns, rows] = distances[rows, columns].T
    np.fill_diagonal(distances, np.inf)
    return distances


def trustworthiness(distances: Float32, latents: Float32, neighbors: int) -> float:
    """Trustworthiness: how far nearest neighbors in the latent space are also near as images; 1 means all are.

    distances: `pairwise_distances` of the images; there must be more than 2 * `neighbors` images.
    latents: latents of these images, in the same order.

    Venna and Kaski, "Neighborhood preservation in nonlinear projection methods" (2001). This version needs less memory
    than scikit-learn's, which takes 40 bytes per pair of images, and all images as float32.
    """
    count = len(latents)
    neighbor_indices = nearest_others(latents, neighbors)
    total = 0  # of the ranks beyond `neighbors` that the neighbors in latent space have among the images
    for rows in batches(count, count):
        part = distances[rows]  # [rows, N]
        for column in neighbor_indices[rows].T:
            nearer = (part < np.take_along_axis(part, column[:, np.newaxis], 1)).sum(axis=1)
            total += int(np.maximum(nearer + 1 - neighbors, 0).sum())
    return 1 - total * 2 / (count * neighbors * (2 * count - 3 * neighbors - 1))


def collapsed(latents: Float32) -> int:
    """Number of collapsed dimensions of latents, [N, latent size].

    A dimension is collapsed if its standard deviation is at most 1/100 of the largest one, or no more than rounding.
    """
    deviation = latents.std(axis=0, dtype=np.float64)
    rounding = _ROUNDING * np.abs(latents).max(axis=0)
    return int((deviation <= np.maximum(COLLAPSED * deviation.max(), rounding)).sum())
