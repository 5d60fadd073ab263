"""Outputs that appear whole or not at all, and those that a run shows of itself while it goes on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from stages.shared.process.errors import InputError, named
from stages.shared.process.signals import cleaned, deferred

PARTIAL = ".partial"
_SHOWN = ".shown"  # in the work folder: the names of what is shown


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
        # The lock first: to `named`, its Timeout is one more error of the system's.
        with FileLock(lock, timeout=wait_seconds), named(folder), cleaned(clean):
            _remove(work)
            work.mkdir()
            yield work
            with deferred():
                (work / _SHOWN).unlink(missing_ok=True)
                for path in sorted(work.iterdir()):
                    _move(path, folder / path.name)
    except Timeout:
        raise InputError(f"{folder}: another run is writing here; wait for it to end, or stop it") from None


def clear(folder: Path) -> None:
    """Remove what a killed run left half-made in `folder`, and what it had shown, unless another run writes there."""
    lock = folder / f"{PARTIAL}.lock"
    if lock.exists():
        with suppress(Timeout), FileLock(lock, timeout=0):
            _remove(folder / PARTIAL)
            lock.unlink()


def show(path: Path) -> None:
    """Show a file of the work folder where it will stand in the end, as it is now, whole at any moment.

    What is shown is gone again if the run fails. Where an earlier run's output stands, which DVC clears away before it
    runs a stage, that one stays until the end.
    """
    work = next(parent for parent in path.parents if parent.name == PARTIAL)
    place = path.relative_to(work)
    target = work.parent / place
    if place.parts[0] not in _shown(work):
        if (work.parent / place.parts[0]).exists():
            return
        with (work / _SHOWN).open("a") as file:  # first: what is noted and not there does no harm
            file.write(f"{place.parts[0]}\n")
    target.parent.mkdir(exist_ok=True)
    copy = work / f"{_SHOWN}.new"
    shutil.copyfile(path, copy)
    copy.replace(target)


def _shown(work: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return (work / _SHOWN).read_text().splitlines()
    return []


def _remove(work: Path) -> None:
    for name in _shown(work):
        _delete(work.parent / name)
    _delete(work)


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _move(source: Path, target: Path) -> None:
    if target.is_dir():
        _delete(target)
    source.replace(target)
