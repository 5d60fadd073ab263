"""Read FITS files with their scaling (BSCALE and BZERO), which Pillow 13 ignores.

FITS standard 4.0: the header consists of cards of 80 bytes in blocks of 2,880 bytes; data is big-endian, and the bottom
row comes first.
"""

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stages.shared.images.picture import Picture

_BLOCK, _CARD = 2880, 80
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def read_fits(path: Path) -> Picture:
    """Read the first image of a file, or the first plane of a cube; raises `ValueError`."""
    with path.open("rb") as file:
        while cards := _read_cards(file):
            bits = int(cards["BITPIX"])
            sides = [int(cards[f"NAXIS{axis}"]) for axis in range(1, int(cards["NAXIS"]) + 1)]
            if cards.get("ZIMAGE") == "T":
                raise ValueError("is FITS with a compressed image; unpack it, for example with funpack")
            if len(sides) > 1 and min(sides) > 0 and "TFIELDS" not in cards:
                dtype = np.dtype(_TYPES[bits])
                size = dtype.itemsize * sides[0] * sides[1]
                if size > path.stat().st_size - file.tell():
                    raise ValueError("is a truncated FITS file")
                data = file.read(size)
                values = np.frombuffer(data, dtype).reshape(sides[1], sides[0])[::-1]
                return _picture(values, bits, cards, math.prod(sides[2:]) > 1)
            count = int(cards.get("PCOUNT", 0)) + math.prod(sides) * bool(sides)
            size = abs(bits) // 8 * int(cards.get("GCOUNT", 1)) * count
            if size < 0:
                raise ValueError("is damaged FITS, with data of a negative size")
            file.seek(-(-size // _BLOCK) * _BLOCK, 1)
    raise ValueError("is a FITS file without a two-dimensional image")


def _read_cards(file: BinaryIO) -> dict[str, str]:
    """Read the header at the current position; returns an empty dictionary at the end of the file."""
    cards: dict[str, str] = {}
    while len(block := file.read(_BLOCK)) == _BLOCK:
        for start in range(0, _BLOCK, _CARD):
            card = block[start : start + _CARD].decode("ascii", "replace")
            key = card[:8].strip()
            if key == "END":
                return cards
            if card[8:10] == "= ":
                cards[key] = card[10:].split("/")[0].strip()
    return {}


def _picture(values: NDArray[Any], bits: int, cards: dict[str, str], more: bool) -> Picture:
    scale, zero = (
        float(cards.get(key, default).replace("D", "E")) for key, default in (("BSCALE", "1"), ("BZERO", "0"))
    )
    notes = ("pages",) if more else ()
    if bits < 0 or scale != 1 or zero not in (0, 2.0 ** (bits - 1)):
        return Picture(values * scale + zero, "float gray", 1, notes=notes)
    if zero:  # unsigned numbers
        return Picture(values.astype(np.int64) + int(zero), f"{bits}-bit gray", 2**bits - 1, notes=notes)
    if bits == 8:
        return Picture(values, "8-bit gray", 255, notes=notes)
    return Picture(values, f"signed {bits}-bit gray", 2 ** (bits - 1) - 1, notes=notes)
