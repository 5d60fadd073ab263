"""Retrieval: rank all known images by their distance to a query, and score the ranking by class.

The search is exact: all distances are computed in float64, in blocks. Distances between uint8 images are exact;
between float32 latents, their rounding error is negligible. If distances are equal, the image with the lower index
ranks first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64, Int64, Uint16, batches

_DISTANCES = 2**24  # in memory at a time: 128 MiB of float64


@dataclass(frozen=True)
class Retrieval:
    """Means over the queries.

    precision: precision at k, by k: the share of relevant images among the k nearest.
    average_precision: for each query, the mean of the precisions at the ranks of its relevant images; 0 if there are
    none.
    """

    precision: dict[int, float]
    average_precision: float


def retrieval(
    known: NDArray[Any], labels: Uint16, queries: NDArray[Any], query_labels: Uint16, cutoffs: Sequence[int]
) -> Retrieval:
    """Rank all of `known`, [M, …], for each of `queries`, [N, …], and score the rankings.

    An image is relevant if it has the label of the query. `cutoffs` are the values of k for precision at k, at most M.
    """
    hits = np.zeros(len(cutoffs), np.int64)
    average_precision = 0.0
    for query, order in enumerate(_rankings(known, queries)):
        relevant = labels[order] == query_labels[query]  # [M], nearest first
        ranks = np.flatnonzero(relevant)
        hits += np.searchsorted(ranks, cutoffs)
        if len(ranks):
            average_precision += (np.arange(1, len(ranks) + 1) / (ranks + 1)).mean()
    shares = (hits / (np.array(cutoffs) * len(queries))).tolist()
    return Retrieval(dict(zip(cutoffs, shares, strict=True)), float(average_precision / len(queries)))


def _rankings(known: NDArray[Any], queries: NDArray[Any]) -> Iterator[Int64]:
    """Yield for each query the indices of all known images, [M], nearest first."""
    chunk = max(1, _DISTANCES // len(known))
    for start in range(0, len(queries), chunk):
        for distances in _squared_distances(known, queries[start : start + chunk]):
            yield np.argsort(distances, kind="stable")


def _squared_distances(known: NDArray[Any], queries: NDArray[Any]) -> Float64:
    """Squared Euclidean distances, [N, M], minus the squared norm of the query, which doesn't change the order."""
    rows = queries.reshape(len(queries), -1).astype(np.float64)
    distances = np.empty((len(queries), len(known)))
    for batch in batches(len(known), known[0].size):
        block = known[batch].reshape(len(known[batch]), -1).astype(np.float64)
        distances[:, batch] = np.einsum("ij,ij->i", block, block) - 2 * rows @ block.T
    return distances
