"""Check what a training learned: compare it with the mean image and with PCA."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stages.shared.arrays import Float32, Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.pca import Pca

_MIN_GAIN = 0.99  # share of PCA's gain over the mean image, below which `train` warns
_MAX_JUDGED = 2_500  # images used to check the result
_MIN_PCA_IMAGES = 500  # to which its PCA is fitted: more take a second and lead to the same warnings
_MAX_JUDGED_NUMBERS = 2**23  # pixels of these images: 64 MiB of float64

Loss = Callable[[Tensor, Tensor], Tensor]


def check_converged(
    autoencoder: Autoencoder, loss: Loss, test_loss: float, train_images: Uint8, test_images: Uint8
) -> str | None:
    """Return a one-line warning if the model learned nothing, or less than PCA; otherwise None.

    The images are uint8 [N, height, width, channels]. At most the first 2,500 are used, fewer if they are large.
    """
    judged = max(2, min(_MAX_JUDGED, _MAX_JUDGED_NUMBERS // autoencoder.pixels))
    train_images, test_images = train_images[:judged], test_images[:judged]
    if (train_images == train_images[0]).all():
        return f"all training images are equal ({len(train_images)}), so there is nothing to learn"
    latents = autoencoder.encode(test_images)  # [N, latent size]
    if (test_images != test_images[0]).any() and np.ptp(latents, axis=0).max() <= 1e-5 * np.abs(latents).max():
        return (
            "every test image has the same latent, because all units of a layer are dead; "
            "try a smaller learning_rate, wider layers or activation: silu"
        )
    mean_image = train_images.mean(axis=0)  # [height, width, channels]
    pixels = torch.from_numpy(test_images / 255)
    mean_image_loss = loss(torch.from_numpy(mean_image / 255).expand_as(pixels), pixels).item()
    if test_loss >= mean_image_loss:
        return (
            f"the test loss {test_loss:.5f} is no better than the mean training image's, {mean_image_loss:.5f}; "
            "try a smaller learning_rate, or more epochs or steps"
        )
    return compare_with_pca(autoencoder, latents, train_images, test_images)


def compare_with_pca(autoencoder: Autoencoder, latents: Float32, train_images: Uint8, test_images: Uint8) -> str | None:
    """Return a one-line warning if the latents or the errors are worse than those of PCA; otherwise None.

    latents: float32 [N, latent size], of the test images, uint8 [N, height, width, channels].
    """
    size = latents.shape[1]
    pca = Pca.fit(train_images, size, 0, max(_MIN_PCA_IMAGES, 10 * size))
    scores = pca.encode(test_images)  # [N, k]
    pixels = test_images.reshape(len(test_images), -1) / np.float32(255)
    mean_error, pca_error, error = (
        float(np.square(guess.reshape(len(guess), -1) - pixels).mean())
        for guess in (pca.mean[None], pca.decode(scores), autoencoder.decode(latents))
    )
    if pca_error >= mean_error or len(pca.components) < size:
        return None  # too few or too similar images for PCA
    hint = "try more epochs or steps, or a smaller learning_rate"
    if autoencoder.training["recipe"] == "pixels":
        hint += ", or train.recipe: components"
    spread = latents.std(axis=0)
    dead = np.flatnonzero(spread <= 1e-3 * spread.max()) + 1
    if len(dead):
        return f"latent dimension {', '.join(map(str, dead))} of {len(spread)} is the same for every test image; {hint}"
    share = (mean_error - error) / (mean_error - pca_error)
    if share < _MIN_GAIN:
        return (
            f"PCA of the same size has a lower squared error on the test images, {pca_error:.5f} against {error:.5f}: "
            f"the autoencoder has {share:.0%} of PCA's gain over the mean image; {hint}"
        )
    ratio, pca_ratio = participation(latents), participation(scores)
    if ratio < pca_ratio / 2:
        return (
            f"the {len(spread)} latent dimensions are nearly redundant: their participation ratio is "
            f"{ratio:.2f}, that of PCA's scores {pca_ratio:.2f}; {hint}"
        )
    return None


def participation(latents: Float32) -> float:
    """Participation ratio of standardized latents, (sum of variances)^2 / sum of squared variances.

    The variances are those of the principal components. The ratio is 1 if all latents are on a line, and the latent
    size if the dimensions are uncorrelated. Latents are standardized, because a decoder can undo any scale.
    """
    variances = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(latents.T)))
    return float(variances.sum() ** 2 / np.square(variances).sum())
