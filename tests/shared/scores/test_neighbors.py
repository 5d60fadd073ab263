"""The one search for neighbors, against a plain loop and scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from stages.shared.arrays import Float32
from stages.shared.scores import neighbors
from stages.shared.scores.neighbors import affordable, nearest, nearest_others


def latents(count: int, size: int, seed: int) -> Float32:
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 700, 2**26])  # numbers of the known together: 5 rows at least, 35, or all
@pytest.mark.parametrize("size", [3, 20])
def test_in_blocks_they_are_those_of_a_plain_loop(size: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_BLOCK_NUMBERS", block)
    known, queries = latents(203, size, 0), latents(30, size, 1)
    found = nearest(known, queries, 5)
    apart = np.sqrt(np.square(known.astype(np.float64) - queries[:, np.newaxis]).sum(axis=2))
    np.testing.assert_array_equal(found.indices, apart.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(apart, axis=1)[:, :5], rtol=1e-5)


@pytest.mark.parametrize("block", [1, 2**26])
def test_images_are_compared_by_whole_numbers(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal distances the earlier comes first, in whatever blocks."""
    monkeypatch.setattr(neighbors, "_BLOCK_NUMBERS", block)
    images = np.random.default_rng(0).integers(256, size=(50, 6, 5, 3), dtype=np.uint8)
    found = nearest(np.concatenate([images, images]), images, 2)
    np.testing.assert_array_equal(found.indices, np.arange(50)[:, np.newaxis] + [0, 50])
    assert (found.distances == 0).all()


def test_the_others_leave_out_the_row_itself_and_not_its_copies() -> None:
    rows = latents(60, 3, 0)
    _, expected = NearestNeighbors(n_neighbors=4).fit(rows).kneighbors()
    np.testing.assert_array_equal(nearest_others(rows, 4), expected)
    copies = nearest_others(np.repeat(rows[:2], 5, axis=0), 2)
    assert not (copies == np.arange(10)[:, np.newaxis]).any()
    assert (copies // 5 == np.arange(10)[:, np.newaxis] // 5).all()


def test_beyond_a_size_fewer_queries_are_affordable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_MAX_COMPARED", 20_000)
    assert affordable(latents(100, 20, 0), 8) == 8
    assert affordable(latents(100, 20, 0), 50) == 10
    assert affordable(latents(100, 15, 0), 50) == 50, "a tree doesn't compare them all"
    assert affordable(latents(3000, 20, 0), 50) == 1
