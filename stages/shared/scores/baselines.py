"""Baselines that autoencoders are compared with: the mean image and PCA."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stages.shared.arrays import Float32, Uint8, batches
from stages.shared.model.pca import Pca


class Codec(Protocol):
    """Encoder and decoder that can be scored.

    encode: from uint8 [N, height, width, channels] to float32 [N, latent size].
    decode: from latents to float32 pixels in [0, 1].
    """

    def encode(self, images: Uint8) -> Float32: ...
    def decode(self, latents: Float32) -> Float32: ...


@dataclass(frozen=True)
class MeanImage:
    """Baseline without latents (size 0): it reconstructs every image as the mean training image."""

    mean: Float32  # [pixels]

    @classmethod
    def fit(cls, images: Uint8) -> "MeanImage":
        total = np.zeros(images[0].size, np.float64)  # exact, because it sums integers
        for batch in batches(len(images), images[0].size):
            total += images[batch].reshape(-1, images[0].size).sum(axis=0, dtype=np.float64)
        return cls((total / len(images) / 255).astype(np.float32))

    def encode(self, images: Uint8) -> Float32:
        return np.empty((len(images), 0), np.float32)

    def decode(self, latents: Float32) -> Float32:
        return np.broadcast_to(self.mean, (len(latents), len(self.mean)))


PcaBaseline = Pca  # clipped to [0, 1] like the autoencoder
