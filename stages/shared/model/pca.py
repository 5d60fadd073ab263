"""Principal component analysis of images, in blocks that fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from stages.shared.arrays import Float32, Float64, Uint8, sample_rows

_MAX_NUMBERS = 2**26  # pixels of all images for the fit: 256 MiB of float32
_MAX_EXACT = 2048  # images or pixels up to which the fit is exact
_BLOCK_NUMBERS = 2**19  # float32 numbers in a block: 2 MiB, about a core's cache
_OVERSAMPLING = 24
_POWER_ROUNDS = 2
_MIN_VARIANCE = 1e-6  # of a component relative to the first; less is rounding


@dataclass(frozen=True)
class Pca:
    """PCA as an autoencoder: the latents are scores on the first principal components.

    mean: float32 [pixels] in [0, 1].
    components: float32 [k, pixels], C-contiguous and orthonormal, sorted by decreasing variance. The largest number of
    each is positive. Components without variance are left out, but at least one is kept.
    """

    mean: Float32
    components: Float32

    @classmethod
    def fit(cls, images: Uint8, count: int, seed: int, max_images: int | None = None) -> "Pca":
        """Fit `count` components to images, uint8 [N, height, width, channels]; fewer if the rank is lower.

        If there are more than `max_images` images or 2**26 pixels, a random sample is used. With at most
        2048 images, or 2048 pixels per image, the result is exact: eigenvectors of X X' or X' X, whichever is smaller,
        for centered images X. Otherwise it is computed by a randomized range finder: Halko, Martinsson and Tropp,
        "Finding structure with randomness" (2011), algorithm 4.4.
        """
        pixels = images[0].size
        images = sample_rows(images, max(2, min(max_images or len(images), _MAX_NUMBERS // pixels)), seed)
        rows = images.reshape(len(images), -1)
        total = np.zeros(pixels)
        for block in _blocks(*rows.shape):
            total += rows[block].sum(axis=0, dtype=np.float64)  # exact, because it sums integers
        found = cls((total / (255 * len(rows))).astype(np.float32), np.empty((0, pixels), np.float32))
        x = np.empty(rows.shape, np.float32)
        for block in _blocks(*rows.shape):
            found._center(rows[block], out=x[block])
        return cls(found.mean, _components(x, min(count, *x.shape), seed))

    def _center(self, rows: Uint8, out: Float32 | None = None) -> Float32:
        """Subtract the mean from rows, uint8 [N, pixels]; the result is in units of 1/255."""
        return np.subtract(rows, 255 * self.mean, out=out)

    def project(self, images: Uint8) -> tuple[Float32, Float64]:
        """Compute scores of images, float32 [N, k], and their squared distances from the mean image, float64 [N]."""
        rows, directions = images.reshape(len(images), -1), self.components.T / np.float32(255)
        scores, energies = np.empty((len(rows), len(self.components)), np.float32), np.empty(len(rows))
        for block in _blocks(*rows.shape):
            x = self._center(rows[block])
            np.matmul(x, directions, out=scores[block])
            energies[block] = np.einsum("ij,ij->i", x, x)
        return scores, energies / 255**2

    def encode(self, images: Uint8) -> Float32:
        """Encode images, uint8 [N, height, width, channels], to scores, float32 [N, k]."""
        return self.project(images)[0]

    def decode(self, latents: Float32) -> Float32:
        """Decode scores, [N, k], to pixels, float32 [N, pixels], clipped to [0, 1]."""
        pixels: Float32 = latents @ self.components + self.mean
        return np.clip(pixels, 0, 1, out=pixels)


def _blocks(count: int, numbers: int) -> Iterator[slice]:
    rows = max(16, _BLOCK_NUMBERS // numbers)
    return (slice(start, start + rows) for start in range(0, count, rows))


def _components(x: Float32, count: int, seed: int) -> Float32:
    """Compute the first principal components of centered rows, [N, pixels]; returns float32 [at most count, pixels]."""
    directions: NDArray[np.floating[Any]]
    if min(x.shape) > max(_MAX_EXACT, count + _OVERSAMPLING):
        basis = np.random.default_rng(seed).standard_normal((x.shape[1], count + _OVERSAMPLING), np.float32)
        for _ in range(_POWER_ROUNDS + 1):
            basis = np.linalg.qr(x.T @ (x @ basis))[0]  # [pixels, count + oversampling]
        within = x @ basis
        variances, directions = _largest(_gram(within.T), count)
        directions = basis @ directions.astype(np.float32)
    elif x.shape[0] > x.shape[1]:
        variances, directions = _largest(_gram(x.T), count)
    else:
        variances, directions = _largest(_gram(x), count)
        directions = x.T @ directions.astype(np.float32)
    kept = variances > _MIN_VARIANCE * variances[0]
    kept[0] = True
    directions = directions[:, kept].astype(np.float64)
    if not variances[0] > 0:  # all images are equal: any direction will do
        directions = np.eye(len(directions), 1)
    directions = np.linalg.qr(directions)[0]  # orthonormal to the last bit of float64
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, range(directions.shape[1])])
    return np.ascontiguousarray(directions.T, np.float32)


def _gram(x: Float32) -> Float64:
    """Compute the Gram matrix, float64 [N, N], of the rows of a matrix, [N, columns]."""
    total = np.zeros((len(x), len(x)))
    for block in _blocks(x.shape[1], len(x)):
        total += x[:, block] @ x[:, block].T
    return total


def _largest(symmetric: Float64, count: int) -> tuple[Float64, Float64]:
    """Compute the `count` largest eigenvalues in decreasing order, and their eigenvectors as columns."""
    size = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[size - count, size - 1])
    return values[::-1], vectors[:, ::-1]
