"""How well an image finds others of its class: all the known images ranked by their distance to it.

Exact: every distance is computed, in blocks, in float64. Between images of whole numbers it has no rounding at all, and
between latents less than they have themselves as float32. Of equal distances the image that comes first is the nearer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64, Int64, Uint16, batches

_DISTANCES = 2**24  # kept at a time: 128 MiB of float64


@dataclass(frozen=True)
class Retrieval:
    """Means over the queries. precision: by how many of the nearest it is counted, the share that is relevant.

    average_precision: of a query, the mean of the precision at each relevant image; 0 where none is relevant.
    """

    precision: dict[int, float]
    average_precision: float


def retrieval(
    known: NDArray[Any], labels: Uint16, queries: NDArray[Any], query_labels: Uint16, cutoffs: Sequence[int]
) -> Retrieval:
    """Score the ranking of all of `known`, [M, …], for each of `queries`, [N, …]; relevant is what has its label.

    Each of `cutoffs` is at most M.
    """
    hits = np.zeros(len(cutoffs), np.int64)
    average_precision = 0.0
    for query, order in enumerate(_rankings(known, queries)):
        relevant = labels[order] == query_labels[query]  # [M], nearest first
        places = np.flatnonzero(relevant)
        hits += np.searchsorted(places, cutoffs)
        if len(places):
            average_precision += (np.arange(1, len(places) + 1) / (places + 1)).mean()
    shares = (hits / (np.array(cutoffs) * len(queries))).tolist()
    return Retrieval(dict(zip(cutoffs, shares, strict=True)), float(average_precision / len(queries)))


def nearest_first(known: NDArray[Any], queries: NDArray[Any], count: int) -> Int64:
    """The indices of the `count` nearest of `known` to each of `queries`, nearest first: [N, count]."""
    return np.stack([order[:count] for order in _rankings(known, queries)])


def _rankings(known: NDArray[Any], queries: NDArray[Any]) -> Iterator[Int64]:
    """For each query, the indices of all that is known, [M], from the nearest to the farthest."""
    together = max(1, _DISTANCES // len(known))
    for start in range(0, len(queries), together):
        for distances in _squared_distances(known, queries[start : start + together]):
            yield np.argsort(distances, kind="stable")


def _squared_distances(known: NDArray[Any], queries: NDArray[Any]) -> Float64:
    """Squared Euclidean distances, [N, M], but for each query's own square, which changes no order."""
    rows = queries.reshape(len(queries), -1).astype(np.float64)
    distances = np.empty((len(queries), len(known)))
    for batch in batches(len(known), known[0].size):
        block = known[batch].reshape(len(known[batch]), -1).astype(np.float64)
        distances[:, batch] = np.einsum("ij,ij->i", block, block) - 2 * rows @ block.T
    return distances
