"""Latent optimization: for each image, find the latent with the smallest reconstruction error.

An encoder's latent has a larger error. The difference is the part of the error that the encoder causes; the rest is
caused by the decoder and the latent size.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp, vmap
from tqdm import tqdm

from stages.shared.arrays import Float32, Uint8, batches
from stages.shared.model.autoencoder import Autoencoder, scale
from stages.shared.model.modules import load_modules

STARTS = 9  # per image: the encoder's latent and the nearest candidates
_DAMPING = 0.01  # initial, as a share of the mean curvature
_DAMPING_RANGE = 1e-6, 1e6
_CONVERGED = 1e-4  # share of the error: steps with a smaller predicted gain are not taken
_TIE = 1e-6  # share of the error by which another start must beat the encoder's


def optimize_latents(
    autoencoder: Autoencoder, images: Uint8, latents: Float32, candidates: Float32, steps: int
) -> Float32:
    """Minimize each image's squared error by `steps` Gauss-Newton steps on its latent: float32 [N, latent size].

    images: uint8 [N, height, width, channels].
    latents: latents of these images from the encoder.
    candidates: other latents, [M, latent size]; at most one batch of them is used.

    The search starts from the encoder's latent and from the candidates whose decoded images are nearest. It keeps the
    best result, which is never worse than the encoder's latent.

    Levenberg, "A method for the solution of certain non-linear problems in least squares" (1944): the damping increases
    after a step that raises the error and decreases after one that lowers it.
    """
    decode, size = load_modules(autoencoder.decoder), autoencoder.latent_size
    candidates = candidates[next(batches(len(candidates), autoencoder.pixels))]
    others = torch.from_numpy(candidates)
    starts = 1 + min(STARTS - 1, len(others))
    refined = np.empty_like(latents)
    torch.set_num_threads(1)  # like NumPy, so that results don't depend on the number of cores
    with torch.no_grad(), tqdm(total=len(images), desc="refine", unit=" images", leave=False, disable=None) as progress:
        decoded = decode(others)  # [M, pixels]
        for batch in batches(len(images), starts * autoencoder.pixels * (size + 1), min_rows=1):
            x = torch.from_numpy(scale(images[batch]))  # [batch, pixels]
            # Squared errors of the candidates minus the square of x, which is constant in a row: [batch, M]
            distances = decoded.square().sum(1) - 2 * x @ decoded.T
            nearest = others[distances.topk(starts - 1, largest=False, sorted=False).indices]
            z = torch.cat([torch.from_numpy(latents[batch])[:, None], nearest], dim=1)  # [batch, starts, size]
            ends, errors = _descend(decode, x, z.flatten(0, 1), steps)
            errors = errors.view(-1, starts)
            errors[:, 0] *= 1 - _TIE
            refined[batch] = ends.view_as(z)[torch.arange(len(x)), errors.argmin(1)].numpy()
            progress.update(len(x))
    return refined


class _Derivatives(NamedTuple):
    """Squared errors of N latents, and their derivatives, where r is the residual of the pixels and J its Jacobian.

    errors: float64 [N].
    gradients: float32 [N, size], J^T r, which is half of the gradient.
    curvatures: float32 [N, size, size], J^T J, which is half of the second derivative if residuals are small.
    """

    errors: Tensor
    gradients: Tensor
    curvatures: Tensor

    @classmethod
    def of(cls, decode: Callable[[Tensor], Tensor], x: Tensor, z: Tensor) -> "_Derivatives":
        def derivative(direction: Tensor) -> tuple[Tensor, Tensor]:
            return jvp(decode, (z,), (direction.expand_as(z),))  # type: ignore[return-value]

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.script", FutureWarning)  # from PyTorch's own code
            y, rows = vmap(derivative, out_dims=(0, 1))(torch.eye(z.shape[1]))  # [size, N, pixels], [N, size, pixels]
        residuals = y[0] - x
        return cls(residuals.double().square().sum(1), (rows @ residuals[..., None])[..., 0], rows @ rows.mT)


def _descend(decode: Callable[[Tensor], Tensor], x: Tensor, z: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Minimize the errors, starting from the latents z, [N * starts, latent size], for images x, [N, pixels].

    Returns the latents, and their squared errors, float64 [N * starts].
    """
    starts = len(z) // len(x)
    active = torch.arange(len(z))  # rows that have not converged
    fit = _Derivatives.of(decode, x.repeat_interleave(starts, 0), z)
    damping = torch.full((len(z),), _DAMPING, dtype=torch.float64)
    for _ in range(steps):
        step, predicted = _step(fit.gradients[active], fit.curvatures[active], damping[active])
        worth = predicted > _CONVERGED * fit.errors[active]
        active, step = active[worth], step[worth]
        if not len(active):
            break
        tried = z[active] + step
        new = _Derivatives.of(decode, x[active // starts], tried)
        better = new.errors < fit.errors[active]
        z[active[better]] = tried[better]
        for kept, fresh in zip(fit, new, strict=True):
            kept[active[better]] = fresh[better]
        damping[active] = (damping[active] * torch.where(better, 0.2, 10)).clamp(*_DAMPING_RANGE)
    return z, fit.errors


def _step(gradients: Tensor, curvatures: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Compute damped Gauss-Newton steps, [N, size], and by how much each should reduce the error, [N]."""
    g, c = gradients.double(), curvatures.double()
    diagonal = c.diagonal(dim1=1, dim2=2)
    # The curvature is 0 for a latent without effect, as behind dead units.
    damped = damping * diagonal.mean(1) + torch.finfo(torch.float32).tiny
    step = -torch.linalg.solve(c + torch.diag_embed(damped[:, None].expand_as(g)), g)
    predicted = -(step * (2 * g + (c @ step[..., None])[..., 0])).sum(1)
    return step.float(), predicted
