"""The nearest of many latents: all compared up to a size, by an index beyond it."""

from typing import Any, NamedTuple

import numpy as np

from stages.shared.arrays import Float32, Int64

_BLOCK = 10_000  # queries looked up together
_TREE_SIZE = 15  # latent dimensions up to which scikit-learn's tree is exact and quick, whatever the count
_EXACT = 10**12  # numbers compared: quarters of an hour of one core
_SAMPLE = 1000  # queries that the index is measured on
_PROBES = 32  # cells that are searched


class Nearest(NamedTuple):
    """indices: int64 [N, neighbors]; how: `exact`, or the index; recall: the index's, of a sample."""

    indices: Int64
    how: str = "exact"
    recall: float | None = None

    def figures(self) -> dict[str, Any]:
        """What a file of figures says of the search: which, and where it isn't exact, how near it comes."""
        return {"knn_search": self.how} | ({} if self.recall is None else {"knn_recall": self.recall})


def nearest(known: Float32, latents: Float32, neighbors: int) -> Nearest:
    """The `neighbors` nearest of the known latents, [M, latent size], to each of `latents`, [N, latent size].

    Of so many that comparing all of them would take hours, faiss's inverted file finds nearly all: Sivic and Zisserman,
    "Video Google" (2003). How many it does find of those that are nearest is measured, its recall.
    """
    if known.shape[1] <= _TREE_SIZE or known.size * len(latents) <= _EXACT:
        return Nearest(_exact(known, latents, neighbors))
    import faiss

    cells = int(2 * len(known) ** 0.5)
    index = faiss.index_factory(known.shape[1], f"IVF{cells},Flat")
    faiss.ParameterSpace().set_index_parameter(index, "nprobe", _PROBES)
    index.train(known)
    index.add(known)
    parts = [index.search(latents[start : start + _BLOCK], neighbors)[1] for start in range(0, len(latents), _BLOCK)]
    found = np.concatenate(parts)
    sample = np.linspace(0, len(latents) - 1, min(_SAMPLE, len(latents)), dtype=np.int64)
    truth = _exact(known, latents[sample], neighbors)
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found[sample], truth, strict=True))
    return Nearest(found, f"faiss IVF{cells},Flat, {_PROBES} cells searched", hits / truth.size)


def _exact(known: Float32, latents: Float32, neighbors: int) -> Int64:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=neighbors).fit(known)
    parts = (latents[start : start + _BLOCK] for start in range(0, len(latents), _BLOCK))
    return np.concatenate([search.kneighbors(part, return_distance=False) for part in parts])
