"""Table of the kinds of noise for `train.pixels.noise_kind` and `restore.kind`."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int, int]  # height, width, channels


class NoiseKind(NamedTuple):
    """A kind of noise.

    shape: function that returns the shape of the random numbers for an image.
    fill: function that draws the random numbers in place.
    apply: function that adds noise to pixels in [0, 1], [N, pixels], given the random numbers, [N, *shape], the amount
    of noise and the image size.
    """

    shape: Callable[[Size], tuple[int, ...]]
    fill: Callable[[Tensor, torch.Generator], object]
    apply: Callable[[Tensor, Tensor, float, Size], Tensor]


def _gaussian(x: Tensor, drawn: Tensor, amount: float, size: Size) -> Tensor:
    return torch.add(x, drawn, alpha=amount).clamp_(0, 1)


def _salt_and_pepper(x: Tensor, drawn: Tensor, amount: float, size: Size) -> Tensor:
    drawn = drawn.repeat_interleave(size[2], dim=1)  # [N, height * width] to [N, pixels]: the same for all channels
    return x.masked_fill(drawn < amount / 2, 0).masked_fill_(drawn >= 1 - amount / 2, 1)


def _square(x: Tensor, drawn: Tensor, amount: float, size: Size) -> Tensor:
    inside = []
    for places, length in zip(drawn.unbind(dim=1), size[:2], strict=True):
        side = round(length * amount**0.5)
        start = (places * (length - side + 1)).floor()[:, None]  # [N, 1]
        along = torch.arange(length, device=x.device)  # [length]
        inside.append((along >= start) & (along < start + side))  # [N, length]
    rows, columns = inside
    mask = rows[:, :, None] & columns[:, None, :]  # [N, height, width]
    return x.view(-1, *size).masked_fill(mask[..., None], 0).view_as(x)


def _normal(drawn: Tensor, random: torch.Generator) -> object:
    return drawn.normal_(generator=random)


def _uniform(drawn: Tensor, random: torch.Generator) -> object:
    return drawn.uniform_(generator=random)


# Meaning of the amount: standard deviation for pixels in [0, 1] (gaussian), share of black or white pixels
# (salt-and-pepper), share of the picture that is black (square)
NOISES: dict[str, NoiseKind] = {
    "gaussian": NoiseKind(lambda size: (size[0] * size[1] * size[2],), _normal, _gaussian),
    "salt-and-pepper": NoiseKind(lambda size: (size[0] * size[1],), _uniform, _salt_and_pepper),
    "square": NoiseKind(lambda size: (2,), _uniform, _square),
}


class Noise:
    """Noise of one kind and amount, for batches of at most `rows` images.

    It depends only on `seed` and the number of the batch, so that a training can resume, and all processes draw the
    same.
    """

    def __init__(self, kind: str, amount: float, size: Size, rows: int, seed: int, device: torch.device) -> None:
        self.kind, self.amount, self.size, self.seed = NOISES[kind], amount, size, seed
        self.random = torch.Generator(device)
        self.drawn = torch.empty(rows, *self.kind.shape(size), device=device)

    def draw(self, batch: int) -> None:
        """Draw the random numbers for batch number `batch`, in place, because a CUDA graph reads this memory."""
        self.random.manual_seed((self.seed * 0x9E3779B1 + batch) % 2**32)
        self.kind.fill(self.drawn, self.random)

    def apply(self, x: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return two tensors [N, pixels] in [0, 1]: images with noise (network input), and without it (target)."""
        return self.add(x, drawn), x

    def add(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Add noise to images in [0, 1], [N, pixels]; `drawn` has the random numbers, one row per image."""
        return self.kind.apply(x, drawn, self.amount, self.size)
