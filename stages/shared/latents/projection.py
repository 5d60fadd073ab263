"""Latents of many dimensions, brought to the three that can be drawn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64

DRAWN = 3  # dimensions


@dataclass(frozen=True)
class Projection:
    """Onto the first three principal components: `(latents - mean) @ components.T`.

    mean: float64 [latent size]; components: float64 [3, latent size], zeros where there are fewer of them than that;
    shares: float64 [3], of the variance that each explains.
    """

    mean: Float64
    components: Float64
    shares: Float64

    @classmethod
    def fit(cls, latents: NDArray[Any]) -> "Projection | None":
        """The projection of latents [N, latent size]; None where they can be drawn as they are."""
        count, size = latents.shape
        if size <= DRAWN:
            return None
        from sklearn.decomposition import PCA

        found = min(DRAWN, count)
        components, shares = np.zeros((DRAWN, size)), np.zeros(DRAWN)
        if found > 1 and np.ptp(latents, axis=0).any():
            pca = PCA(found, svd_solver="full").fit(latents.astype(np.float64))
            components[:found], shares[:found] = pca.components_, pca.explained_variance_ratio_
        return cls(latents.mean(axis=0, dtype=np.float64), components, shares)

    def place(self, latents: NDArray[Any]) -> Float64:
        """Latents [N, latent size] to their places, float64 [N, 3]."""
        places: Float64 = (latents - self.mean) @ self.components.T
        return places
