"""Denoising scores (PSNR, SSIM), the filters of scikit-image as baselines, and the best linear autoencoder."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.shared.arrays import Float32, Float64, Uint8, batches
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.operations import Operation, linear
from stages.shared.model.pca import Pca
from stages.shared.scores.metrics import psnr

_WINDOW = 7  # pixels per side of the window of SSIM, scikit-image's default
_MIN_VARIANCE = 1e-6  # of a noisy score relative to the largest; less is rounding
_ROUNDING = 1e-12  # of products of noisy scores; their variances aren't more exact
_NOISY_IMAGES = 10  # for each component; fewer overfit


@dataclass(frozen=True)
class RestorationScore:
    """Scores of restored images compared with clean ones.

    mse: mean squared error per pixel, in [0, 1].
    psnr_db: PSNR of this error; None if the error is 0.
    ssim: mean structural similarity of the images; None if they are smaller than its window. Wang et al., "Image
    quality assessment" (2004).
    """

    mse: float
    psnr_db: float | None
    ssim: float | None


def score_restoration(clean: Float32, restored: Float32) -> RestorationScore:
    """Score restored images against clean ones; both are [N, height, width, channels], in [0, 1]."""
    from skimage.metrics import structural_similarity

    mse = float(np.square(restored - clean, dtype=np.float64).mean())
    if min(clean.shape[1:3]) < _WINDOW:
        return RestorationScore(mse, psnr(mse), None)
    pairs = zip(clean, restored, strict=True)
    return RestorationScore(
        mse, psnr(mse), float(np.mean([structural_similarity(*pair, data_range=1, channel_axis=-1) for pair in pairs]))
    )


@dataclass(frozen=True)
class Filter:
    """A filter, and the settings to try.

    one: function that filters one image, [height, width, channels] in [0, 1], with a setting.
    """

    one: Callable[[Float32, float], Float32]
    settings: tuple[float, ...]

    def apply(self, images: Float32, setting: float) -> Float32:
        """Filter each of the images, [N, height, width, channels]."""
        # Some filters drop the axis of a single channel.
        filtered = np.stack([self.one(image, setting).reshape(image.shape) for image in images])
        return filtered.astype(np.float32).clip(0, 1)


def _median(image: Float32, size: float) -> Float32:
    from scipy.ndimage import median_filter

    filtered: Float32 = median_filter(image, (int(size), int(size), 1))
    return filtered


def _gaussian(image: Float32, sigma: float) -> Float32:
    from skimage.filters import gaussian

    filtered: Float32 = gaussian(image, sigma, channel_axis=-1)
    return filtered


def _total_variation(image: Float32, weight: float) -> Float32:
    from skimage.restoration import denoise_tv_chambolle

    filtered: Float32 = denoise_tv_chambolle(image, weight, channel_axis=-1)
    return filtered


def _non_local_means(image: Float32, h: float) -> Float32:
    from skimage.restoration import denoise_nl_means

    filtered: Float32 = denoise_nl_means(image, h=h, patch_size=5, patch_distance=6, channel_axis=-1)
    return filtered


def _wavelet(image: Float32, sigma: float) -> Float32:
    from skimage.restoration import denoise_wavelet

    filtered: Float32 = denoise_wavelet(image, sigma, channel_axis=-1, rescale_sigma=True)
    return filtered


FILTERS: dict[str, Filter] = {
    "median": Filter(_median, (3, 5, 7)),  # pixels per side
    "gaussian": Filter(_gaussian, (0.5, 0.75, 1, 1.5, 2)),  # pixels
    "total variation": Filter(_total_variation, (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)),
    "non-local means": Filter(_non_local_means, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "wavelet": Filter(_wavelet, (0.05, 0.1, 0.2, 0.4, 0.8)),
}


def best_setting(name: str, clean: Float32, noisy: Float32) -> float:
    """Find the setting of the filter `name` with the smallest error against `clean`, [N, height, width, channels]."""
    return min(
        FILTERS[name].settings,
        key=lambda setting: np.square(FILTERS[name].apply(noisy, setting) - clean, dtype=np.float64).mean(),
    )


def fit_linear(images: Uint8, add_noise: Callable[[Float32, int], Float32], latent_size: int, seed: int) -> Autoencoder:
    """Fit the linear autoencoder that removes noise from images, uint8 [N, height, width, channels], in closed form.

    The latent is the least-squares prediction of the clean image's scores on the first `latent_size` principal
    components (fewer if the images have fewer), from the noisy image's scores. For noise that is independent of the
    image, this is the Wiener filter in these components. With fewer than ten images per component, each image is used
    several times, with different noise. The decoder maps scores to pixels and clips to [0, 1].

    add_noise: function that adds noise to a block of images, float32 in [0, 1], given the number of the block.
    """
    pca = Pca.fit(images, latent_size, seed)
    u, mean = pca.components.astype(np.float64), pca.mean.astype(np.float64)
    count = len(u)
    sums, products = np.zeros((2, count)), np.zeros((2, count, count))  # noisy with noisy, noisy with clean
    draws = math.ceil(_NOISY_IMAGES * count / len(images))  # of the noise of each image
    blocks = [block for _ in range(draws) for block in batches(len(images), images[0].size)]
    for number, rows in enumerate(blocks):
        clean: Float32 = np.divide(images[rows], 255, dtype=np.float32)
        c, d = (_scores(pca, block) for block in (clean, add_noise(clean, number)))
        sums += d.sum(axis=0), c.sum(axis=0)
        products += d.T @ d, d.T @ c
    total = draws * len(images)
    noisy_mean, clean_mean = sums / total
    means = np.stack([np.outer(noisy_mean, noisy_mean), np.outer(noisy_mean, clean_mean)])
    noisy, cross = products - means * total
    rounding = max(_ROUNDING * np.trace(products[0]), np.finfo(np.float64).tiny)
    ridge = max(_MIN_VARIANCE * np.trace(noisy) / count, rounding)
    weight = np.linalg.solve(noisy + ridge * np.eye(count), cross).T  # [k, k], from noisy scores to clean ones
    encoder = linear(weight @ u, clean_mean - weight @ (u @ mean + noisy_mean))
    decoder = linear(6 * u.T, 6 * mean - 3)  # Hardsigmoid(6 x - 3) clips x to [0, 1]
    height, width, channels = images.shape[1:]
    return Autoencoder([encoder], [decoder, Operation("hardsigmoid")], height, width, channels, {})


def _scores(pca: Pca, images: Float32) -> Float64:
    """Compute scores of images in [0, 1], [N, height, width, channels]: float64 [N, k]."""
    return ((images.reshape(len(images), -1) - pca.mean) @ pca.components.T).astype(np.float64)
