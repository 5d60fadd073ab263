"""The decoded picture, and the file formats that Pillow reads.

The packages for HEIC and JPEG XL are used if they are installed.
"""

import logging
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from stages.shared.arrays import Uint8

_READERS = (("pi_heif", "pillow_heif"), ("pillow_jxl",))
# Errors of Pillow's and tifffile's decoders for invalid files
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
ORIENTATION = 0x0112  # EXIF's and TIFF's tag
SIDEWAYS = {5, 6, 7, 8}  # orientations that swap width and height
_LAYERED = {"PSD", "ICO", "ICNS", "CUR"}  # their other frames are parts or sizes of the same picture


def _formats() -> list[str]:
    """List the formats that Pillow may open, common ones first.

    Formats that run other programs, or have no pixels, are left out.
    """
    Image.init()
    for names in _READERS:
        if name := next(filter(find_spec, names), None):
            getattr(import_module(name), "register_heif_opener", lambda: None)()
    for name in ("tifffile", "PIL.TiffImagePlugin"):  # silence their log; errors are raised here
        logging.getLogger(name).disabled = True
    found = set(Image.OPEN) - {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
    return ["JPEG", "PNG", *sorted(found - {"JPEG", "PNG"})]


FORMATS = _formats()
ENDINGS = frozenset(
    {ending for ending, name in Image.registered_extensions().items() if name in FORMATS}
    | {".mpo", ".heic", ".heif", ".hif", ".jxl"}
)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    pixels: an image with 8 bits per band, or an array of any type, [height, width] or [height, width, 3].
    kind: description such as "16-bit gray".
    white: value of white by the pixel type and the file's tags; None for a palette or two tones.
    alpha: opacity, uint8 [height, width]; None for opaque pictures.
    white_is_zero: whether low values are light.
    turn: EXIF orientation, 1 to 8.
    box: left, top, right and bottom of the picture in `pixels`; None for all of it.
    notes: what to tell the user, as keys of `survey.NOTES`.
    """

    pixels: Image.Image | NDArray[Any]
    kind: str
    white: float | None
    alpha: Uint8 | None = None
    white_is_zero: bool = False
    turn: int = 1
    box: tuple[float, float, float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the picture in `pixels`."""
        pixels = self.pixels
        return self.box or (0, 0, *(pixels.size if isinstance(pixels, Image.Image) else pixels.shape[1::-1]))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height after the rotation by the EXIF orientation."""
        left, top, right, bottom = self.bounds
        return (bottom - top, right - left) if self.turn in SIDEWAYS else (right - left, bottom - top)


def from_pillow(image: Image.Image, notes: Sequence[str] | None = None) -> Picture:
    """Make a picture from an image that Pillow reads correctly. Unless `notes` are given, further frames are noted."""
    if notes is None:
        notes = ["pages"] if image.format not in _LAYERED and getattr(image, "is_animated", False) else []
    image.load()
    turn = image.getexif().get(ORIENTATION, 1)
    match image.mode:
        case "1":
            return Picture(image, "two-tone", None, turn=turn, notes=tuple(notes))
        case "P" | "PA":
            return Picture(image, "palette", None, turn=turn, notes=tuple(notes))
        case "F":
            return Picture(np.asarray(image), "float gray", 1, turn=turn, notes=tuple(notes))
        case mode if mode.startswith("I"):
            return Picture(np.asarray(image), "16-bit gray", 65535, turn=turn, notes=tuple(notes))
    kind = "8-bit gray" if image.mode in ("L", "LA", "La") else "8-bit color"
    return Picture(image, kind, 255, turn=turn, notes=tuple(notes))


def read_16_bits(path: Path, page: int = 0) -> NDArray[np.uint16]:
    """Read 16 bits per band, [height, width, bands].

    Pillow keeps only one of the two bytes of a value, so the file is decoded twice.
    """
    halves: list[NDArray[np.uint16]] = []
    for change in (str, _other_byte):
        with Image.open(path, formats=FORMATS) as image:
            image.seek(page)
            rewrite_rawmode(image, lambda name, change=change: change(name.replace("RGBa", "RGBA")))  # type: ignore[misc]
            halves.append(np.asarray(image).astype(np.uint16))
    high, low = halves
    return (high << 8 | low).astype(np.uint16)


def _other_byte(rawmode: str) -> str:
    native = "L" if sys.byteorder == "little" else "B"
    name, order = rawmode.rsplit(";16", 1)
    return f"{name};16{'B' if order.replace('N', native) == 'L' else 'L'}"


def rewrite_rawmode(image: ImageFile.ImageFile, change: Callable[[str], str]) -> None:
    """Change the raw mode in which Pillow will decode an image; the image must not be loaded yet."""
    image.tile = [
        tile._replace(
            args=(change(tile.args[0]), *tile.args[1:]) if isinstance(tile.args, tuple) else change(str(tile.args))
        )
        for tile in image.tile
    ]
