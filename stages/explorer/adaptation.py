"""Until the model speaks of operations itself: today's model as a list of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from stages.shared import autoencoder as old
from stages.shared import dataset
from stages.shared.autoencoder import Float32

__all__ = ["Autoencoder", "Float32", "Operation", "apply", "read_images", "scale"]


@dataclass(frozen=True)
class Operation:
    """One operation."""

    kind: str
    settings: dict[str, int] = field(default_factory=dict)
    tensors: tuple[Float32, ...] = ()

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.settings}


def apply(operations: Sequence[Operation], x: Float32) -> Float32:
    """[N, in] to [N, out]."""
    for operation in operations:
        if operation.kind == "linear":
            x = x @ operation.tensors[0].T + operation.tensors[1]
        elif operation.kind == "sigmoid":
            x = expit(x)
        else:
            x = old.ACTIVATIONS[operation.kind](x)
    return x


@dataclass(frozen=True)
class Autoencoder:
    """The model."""

    encoder: list[Operation]
    decoder: list[Operation]
    height: int
    width: int
    channels: int
    training: dict[str, Any]

    @property
    def size(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def latent_size(self) -> int:
        return len(self.encoder[-1].tensors[1])

    def encode(self, images: Any) -> Float32:
        return apply(self.encoder, np.divide(images.reshape(len(images), -1), 255, dtype=np.float32))

    def decode(self, latents: Float32) -> Float32:
        return apply(self.decoder, latents).reshape(-1, *self.size)

    @classmethod
    def read(cls, path: Path) -> "Autoencoder":
        was = old.Autoencoder.read(path)
        parts = [
            _operations(was.encoder, was.activation),
            [*_operations(was.decoder, was.activation), Operation("sigmoid")],
        ]
        return cls(*parts, was.height, was.width, 1, was.training)


def _operations(layers: list[old.Layer], activation: str) -> list[Operation]:
    operations = []
    for weight, bias in layers:
        settings = {"in_features": weight.shape[1], "out_features": weight.shape[0]}
        operations += [Operation("linear", settings, (weight, bias)), Operation(activation)]
    return operations[:-1]


def scale(images: Any) -> Float32:
    """[N, height, width, channels] to [N, pixels]."""
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


def read_images(path: Path, size: tuple[int, int, int]) -> Any:
    """[N, height, width, channels]."""
    return dataset.read_images(path, *size[:2])[..., np.newaxis]
