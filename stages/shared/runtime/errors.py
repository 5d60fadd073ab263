"""Errors shown to the user without a traceback."""

import errno
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMAKE = "run `dvc repro` to make it again"
# Messages of PyTorch, the dynamic linker and Python's threads
_NO_MEMORY = re.compile("allocate memory|out of memory|failed to map segment|can't start new thread")


class InputError(Exception):
    """An error that the user can correct: in a param, a file, a device or a mirror.

    The text has one line per error: the file or key, what was expected, what was found, and what to do.
    """


class PeerLostError(InputError):
    """Another process of the distributed group has ended; the error of that process is the one to show."""


def corrupt_file(path: Path, expected: str) -> InputError:
    """Make an error, in one line, for a file with invalid content; `expected` says what it should contain."""
    return InputError(f"{path}: damaged: expected {one_line(expected)}; {REMAKE}")


def one_line(text: str, width: int = 300) -> str:
    """Return `text` as one printable line of at most `width` characters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return textwrap.shorten(line, width, placeholder=" …")


@contextmanager
def with_path(path: Path) -> Iterator[None]:
    """Context that adds `path` to an `OSError` without a file name, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        # NumPy's error has no errno
        reason = error.strerror or f"not written completely; the disk may be full: {error}"
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def require_file(path: Path) -> Path:
    """Return `path`; raise `InputError` if it exists but is not a regular file."""
    if path.exists() and not path.is_file():
        raise corrupt_file(path, "a file")
    return path


def explain(error: BaseException) -> str | None:
    """Return the message for the user, or None if the error is a bug."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _NO_MEMORY.search(text):
        return f"not enough memory: {text or 'none left'}; free some memory, or set smaller sizes in params.yaml"
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"{_failed_path(error)}: not found; run `dvc repro` to make it"
    if isinstance(error, OSError):
        where = f"{_failed_path(error)}: " if error.filename is not None else ""
        return where + one_line(error.strerror or text or type(error).__name__)
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in ("", "stages"):
        return (
            f"{sys.executable}: {one_line(text)}; this Python lacks a package of requirements.txt: activate the "
            "environment (`. .venv/bin/activate`), or type `pip install -r requirements.txt`"
        )
    return None


def _failed_path(error: OSError) -> object:
    """Return the path for which a copy or move failed; both paths if it is not known which of them failed."""
    source, target = error.filename, error.filename2
    if target is None or (error.errno == errno.ENOENT and not os.path.lexists(source)):
        return source
    if error.errno in (errno.EACCES, errno.EPERM) and not os.access(source, os.R_OK):
        return source
    return f"{source} or {target}" if error.errno == errno.EIO else target
