"""Synthetic garments in ten classes: a small replacement for Fashion-MNIST that needs no network.

Each garment consists of a few polygons in a square (x to the right, y down, both from -1 to 1) with random shape,
position, size and shade. It is scaled down to 28 x 28 pixels.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stages.shared.arrays import Uint8, Uint16

Points = list[tuple[float, float]]
Shape = tuple[Points, float]  # an outline, and its shade relative to the garment's

SIZE = 28
_SUPERSAMPLING = 8
_CANVAS = SIZE * _SUPERSAMPLING


def draw_garments(count: int, seed: int) -> tuple[Uint8, Uint16]:
    """Draw `count` garments on black.

    Returns images, uint8 [count, 28, 28, 1], and labels, uint16 [count], which are indices of `GARMENTS`. The same
    arguments give the same bytes. A smaller `count` gives the first garments of a larger one.
    """
    images = np.empty((count, SIZE, SIZE, 1), np.uint8)
    labels = np.empty(count, np.uint16)
    for index, (image, label) in enumerate(generate_garments(count, seed)):
        images[index], labels[index] = image, label
    return images, labels


def generate_garments(count: int, seed: int) -> Iterator[tuple[Uint8, int]]:
    """Yield `count` garments one by one: the image, uint8 [28, 28, 1], and the label."""
    random = np.random.default_rng(seed)
    kinds = list(GARMENTS.values())
    for _ in range(count):
        label = int(random.integers(len(kinds)))
        yield _paint(kinds[label](random), random)[..., np.newaxis], label


def _paint(shapes: list[Shape], random: Generator) -> Uint8:
    shade = random.uniform(110, 250)
    half = _CANVAS / 2
    size = random.uniform(0.78, 0.95, 2) * half  # width and height
    center = half + random.uniform(-0.05, 0.05, 2) * half
    lean = random.uniform(-0.05, 0.05)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    pen = ImageDraw.Draw(canvas)
    for outline, relative in shapes:
        points = np.array(outline) + np.array([[lean, 0]]) * np.array(outline)[:, 1:]
        pen.polygon([tuple(point) for point in points * size + center], fill=min(255, round(shade * relative)))
    small = np.asarray(canvas.reduce(_SUPERSAMPLING), dtype=np.float64)
    return _weave(small, random)


def _weave(image: NDArray[np.float64], random: Generator) -> Uint8:
    """Add light from one side, and some noise like the grain of a cloth, to a garment."""
    light = 1 + random.uniform(-0.15, 0.15) * np.linspace(-1, 1, SIZE)  # across the width
    grain = random.normal(1, 0.03, image.shape)
    return np.clip(np.rint(image * light * grain), 0, 255).astype(np.uint8)


def _mirrored(right: Points) -> Points:
    return right + [(-x, y) for x, y in reversed(right)]


def _top(random: Generator, sleeve: float, hem: float, width: float) -> list[Shape]:
    """Make a garment with sleeves; `sleeve` is where they end, from -0.3 (short) to 0.8 (at the wrist)."""
    neck = random.uniform(0.2, 0.3)
    spread = width + 0.15 + 0.25 * (sleeve < 0.2) + random.uniform(0, 0.12)
    cuff = 0.2
    body = [(neck, -0.95), (0.62, -0.82), (spread, sleeve), (spread - cuff, sleeve + 0.06), (width, -0.3), (width, hem)]
    return [(_mirrored([(neck * 0.5, -0.85), *body]), 1.0)]


def _tshirt(random: Generator) -> list[Shape]:
    return _top(random, sleeve=random.uniform(-0.4, -0.2), hem=random.uniform(0.8, 1), width=random.uniform(0.45, 0.55))


def _trouser(random: Generator) -> list[Shape]:
    waist, ankle, gap = random.uniform(0.25, 0.35), random.uniform(0.28, 0.5), random.uniform(0.05, 0.16)
    return [(_mirrored([(waist, -1), (0.42, -0.3), (ankle, 1), (gap, 1), (0.03, -0.35)]), 1.0)]


def _pullover(random: Generator) -> list[Shape]:
    return _top(random, sleeve=random.uniform(0.55, 0.75), hem=random.uniform(0.65, 0.85), width=0.5)


def _dress(random: Generator) -> list[Shape]:
    strap, waist, hem = random.uniform(0.2, 0.32), random.uniform(0.18, 0.28), random.uniform(0.4, 0.75)
    return [(_mirrored([(strap * 0.6, -0.8), (strap, -1), (0.34, -0.55), (waist, -0.15), (hem, 1)]), 1.0)]


def _coat(random: Generator) -> list[Shape]:
    front = random.uniform(0.03, 0.06)
    opening = _mirrored([(0.16, -0.95), (front, -0.3), (front, 1)])
    return [*_top(random, sleeve=random.uniform(0.65, 0.8), hem=1.0, width=random.uniform(0.5, 0.6)), (opening, 0.3)]


def _sandal(random: Generator) -> list[Shape]:
    heel, strap = random.uniform(-0.15, 0.35), random.uniform(0.12, 0.2)
    sole = [
        (-1, 0.5),
        (-0.2, 0.42),
        (0.5, heel),
        (1, heel - 0.1),
        (1, 0.6),
        (0.85, 0.6),
        (0.75, heel + 0.2),
        (-0.95, 0.64),
    ]
    front = [(-0.75, 0.48), (-0.45, 0.05), (-0.45 + strap, 0.05), (-0.75 + 2 * strap, 0.46)]
    back = [(0.45, heel), (0.8, heel - 0.65), (0.8 + strap, heel - 0.6), (0.5 + strap, heel)]
    over = [(-0.45, 0.05), (0.8, heel - 0.65), (0.8, heel - 0.65 + strap), (-0.4, 0.05 + strap)]
    return [(sole, 1.0), (front, 0.9), (back, 0.9), (over, 0.8)]


def _shirt(random: Generator) -> list[Shape]:
    sleeve, hem = random.uniform(0.2, 0.6), random.uniform(0.85, 1)
    collar = _mirrored([(0.0, -0.6), (0.3, -1)])
    buttons = _mirrored([(0.035, -0.6), (0.035, hem)])
    shirt = _top(random, sleeve=sleeve, hem=hem, width=random.uniform(0.38, 0.48))
    return [*shirt, (collar, 0.65), (buttons, 0.65)]


def _sneaker(random: Generator) -> list[Shape]:
    ankle, toe = random.uniform(-0.25, 0), random.uniform(0.25, 0.4)
    upper = [(-1, 0.5), (-0.95, toe), (-0.3, toe - 0.1), (0.2, ankle), (0.5, ankle + 0.1), (0.9, ankle - 0.1), (1, 0.5)]
    laces = [(-0.3, toe - 0.1), (0.2, ankle), (0.25, ankle + 0.12), (-0.25, toe + 0.02)]
    return [(upper, 0.85), (laces, 0.5), ([(-1, 0.48), (1, 0.48), (1, 0.64), (-0.95, 0.64)], 1.1)]


def _bag(random: Generator) -> list[Shape]:
    top, width, handle = random.uniform(-0.35, -0.1), random.uniform(0.75, 0.95), random.uniform(0.35, 0.6)
    body = _mirrored([(width - 0.08, top), (width, 0.8)])
    outer, inner = _arch(handle, top, -0.95), _arch(handle - 0.13, top, -0.8)
    return [
        (outer, 0.8),
        (inner, 0.0),
        (body, 1.0),
        (_mirrored([(width - 0.06, top + 0.3), (width - 0.05, top + 0.36)]), 0.6),
    ]


def _arch(width: float, foot: float, head: float) -> Points:
    angles = np.linspace(0, np.pi, 13)
    return [(float(width * np.cos(a)), float(foot + (head - foot) * np.sin(a))) for a in angles]


def _boot(random: Generator) -> list[Shape]:
    shaft, heel = random.uniform(-1, -0.6), random.uniform(0.06, 0.25)
    upper = [
        (0.05, shaft),
        (0.85, shaft),
        (0.8, 0.3),
        (0.9, 0.72),
        (-0.95, 0.72),
        (-0.9, 0.45),
        (-0.1, 0.15),
        (0.1, -0.2),
    ]
    sole = [(-0.98, 0.7), (0.92, 0.7), (0.9, 0.72 + heel), (0.45, 0.72 + heel), (0.35, 0.8), (-0.95, 0.8)]
    return [(upper, 0.9), (sole, 1.1)]


GARMENTS: dict[str, Callable[[Generator], list[Shape]]] = {
    "T-shirt/top": _tshirt,
    "Trouser": _trouser,
    "Pullover": _pullover,
    "Dress": _dress,
    "Coat": _coat,
    "Sandal": _sandal,
    "Shirt": _shirt,
    "Sneaker": _sneaker,
    "Bag": _bag,
    "Ankle boot": _boot,
}
