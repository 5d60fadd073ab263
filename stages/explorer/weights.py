"""Weights in as few bits as they need: whole numbers, with a scale for each row of a matrix.

At 16 bits that is several times as exact as half precision, whose exponents say over and over what a row has in common.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.explorer.packing import planes
from stages.shared.arrays import Float32
from stages.shared.model.operations import Operation

FEWEST_BITS, MOST_BITS = 9, 24  # with 24, a row's numbers are as exact as float32


@dataclass(frozen=True)
class Rounded:
    """Operations whose weights are whole numbers of so many bits, and the bytes that the page has of them."""

    bits: int
    operations: list[Operation]
    content: bytes

    @classmethod
    def make(cls, operations: Sequence[Operation], bits: int) -> "Rounded":
        """Round the operations' matrices; what has one axis, as a bias, stays as it is."""
        floats: list[bytes] = []
        integers: list[bytes] = []

        def rounded(tensor: Float32) -> Float32:
            if tensor.ndim == 1:
                floats.append(planes(tensor))
                return tensor
            scales, whole = round_rows(tensor, bits)
            floats.append(planes(scales))
            integers.append(planes(whole, bytes_of(bits)))
            return (whole * scales[:, np.newaxis]).astype(np.float32).reshape(tensor.shape)

        changed = [replace(each, tensors=tuple(map(rounded, each.tensors))) for each in operations]
        return cls(bits, changed, b"".join(floats + integers))


def bytes_of(bits: int) -> int:
    """How many bytes the page keeps for a number of so many bits."""
    return -(-bits // 8)


def round_rows(tensor: Float32, bits: int) -> tuple[Float32, NDArray[np.int32]]:
    """A tensor [rows, …] as scales, float32 [rows], and whole numbers of `bits` bits, int32 [rows, …], to be scaled."""
    rows = tensor.reshape(len(tensor), -1)
    scales = np.abs(rows).max(axis=1) / np.float32(2 ** (bits - 1) - 1)
    scales[scales == 0] = 1
    return scales, np.rint(rows / scales[:, np.newaxis]).astype(np.int32)


def shrink(operations: Sequence[Operation], fits: Callable[[Sequence[Operation]], bool]) -> Rounded:
    """The operations in the fewest bits with which `fits` is true of them; in the most there are, where it never is."""
    for bits in range(FEWEST_BITS, MOST_BITS):
        rounded = Rounded.make(operations, bits)
        if fits(rounded.operations):
            return rounded
    return Rounded.make(operations, MOST_BITS)


def numbers_in(operations: Sequence[Operation]) -> int:
    """How many weights the operations have."""
    return sum(tensor.size for operation in operations for tensor in operation.tensors)
