"""Exact search of nearest neighbors by Euclidean distance, in blocks."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float32, Float64, Int64, batches

TREE_SIZE = 15  # numbers per row up to which scikit-learn uses a tree; beyond, it compares all rows
_BLOCK_NUMBERS = 2**26  # of the known rows in a block, as float32: 256 MiB
_MAX_COMPARED = 10**12  # numbers: 15 minutes on one core


class Nearest(NamedTuple):
    """Nearest neighbors of N queries.

    indices: int64 [N, count], nearest first. distances: float64 [N, count].
    """

    indices: Int64
    distances: Float64


def nearest(known: NDArray[Any], queries: NDArray[Any], count: int) -> Nearest:
    """For each of `queries`, [N, …], find the `count` nearest of `known`, [M, …]; both are uint8, or both float32.

    If distances are equal, the row with the lower index comes first. `count` is at most M.
    """
    from sklearn.neighbors import NearestNeighbors

    size = known[0].size
    rows = max(count, _BLOCK_NUMBERS // size)
    indices, distances = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
    for start in range(0, len(known), rows):
        block = _flat(known[start : start + rows])
        search = NearestNeighbors(n_neighbors=min(count, len(block))).fit(block)
        parts = [search.kneighbors(_flat(queries[batch])) for batch in batches(len(queries), size)]
        distances = np.concatenate([distances, np.concatenate([part[0] for part in parts])], axis=1)
        indices = np.concatenate([indices, start + np.concatenate([part[1] for part in parts])], axis=1)
        order = np.lexsort((indices, distances))[:, :count]
        indices, distances = np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)
    return Nearest(indices, distances)


def nearest_others(rows: NDArray[Any], count: int) -> Int64:
    """For each of `rows`, [N, …], find the `count` nearest other rows: indices [N, count], nearest first."""
    results = nearest(rows, rows, count + 1).indices
    own = results == np.arange(len(rows))[:, np.newaxis]
    own[~own.any(axis=1), -1] = True  # for a row with more than `count` copies
    others: Int64 = results[~own].reshape(len(rows), count)
    return others


def affordable(known: Float32, queries: int) -> int:
    """Number of queries that can be compared with all of `known`, [M, size], in 15 minutes; at most `queries`."""
    return queries if known.shape[1] <= TREE_SIZE else min(queries, max(1, _MAX_COMPARED // known.size))


def _flat(rows: NDArray[Any]) -> Float32:
    return rows.reshape(len(rows), -1).astype(np.float32)
