"""Write files, and read and validate them: .npy, JSON, CSV."""

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

from stages.shared.runtime.errors import corrupt_file, require_file, with_path


def read_array(path: Path, dtype: DTypeLike, shape: Sequence[int | None]) -> NDArray[Any]:
    """Memory-map the array of the `.npy` file at `path`.

    `shape` has an entry for each dimension, None for any length. Raises `InputError` if the array is missing, empty, or
    of another type or shape.
    """
    try:
        # NumPy warns about headers of Python 2.
        with with_path(path), warnings.catch_warnings(action="error"):
            # Mode "c" never changes the file; PyTorch has no read-only tensors.
            array = np.lib.format.open_memmap(require_file(path), mode="c")
    except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError, Warning) as error:
        raise corrupt_file(path, f"a .npy array, got: {error}") from None
    wanted = " x ".join("any" if length is None else str(length) for length in shape)
    fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype or array.size == 0:
        raise corrupt_file(
            path, f"{np.dtype(dtype)} numbers of shape {wanted}, got {array.dtype} of shape {array.shape}"
        )
    size, whole = path.stat().st_size, array.offset + array.nbytes
    if size != whole:
        raise corrupt_file(path, f"{whole} bytes for shape {array.shape}, got {size}")
    return array


def read_bytes(path: Path) -> bytes:
    """Read the file at `path`; raises `InputError` if it is a folder or pipe. Any `OSError` names the path."""
    with with_path(path):
        return require_file(path).read_bytes()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; raises `ValueError` for numbers that are not finite."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object at `path`; raises `InputError` if one of `keys` is missing."""
    try:
        value = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise corrupt_file(path, f"JSON, got: {error}") from None
    if not isinstance(value, dict) or not value.keys() >= set(keys):
        raise corrupt_file(path, f"an object with {', '.join(keys)}")
    return value


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write `rows` below `header`; float32 values get the fewest digits that represent them exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path: Path, header: Sequence[str], min_rows: int = 1) -> list[dict[str, str]]:
    """Read the rows of the CSV file at `path`.

    Raises `InputError` if its header does not begin with `header`, or if there are fewer than `min_rows` rows.
    """
    try:
        text = read_bytes(path).decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(reader, [])
        rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise corrupt_file(path, f"CSV, got: {error}") from None
    if not text.endswith("\n"):
        raise corrupt_file(path, "a line break at the end; the file is truncated")
    if names[: len(header)] != list(header) or len(set(names)) < len(names):
        raise corrupt_file(path, f"a header that begins with {','.join(header)}, got {','.join(names)[:80]}")
    if len(rows) < min_rows:
        raise corrupt_file(path, "at least one row")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise corrupt_file(path, f"{len(names)} fields in line {number}, got {len(row)}")
    return [dict(zip(names, row, strict=True)) for row in rows]
