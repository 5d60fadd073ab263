"""One picture brought to the form that all of a data set have: a height, a width, grey or RGB."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from stages.shared.arrays import Uint8

Color = Literal["grey", "rgb"]
Fit = Literal["pad", "crop", "stretch"]

_MODES = {"grey": "L", "rgb": "RGB"}
_FILTER = Image.Resampling.BILINEAR  # as torchvision has it, which in Pillow looks at all pixels that become one
_GAP = 2.0  # a cruder, quicker reduction first leaves so many times the pixels that are wanted
Image.init()
# All that Pillow opens, but for what runs another program or has no pixels that Pillow alone can read.
FORMATS = sorted(set(Image.OPEN) - {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
# What Pillow's decoders raise at bytes that they can't make sense of.
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
ENDINGS = frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)


@dataclass(frozen=True)
class Form:
    """What every picture becomes: uint8 [height, width, channels].

    fit: `pad` keeps the whole picture and fills up with the background, `crop` keeps its middle, `stretch` its corners.
    background: RGB, also what shows through transparent pixels.
    """

    height: int
    width: int
    color: Color
    fit: Fit
    background: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, 1 if self.color == "grey" else 3

    def read(self, path: Path) -> Uint8:
        """The picture in a file, its first frame, the way up that it is meant to be seen.

        Raises one of `UNREADABLE` where it can't be read.
        """
        with Image.open(path, formats=FORMATS) as image:
            # A JPEG's own transform gives it at a fraction of its size, antialiased; it may yet be turned on its side.
            side = max(self.height, self.width)
            image.draft(_MODES[self.color], (side, side))
            ImageOps.exif_transpose(image, in_place=True)
            return self.apply(image)

    def apply(self, image: Image.Image) -> Uint8:
        """A picture of any size and mode in this form."""
        image = self._fitted(self._colored(image))
        return np.asarray(image, dtype=np.uint8).reshape(self.shape)

    def _colored(self, image: Image.Image) -> Image.Image:
        if image.mode in ("F", "I") or image.mode.startswith("I;"):
            image = _eight_bits(image)
        if image.has_transparency_data:
            ground = Image.new("RGBA", image.size, self.background)
            image = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
        mode = _MODES[self.color]
        return image if image.mode == mode else image.convert(mode)

    def _fitted(self, image: Image.Image) -> Image.Image:
        size = (self.width, self.height)
        if image.size == size:
            return image
        # First by whole pixels, as long as enough of them are left.
        factor = int(min(image.width / (_GAP * self.width), image.height / (_GAP * self.height)))
        if factor > 1:
            image = image.reduce(factor)
        match self.fit:
            case "stretch":
                return image.resize(size, _FILTER)
            case "crop":
                return ImageOps.fit(image, size, _FILTER)
            case "pad":
                return self._padded(image)

    def _padded(self, image: Image.Image) -> Image.Image:
        scale = min(self.width / image.width, self.height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        whole = image.resize(inner, _FILTER)
        if inner == (self.width, self.height):
            return whole
        ground = Image.new("RGB", (self.width, self.height), self.background).convert(image.mode)
        ground.paste(whole, ((self.width - inner[0]) // 2, (self.height - inner[1]) // 2))
        return ground


def _eight_bits(image: Image.Image) -> Image.Image:
    """Whole numbers of 16 bits, or floats in [0, 1], as 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    most = 1.0 if image.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= most):
        raise ValueError(f"has values from {values.min():g} to {values.max():g}; expected 0 to {most:g}")
    return Image.fromarray(np.rint(values * (255 / most)).astype(np.uint8))
