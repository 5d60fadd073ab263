"""Figures of how well images are reconstructed, and how well their latents place them."""

import math

import numpy as np

from stages.shared.arrays import Float32, Float64, Int64, Uint8, Uint16, batches
from stages.shared.model.autoencoder import scale
from stages.shared.scores.baselines import Codec

COLLAPSED = 0.01  # of the widest dimension's standard deviation
_ROUNDING = 1e-5  # of a dimension's largest value: more than float32 leaves of a constant


def reconstruction_errors(codec: Codec, images: Uint8, latents: Float32) -> Float64:
    """The mean squared error per pixel, of pixels in [0, 1] over all channels, of each image: [N]."""
    parts = []
    for batch in batches(len(images), images[0].size):
        x = scale(images[batch])  # [batch, pixels]
        x -= codec.decode(latents[batch]).reshape(x.shape)
        parts.append(np.square(x, out=x).mean(axis=1, dtype=np.float64))
    return np.concatenate(parts)


def psnr(mse: float) -> float | None:
    """Peak signal-to-noise ratio in dB, of pixels in [0, 1]: 10 log10(1 / mse). None, for infinity, where mse is 0."""
    return 10 * math.log10(1 / mse) if mse > 0 else None


def confusion(train_labels: Uint16, nearest: Int64, labels: Uint16, classes: int) -> Int64:
    """How often which class is predicted, by the majority of the nearest training latents, indices [N, neighbors].

    Images, [actual class, predicted class].
    """
    from scipy.stats import mode

    predicted = mode(train_labels[nearest], axis=1).mode  # of a tie, the first class
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def distances(images: Uint8, places: Int64) -> Float32 | None:
    """Between any two of the images at these places, worked out in blocks: [places, places], infinite to itself.

    None where all are the same, and so have no neighbors.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    if all(np.array_equal(images[place], images[places[0]]) for place in places):
        return None
    apart = np.empty((len(places), len(places)), np.float32)
    for rows in batches(len(places), images[0].size):
        some = scale(images[places[rows]])
        for columns in batches(rows.stop, images[0].size):
            apart[rows, columns] = euclidean_distances(some, scale(images[places[columns]]))
            apart[columns, rows] = apart[rows, columns].T
    np.fill_diagonal(apart, np.inf)
    return apart


def trustworthiness(apart: Float32, latents: Float32, neighbors: int) -> float:
    """Whether nearest neighbors in the latent space are near as images too: from 0 to 1, where all of them are.

    apart: the images' `distances`, of more than 2 * `neighbors`; latents: theirs, in the same order. Venna and Kaski,
    "Neighborhood preservation in nonlinear projection methods" (2001); scikit-learn's needs 40 bytes for any two
    images, and all of them as float32.
    """
    from sklearn.neighbors import NearestNeighbors

    count = len(latents)
    found = NearestNeighbors(n_neighbors=neighbors).fit(latents).kneighbors(return_distance=False)
    total = 0  # of how far down the neighbors in the latent space stand in the order of images
    for rows in batches(count, count):
        part = apart[rows]  # [rows, N]
        for column in found[rows].T:
            nearer = (part < np.take_along_axis(part, column[:, np.newaxis], 1)).sum(axis=1)
            total += int(np.maximum(nearer + 1 - neighbors, 0).sum())
    return 1 - total * 2 / (count * neighbors * (2 * count - 3 * neighbors - 1))


def collapsed(latents: Float32) -> int:
    """How many dimensions of latents, [N, latent size], hardly vary.

    Those whose standard deviation is at most a hundredth of the widest dimension's, or nothing but rounding.
    """
    deviation = latents.std(axis=0, dtype=np.float64)
    rounding = _ROUNDING * np.abs(latents).max(axis=0)
    return int((deviation <= np.maximum(COLLAPSED * deviation.max(), rounding)).sum())
