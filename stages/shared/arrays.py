"""Array types, batches of rows, and samples of rows."""

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

_BATCH_NUMBERS = 2**24  # 64 MiB of float32, for any number of images


def batches(count: int, numbers: int, min_rows: int = 16) -> Iterator[slice]:
    """Yield slices that divide `count` rows into batches; one row has `numbers` float32 numbers.

    A batch has at most 4096 rows and 64 MiB, but at least `min_rows` rows.
    """
    rows = max(min_rows, min(4096, _BATCH_NUMBERS // max(numbers, 1)))
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def sample_rows(rows: Rows, count: int, seed: int) -> Rows:
    """Draw at most `count` of the rows, [N, …], without replacement; they stay in order."""
    if len(rows) <= count:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False))]  # type: ignore[return-value]
