"""The kinds of arrays that pass between rooms, and which of their rows are worked on."""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]
Uint16 = NDArray[np.uint16]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

Rows = TypeVar("Rows", bound=NDArray[Any])

_BATCH_NUMBERS = 2**24  # 64 MiB of float32: millions of images need no more memory


def batches(count: int, numbers: int, least: int = 16) -> Iterator[slice]:
    """The slices of `count` rows that are worked on together, where a row has so many float32 `numbers`.

    4096 rows, or fewer of large images: 64 MiB at most, but never fewer than `least` rows.
    """
    rows = max(least, min(4096, _BATCH_NUMBERS // max(numbers, 1)))
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def sample_rows(rows: Rows, most: int, seed: int) -> Rows:
    """So many of the rows, [N, …], drawn without replacement, in their order; all where there are no more."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))]  # type: ignore[return-value]
