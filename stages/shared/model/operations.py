"""The operations that a network is made of: the one table of them, and how NumPy does each.

A network is a list of operations, each a row of numbers to a row of numbers. The model file keeps the list, and three
read it: `training/network.py` as modules of PyTorch, this module, and the explorer's `decoder.js`, whose table has the
same kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from stages.shared.arrays import Float32

Settings = Mapping[str, int]
Description = dict[str, Any]  # of an operation: its kind, and its settings beside it


@dataclass(frozen=True)
class Kind:
    """A kind of operation.

    torch: the class of `torch.nn` that does the same, made from the settings by name, its tensors named alike.
    apply: [N, in] and the tensors to [N, out], float32.
    push: directions at the input, [D, N, in], or [D, 1, in] where all rows have the same, then that input, its output
    and the tensors, to the directions at the output: each times the derivative.
    settings: the names of its whole numbers, each 1 or more.
    shapes: settings to the shape of each tensor by its name.
    sizes: settings to (in, out); None where any number comes out as it went in.
    """

    torch: str
    apply: Callable[..., Float32]
    push: Callable[..., Float32]
    settings: tuple[str, ...] = ()
    shapes: Callable[[Settings], dict[str, tuple[int, ...]]] = lambda settings: {}
    sizes: Callable[[Settings], tuple[int, int]] | None = None


def _each(slope: Callable[[Float32, Float32], NDArray[Any]]) -> Callable[..., Float32]:
    """The `push` of what is done to each number alone: `slope` takes x and y, both [N, any], to dy/dx."""
    return lambda directions, x, y: directions * slope(x, y)


def _silu_slope(x: Float32, y: Float32) -> Float32:
    share: Float32 = expit(x)
    return share + y * (1 - share)


def _gelu_slope(x: Float32, y: Float32) -> Float32:
    slope: Float32 = 0.5 + 0.5 * erf(x * _ROOT_HALF) + x * np.exp(-0.5 * x * x) * np.float32((2 * np.pi) ** -0.5)
    return slope


_ROOT_HALF = np.float32(0.5**0.5)
ACTIVATIONS: dict[str, Kind] = {
    "relu": Kind("ReLU", lambda x: np.maximum(x, 0), _each(lambda x, y: x > 0)),
    "silu": Kind("SiLU", lambda x: x * expit(x), _each(_silu_slope)),
    "gelu": Kind("GELU", lambda x: x * (0.5 + 0.5 * erf(x * _ROOT_HALF)), _each(_gelu_slope)),
}
KINDS: dict[str, Kind] = ACTIVATIONS | {
    "sigmoid": Kind("Sigmoid", expit, _each(lambda x, y: y * (1 - y))),
    "linear": Kind(
        "Linear",
        lambda x, weight, bias: x @ weight.T + bias,
        lambda directions, x, y, weight, bias: directions @ weight.T,
        ("in_features", "out_features"),
        lambda of: {"weight": (of["out_features"], of["in_features"]), "bias": (of["out_features"],)},
        lambda of: (of["in_features"], of["out_features"]),
    ),
}


@dataclass(frozen=True)
class Operation:
    """One operation: its kind, its settings, and its tensors, float32, in the order of the kind's `shapes`."""

    kind: str
    settings: Settings = field(default_factory=dict)
    tensors: tuple[Float32, ...] = ()

    @property
    def description(self) -> Description:
        """What the model file says of it, beside its tensors."""
        return {"kind": self.kind, **self.settings}

    @property
    def named(self) -> dict[str, Float32]:
        """Its tensors by their names."""
        return dict(zip(KINDS[self.kind].shapes(self.settings), self.tensors, strict=True))


@np.errstate(over="ignore", invalid="ignore")  # what isn't finite, the caller sees
def apply(operations: Sequence[Operation], x: Float32) -> Float32:
    """[N, in] through the operations, one after the other: [N, out]."""
    for operation in operations:
        x = KINDS[operation.kind].apply(x, *operation.tensors)
    return x


@np.errstate(over="ignore", invalid="ignore")
def linearize(operations: Sequence[Operation], x: Float32) -> tuple[Float32, Float32]:
    """[N, in] through the operations, [N, out], and the derivative of that by each input, [in, N, out].

    By forward-mode differentiation: as many directions as there are inputs go through the operations beside x.
    """
    directions = np.eye(x.shape[1], dtype=np.float32)[:, np.newaxis]  # [in, 1, in], the same for every row
    for operation in operations:
        kind = KINDS[operation.kind]
        y = kind.apply(x, *operation.tensors)
        directions = kind.push(directions, x, y, *operation.tensors)
        x = y
    return x, np.broadcast_to(directions, (len(directions), *x.shape))


def output_size(descriptions: Sequence[Description], size: int) -> int:
    """How many numbers come out of the operations where `size` go in.

    Raises `ValueError` where one has an unknown kind, other settings than its kind, or another size than comes to it.
    """
    for place, description in enumerate(descriptions):
        kind, settings = split(description)
        if kind.sizes is not None:
            expected, size_after = kind.sizes(settings)
            if size != expected:
                raise ValueError(f"operation {place} to take {size} numbers, got {expected}")
            size = size_after
    return size


def split(description: Description) -> tuple[Kind, dict[str, int]]:
    """The kind of a described operation and its settings; raises `ValueError` where they are none."""
    name = description.get("kind") if isinstance(description, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"operations of the kinds {', '.join(KINDS)}, got {name!r:.40}")
    settings = {key: value for key, value in description.items() if key != "kind"}
    if set(settings) != set(kind.settings) or any(type(value) is not int or value < 1 for value in settings.values()):
        raise ValueError(f"{name} with {', '.join(kind.settings) or 'no settings'}, got {settings!s:.80}")
    return kind, settings
