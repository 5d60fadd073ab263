"""Which operations an autoencoder consists of, from the params that say how it is built."""

from collections.abc import Sequence
from itertools import pairwise

from stages.shared.model.operations import Description


def dense(pixels: int, layers: Sequence[int], latent_size: int, activation: str) -> tuple[list[Description], ...]:
    """The fully connected encoder and its mirror image, the decoder.

    The activation stands between linear layers, nothing after the latent one, a sigmoid at the end.
    """
    sizes = [pixels, *layers, latent_size]
    return _linear(sizes, activation), [*_linear(sizes[::-1], activation), {"kind": "sigmoid"}]


def _linear(sizes: Sequence[int], activation: str) -> list[Description]:
    operations: list[Description] = []
    for inputs, outputs in pairwise(sizes):
        operations += [{"kind": "linear", "in_features": inputs, "out_features": outputs}, {"kind": activation}]
    return operations[:-1]
