"""The best latent for a decoder that can be found for an image: what an encoder that made no mistake would give.

An encoder guesses, in one pass, the latent that its decoder does best with. A search for that latent, image by image,
tells how much of the error is the encoder's; the rest is the decoder's, and that of so few numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.shared.arrays import Float32, Float64, Int64, Uint8, batches
from stages.shared.model.autoencoder import Autoencoder, scale
from stages.shared.model.operations import Operation, linearize

STARTS = 9  # of each image's search: the encoder's latent, and the nearest of the candidates
_DAMPING = 0.01  # at first, as a share of the mean curvature
_DAMPING_RANGE = 1e-6, 1e6
_CONVERGED = 1e-4  # of the error: a step that promises to take off less is not taken


def refine(autoencoder: Autoencoder, images: Uint8, latents: Float32, candidates: Float32, steps: int) -> Float32:
    """The latents of least squared error that are found by `steps` Gauss-Newton steps: float32 [N, latent size].

    images: uint8 [N, height, width, channels]; latents: the encoder's of these, float32 [N, latent size]; candidates:
    other latents, [M, latent size], of which those decoded nearest to an image are further places to start from, as
    many of them as are decoded in one batch. The best end is kept, so no image fares worse than from the encoder.

    Levenberg, "A method for the solution of certain non-linear problems in least squares" (1944): the damping grows
    where a step would raise the error, and shrinks where it lowers it.
    """
    pixels, size = autoencoder.pixels, autoencoder.latent_size
    candidates = candidates[next(batches(len(candidates), pixels))]
    decoded = autoencoder.decode(candidates).reshape(-1, pixels)  # [M, pixels]
    starts = 1 + min(STARTS - 1, len(candidates))
    refined = np.empty_like(latents)
    with tqdm(total=len(images), desc="refine", unit=" images", leave=False, disable=None) as progress:
        for batch in batches(len(images), starts * pixels * (size + 1), least=1):
            x = scale(images[batch])  # [batch, pixels]
            nearest = candidates[_nearest(decoded, x, starts - 1)]  # [batch, starts - 1, latent size]
            z = np.concatenate([latents[batch, np.newaxis], nearest], axis=1)  # [batch, starts, latent size]
            ends, errors = _descend(autoencoder.decoder, x, z.reshape(-1, size), steps)
            best = errors.reshape(-1, starts).argmin(axis=1)
            refined[batch] = ends.reshape(z.shape)[np.arange(len(x)), best]
            progress.update(len(x))
    return refined


def _nearest(decoded: Float32, x: Float32, count: int) -> Int64:
    """The `count` of the decoded, [M, pixels], of the least squared error to each x, [N, pixels]: [N, count]."""
    errors = np.square(decoded).sum(axis=1) - 2 * x @ decoded.T  # [N, M], but for what x adds to all of its row
    return np.argpartition(errors, count - 1, axis=1)[:, :count]


class _Fit(NamedTuple):
    """How N latents fit their images, and how that changes about them.

    errors: float64 [N], the squared error; gradients: float32 [N, size], J^T r, half of its gradient;
    curvatures: float32 [N, size, size], J^T J, half of its second derivative where the residuals are small.
    """

    errors: Float64
    gradients: Float32
    curvatures: Float32

    @classmethod
    def of(cls, decoder: Sequence[Operation], x: Float32, z: Float32) -> "_Fit":
        y, jacobian = linearize(decoder, z)  # [N, pixels], [size, N, pixels]
        residuals = y - x
        rows = jacobian.transpose(1, 0, 2)  # [N, size, pixels]
        return cls(
            errors=np.square(residuals).sum(axis=1, dtype=np.float64),
            gradients=(rows @ residuals[..., np.newaxis])[..., 0],
            curvatures=rows @ rows.transpose(0, 2, 1),
        )

    def take(self, rows: Int64, other: "_Fit", where: NDArray[np.bool_]) -> None:
        """Put the other's rows where `where` holds in place of one's own `rows`."""
        self.errors[rows] = other.errors[where]
        self.gradients[rows] = other.gradients[where]
        self.curvatures[rows] = other.curvatures[where]


def _descend(decoder: Sequence[Operation], x: Float32, z: Float32, steps: int) -> tuple[Float32, Float64]:
    """From z, as many [N * starts, size] as images x, [N, pixels], have starts, to where the errors are least.

    Those latents, and their squared errors, [N * starts].
    """
    starts = len(z) // len(x)
    going = np.arange(len(z))  # the rows whose steps still promise something
    z, fit = z.copy(), _Fit.of(decoder, x.repeat(starts, axis=0), z)
    damping = np.full(len(z), _DAMPING)
    for _ in range(steps):
        step, promised = _step(fit.gradients[going], fit.curvatures[going], damping[going])
        worth = promised > _CONVERGED * fit.errors[going]
        going, step = going[worth], step[worth]
        if not len(going):
            break
        tried = z[going] + step
        new = _Fit.of(decoder, x[going // starts], tried)
        better = new.errors < fit.errors[going]
        won = going[better]
        z[won] = tried[better]
        fit.take(won, new, better)
        damping[going] = np.clip(damping[going] * np.where(better, 0.2, 10), *_DAMPING_RANGE)
    return z, fit.errors


def _step(gradients: Float32, curvatures: Float32, damping: Float64) -> tuple[Float32, Float64]:
    """The damped Gauss-Newton steps, [N, size], and by how much each lowers the error if all were linear, [N]."""
    g, c = gradients.astype(np.float64), curvatures.astype(np.float64)
    size = g.shape[1]
    # Where nothing that a latent does is seen, as behind dead units, the curvature is 0.
    damped = damping * np.trace(c, axis1=1, axis2=2) / size + np.finfo(np.float32).tiny
    step = -np.linalg.solve(c + damped[:, np.newaxis, np.newaxis] * np.eye(size), g[..., np.newaxis])[..., 0]
    promised = -np.einsum("ni,ni->n", step, 2 * g + np.einsum("nij,nj->ni", c, step))
    return step.astype(np.float32), promised
