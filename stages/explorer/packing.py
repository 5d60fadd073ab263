"""Encode numbers, pictures and JSON as text for the page."""

import base64
import gzip
import hashlib
import io
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_PIXELS = 16_383  # per side of a sheet: the limit of WebP; some browsers support at most twice that area


def sheet_columns(count: int) -> int:
    """Number of columns of a sheet of `count` images."""
    return math.isqrt(count - 1) + 1


def sheet(images: NDArray[Any], **options: Any) -> bytes:
    """Pack images, [N, height, width, channels] from 0 to 255, into one WebP with sides of at most MAX_PIXELS.

    options: options of Pillow's WebP writer. For color images, lossless WebP takes 3/4 of the size of PNG.
    """
    count, height, width, channels = images.shape
    columns = sheet_columns(count)
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    grid[:count] = images
    tiled = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    pixels = tiled.reshape(rows * height, columns * width, channels)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(file, "webp", **options)
    return file.getvalue()


def planes(numbers: NDArray[Any], width: int | None = None) -> bytes:
    """Store integers as byte planes: the lowest byte of every number, then the second byte of every number, and so on.

    width: number of bytes per number to store; None: all.
    """
    little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).reshape(-1, 1)
    return little.view(np.uint8)[:, :width].T.tobytes()


def pack(*parts: bytes) -> str:
    """Concatenate, gzip and base64-encode the parts."""
    return encode(gzip.compress(b"".join(parts), compresslevel=6, mtime=0))


def encode(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")


def safe_json(value: Any) -> str:
    """Encode a value as JSON for a script element; text in it can neither end the element nor start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def source_hash(script: str) -> str:
    """Hash of the script for the page's content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{encode(digest)}'"
