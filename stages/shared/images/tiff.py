"""Read TIFF files by their tags (TIFF 6.0): page, type and range of values, value of white, and bands.

tifffile reads the tags, and values of any type. Pillow reads 8-bit colors, and those compressions for which tifffile
needs another package.
"""

import math
import re
import zlib
from itertools import count
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from stages.shared.images.picture import FORMATS, ORIENTATION, Picture, from_pillow, read_16_bits, rewrite_rawmode

if TYPE_CHECKING:
    from tifffile import TiffPage

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha: the colors are multiplied by it, or not
_PLAIN, _DEFLATE = 1, (8, 32946)
_REDUCED, _MASK = 1, 4
_MAX_SPARSE = 2**26  # bytes of values that an uncompressed file may leave out


def is_tiff(path: Path) -> bool:
    """Whether a file starts like a TIFF."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def read_tiff(path: Path, image: ImageFile.ImageFile | None) -> Picture:
    """Read a TIFF file; `image` is the file opened by Pillow, or None if Pillow can't open it."""
    try:
        return _read(path, image)
    # Further errors of tifffile for invalid tags
    except (ArithmeticError, AttributeError, LookupError, LZMAError, MemoryError, RuntimeError, TypeError) as error:
        raise ValueError(f"is a damaged TIFF: {error}") from None


def _read(path: Path, image: ImageFile.ImageFile | None) -> Picture:
    from tifffile import TiffFile

    with TiffFile(path) as file:
        index, notes = _choose_page(file)
        page = cast("TiffPage", file.pages[index])
        bits, samples, photometric = int(page.bitspersample), int(page.samplesperpixel), int(page.photometric)
        colors = 3 if photometric == _RGB else 1
        extra = tuple(map(int, page.extrasamples)) if samples > colors else ()
        bytewise = bits <= 8 and page.sampleformat == _UNSIGNED and photometric != _WHITE_IS_ZERO and samples == colors
        numbers = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not (bytewise and image)
        if bits == 1 or not numbers:
            if image is None or (bits > 8 and photometric != 5):  # 16-bit CMYK has no visible loss
                raise ValueError(f"is a TIFF of {_describe(page)}, which is not supported; convert it")
            image.seek(index)
            return from_pillow(image, notes)
        _check_size(page, path)
        if colors == 1 and samples > 1 and extra[:1] not in ((_ASSOCIATED,), (_UNASSOCIATED,)):
            raise ValueError(f"has {samples} bands, but no tag says which are red, green and blue; save it as RGB")
        values, turn = _read_values(path, page, index, image)
    if samples > colors + 1:
        notes = (*notes, "bands")
    white = _white(page)
    alpha = None
    if values.ndim == 3 and samples > colors and extra[:1] != (0,):
        values, alpha = _split_alpha(values, colors, white, extra[:1] == (_ASSOCIATED,))
        if alpha is None:
            notes = (*notes, "alpha")
    if values.ndim == 3:
        values = values[..., 0] if colors == 1 else values[..., :3]
    name = {_UNSIGNED: f"{bits}-bit", _SIGNED: f"signed {bits}-bit", _FLOAT: "float"}[int(page.sampleformat)]
    kind = f"{name} {'gray' if colors == 1 else 'color'}"
    return Picture(values, kind, white, alpha, photometric == _WHITE_IS_ZERO, turn, notes=notes)


def _check_size(page: "TiffPage", path: Path) -> None:
    """Raise an error for a page without pixels, with too many pixels, or with far more data than the file has bytes."""
    if not page.size:
        raise ValueError("is a TIFF without pixels")
    if page.imagewidth * page.imagelength > 2 * (Image.MAX_IMAGE_PIXELS or math.inf):
        raise Image.DecompressionBombError(f"has {page.imagewidth} x {page.imagelength} pixels: too many")
    if page.compression == _PLAIN and _MAX_SPARSE < page.size * page.bitspersample // 8 > path.stat().st_size:
        raise ValueError("is a truncated TIFF")


def _choose_page(file: Any) -> tuple[int, tuple[str, ...]]:
    """Choose the first page that is neither a smaller copy nor a mask; return its index, and notes about others."""
    chosen: int | None = None
    for index in count():
        try:
            kind = int(file.pages[index].subfiletype)
        except IndexError:
            break
        if kind & (_REDUCED | _MASK):
            continue
        if chosen is not None:
            return chosen, ("pages",)
        chosen = index
    if chosen is None:
        return 0, ("copy",)
    return chosen, (("thumbnail",) if chosen else ())


def _describe(page: "TiffPage") -> str:
    names = (getattr(value, "name", str(value)) for value in (page.photometric, page.compression))
    return f"{page.samplesperpixel} x {page.bitspersample} bits ({', '.join(names)})"


