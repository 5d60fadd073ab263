"""Latent optimization, its ends against SciPy's."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from stages.shared import arrays
from stages.shared.arrays import Float64
from stages.shared.model.autoencoder import Autoencoder, scale
from stages.shared.model.operations import ACTIVATIONS
from stages.shared.scores.latent_optimization import optimize_latents
from tests.inputs import noisy_images, random_autoencoder

SIZE = (6, 5, 1)


def made(activation: str = "silu", latent_size: int = 2) -> Autoencoder:
    return random_autoencoder(np.random.default_rng(0), SIZE, (9, 7), latent_size, activation)


def errors(autoencoder: Autoencoder, images: np.ndarray, latents: np.ndarray) -> Float64:
    difference = autoencoder.decode(latents).reshape(len(images), -1).astype(np.float64) - scale(images)
    total: Float64 = np.square(difference).sum(axis=1)
    return total


def test_the_ends_are_as_good_as_scipys() -> None:
    autoencoder, images = made(), noisy_images(np.random.default_rng(2), 12, SIZE)[0]
    latents = autoencoder.encode(images)
    candidates = np.random.default_rng(3).normal(size=(8, 2)).astype(np.float32)  # all eight become starts
    ends = optimize_latents(autoencoder, images, latents, candidates, 50)
    for image, latent, found in zip(scale(images), latents, errors(autoencoder, images, ends), strict=True):

        def residuals(z: Float64, image: np.ndarray = image) -> Float64:
            difference: Float64 = (autoencoder.decode(z).reshape(-1) - image).astype(np.float64)
            return difference

        costs = [2 * least_squares(residuals, start, diff_step=1e-3).cost for start in (latent, *candidates)]
        assert found == pytest.approx(min(costs), rel=2e-3)


def test_an_image_of_the_decoders_own_is_found_again() -> None:
    autoencoder, random = made(), np.random.default_rng(4)
    truth = random.normal(size=(30, 2)).astype(np.float32)
    images = np.rint(255 * autoencoder.decode(truth)).astype(np.uint8)
    candidates = random.normal(size=(200, 2)).astype(np.float32)
    ends = optimize_latents(autoencoder, images, autoencoder.encode(images), candidates, 50)
    rounding = errors(autoencoder, images, truth)  # of whole numbers of 255
    assert (errors(autoencoder, images, ends) <= 1.001 * rounding).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("candidates", [1, 5, 300])
def test_no_image_fares_worse_than_from_the_encoder(activation: str, candidates: int) -> None:
    autoencoder, images = made(activation, 4), noisy_images(np.random.default_rng(5), 60, SIZE)[0]
    latents = autoencoder.encode(images)
    others = np.random.default_rng(6).normal(size=(candidates, 4)).astype(np.float32)
    before = errors(autoencoder, images, latents)
    one, many = (
        errors(autoencoder, images, optimize_latents(autoencoder, images, latents, others, n)) for n in (1, 20)
    )
    assert (one <= before * 1.00001).all()
    assert (many <= one * 1.00001).all()
    assert many.mean() < 0.95 * before.mean()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    autoencoder, images = made(), noisy_images(np.random.default_rng(7), 40, SIZE)[0]
    latents, others = autoencoder.encode(images), np.random.default_rng(8).normal(size=(16, 2)).astype(np.float32)
    whole = optimize_latents(autoencoder, images, latents, others, 20)
    monkeypatch.setattr(arrays, "_BATCH_NUMBERS", 1)  # an image at a time, all 16 candidates
    parts = optimize_latents(autoencoder, images, latents, others, 20)
    np.testing.assert_allclose(errors(autoencoder, images, parts), errors(autoencoder, images, whole), rtol=1e-3)


@pytest.mark.filterwarnings("error")
def test_a_decoder_that_says_nothing_leaves_the_latents() -> None:
    autoencoder, images = made(), noisy_images(np.random.default_rng(9), 10, SIZE)[0]
    autoencoder.decoder[0].tensors[0][:] = 0
    latents = autoencoder.encode(images)
    np.testing.assert_array_equal(optimize_latents(autoencoder, images, latents, latents, 20), latents)
