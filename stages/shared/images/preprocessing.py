"""Convert a picture to the data set's size, color and range of values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.shared.arrays import Uint8
from stages.shared.images.dataset import Range
from stages.shared.images.decoding import decode
from stages.shared.images.picture import SIDEWAYS, Picture
from stages.shared.images.survey import Facts, between, show

Color = Literal["gray", "rgb"]
Fit = Literal["pad", "crop", "stretch"]
Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom

_MODES = {"gray": "L", "rgb": "RGB"}
_FILTER = Image.Resampling.BILINEAR  # torchvision's default; antialiased in Pillow
_GAP = 3.0  # a fast reduction first leaves this multiple of the target size
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Preprocessing:
    """Conversion of every picture to uint8 [height, width, channels].

    fit: `pad` adds a margin, `crop` keeps the center, `stretch` changes the aspect ratio.
    background: RGB color of the margin, and behind transparent pixels.
    range: values that become black and white; None for the bounds of each picture's type.
    """

    height: int
    width: int
    color: Color
    fit: Fit
    background: tuple[int, int, int]
    range: Range | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, 1 if self.color == "gray" else 3

    def keeps(self, images: Uint8) -> bool:
        """Whether images, [N, height, width] or [N, height, width, channels], already have the right size and color."""
        return (*images.shape[1:], 1)[:3] == self.shape and self.range is None

    def read(self, path: Path) -> tuple[Uint8, Facts]:
        """Read and convert a file; returns the image, and facts about the picture (before the conversion).

        Raises one of `decoding.UNREADABLE`.
        """
        picture = decode(path, _MODES[self.color], self._scaled)
        limits, notes = self._limits(picture), list(picture.notes)
        # 8-bit colors need no check of their values unless the range is set.
        quick = picture.kind == "8-bit color" and limits == (0, 255)
        least, largest = (0.0, 255.0) if quick else measure(picture)
        if limits and (least < limits[0] or largest > limits[1]):
            notes.append("outside")
        inner = self._resized(self._colored(picture, limits), picture)
        if _is_plain(inner):
            notes.append("one color")
        if 4 * inner.width * inner.height < self.width * self.height:
            notes.append("small")
        return self._array(inner), Facts(picture.kind, picture.white, least, largest, notes)

    def apply(self, image: Image.Image) -> Uint8:
        """Convert an 8-bit image of any size."""
        as_it_is = image.size == (self.width, self.height) and image.mode == _MODES[self.color]
        if as_it_is and self.range is None and not image.has_transparency_data:
            return self._array(image)
        picture = as_picture(image)
        return self._array(self._resized(self._colored(picture, self._limits(picture)), picture))

    def _colored(self, picture: Picture, limits: tuple[float, float] | None) -> Image.Image:
        """Convert a picture to 8 bits and the wanted color; transparent pixels get the background.

        limits: values that become black and white.
        """
        pixels = picture.pixels
        if isinstance(pixels, Image.Image):
            image = pixels
            if image.has_transparency_data:
                image = image.convert("RGBA")
            elif image.mode not in ("L", "RGB"):
                image = image.convert("L" if image.mode == "1" else "RGB")
            if limits and limits != (0, 255):
                table = _rescale(np.arange(256), *limits).tolist()
                bands = len(image.getbands()) - image.has_transparency_data
                image = image.point(table * bands + list(range(256)) * image.has_transparency_data)
        else:
            assert limits
            levels = _rescale(pixels, *limits)
            image = Image.fromarray(255 - levels if picture.white_is_zero else levels)
            if picture.alpha is not None:
                image.putalpha(Image.fromarray(picture.alpha))
        if image.mode in ("LA", "RGBA"):
            ground = Image.new("RGBA", image.size, self.background)
            image = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
        mode = _MODES[self.color]
        return image if image.mode == mode else image.convert(mode)

    def _limits(self, picture: Picture) -> tuple[float, float] | None:
        """Return the values of this picture that become black and white; None for a palette."""
        if picture.white is None:
            return None
        if self.range is None or (self.range.black, self.range.white) == (0, self.range.white_of_type):
            return 0, picture.white
        if self.range.white_of_type not in (None, picture.white):
            raise ValueError(
                f"is {picture.kind} with values up to {show(picture.white)}, but the range {between(self.range)} "
                f"is for pictures with values up to {show(self.range.white_of_type or 0)}"
            )
        return self.range.black, self.range.white

    def _scaled(self, width: float, height: float) -> Size:
        """Size to which a whole picture of width x height is resized, before it is padded or cropped."""
        if self.fit == "stretch":
            return self.width, self.height
        pick = min if self.fit == "pad" else max
        scale = pick(self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _resized(self, image: Image.Image, picture: Picture) -> Image.Image:
        """Resize and rotate a picture. The result has the wanted size, or is smaller and needs a margin."""
        left, top, right, bottom = picture.bounds
        size = (self.width, self.height)
        if self.fit == "pad":
            size = self._scaled(*picture.size)
        sideways = picture.turn in SIDEWAYS
        width, height = size[::-1] if sideways else size
        if self.fit == "crop":
            scale = max(width / (right - left), height / (bottom - top))
            across, down = (right - left - width / scale) / 2, (bottom - top - height / scale) / 2
            left, top, right, bottom = left + across, top + down, right - across, bottom - down
        box = (left, top, right, bottom)
        if image.size != (width, height) or box != (0, 0, *image.size):
            image = image.resize((width, height), _FILTER, box, _GAP)
        turn = _TURNS.get(picture.turn)
        return image if turn is None else image.transpose(turn)

    def _array(self, inner: Image.Image) -> Uint8:
        """Add the margin if the image is too small, and convert it to an array."""
        if inner.size != (self.width, self.height):
            ground = Image.new("RGB", (self.width, self.height), self.background).convert(inner.mode)
            ground.paste(inner, ((self.width - inner.width) // 2, (self.height - inner.height) // 2))
            inner = ground
        return np.frombuffer(inner.tobytes(), np.uint8).reshape(self.shape)


def as_picture(image: Image.Image) -> Picture:
    """Wrap an 8-bit image as a `Picture`."""
    return Picture(image, "8-bit gray" if image.mode in ("1", "L") else "8-bit color", 255)


def _is_plain(image: Image.Image) -> bool:
    """Whether all pixels have the same color. Usually, comparing two pixels is enough."""
    if image.getpixel((0, 0)) != image.getpixel((image.width // 2, image.height // 2)):
        return False
    extrema = image.getextrema()
    return all(low == high for low, high in (extrema if isinstance(extrema[0], tuple) else (extrema,)))


def measure(picture: Picture) -> tuple[float, float]:
    """Smallest and largest value, without the alpha channel; raises `ValueError` for NaN or infinity."""
    pixels = picture.pixels
    if isinstance(pixels, Image.Image):
        if picture.white is None:
            return 0, 255
        if pixels.mode not in ("L", "LA", "RGB", "RGBA"):
            pixels = pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
        extrema = [pixels.getchannel(band).getextrema() for band in pixels.getbands() if band != "A"]
        return float(min(low for low, _ in extrema)), float(max(high for _, high in extrema))  # type: ignore[arg-type]
    least, largest = float(pixels.min()), float(pixels.max())
    if not np.isfinite([least, largest]).all():
        raise ValueError("has NaN or infinite values")
    return least, largest


def _rescale(values: NDArray[Any], black: float, white: float) -> Uint8:
    """Scale values so that black becomes 0 and white 255; values outside are clipped."""
    levels: NDArray[Any] = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    levels -= black
    levels *= 255 / (white - black)
    np.clip(levels, 0, 255, out=levels)
    whole: Uint8 = np.rint(levels, out=levels).astype(np.uint8)
    return whole
