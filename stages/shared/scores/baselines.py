"""What an autoencoder is measured against: the mean image, and PCA."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stages.shared.arrays import Float32, Uint8, batches, sample_rows
from stages.shared.model.autoencoder import scale

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

_PCA_BYTES = 2**28  # of float32 pixels that PCA is fitted to: all of Fashion-MNIST, and no more of millions of images
_EXACT_PIXELS = 2048  # up to which the covariance's eigenvectors are found, all of them


class Codec(Protocol):
    """What can be scored: images to latents and back.

    encode: uint8 [N, height, width, channels] to float32 [N, latent size]; decode: those to N images of float32 pixels
    in [0, 1].
    """

    def encode(self, images: Uint8) -> Float32: ...
    def decode(self, latents: Float32) -> Float32: ...


@dataclass(frozen=True)
class MeanImage:
    """The baseline of no latent at all: it shows the mean training image, whatever the image."""

    mean: Float32  # [pixels]

    @classmethod
    def fit(cls, images: Uint8) -> "MeanImage":
        total = np.zeros(images[0].size, np.float64)  # a sum of whole numbers is exact, in whatever parts
        for batch in batches(len(images), images[0].size):
            total += images[batch].reshape(-1, images[0].size).sum(axis=0, dtype=np.float64)
        return cls((total / len(images) / 255).astype(np.float32))

    def encode(self, images: Uint8) -> Float32:
        return np.empty((len(images), 0), np.float32)

    def decode(self, latents: Float32) -> Float32:
        return np.broadcast_to(self.mean, (len(latents), len(self.mean)))


@dataclass(frozen=True)
class PcaBaseline:
    """The linear baseline: an image's latent is its scores on the first principal components."""

    pca: "PCA"

    @classmethod
    def fit(cls, images: Uint8, components: int, seed: int) -> "PcaBaseline":
        """Fit to at least 2 images; of so many that they exceed 256 MiB as float32, to a random draw of that size.

        Takes fewer components where there are fewer images or pixels. Of more than 2048 pixels the components are found
        by a randomized SVD: Halko, Martinsson and Tropp, "Finding structure with randomness" (2011).
        """
        from sklearn.decomposition import PCA

        pixels = images[0].size
        most = max(2, _PCA_BYTES // (4 * pixels))
        images = sample_rows(images, most, seed)
        solver = "covariance_eigh" if pixels <= _EXACT_PIXELS else "randomized"
        pca = PCA(min(components, len(images), pixels), svd_solver=solver, random_state=seed % 2**32)
        # Where nothing varies, the share of variance explained, which is not used here, is 0/0.
        with np.errstate(invalid="ignore"):
            return cls(pca.fit(scale(images)))

    def encode(self, images: Uint8) -> Float32:
        size = images[0].size
        parts: list[Float32] = [self.pca.transform(scale(images[batch])) for batch in batches(len(images), size)]
        return np.concatenate(parts)

    def decode(self, latents: Float32) -> Float32:
        """Not clipped: pixels may leave [0, 1] a little."""
        pixels: Float32 = self.pca.inverse_transform(latents)
        return pixels
