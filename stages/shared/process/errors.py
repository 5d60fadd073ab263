"""What a user is told of an error: the one exception that a person is meant to read, and how others read to them."""

import errno
import re
import textwrap
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


def damaged(path: Path, expected: str) -> InputError:
    """The error for a file that is there but not what it should be, in one line, whatever the file brings into it."""
    return InputError(f"{path}: damaged: expected {one_line(expected)}; {REMAKE}")


def one_line(text: str, width: int = 300) -> str:
    """`text` in one printable line of at most so many letters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return textwrap.shorten(line, width, placeholder=" …")


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
    if isinstance(error, FileNotFoundError):
        return f"{error.filename}: not found; run `dvc repro`, which makes what is missing"
    if isinstance(error, OSError):
        return f"{error.filename or 'writing the outputs'}: {error.strerror or error}"
    return None
