"""Table of the operations that a network can have, with their NumPy implementation.

A network is a list of operations on rows of numbers. A row that is an image has the order [height, width, channels].
The model file stores the list. Three modules run it: this one in NumPy, `model/modules.py` in PyTorch, and the
explorer's `decoder.js`, which has the same table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from scipy.special import erf, expit

from stages.shared.arrays import Float32, Float64

Settings = Mapping[str, Any]  # by name, each any JSON value
Shape = tuple[int, ...]  # input of an operation: (numbers,), or (channels, height, width)
Config = dict[str, Any]  # kind, settings and, for images, shape of an operation


@dataclass(frozen=True)
class OperationKind:
    """A kind of operation.

    torch: class of `torch.nn` with the same settings and tensor names, or a function from settings to a module.
    apply: function from float32 [N, *shape], settings and tensors to float32 [N, *output shape].
    settings: names of the settings, each with a function that checks its value.
    tensors: function from settings to the shape of each tensor, by name.
    output: function from input shape and settings to the output shape, None if both shapes are equal; raises
    `ValueError` with the expected size if settings and shape don't match.
    on_images: whether the input is an image (channels, height, width); its description then has this `shape`.
    """

    torch: str | Callable[[Settings], Any]
    apply: Callable[..., Float32]
    settings: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)
    tensors: Callable[[Settings], dict[str, Shape]] = lambda settings: {}
    output: Callable[[Shape, Settings], Shape] | None = None
    on_images: bool = False


def _whole(minimum: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= minimum


_positive = _whole(1)


def _linear_output(shape: Shape, settings: Settings) -> Shape:
    if shape != (settings["in_features"],):
        raise ValueError(settings["in_features"])
    return (settings["out_features"],)


_ROOT_HALF = np.float32(0.5**0.5)
ACTIVATIONS: dict[str, OperationKind] = {
    "relu": OperationKind("ReLU", lambda x, settings: np.maximum(x, 0)),
    "silu": OperationKind("SiLU", lambda x, settings: x * expit(x)),
    "gelu": OperationKind("GELU", lambda x, settings: x * (0.5 + 0.5 * erf(x * _ROOT_HALF))),
}
KINDS: dict[str, OperationKind] = ACTIVATIONS | {
    "sigmoid": OperationKind("Sigmoid", lambda x, settings: expit(x)),
    "hardsigmoid": OperationKind("Hardsigmoid", lambda x, settings: np.clip(x / 6 + 0.5, 0, 1)),
    "linear": OperationKind(
        "Linear",
        lambda x, settings, weight, bias: x @ weight.T + bias,
        {"in_features": _positive, "out_features": _positive},
        lambda settings: {
            "weight": (settings["out_features"], settings["in_features"]),
            "bias": (settings["out_features"],),
        },
        _linear_output,
    ),
}


@dataclass(frozen=True)
class Operation:
    """An operation: kind, settings, float32 tensors in the order of `OperationKind.tensors`, and image shape."""

    kind: str
    settings: Settings = field(default_factory=dict)
    tensors: tuple[Float32, ...] = ()
    shape: Shape = ()

    @property
    def config(self) -> Config:
        """Description of the operation in the model file, without tensors."""
        return {"kind": self.kind, **({"shape": list(self.shape)} if self.shape else {}), **self.settings}

    @property
    def named(self) -> dict[str, Float32]:
        """The tensors by name."""
        return dict(zip(KINDS[self.kind].tensors(self.settings), self.tensors, strict=True))


def linear(weight: Float32 | Float64, bias: Float32 | Float64) -> Operation:
    """Make a linear operation; weight [out, in] and bias [out] become float32."""
    settings = {"in_features": weight.shape[1], "out_features": weight.shape[0]}
    return Operation("linear", settings, (np.asarray(weight, np.float32), np.asarray(bias, np.float32)))


@np.errstate(over="ignore", invalid="ignore")  # the caller handles values that are not finite
def apply(operations: Sequence[Operation], x: Float32) -> Float32:
    """Apply the operations in order: [N, in] to [N, out]."""
    for operation in operations:
        if operation.shape:
            channels, height, width = operation.shape
            x = x.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        x = KINDS[operation.kind].apply(x, operation.settings, *operation.tensors)
        if x.ndim == 4:
            x = x.transpose(0, 2, 3, 1).reshape(len(x), -1)
    return x


def output_sizes(configs: Sequence[Config], size: int) -> list[int]:
    """Compute the output size of each operation, for an input of `size` numbers.

    Raises `ValueError` for an unknown kind, wrong settings, or a size that doesn't match.
    """
    sizes = []
    for place, description in enumerate(configs):
        kind, settings, shape = parse(description)
        if prod(shape or (size,)) != size:
            raise ValueError(f"operation {place} to take {size} numbers, got the shape {list(shape)}")
        if kind.output:
            try:
                size = prod(kind.output(shape or (size,), settings))
            except ValueError as error:
                raise ValueError(f"operation {place} to take {size} numbers, got {error}") from None
        sizes.append(size)
    return sizes


def parse(description: Config) -> tuple[OperationKind, dict[str, Any], Shape]:
    """Split the description of an operation into kind, settings and shape; raises `ValueError` if it is invalid."""
    name = description.get("kind") if isinstance(description, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"operations of the kinds {', '.join(KINDS)}, got {name!r:.40}")
    settings = {key: value for key, value in description.items() if key != "kind"}
    shape = settings.pop("shape", ()) if kind.on_images else ()
    if set(settings) != set(kind.settings) or not all(kind.settings[key](value) for key, value in settings.items()):
        raise ValueError(f"{name} with {', '.join(kind.settings) or 'no settings'}, got {settings!s:.80}")
    if kind.on_images and not (isinstance(shape, list) and len(shape) == 3 and all(map(_positive, shape))):
        raise ValueError(f"{name} with a shape of channels, height and width, got {shape!s:.80}")
    return kind, settings, tuple(shape)
