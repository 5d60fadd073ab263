"""Decode picture files: pixels, and the range of their values.

Corrects files that Pillow 13 reads wrongly: PNG with 2, 4 and 16 bits, the maximum of PGM, HEIC with 10 and 12 bits.
TIFF and FITS have their own modules.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from stages.shared.images.fits import read_fits
from stages.shared.images.picture import (
    FORMATS,
    ORIENTATION,
    SIDEWAYS,
    Picture,
    from_pillow,
    read_16_bits,
    rewrite_rawmode,
)
from stages.shared.images.tiff import is_tiff, read_tiff

_MISSING = {
    "HEIC": "is HEIC; to read it, install pi-heif or pillow-heif: `make heic`, or `pip install pi-heif`",
    "JPEG XL": "is JPEG XL; to read it, install pillow-jxl-plugin: `pip install pillow-jxl-plugin`",
}
DRAFT = 2  # a JPEG is decoded at no less than this multiple of the target size
_ALPHA_OF = {"RGB;16B": 3, "RGBA;16B": 3, "LA;16B": 1}  # index of the alpha band of a 16-bit PNG


Wanted = Callable[[float, float], tuple[int, int]]


def decode(path: Path, mode: str = "RGB", wanted: Wanted | None = None) -> Picture:
    """Decode the first page or frame of a file; raises one of `UNREADABLE`.

    wanted: function from the picture's width and height to the target size. If the target is much smaller, a JPEG is
    decoded at reduced size, and in `mode`. Without `wanted`, the result has all stored pixels.
    """
    try:
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        if is_tiff(path):
            return read_tiff(path, None)
        raise ValueError(_describe(path)) from None
    with image:
        if image.format in ("JPEG", "MPO"):
            return _jpeg(image, mode, wanted)
        read = _READ.get(str(image.format))
        return read(path, image) if read else from_pillow(image)


def _jpeg(image: ImageFile.ImageFile, mode: str, wanted: Wanted | None) -> Picture:
    kind = "8-bit gray" if image.mode == "L" else "8-bit color"
    notes = ("pages",) if getattr(image, "is_animated", False) else ()
    turn, box = image.getexif().get(ORIENTATION, 1), None
    if wanted:
        size = wanted(*(image.size[::-1] if turn in SIDEWAYS else image.size))
        width, height = size[::-1] if turn in SIDEWAYS else size
        drafted = image.draft(mode, (DRAFT * width, DRAFT * height))
        box = drafted[1] if drafted else None
    image.load()
    return Picture(image, kind, 255, turn=turn, box=box, notes=notes)


def _png(path: Path, image: ImageFile.ImageFile) -> Picture:
    rawmode = image.tile[0].args if image.tile else ""
    if rawmode not in {"L;2", "L;4", "I;16B", *_ALPHA_OF}:
        return from_pillow(image)
    picture, transparent = from_pillow(image), image.info.get("transparency")
    if rawmode == "I;16B":
        values = np.asarray(image)
        bits = 16
    elif rawmode in ("L;2", "L;4"):
        bits = int(rawmode[2:])
        values = np.asarray(image) // (255 // (2**bits - 1))
    elif rawmode == "LA;16B":
        bits = 16
        with Image.open(path, formats=FORMATS) as again:
            rewrite_rawmode(again, lambda _: "RGBA")  # read as four bytes
            pairs = np.asarray(again).astype(np.uint16)
        values = pairs[..., ::2] << 8 | pairs[..., 1::2]
    else:
        bits = 16
        values = read_16_bits(path)
    alpha = None
    if values.ndim == 3 and values.shape[2] > (place := _ALPHA_OF[rawmode]):
        alpha = (values[..., place] >> 8).astype(np.uint8)
        values = values[..., 0] if place == 1 else values[..., :place]
    elif transparent is not None:
        same = values == transparent
        alpha = np.where(same.all(axis=2) if same.ndim == 3 else same, 0, 255).astype(np.uint8)
    kind = f"{bits}-bit {'gray' if values.ndim == 2 else 'color'}"
    return replace(picture, pixels=values, kind=kind, white=2**bits - 1, alpha=alpha)


def _ppm(path: Path, image: ImageFile.ImageFile) -> Picture:
    codec, _, offset, args = image.tile[0]
    if not codec.startswith("ppm") or not isinstance(args, tuple) or args[1] == 255:
        return from_pillow(image)
    rawmode, white = str(args[0]), int(args[1])
    shape = (image.height, image.width, 3) if rawmode == "RGB" else (image.height, image.width)
    picture = from_pillow(image)  # detects truncated files
    if codec == "ppm":  # binary: read directly, because Pillow rescales it
        dtype = ">u2" if white > 255 else "u1"
        values = np.fromfile(path, dtype, int(np.prod(shape)), offset=offset).reshape(shape)
    elif rawmode == "RGB":
        return picture
    else:
        most = 65535 if white > 255 else 255
        values = np.rint(np.asarray(image) * (white / most)).astype(np.uint16)
    kind = f"{'gray' if values.ndim == 2 else 'color'} of 0 to {white}"
    return replace(picture, pixels=values, kind=kind, white=white)


def _heif(path: Path, image: ImageFile.ImageFile) -> Picture:
    before = image.info.get("original_orientation") or 1
    bits = image.info.get("bit_depth", 8)
    picture = from_pillow(image)
    if not isinstance(picture.pixels, Image.Image):  # more than 8 bits, in the upper bits of 16
        values = picture.pixels.astype(np.uint16) >> (16 - bits)
        picture = replace(picture, pixels=values, kind=f"{bits}-bit gray", white=2**bits - 1)
    # libheif rotates by its own properties; the readers drop EXIF's orientation even without these.
    if before != 1 and not any(name in path.read_bytes() for name in (b"irot", b"imir")):
        picture = replace(picture, turn=before, notes=(*picture.notes, "turned"))
    return picture


_READ: dict[str, Callable[[Path, ImageFile.ImageFile], Picture]] = {
    "PNG": _png,
    "PPM": _ppm,
    "HEIF": _heif,
    "TIFF": read_tiff,
    "FITS": lambda path, _: read_fits(path),
}


_BEGINNINGS = {
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "HDF5",
    b"CDF": "netCDF",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` replaces it by the picture)",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<svg": "SVG",
    b"<?xml": "XML",
}


def _describe(path: Path) -> str:
    """Describe a file of unknown format by its first bytes."""
    with path.open("rb") as file:
        head = file.read(1024)
    box, brand = head[4:8], head[8:12]
    if box == b"ftyp" and brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return _MISSING["HEIC"]
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return _MISSING["JPEG XL"]
    if head[128:132] == b"DICM":
        return "is DICOM, which is not supported; save its pixels as TIFF or PNG"
    if not head.strip(b"\0"):
        return "has only zeros" if head else "is empty"
    start = head.lstrip().lower()
    kind = next((kind for text, kind in _BEGINNINGS.items() if start.startswith(text.lower())), None)
    kind = kind or ("a video" if box == b"ftyp" else "text" if head.isascii() and b"\0" not in head else None)
    return f"is {kind}, not a supported kind of picture" if kind else "is damaged, or not a supported kind of picture"
