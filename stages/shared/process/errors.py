"""What a user is told of an error: the one exception that a person is meant to read, and how others read to them."""

import errno
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMAKE = "run `dvc repro` to make it again"
# As PyTorch, the dynamic linker and Python's threads say it.
_NO_MEMORY = re.compile("allocate memory|out of memory|failed to map segment|can't start new thread")


class InputError(Exception):
    """Something that a person can put right: a param, a file, a device, a mirror.

    Its text names the file or key, what was expected, what came, and what to do, in one line an error; `run` prints it
    without a traceback.
    """


class LostError(InputError):
    """Another of the processes that work together has ended; what ended that one is what a person wants to know."""


class BeginAnewError(Exception):
    """No error: a stage wants its process to be a fresh one, and goes on there from what it has kept."""


def damaged(path: Path, expected: str) -> InputError:
    """The error for a file that is there but not what it should be, in one line, whatever the file brings into it."""
    return InputError(f"{path}: damaged: expected {one_line(expected)}; {REMAKE}")


def one_line(text: str, width: int = 300) -> str:
    """`text` in one printable line of at most so many letters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return textwrap.shorten(line, width, placeholder=" …")


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an `OSError` that names no file, as a failing disk's or a full one's, the path that the block works on."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        reason = error.strerror or f"not in full, as on a full disk: {error}"  # NumPy's has no number either
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def plain(path: Path) -> Path:
    """`path`, unless it is there and no file: a folder, a pipe that never ends; then an `InputError`."""
    if path.exists() and not path.is_file():
        raise damaged(path, "a file")
    return path


def explain(error: BaseException) -> str | None:
    """What to tell the user; None where the error is a bug."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _NO_MEMORY.search(text):
        return f"not enough memory: {text or 'none left'}; free some, or set smaller sizes in params.yaml"
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"{error.filename}: not found; run `dvc repro`, which makes what is missing"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return where + one_line(error.strerror or text or type(error).__name__)
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in ("", "stages"):
        return (
            f"{sys.executable}: {one_line(text)}; this Python lacks what requirements.txt names: activate the "
            "environment that has it (`. .venv/bin/activate`), or `pip install -r requirements.txt`"
        )
    return None
