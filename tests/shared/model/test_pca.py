"""PCA of images, held against the singular value decomposition, and where there is little to find."""

import numpy as np
import pytest

from stages.shared.arrays import Uint8
from stages.shared.model import pca
from stages.shared.model.pca import Pca


def draw(count: int, side: int, channels: int = 3, seed: int = 0) -> Uint8:
    """Images of a few smooth factors and noise, uint8 [count, side, side, channels]."""
    random = np.random.default_rng(seed)
    factors = random.normal(size=(12, side, side, channels)).cumsum(axis=1).cumsum(axis=2)
    scales = 0.7 ** np.arange(12)
    pixels = np.tensordot(random.normal(size=(count, 12)) * scales, factors, 1) * 4 + 128
    return (pixels + random.normal(size=pixels.shape) * 3).clip(0, 255).astype(np.uint8)


def left_out(images: Uint8, components: np.ndarray) -> float:
    """What orthonormal components, [k, pixels], leave of the images' squared distances from their mean."""
    x = images.reshape(len(images), -1) / 255
    x -= x.mean(axis=0)
    return float((x**2).sum() - ((x @ components.T) ** 2).sum())


@pytest.mark.parametrize("shape", [(40, 12), (400, 5), (300, 10)], ids=["few images", "few pixels", "as many"])
@pytest.mark.parametrize("exact", [True, False])
def test_components_are_those_of_the_singular_values(
    shape: tuple[int, int], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, count = draw(*shape), 6
    if not exact:
        monkeypatch.setattr(pca, "_MAX_EXACT", 1)
    found = Pca.fit(images, count, seed=0)
    assert found.components.flags.c_contiguous
    assert found.components.dtype == found.mean.dtype == np.float32
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(count), atol=1e-6)
    x = images.reshape(len(images), -1) / 255
    best = np.linalg.svd(x - x.mean(axis=0))[2][:count]
    assert left_out(images, found.components) == pytest.approx(left_out(images, best), rel=1e-6 if exact else 1e-3)
    largest = np.abs(found.components).argmax(axis=1)
    assert (found.components[range(count), largest] > 0).all()
    scores, energies = found.project(images)
    np.testing.assert_allclose(scores, (x - x.mean(axis=0)) @ found.components.T, atol=1e-4)
    np.testing.assert_allclose(energies, ((x - x.mean(axis=0)) ** 2).sum(axis=1), rtol=1e-4)


def test_a_small_spread_at_a_large_mean_is_found() -> None:
    """Where float32 products of what is not centered lose it."""
    images = np.full((500, 6, 6, 1), 250, np.uint8)
    images[::2, 0, 0] += 1
    images[::5, 3, 3] += 1
    components = Pca.fit(images, 2, seed=0).components
    np.testing.assert_allclose(np.abs(components).max(axis=1), [1, 1], atol=1e-4)
    assert left_out(images, components) < 1e-6


@pytest.mark.parametrize(
    ("images", "rank"),
    [
        (np.full((1, 4, 4, 3), 77, np.uint8), 1),
        (np.zeros((9, 4, 4, 1), np.uint8), 1),
        (np.full((9, 4, 4, 1), 255, np.uint8), 1),
        (draw(2, 4), 1),
        (np.repeat(draw(3, 20), 40, axis=0), 2),
        (draw(9, 20), 8),
    ],
    ids=["one", "black", "white", "two", "copies of three", "nine"],
)
def test_there_are_no_more_components_than_the_rank(images: Uint8, rank: int) -> None:
    found = Pca.fit(images, 48, seed=0)
    assert found.components.shape == (rank, images[0].size)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(rank), atol=1e-6)
    assert found.decode(found.encode(images)) == pytest.approx(images.reshape(len(images), -1) / 255, abs=1e-4)


def test_what_it_decodes_is_clipped() -> None:
    found = Pca.fit(draw(50, 6), 3, seed=0)
    pixels = found.decode(np.array([[100, 0, 0], [-100, 0, 0]], np.float32))
    assert pixels.min() == 0
    assert pixels.max() == 1


def test_of_many_images_a_sample_is_drawn_by_the_seed() -> None:
    images = draw(200, 6)
    one, same, other = (Pca.fit(images, 3, seed, max_images=50).components for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
