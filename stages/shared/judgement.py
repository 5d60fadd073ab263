"""How well an autoencoder, or a baseline in its place, reconstructs images, and how well its latents place them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.shared.autoencoder import Float32, scale
from stages.shared.files import Uint8

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

COLLAPSED = 0.01  # of the widest dimension's standard deviation
_ROUNDING = 1e-5  # of a dimension's largest value: more than float32 leaves of a constant
_AT_ONCE = 4096  # images decoded together, so that millions need no more memory
_PCA_BYTES = 2**28  # of float32 pixels that PCA is fitted to: all of Fashion-MNIST, and no more of millions of images


class Codec(Protocol):
    """What can be judged: images to latents and back.

    encode: uint8 [N, height, width] to float32 [N, latent size]; decode: those to N images of float32 pixels in [0, 1].
    """

    def encode(self, images: Uint8) -> Float32: ...
    def decode(self, latents: Float32) -> Float32: ...


@dataclass(frozen=True)
class MeanImage:
    """The baseline of no latent at all: it shows the mean training image, whatever the image."""

    mean: Float32  # [pixels]

    @classmethod
    def fit(cls, images: Uint8) -> "MeanImage":
        mean = images.reshape(len(images), -1).mean(axis=0, dtype=np.float64)
        return cls((mean / 255).astype(np.float32))

    def encode(self, images: Uint8) -> Float32:
        return np.empty((len(images), 0), np.float32)

    def decode(self, latents: Float32) -> Float32:
        return np.broadcast_to(self.mean, (len(latents), len(self.mean)))


@dataclass(frozen=True)
class Principal:
    """The linear baseline: an image's latent is its scores on the first principal components."""

    pca: "PCA"

    @classmethod
    def fit(cls, images: Uint8, components: int, seed: int) -> "Principal":
        """Fit to at least 2 images; of so many that they exceed 256 MiB as float32, to a random draw of that size.

        Takes fewer components where there are fewer images or pixels.
        """
        from sklearn.decomposition import PCA

        pixels = images[0].size
        most = max(2, _PCA_BYTES // (4 * pixels))
        if len(images) > most:
            images = images[np.sort(np.random.default_rng(seed).choice(len(images), most, replace=False))]
        pca = PCA(min(components, len(images), pixels), svd_solver="covariance_eigh")
        # Where nothing varies, the share of variance explained, which is not used here, is 0/0.
        with np.errstate(invalid="ignore"):
            return cls(pca.fit(scale(images)))

    def encode(self, images: Uint8) -> Float32:
        parts: list[Float32] = [self.pca.transform(scale(images[batch])) for batch in _batches(len(images))]
        return np.concatenate(parts)

    def decode(self, latents: Float32) -> Float32:
        """Not clipped: pixels may leave [0, 1] a little."""
        pixels: Float32 = self.pca.inverse_transform(latents)
        return pixels


def reconstruction_errors(codec: Codec, images: Uint8, latents: Float32) -> Float64:
    """The mean squared error per pixel, of pixels in [0, 1], of each image: [N]."""
    parts = []
    for batch in _batches(len(images)):
        x = scale(images[batch])  # [batch, pixels]
        x -= codec.decode(latents[batch]).reshape(x.shape)
        parts.append(np.square(x, out=x).mean(axis=1, dtype=np.float64))
    return np.concatenate(parts)


def psnr(mse: float) -> float | None:
    """Peak signal-to-noise ratio in dB, of pixels in [0, 1]: 10 log10(1 / mse). None, for infinity, where mse is 0."""
    return 10 * math.log10(1 / mse) if mse > 0 else None


def vote(
    train_latents: Float32, train_labels: Uint8, test_latents: Float32, test_labels: Uint8, neighbors: int, classes: int
) -> Int64:
    """How the `neighbors` nearest training latents vote on each test image's class: images, [actual, voted]."""
    from sklearn.neighbors import KNeighborsClassifier

    votes = KNeighborsClassifier(neighbors).fit(train_latents, train_labels).predict(test_latents)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (test_labels, votes), 1)
    return confusion


def trustworthiness(images: Uint8, latents: Float32, neighbors: int) -> float | None:
    """Whether nearest neighbours in the latent space are near as images too: from 0 to 1, where all of them are.

    Venna and Kaski, "Neighborhood preservation in nonlinear projection methods" (2001), for more than 2 * `neighbors`
    images. None where all images are the same, and so have no neighbours.
    """
    from sklearn import manifold

    if (images == images[0]).all():
        return None
    return float(manifold.trustworthiness(scale(images), latents, n_neighbors=neighbors))


def collapsed(latents: Float32) -> int:
    """How many dimensions of latents, [N, latent size], hardly vary.

    Those whose standard deviation is at most a hundredth of the widest dimension's, or nothing but rounding.
    """
    deviation = latents.std(axis=0, dtype=np.float64)
    rounding = _ROUNDING * np.abs(latents).max(axis=0)
    return int((deviation <= np.maximum(COLLAPSED * deviation.max(), rounding)).sum())


def _batches(length: int) -> Iterator[slice]:
    return (slice(start, start + _AT_ONCE) for start in range(0, length, _AT_ONCE))
