"""Files: outputs that appear whole or not at all, inputs that are checked as they are read."""

from stages.shared.command import cleaned, unbroken

import csv
import errno
import io
import json
import shutil
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from stages.shared.errors import InputError

Uint8 = NDArray[np.uint8]
PARTIAL = ".partial"
REMAKE = "run `dvc repro` to make it again"


@contextmanager
def outputs(folder: Path, wait_seconds: float = 5) -> Iterator[Path]:
    """Give an empty work folder; when the block ends well, move all that is in it into `folder`, else drop it.

    The work folder is `folder/.partial`. What a killed run left in it is cleared by the next, and a second run of the
    same stage at the same time is refused with an `InputError`. An `OSError` that names no file, as a full disk's, is
    given the folder's name.
    """
    work, lock = folder / PARTIAL, folder / f"{PARTIAL}.lock"

    def clean() -> None:
        _remove(work)
        lock.unlink(missing_ok=True)  # while it is held: whoever waits for it sees that it is gone and makes another

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=wait_seconds), cleaned(clean):
            _remove(work)
            work.mkdir()
            yield work
            with unbroken():
                for path in sorted(work.iterdir()):
                    _move(path, folder / path.name)
    except Timeout:
        raise InputError(f"{folder}: another run is writing here; wait for it to end, or stop it") from None
    except OSError as error:
        if error.filename is not None:
            raise
        reason = error.strerror or f"not written in full, as on a full disk: {error}"  # NumPy's has no number either
        raise OSError(error.errno or errno.EIO, reason, str(folder)) from error


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _move(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)


def read_array(path: Path, shape: Sequence[int | None]) -> Uint8:
    """Map the uint8 array of the `.npy` file at `path` into memory, without reading it.

    `shape` has an entry for each dimension, None where any length will do. Raises `InputError` where the file is
    missing, no array of that type and shape, or empty.
    """
    try:
        with warnings.catch_warnings(action="error"):  # NumPy's about a header that Python 2 would have written
            # Mode "c" keeps the file as it is, and PyTorch, which knows no read-only tensors, content.
            array = np.lib.format.open_memmap(plain(path), mode="c")
    except (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError, Warning) as error:
        raise damaged(path, f"a .npy array, got: {error}") from None
    wanted = " x ".join("any" if length is None else str(length) for length in shape)
    fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.uint8 or array.size == 0:
        raise damaged(path, f"a uint8 array of {wanted}, got {array.dtype} of {array.shape}")
    size, whole = path.stat().st_size, array.offset + array.nbytes
    if size != whole:
        raise damaged(path, f"{whole} bytes for {array.shape}, got {size}")
    return array


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; a number that is not finite is a `ValueError`."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object at `path`, which must have each of `keys`; else an `InputError`."""
    try:
        value = json.loads(plain(path).read_bytes())
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


def read_csv(path: Path, header: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of the CSV file at `path`, whose header must begin with `header`; else an `InputError`."""
    try:
        text = plain(path).read_bytes().decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(reader, [])
        rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise damaged(path, f"CSV, got: {error}") from None
    if not text.endswith("\n"):
        raise damaged(path, "a line break at its end: it is cut off")
    if names[: len(header)] != list(header) or len(set(names)) < len(names):
        raise damaged(path, f"a header that begins {','.join(header)}, got {','.join(names)[:80]}")
    if not rows:
        raise damaged(path, "at least one row")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise damaged(path, f"{len(names)} fields in line {number}, got {len(row)}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def plain(path: Path) -> Path:
    """`path`, unless it is there and no file: a folder, a pipe that never ends; then an `InputError`."""
    if path.exists() and not path.is_file():
        raise damaged(path, "a file")
    return path


def damaged(path: Path, expected: str) -> InputError:
    """The error for a file that is there but not what it should be, in one line, whatever the file brings into it."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(expected.split()))
    return InputError(f"{path}: damaged: expected {textwrap.shorten(line, 300, placeholder=' …')}; {REMAKE}")
