"""Interface between the training loop and its data and network."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.network import Network

Prefetch = Callable[[Sequence[Tensor]], Iterable[Tensor]]


class Transform(Protocol):
    """Random transform of each batch; it depends only on the seed and the step.

    drawn: random numbers for a batch, [batch size, …]. `draw` overwrites them in place, so that a captured CUDA graph
    can read them. Each process uses the part for its shard.
    """

    drawn: Tensor

    def draw(self, step: int) -> None:
        """Draw the random numbers for step `step`."""

    def apply(self, x: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Make the network's input and target, both [N, size], from rows x, float32 [N, size].

        drawn: the random numbers for these rows, [N, …].
        """


class Space(Protocol):
    """What a trainer trains: the data (rows) and the network.

    rows: uint8 [N, size], which are divided by 255 in each batch, or float32 [N, size].
    mirrored: whether the rows include mirror images.
    device: where the network and the batches are.
    prefetch: yields the batches of indices of an epoch, and prefetches their rows if necessary.
    """

    network: Network
    rows: Tensor
    mirrored: bool
    device: torch.device
    transform: Transform | None
    prefetch: Prefetch

    def train_loss(self, mean: float) -> float:
        """Convert the mean loss of an epoch's batches to the training loss per pixel."""

    def evaluate(self, images: Uint8, group: Group = ALONE) -> float:
        """Compute the mean loss per pixel over images, uint8 [N, height, width, channels], with all processes."""

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """Copy the current model; `training` are the params to store in it."""
