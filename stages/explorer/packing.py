"""Numbers, pictures and facts as text that stands in a page, small and safe."""

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

MOST_PIXELS = 16_383  # a side of a sheet: WebP takes no more, and some browsers no more than twice that area


def sheet_columns(count: int) -> int:
    """How many images stand in a row of a sheet of `count`."""
    return math.isqrt(count - 1) + 1


def sheet(images: NDArray[Any], **options: Any) -> bytes:
    """Images [N, height, width, channels], 0 to 255, in one WebP, row by row; its sides at most MOST_PIXELS.

    The options are Pillow's. Lossless, it takes three quarters of a PNG's size where images have colors.
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
    """Numbers as bytes sorted by place, lowest first: all the first ones, all the second ones, …, `width` of them."""
    little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).reshape(-1, 1)
    return little.view(np.uint8)[:, :width].T.tobytes()


def pack(*parts: bytes) -> str:
    """The parts end to end, as gzip in base64."""
    return encode(gzip.compress(b"".join(parts), compresslevel=6, mtime=0))


def encode(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")


def safe_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def source_hash(script: str) -> str:
    """What the page's content security policy calls this script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{encode(digest)}'"