def _white(page: "TiffPage") -> float:
    match int(page.sampleformat):
        case 1:
            return float(2 ** int(page.bitspersample) - 1)
        case 2:
            return float(2 ** (int(page.bitspersample) - 1) - 1)
        case 3:
            return 1.0
    raise ValueError(f"is a TIFF of {_describe(page)} in a sample format that is not supported; convert it")


def _read_values(
    path: Path, page: "TiffPage", index: int, image: ImageFile.ImageFile | None
) -> tuple[NDArray[Any], int]:
    """Read the stored values, [height, width] or [height, width, bands], and the orientation to apply to them."""
    bits, turn = int(page.bitspersample), page.tags.valueof(ORIENTATION, 1)
    _white(page)
    if bits not in (8, 16, 32, 64) and page.compression in (_PLAIN, *_DEFLATE):
        return _unpack(path, page), turn
    try:
        values: NDArray[Any] = page.asarray()
    except (ValueError, ImportError) as error:
        if isinstance(error, ValueError) and "imagecodecs" not in str(error):
            raise
        if image is None:
            raise ValueError(
                f"is a TIFF of {_describe(page)}; save it uncompressed, or `pip install imagecodecs`"
            ) from None
        return _by_pillow(path, page, index), 1
    return np.moveaxis(values, 0, -1) if page.axes.startswith("S") else values, turn


def _unpack(path: Path, page: "TiffPage") -> NDArray[np.uint16]:
    """Unpack values whose number of bits is no multiple of 8; each row starts at a whole byte."""
    bits, samples = int(page.bitspersample), int(page.samplesperpixel)
    width, height = page.imagewidth, page.imagelength
    if (
        page.is_tiled
        or bits > 16
        or (samples > 1 and page.planarconfig != 1)
        or page.predictor != 1
        or page.fillorder != 1
    ):
        raise ValueError(f"is a TIFF of {_describe(page)} with unsupported tiles, planes or bit order; convert it")
    data = bytearray()
    with path.open("rb") as file:
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(offset)
            strip = file.read(size)
            data += strip if page.compression == _PLAIN else zlib.decompress(strip)
    row = -(-width * samples * bits // 8)
    if len(data) < row * height:
        raise ValueError("is a truncated TIFF")
    rows = np.frombuffer(data, np.uint8, row * height).reshape(height, row)
    powers = 1 << np.arange(bits - 1, -1, -1, dtype=np.uint16)
    values = np.empty((height, width * samples), np.uint16)
    for y in range(height):  # by row, because each bit takes a byte
        values[y] = np.unpackbits(rows[y])[: width * samples * bits].reshape(-1, bits) @ powers
    return values if samples == 1 else values.reshape(height, width, samples)


def _by_pillow(path: Path, page: "TiffPage", index: int) -> NDArray[Any]:
    """Read values in a compression that only Pillow supports; they are already rotated as the page's tag asks."""
    with Image.open(path, formats=FORMATS) as image:
        image.seek(index)
        mode, bits = image.mode, int(page.bitspersample)
        if mode in ("RGB", "RGBA", "LA", "La") and bits == 16:
            return read_16_bits(path, index)
        # Otherwise Pillow divides by an alpha that may not be one, and swaps bytes that libtiff has already swapped.
        rewrite_rawmode(image, lambda name: re.sub(r";(16|32)B([SF])$", r";\1N\2", name).replace("a", "A"))
        image._mode = image.mode.replace("La", "LA")
        values: NDArray[Any] = np.asarray(image)
    if mode == "L" and page.sampleformat == _SIGNED:
        return values.view(np.int8)
    if mode == "L":
        values = 255 - values if page.photometric == _WHITE_IS_ZERO else values.copy()
        values //= 255 // (2**bits - 1)
        return values
    if mode == "I" and page.sampleformat == _UNSIGNED:
        return values.view(np.uint32)
    if mode in ("I", "F", "LA", "RGB", "RGBA", "La") or mode.startswith("I;16"):
        return values
    raise ValueError(f"is a TIFF of {_describe(page)}; save it without compression, or `pip install imagecodecs`")


def _split_alpha(
    values: NDArray[Any], colors: int, white: float, associated: bool
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Split the bands into colors and opacity; opacity is None if no pixel is opaque, because then it is not alpha."""
    share = np.clip(values[..., colors] / white, 0, 1)
    if share.max() < 1:
        return values[..., :colors], None
    if associated:
        whole = values[..., :colors] / np.maximum(share, 1 / 65536)[..., np.newaxis]
        values = np.minimum(whole, white)
    return values[..., :colors], np.rint(share * 255).astype(np.uint8)
