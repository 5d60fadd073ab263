"""Class colors: each class has the same color in every picture and on the page. `extract` chooses them.

Up to ten classes get ten fixed colors in order. With more classes, further colors are chosen that differ as much as
possible, and classes whose latents are near each other get very different colors. Beyond 256 classes, which nobody can
tell apart by color, the colors repeat.
"""

import re
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from stages.shared.arrays import Float64
from stages.shared.formats import read_json
from stages.shared.runtime.errors import corrupt_file

COLORS = Path("data/extract/colors.json")

# Ten colors for a light and a dark background. A search maximized the smallest OKLab difference between any two, for
# normal, protan, deutan and tritan vision (Machado et al. 2009), at a contrast of at least 3 to the background (WCAG
# 1.4.11).
LIGHT = ["#026695", "#530d35", "#0f9e66", "#aa135d", "#d734ff", "#434814", "#fc450b", "#9d7ebb", "#7606d7", "#0f0080"]
DARK = ["#8cb2fe", "#ffcfa6", "#00865c", "#fe7bb2", "#d70cff", "#a2b506", "#ed0000", "#8a66af", "#cdff00", "#00fffe"]
GROUNDS = {"light": ("#ffffff", LIGHT), "dark": ("#1c1f24", DARK)}
LEVELS = 16  # of red, green and blue, in the colors to choose from
CONTRAST = 3
MAX_COLORS = 256


def class_colors(centers: Float64) -> dict[str, list[str]]:
    """Choose a color "#rrggbb" for each class, on a light and on a dark background; at least ten colors each.

    centers: the mean latent of each class, [classes, size]; NaN for a class without images.
    """
    if len(centers) <= len(LIGHT):
        return {"light": LIGHT, "dark": DARK}
    first = centers[:MAX_COLORS]
    colors = {name: _spread(first, _distinct(len(first), *ground)) for name, ground in GROUNDS.items()}
    return {name: [*islice(cycle(chosen), len(centers))] for name, chosen in colors.items()}


def _distinct(count: int, ground: str, ten: list[str]) -> Float64:
    """Choose `count` distinct colors, [count, RGB] in [0, 1].

    They are the colors `ten`, and then always the color that differs most from all colors chosen before. All have
    enough contrast to the background color, `ground`.
    """
    levels = np.linspace(0, 1, LEVELS)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    bright, ground_bright = (_linear(rgb) @ (0.2126, 0.7152, 0.0722) + 0.05 for rgb in (grid, parse([ground])))
    grid = grid[np.maximum(bright / ground_bright, ground_bright / bright) >= CONTRAST]
    lab = _oklab(grid)
    apart = np.min([np.linalg.norm(lab - each, axis=1) for each in _oklab(parse(ten))], axis=0)
    chosen: list[int] = []
    while len(chosen) + len(ten) < count:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    return np.vstack([parse(ten), grid[chosen]])


def _spread(centers: Float64, colors: Float64) -> list[str]:
    """Assign the colors, [classes, RGB], to the classes: the nearer two centers, the more different the colors."""
    lab = _oklab(colors)
    repulsion = 1 / (np.linalg.norm(lab[:, np.newaxis] - lab, axis=2) ** 2 + 1e-6)  # [color, color]
    between = np.linalg.norm(centers[:, np.newaxis] - centers, axis=2)  # [class, class]
    nearness = np.nan_to_num(1 / (between**2 + 1e-9 * np.nan_to_num(between).max() ** 2 + 1e-30))
    np.fill_diagonal(nearness, 0)
    place = np.full(len(centers), -1)  # of each class's color
    free = np.ones(len(colors), bool)
    for label in np.argsort(-nearness.max(axis=1), kind="stable"):
        done = place >= 0
        weights = np.zeros(len(colors))
        weights[place[done]] = nearness[label, done]
        place[label] = np.where(free, weights @ repulsion, np.inf).argmin()
        free[place[label]] = False
    return ["#" + bytes(np.rint(255 * color).astype(np.uint8)).hex() for color in colors[place]]


def parse(texts: list[str]) -> Float64:
    """Convert colors "#rrggbb" to [N, RGB] in [0, 1]."""
    return np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in texts]) / 255


def _linear(rgb: Float64) -> Float64:
    return np.asarray(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4))


def _oklab(rgb: Float64) -> Float64:
    """Convert sRGB in [0, 1], [N, RGB], to OKLab: Ottosson, "A perceptual color space for image processing" (2020)."""
    cones = _linear(rgb) @ [[0.4122, 0.2119, 0.0883], [0.5363, 0.6807, 0.2817], [0.0514, 0.1074, 0.6300]]
    lab = [[0.2105, 1.9780, 0.0259], [0.7936, -2.4286, 0.7828], [-0.0041, 0.4506, -0.8087]]
    return np.asarray(np.cbrt(cones) @ lab)


def read_colors(classes: int) -> dict[str, list[str]]:
    """Read the class colors, by background (`light`, `dark`).

    Raises `InputError` if they are not for `classes` classes.
    """
    colors = read_json(COLORS, list(GROUNDS))
    for ground in GROUNDS:
        found = colors[ground] if isinstance(colors[ground], list) else []
        if len(found) != max(classes, 10) or not all(re.fullmatch("#[0-9a-f]{6}", str(each)) for each in found):
            raise corrupt_file(COLORS, f"a color for each of {classes} classes, at least ten, on a {ground} background")
    return colors
