"""Pictures written as one array, without all of them in memory at once."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from stages.shared.arrays import Uint8, batches
from stages.shared.images.form import UNREADABLE, Form

_AT_ONCE = 512  # pictures decoded ahead of the one that is written
_TOGETHER = 32  # of them, by one thread in one go: handing over each alone takes a fifth longer
Refusal = tuple[Path, str]


def write_pictures(paths: Sequence[Path], form: Form, target: Path) -> tuple[list[int], list[Refusal]]:
    """Decode the files at `paths` on all cores into `target`, a `.npy` of uint8 [N, height, width, channels].

    Gives the places of those that were written, and those that can't be read with the reason.
    """
    written: list[int] = []
    bad: list[Refusal] = []
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow's, about metadata that are not used here
        target.open("wb") as file,
        ThreadPoolExecutor(os.cpu_count()) as threads,  # decoding and resizing leave Python's lock to others
        tqdm(total=len(paths), desc=target.stem, unit=" pictures", leave=False, disable=None) as progress,
    ):
        _write_header(file, len(paths), form)
        for start in range(0, len(paths), _AT_ONCE):
            part = paths[start : start + _AT_ONCE]
            lots = [part[first : first + _TOGETHER] for first in range(0, len(part), _TOGETHER)]
            read = chain.from_iterable(threads.map(lambda lot: [_read(form, path) for path in lot], lots))
            for place, pixels in enumerate(read, start=start):
                if isinstance(pixels, str):
                    bad.append((paths[place], pixels))
                else:
                    written.append(place)
                    file.write(pixels.tobytes())
            progress.update(len(part))
        file.seek(0)
        _write_header(file, len(written), form)
    return written, bad


def _write_header(file: object, count: int, form: Form) -> None:
    """The header of a `.npy`, which NumPy gives the same length whatever the first axis is."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *form.shape)}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]


def _read(form: Form, path: Path) -> Uint8 | str:
    """The picture, or why it can't be read."""
    try:
        return form.read(path)
    except UnidentifiedImageError:
        return "no picture of a kind that is known, whatever its name"
    except UNREADABLE as error:
        return str(getattr(error, "strerror", None) or error or type(error).__name__)


def write_arrays(images: Uint8, form: Form, target: Path) -> None:
    """Bring images, uint8 [N, height, width, channels], into the form, and write them like `write_pictures`."""
    with target.open("wb") as file:
        _write_header(file, len(images), form)
        for batch in batches(len(images), images[0].size):
            file.write(_formed(images[batch], form).tobytes())


def _formed(images: Uint8, form: Form) -> Uint8:
    if images.shape[1:] == form.shape:
        return images
    pictures = images[..., 0] if images.shape[3] == 1 else images  # as Pillow has grey ones
    return np.stack([form.apply(Image.fromarray(picture)) for picture in pictures])
