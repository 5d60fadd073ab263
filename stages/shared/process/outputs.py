"""Outputs that appear whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from stages.shared.process.errors import InputError, named
from stages.shared.process.signals import cleaned, deferred

PARTIAL = ".partial"


@contextmanager
def outputs(folder: Path, wait_seconds: float = 5) -> Iterator[Path]:
    """Give an empty work folder; when the block ends well, move all that is in it into `folder`, else drop it.

    The work folder is `folder/.partial`. What a killed run left in it is cleared by the next, and a second run of the
    same stage at the same time is refused with an `InputError`.
    """
    work, lock = folder / PARTIAL, folder / f"{PARTIAL}.lock"

    def clean() -> None:
        _remove(work)
        lock.unlink(missing_ok=True)  # while it is held: whoever waits for it sees that it is gone and makes another

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with named(folder), FileLock(lock, timeout=wait_seconds), cleaned(clean):
            _remove(work)
            work.mkdir()
            yield work
            with deferred():
                for path in sorted(work.iterdir()):
                    _move(path, folder / path.name)
    except Timeout:
        raise InputError(f"{folder}: another run is writing here; wait for it to end, or stop it") from None


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _move(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)
