"""Training on principal components: the rows are component scores of the images, and the network is small.

The components U [k, pixels] are orthonormal. Therefore the squared error in pixels equals that of the scores
c = U (x - mean) plus a constant: the residual, which the components can't represent. If there are few pictures, a part
of each batch gets scores with random signs. For such artificial pictures PCA is nearly optimal, so they keep the
network close to PCA where there is little data. Few pictures get their mirror images as more pictures, if that helps
PCA.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from stages.shared.arrays import Float32, Float64, Uint8
from stages.shared.model.architecture import mlp
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.operations import Operation, linear
from stages.shared.model.pca import Pca
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.network import Network
from stages.shared.training.recipe import Recipe
from stages.shared.training.space import Prefetch, Transform

_PCA_IMAGES = 10_000  # maximum for fitting the components
_REPORTED_ROWS = 10_000  # maximum for computing the reported training loss
_MIN_MIRRORED = 4  # training images: two in each half


class Perturbation:
    """Random signs for the scores of the first `flipped` rows of each batch, and Gaussian noise on the inputs.

    noise: standard deviation, in the unit of the rows.
    drawn: float32 [batch size, 2 k], the signs (1 or -1) and the noise; they depend only on the seed and the step.
    """

    def __init__(
        self, flipped: int, noise: float, batch_size: int, count: int, seed: int, device: torch.device
    ) -> None:
        self.count, self.noise, self.seed, self.random = count, noise, seed, Generator(device)
        self.drawn = torch.ones(batch_size, 2 * count, device=device)
        self.flipped, self.noises = self.drawn[:flipped, :count], self.drawn[:, count:]

    def draw(self, step: int) -> None:
        """See `Transform`."""
        self.random.manual_seed((self.seed * 0x9E3779B1 + step) % 2**32)
        self.flipped.bernoulli_(0.5, generator=self.random).mul_(2).sub_(1)
        if self.noise:
            drawn = torch.randn(self.noises.shape, generator=self.random, device=self.noises.device)
            torch.mul(drawn, self.noise, out=self.noises)  # normal_ in place would be slow: the memory has gaps

    def apply(self, x: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """See `Transform`."""
        target = x * drawn[:, : self.count]
        return (target + drawn[:, self.count :] if self.noise else target), target


def with_mirrors(images: Uint8) -> Uint8:
    """Append the mirror image (left and right exchanged) of each image: uint8 [2 N, height, width, channels]."""
    return np.concatenate([images, images[:, :, ::-1]])


def mirrors_help(images: Uint8, count: int, seed: int) -> bool:
    """Whether PCA of one half of the images represents the other half better if it also has mirror images.

    count: number of components.

    Both halves take both parts. For example, this is true for photographs and false for handwritten digits.
    """
    errors = np.zeros(2)  # without and with mirror images
    for fit, held_out in (images[::2], images[1::2]), (images[1::2], images[::2]):
        for index, rows in enumerate((fit, with_mirrors(fit))):
            scores, energies = Pca.fit(rows, count, seed).project(held_out)
            errors[index] += energies.sum() - np.square(scores, dtype=np.float64).sum()
    return bool(errors[1] < errors[0])


class Components:
    """Training data are the scores of images on their first principal components.

    images: uint8 [N, height, width, channels].

    The scores are divided by `unit`, so that the first `latent_size` have the mean standard deviation `scale`.
    If there are mirror images, their rows follow those of the images.
    """

    def __init__(self, images: Uint8, recipe: Recipe, device: torch.device, group: Group = ALONE) -> None:
        assert recipe.components is not None
        torch.set_flush_denormal(True)
        torch.manual_seed(recipe.seed)
        self.size: tuple[int, int, int] = images.shape[1:]
        self.device = device
        self.pca: Pca
        self.mirrored: bool
        self.pca, self.mirrored = group.broadcast(_fit(images, recipe) if group.is_rank_zero else None)
        own = len(images)
        images = with_mirrors(images) if self.mirrored else images
        scores, energies = self.pca.project(images)
        step = -(-len(images) // _REPORTED_ROWS)
        spread = scores[::step].std(axis=0, dtype="float64")
        self.unit = float(spread[: recipe.latent_size].mean() / recipe.scale) or 1.0
        self.rows = torch.from_numpy(scores / self.unit).to(device)
        self.reported = self.rows[:own:step], self._residual(scores[:own:step], energies[:own:step])
        self.held_out: tuple[Uint8 | None, Tensor, float] = None, self.rows[:0], 0.0  # of the last evaluated images

        count, latent_size = scores.shape[1], recipe.latent_size
        encoder = mlp([count, *recipe.layers, latent_size], recipe.activation)
        decoder = mlp([latent_size, *reversed(recipe.layers), count], recipe.activation)
        self.network = Network(encoder, decoder).to(device)
        with torch.no_grad():  # larger initial weights for scores with less variance
            first = next(self.network.parameters())
            first.div_(torch.from_numpy(spread / (spread[0] or 1)).clamp(min=1e-3).pow(recipe.equalize).to(first))

        flipped = round(recipe.batch_size * recipe.sign_flips / (recipe.sign_flips + len(images)))
        perturbation = flipped, recipe.noise / self.unit, recipe.batch_size, count, recipe.seed, device
        self.transform: Transform | None = Perturbation(*perturbation) if flipped or recipe.noise else None
        self.prefetch: Prefetch = iter

    def train_loss(self, batch_loss: float) -> float:
        """Squared error per pixel on the training images, computed again without random signs and noise."""
        return self._error(*self.reported)

    def evaluate(self, images: Uint8, group: Group = ALONE) -> float:
        """Squared error per pixel, without clipping to [0, 1]; computed from scores, without decoding to pixels."""
        if self.held_out[0] is not images:
            scores, energies = self.pca.project(images)
            rows = torch.from_numpy(scores / self.unit).to(self.device)
            self.held_out = images, rows, self._residual(scores, energies)
        return self._error(*self.held_out[1:])

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """The current model from pixels to pixels; mean, components and unit become linear layers."""
        inner = self.network.autoencoder(self.size, training)
        first, *encoder = inner.encoder
        *decoder, last = inner.decoder
        components, mean = 6 * self.pca.components, self.pca.mean  # Hardsigmoid(6 x - 3) clips x to [0, 1]
        return replace(
            inner,
            encoder=[linear(components, -components @ mean), _scaled(first, 1 / (6 * self.unit), 1), *encoder],
            decoder=[
                *decoder,
                _scaled(last, self.unit, self.unit),
                linear(components.T, 6 * mean - 3),
                Operation("hardsigmoid"),
            ],
        )

    def _residual(self, scores: Float32, energies: Float64) -> float:
        """Mean squared residual of the images: the part that the components can't represent.

        energies: squared distances of the images from the mean image.
        """
        return float((energies - (scores.astype("float64") ** 2).sum(axis=1)).mean())

    @torch.no_grad()
    def _error(self, rows: Tensor, residual: float) -> float:
        self.network.eval()
        loss = nn.functional.mse_loss(self.network(rows), rows).item() * rows.shape[1] * self.unit**2
        height, width, channels = self.size
        return (loss + residual) / (height * width * channels)


def _fit(images: Uint8, recipe: Recipe) -> tuple[Pca, bool]:
    """Fit the components; also returns whether they are fitted to the mirror images as well."""
    assert recipe.components is not None
    mirrored = _MIN_MIRRORED <= len(images) <= recipe.mirror_up_to
    mirrored = mirrored and mirrors_help(images, recipe.latent_size, recipe.seed)
    images = with_mirrors(images) if mirrored else images
    return Pca.fit(images, recipe.components, recipe.seed, _PCA_IMAGES), mirrored


def _scaled(operation: Operation, weight: float, bias: float) -> Operation:
    weights, biases = operation.tensors
    return replace(operation, tensors=(weights * weight, biases * bias))
