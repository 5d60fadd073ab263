"""Noise on images: the table of kinds that `train.noise_kind` and `restore.kind` can name."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int, int]  # height, width, channels


class _Kind(NamedTuple):
    """How one kind is made.

    shape: how many random numbers an image of that size takes; fill: draws them in place.
    apply: pixels in [0, 1], [N, pixels], the random numbers, [N, *shape], the amount and the size to pixels in [0, 1].
    """

    shape: Callable[[Size], tuple[int, ...]]
    fill: Callable[[Tensor, torch.Generator], object]
    apply: Callable[[Tensor, Tensor, float, Size], Tensor]


def _gaussian(x: Tensor, drawn: Tensor, amount: float, size: Size) -> Tensor:
    return torch.add(x, drawn, alpha=amount).clamp_(0, 1)


def _salt_and_pepper(x: Tensor, drawn: Tensor, amount: float, size: Size) -> Tensor:
    drawn = drawn.repeat_interleave(size[2], dim=1)  # [N, height * width] to [N, pixels]: all channels at once
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


# The amount is of Gaussian noise the standard deviation, of pixels in [0, 1], which stay there; of salt and pepper, the
# share of the pixels that are black or white; of a square, the share of the picture that is black.
NOISES: dict[str, _Kind] = {
    "gaussian": _Kind(lambda size: (size[0] * size[1] * size[2],), _normal, _gaussian),
    "salt-and-pepper": _Kind(lambda size: (size[0] * size[1],), _uniform, _salt_and_pepper),
    "square": _Kind(lambda size: (2,), _uniform, _square),
}


class Noise:
    """Noise of one kind and amount for batches of at most `rows` images.

    What is drawn depends on `seed` and the batch's number alone, so that a training can go on anywhere, and several
    processes have the same.
    """

    def __init__(self, kind: str, amount: float, size: Size, rows: int, seed: int, device: torch.device) -> None:
        self.kind, self.amount, self.size, self.seed = NOISES[kind], amount, size, seed
        self.random = torch.Generator(device)
        self.drawn = torch.empty(rows, *self.kind.shape(size), device=device)

    def draw(self, batch: int) -> None:
        """Draw what batch number `batch` gets; in place, since a captured CUDA graph reads it there."""
        self.random.manual_seed((self.seed * 0x9E3779B1 + batch) % 2**32)
        self.kind.fill(self.drawn, self.random)

    @torch.inference_mode(mode=False)  # autograd keeps no tensor of that mode
    @torch.no_grad()
    def add(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Images in [0, 1], [N, pixels], with the noise in N rows of `drawn`."""
        return self.kind.apply(x, drawn, self.amount, self.size)
