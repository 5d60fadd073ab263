"""Projection of latents to three dimensions for plotting."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64

PLOTTED = 3  # dimensions


@dataclass(frozen=True)
class Projection:
    """Projection to the first three principal components: `(latents - mean) @ components.T`.

    mean: float64 [latent size].
    components: float64 [3, latent size]; missing ones are zero.
    shares: share of the variance that each component explains, float64 [3].
    """

    mean: Float64
    components: Float64
    shares: Float64

    @classmethod
    def fit(cls, latents: NDArray[Any]) -> "Projection | None":
        """Fit the projection to latents, [N, latent size]; returns None if they have three dimensions or fewer."""
        count, size = latents.shape
        if size <= PLOTTED:
            return None
        from sklearn.decomposition import PCA

        count_found = min(PLOTTED, count)
        components, shares = np.zeros((PLOTTED, size)), np.zeros(PLOTTED)
        if count_found > 1 and np.ptp(latents, axis=0).any():
            pca = PCA(count_found, svd_solver="full").fit(latents.astype(np.float64))
            components[:count_found], shares[:count_found] = pca.components_, pca.explained_variance_ratio_
        return cls(latents.mean(axis=0, dtype=np.float64), components, shares)

    def transform(self, latents: NDArray[Any]) -> Float64:
        """Project latents, [N, latent size], to float64 [N, 3]."""
        projected: Float64 = (latents - self.mean) @ self.components.T
        return projected
