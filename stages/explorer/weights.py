"""Quantize weights with the fewest bits: each row of a matrix becomes integers with one scale.

With 16 bits this is several times as accurate as half precision, which stores an exponent in every number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.explorer.packing import planes
from stages.shared.arrays import Float32
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.operations import Operation

FEWEST_BITS, MAX_BITS = 7, 24  # 24 bits are as accurate as float32


@dataclass(frozen=True)
class Rounded:
    """Operations with quantized weights, and these weights as bytes for the page."""

    bits: int
    operations: list[Operation]
    content: bytes

    @classmethod
    def make(cls, operations: Sequence[Operation], bits: int, apart: Sequence[Float32] = ()) -> "Rounded":
        """Quantize the matrices of operations; biases stay exact.

        The tensors in `apart` also stay exact. They are not in the content, because the page stores them separately.
        """
        floats: list[bytes] = []
        integers: list[bytes] = []

        def rounded(tensor: Float32) -> Float32:
            if any(tensor is item for item in apart):
                return tensor
            if tensor.ndim == 1:
                floats.append(planes(tensor))
                return tensor
            scales, whole = round_rows(tensor, bits)
            floats.append(planes(scales))
            integers.append(planes(whole, bytes_of(bits)))
            return (whole * scales[:, np.newaxis]).astype(np.float32).reshape(tensor.shape)

        changed = [replace(item, tensors=tuple(map(rounded, item.tensors))) for item in operations]
        return cls(bits, changed, b"".join(floats + integers))


@dataclass(frozen=True)
class Shared:
    """Principal components that the encoder and all decoders share.

    rows: the encoder's first matrix, quantized components [k, pixels].
    columns: the last matrix of every decoder, the transpose of rows.
    mean: the bias of every decoder's last layer, [pixels].
    bits, content: as in `Rounded`.
    """

    bits: int
    rows: Float32
    columns: Float32
    mean: Float32
    content: bytes

    @classmethod
    def make(cls, autoencoder: Autoencoder, bits: int) -> "Shared | None":
        """Quantize the components of an autoencoder; return None if it has none."""
        components = autoencoder.components
        if components is None:
            return None
        scales, whole = round_rows(components, bits)
        rows = (whole * scales[:, np.newaxis]).astype(np.float32)
        mean = _last_linear(autoencoder.decoder).tensors[1]
        content = planes(scales) + planes(mean) + planes(whole, bytes_of(bits))
        return cls(bits, rows, np.ascontiguousarray(rows.T), mean, content)

    @property
    def tensors(self) -> dict[str, Float32]:
        """The shared tensors, by their names in the page."""
        return {"rows": self.rows, "columns": self.columns, "mean": self.mean}

    def encoder(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return the encoder's operations with the quantized components."""
        first, *others = operations
        return [replace(first, tensors=(self.rows, first.tensors[1])), *others]

    def decoder(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return the decoder's operations with the quantized components."""
        last = _last_linear(operations)
        return [replace(item, tensors=(self.columns, self.mean)) if item is last else item for item in operations]


def _last_linear(operations: Sequence[Operation]) -> Operation:
    return next(item for item in reversed(operations) if item.kind == "linear")


def bytes_of(bits: int) -> int:
    """Bytes that the page needs for an integer of `bits` bits."""
    return -(-bits // 8)


def round_rows(tensor: Float32, bits: int) -> tuple[Float32, NDArray[np.int32]]:
    """Quantize each row of a tensor, [rows, …], to integers of `bits` bits.

    Returns the scale of each row, float32 [rows], and the integers, int32 [rows, numbers per row].
    """
    rows = tensor.reshape(len(tensor), -1)
    scales = np.abs(rows).max(axis=1) / np.float32(2 ** (bits - 1) - 1)
    scales[scales == 0] = 1
    return scales, np.rint(rows / scales[:, np.newaxis]).astype(np.int32)


def shrink(
    operations: Sequence[Operation], fits: Callable[[Sequence[Operation]], bool], apart: Sequence[Float32] = ()
) -> Rounded:
    """Quantize operations with the fewest bits for which `fits` returns true, or with MAX_BITS if it never does."""
    for bits in range(FEWEST_BITS, MAX_BITS):
        rounded = Rounded.make(operations, bits, apart)
        if fits(rounded.operations):
            return rounded
    return Rounded.make(operations, MAX_BITS, apart)


def numbers_in(operations: Sequence[Operation], apart: Sequence[Float32] = ()) -> int:
    """Number of weights of the operations, not counting the tensors in `apart`."""
    tensors = [tensor for operation in operations for tensor in operation.tensors]
    return sum(tensor.size for tensor in tensors if not any(tensor is item for item in apart))
