"""What eyes tell apart: contrast as WCAG 2 has it, difference as OKLab has it. Colors are sRGB in [0, 1]."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Ottosson 2020, "A perceptual color space for image processing" (OKLab).
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(colors: Any) -> NDArray[np.float64]:
    values = np.asarray(colors, np.float64)
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


def oklab(colors: Any, vision: Any = ((1, 0, 0), (0, 1, 0), (0, 0, 1))) -> NDArray[np.float64]:
    """OKLab of colors, [N, RGB], as a vision sees them: a matrix on linear RGB."""
    seen = np.clip(linear(colors) @ np.array(vision).T, 0, 1)
    return np.asarray(np.cbrt(seen @ np.array(TO_CONES).T) @ np.array(TO_LAB).T)


def luminance(color: Any) -> float:
    """WCAG 2's relative luminance."""
    return float(linear(color) @ (0.2126, 0.7152, 0.0722))


def contrast(one: Any, other: Any) -> float:
    """WCAG 2's contrast ratio, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
