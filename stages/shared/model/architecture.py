"""Network architecture: make the lists of operations from the params."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from stages.shared.model.operations import Config


def for_images(
    size: tuple[int, int, int], layers: Sequence[int], latent_size: int, activation: str
) -> tuple[list[Config], ...]:
    """Encoder and decoder of the recipe `pixels`, for images of height, width and channels.

    To change this network, change this function.
    """
    return dense(prod(size), layers, latent_size, activation)


def dense(pixels: int, layers: Sequence[int], latent_size: int, activation: str) -> tuple[list[Config], ...]:
    """Fully connected encoder, and a decoder that mirrors it.

    The activation is between the linear layers. There is none after the latent; the decoder ends with a sigmoid.
    """
    sizes = [pixels, *layers, latent_size]
    return mlp(sizes, activation), [*mlp(sizes[::-1], activation), {"kind": "sigmoid"}]


def mlp(sizes: Sequence[int], activation: str) -> list[Config]:
    """Multilayer perceptron: linear layers from each size to the next, with activations between them."""
    operations: list[Config] = []
    for inputs, outputs in pairwise(sizes):
        operations += [{"kind": "linear", "in_features": inputs, "out_features": outputs}, {"kind": activation}]
    return operations[:-1]
