"""The kinds of arrays that pass between rooms, and how many rows are worked on together."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]
Uint16 = NDArray[np.uint16]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_BATCH_NUMBERS = 2**24  # 64 MiB of float32: millions of images need no more memory


def batches(count: int, numbers: int, least: int = 16) -> Iterator[slice]:
    """The slices of `count` rows that are worked on together, where a row has so many float32 `numbers`.

    4096 rows, or fewer of large images: 64 MiB at most, but never fewer than `least` rows.
    """
    rows = max(least, min(4096, _BATCH_NUMBERS // max(numbers, 1)))
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))
