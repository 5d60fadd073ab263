"""A training that learned less than PCA is a warning; tests/shared/training/test_log.py has whole trainings."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from stages.shared.images.synthetic import draw_garments
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.scores.convergence import compare_with_pca

IMAGES, _ = draw_garments(400, 1)


@pytest.mark.parametrize("recipe", ["pixels", "components"])
def test_latents_that_say_the_same_are_a_warning(recipe: str) -> None:
    """The better decoder doesn't make up for it; the other recipe is named where it is another."""
    line = np.linspace(-1, 1, len(IMAGES), dtype=np.float32)
    autoencoder = cast(
        Autoencoder, SimpleNamespace(decode=lambda latents: IMAGES / np.float32(255), training={"recipe": recipe})
    )
    few = np.stack([line, 0.05 * line + 0.001 * line**2, -3 * line + 0.1 * line**2], axis=1)
    said = compare_with_pca(autoencoder, few, IMAGES, IMAGES)
    assert said
    assert said.startswith("the 3 latent dimensions are nearly redundant: their participation ratio is 1.")
    assert ("train.recipe: components" in said) == (recipe == "pixels")
    dead = np.stack([line, np.zeros_like(line), np.abs(line)], axis=1)
    said = compare_with_pca(autoencoder, dead, IMAGES, IMAGES)
    assert said
    assert said.startswith("latent dimension 2 of 3 is the same for every test image")
    random = np.random.default_rng(0).standard_normal((len(IMAGES), 3), np.float32)
    random *= [1, 0.1, 0.05]  # which a decoder undoes
    assert compare_with_pca(autoencoder, random, IMAGES, IMAGES) is None
