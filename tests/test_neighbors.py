"""The neighbors of many latents: a tree or all of them against a plain loop, and the index by its recall."""

import numpy as np
import pytest

from stages.shared.arrays import Float32
from stages.shared.scores import neighbors
from stages.shared.scores.neighbors import nearest


def latents(count: int, size: int, seed: int) -> Float32:
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("size", [3, 20])
def test_in_blocks_they_are_those_of_a_plain_loop(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_BLOCK", 7)
    known, queries = latents(200, size, 0), latents(30, size, 1)
    found = nearest(known, queries, 5)
    plain = [np.argsort(np.square(known - query).sum(axis=1))[:5] for query in queries]
    np.testing.assert_array_equal(found.indices, plain)
    assert found.figures() == {"knn_search": "exact"}


def test_beyond_a_size_an_index_says_how_exact_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    known, queries = latents(20_000, 16, 0), latents(500, 16, 1)
    exact = nearest(known, queries, 10)
    monkeypatch.setattr(neighbors, "_EXACT", 1)
    found, again = nearest(known, queries, 10), nearest(known, queries, 10)
    assert found.how.startswith("faiss IVF282,Flat")
    hits = [len(set(a) & set(b)) / 10 for a, b in zip(found.indices, exact.indices, strict=True)]
    assert found.figures() == {"knn_search": found.how, "knn_recall": pytest.approx(np.mean(hits))}
    assert 0.5 < np.mean(hits) < 1
    np.testing.assert_array_equal(found.indices, again.indices)
