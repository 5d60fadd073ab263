"""A picture from outside becomes on the page what `download` makes of it."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.shared.images.dataset import Range
from stages.shared.images.preprocessing import Preprocessing
from tests.explorer.fixtures import Open, browser_cases
from tests.explorer.made import Made

GIVE = """([text, type]) => {
  explorer.set({upload: null});
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], "picture", {type}));
  const made = new Event("drop", {bubbles: true, cancelable: true});
  made.dataTransfer = data;
  document.body.dispatchEvent(made);
}"""


def photograph(width: int, height: int) -> np.ndarray:
    """Smooth shapes and a little noise, uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(6 * x + k) * np.cos(5 * y - k) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return np.clip(128 + 100 * np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)


def drawings() -> dict[str, Image.Image]:
    """A picture of each kind that people drop on a page."""
    color = Image.fromarray(photograph(90, 60))
    disc = np.zeros((64, 64), np.uint8)
    disc[(np.mgrid[0:64, 0:64] - 32).astype(float).__pow__(2).sum(axis=0) < 400] = 255
    black = Image.fromarray(np.dstack([np.zeros((64, 64, 3), np.uint8), disc]))  # black, on transparent
    faint = Image.fromarray(np.dstack([photograph(64, 64), (disc // 2) + 60]))
    palette = black.quantize(8)
    return {
        "color": color,
        "gray": color.convert("L"),
        "black on transparent": black,
        "half transparent": faint,
        "gray and alpha": faint.convert("LA"),
        "palette": palette,
        "tall": Image.fromarray(photograph(31, 140)),
        "tiny": Image.fromarray(photograph(9, 5)),
        "large": Image.fromarray(photograph(700, 500)),
        "16 bits": Image.fromarray(photograph(64, 40)[..., 0].astype(np.uint16) * 257),
    }


@browser_cases(
    "channels, fit, background, limits",
    both=[
        (1, "pad", (255, 255, 255), None),
        (3, "stretch", (255, 255, 255), (0, 255, 255)),  # a set of 8 bits, and pictures of 8 and 16 dropped
    ],
    one=[
        (3, "pad", (20, 90, 200), None),
        (1, "crop", (0, 0, 0), None),
        (1, "pad", (255, 255, 255), (0, 16383, 65535)),
    ],
)
def test_what_is_dropped_becomes_what_download_makes_of_it(
    visit: Open,
    made: Callable[..., Made],
    tmp_path: Path,
    channels: int,
    fit: Any,
    background: tuple[int, int, int],
    limits: tuple[float, float, float] | None,
) -> None:
    told: dict[str, Any] = {"fit": fit, "background": list(background)}
    if limits:
        told |= {"range": limits[:2], "range_of_type": (0, limits[2])}
    run = made(channels=channels, hidden=(16,), latent_size=2, epochs=2, preprocessing=tuple(told.items()))
    explorer = visit(run)
    color: Any = "gray" if channels == 1 else "rgb"
    form = Preprocessing(28, 28, color, fit, background, Range(*limits) if limits else None)
    for kind, image in drawings().items():
        if limits and limits[1] != limits[2] and kind != "16 bits":
            continue  # `download` refuses another type beside it
        path = tmp_path / "picture.png"
        image.save(path)
        expected, _ = form.read(path)
        explorer.get(GIVE, [base64.b64encode(path.read_bytes()).decode(), "image/png"])
        explorer.wait("explorer.state.upload !== null")
        pixels = np.array(explorer.get("Array.from(explorer.state.upload.pixels)")).reshape(expected.shape) * 255
        apart = np.abs(pixels - expected)
        assert apart.mean() < 1, kind
        assert apart.max() <= (12 if kind == "large" else 3), kind  # Pillow takes a large one's size down in two steps
        seen = explorer.get(
            "(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 < 3))"
            "(document.getElementById('upload-seen'))"
        )
        np.testing.assert_allclose(np.reshape(seen, (28, 28, 3)), np.broadcast_to(np.rint(pixels), (28, 28, 3)), atol=1)
