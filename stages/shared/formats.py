"""File formats: what is written in them, and read back checked."""

import csv
import io
import json
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stages.shared.process.errors import damaged, named, plain


def read_array(path: Path, dtype: DTypeLike, shape: Sequence[int | None]) -> NDArray[Any]:
    """Map the array of the `.npy` file at `path` into memory, without reading it.

    `shape` has an entry for each dimension, None where any length will do. Raises `InputError` where the file is
    missing, no array of that type and shape, or empty.
    """
    try:
        # NumPy warns about a header that Python 2 would have written.
        with named(path), warnings.catch_warnings(action="error"):
            # Mode "c" keeps the file as it is, and PyTorch, which knows no read-only tensors, content.
            array = np.lib.format.open_memmap(plain(path), mode="c")
    except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError, Warning) as error:
        raise damaged(path, f"a .npy array, got: {error}") from None
    wanted = " x ".join("any" if length is None else str(length) for length in shape)
    fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype or array.size == 0:
        raise damaged(path, f"{np.dtype(dtype)} numbers of {wanted}, got {array.dtype} of {array.shape}")
    size, whole = path.stat().st_size, array.offset + array.nbytes
    if size != whole:
        raise damaged(path, f"{whole} bytes for {array.shape}, got {size}")
    return array


def read_bytes(path: Path) -> bytes:
    """All of the file at `path`; raises `InputError` where it is a folder or pipe, and an `OSError` names it."""
    with named(path):
        return plain(path).read_bytes()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; a number that is not finite is a `ValueError`."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object at `path`, which must have each of `keys`; else an `InputError`."""
    try:
        value = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"JSON, got: {error}") from None
    if not isinstance(value, dict) or not value.keys() >= set(keys):
        raise damaged(path, f"an object with {', '.join(keys)}")
    return value


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write `rows` under `header`; float32 values in the fewest digits that bring the same value back."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path: Path, header: Sequence[str], least: int = 1) -> list[dict[str, str]]:
    """Read the rows of the CSV file at `path`, whose header must begin with `header`; else an `InputError`.

    So it is for fewer rows than `least`.
    """
    try:
        text = read_bytes(path).decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(reader, [])
        rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise damaged(path, f"CSV, got: {error}") from None
    if not text.endswith("\n"):
        raise damaged(path, "a line break at its end: it is cut off")
    if names[: len(header)] != list(header) or len(set(names)) < len(names):
        raise damaged(path, f"a header that begins {','.join(header)}, got {','.join(names)[:80]}")
    if len(rows) < least:
        raise damaged(path, "at least one row")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise damaged(path, f"{len(names)} fields in line {number}, got {len(row)}")
    return [dict(zip(names, row, strict=True)) for row in rows]
