"""Weights, pictures and facts as text that stands in a page, small and safe."""

import base64
import gzip
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.shared.arrays import Float32
from stages.shared.model.autoencoder import Autoencoder

TOLERANCE = 2e-5  # of a pixel in [0, 1], between the page's decoder and the model's


def sheet_columns(count: int) -> int:
    """How many images stand in a row of a sheet of `count`."""
    return math.isqrt(count - 1) + 1


def png_sheet(images: NDArray[Any]) -> bytes:
    """Images [N, height, width, channels], 0 to 255, in one PNG, row by row."""
    count, height, width, channels = images.shape
    columns = sheet_columns(count)
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    grid[:count] = images
    pixels = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    pixels = pixels.reshape(rows * height, columns * width, channels)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "png")
    return file.getvalue()


def round_mantissa(values: Float32, bits: int) -> Float32:
    """Float32 rounded to the nearest with `bits` of its 23 mantissa bits: zeros, which compress well, in the rest."""
    drop = 23 - bits
    if drop == 0:
        return values
    whole = values.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (whole >> np.uint32(drop) << np.uint32(drop)).view(np.float32)


def shrink(autoencoder: Autoencoder, latents: Float32) -> Autoencoder:
    """The autoencoder with decoder weights in as few bits as still decode `latents` within TOLERANCE."""
    exact = autoencoder.decode(latents)
    for bits in range(12, 24, 2):
        decoder = [
            replace(op, tensors=tuple(round_mantissa(tensor, bits) for tensor in op.tensors))
            for op in autoencoder.decoder
        ]
        short = replace(autoencoder, decoder=decoder)
        if np.abs(short.decode(latents) - exact).max() <= TOLERANCE:
            return short
    return autoencoder


def pack(arrays: Sequence[NDArray[Any]]) -> str:
    """Float32 arrays end to end, as gzip of their bytes sorted by place (all the first ones first), in base64."""
    flat = np.concatenate([array.astype("<f4").ravel() for array in arrays])
    planes = flat.view(np.uint8).reshape(-1, 4).T.tobytes()
    return encode(gzip.compress(planes, compresslevel=6, mtime=0))


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
