"""How well noise is taken off: PSNR and SSIM, and scikit-image's filters to be measured against."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.shared.arrays import Float32
from stages.shared.scores.metrics import psnr

_WINDOW = 7  # pixels a side that structural similarity compares: scikit-image's own


@dataclass(frozen=True)
class Score:
    """Of restored images against the clean ones.

    mse: per pixel, in [0, 1]; psnr_db: of that error, None where it is 0; ssim: the mean of the images' structural
    similarities, Wang et al., "Image quality assessment" (2004), None where they are smaller than its window.
    """

    mse: float
    psnr_db: float | None
    ssim: float | None


def score(clean: Float32, restored: Float32) -> Score:
    """Images in [0, 1], [N, height, width, channels], both."""
    from skimage.metrics import structural_similarity

    mse = float(np.square(restored - clean, dtype=np.float64).mean())
    if min(clean.shape[1:3]) < _WINDOW:
        return Score(mse, psnr(mse), None)
    pairs = zip(clean, restored, strict=True)
    return Score(
        mse, psnr(mse), float(np.mean([structural_similarity(*pair, data_range=1, channel_axis=-1) for pair in pairs]))
    )


@dataclass(frozen=True)
class Filter:
    """A filter and the settings that are tried; one: an image in [0, 1], [height, width, channels], and a setting."""

    one: Callable[[Float32, float], Float32]
    settings: tuple[float, ...]

    def apply(self, images: Float32, setting: float) -> Float32:
        """Each of the images, [N, height, width, channels]."""
        # scikit-image drops the axis of a single channel here and there.
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
    "median": Filter(_median, (3, 5, 7)),  # pixels a side
    "gaussian": Filter(_gaussian, (0.5, 0.75, 1, 1.5, 2)),  # pixels
    "total variation": Filter(_total_variation, (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)),
    "non-local means": Filter(_non_local_means, (0.05, 0.1, 0.2, 0.4, 0.8)),
    "wavelet": Filter(_wavelet, (0.05, 0.1, 0.2, 0.4, 0.8)),
}


def best_setting(name: str, clean: Float32, noisy: Float32) -> float:
    """The setting with which a filter comes nearest to the clean images, [N, height, width, channels]."""
    return min(
        FILTERS[name].settings,
        key=lambda setting: np.square(FILTERS[name].apply(noisy, setting) - clean, dtype=np.float64).mean(),
    )
