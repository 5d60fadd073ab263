"""Atomic outputs of a stage, and early copies of them while the stage runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.shared.runtime.errors import with_path
from stages.shared.runtime.lock import BusyError, locked
from stages.shared.runtime.signals import cleanup_on_signal, defer_signals

PARTIAL = ".partial"
LOCK = f"{PARTIAL}.lock"
_PUBLISHED = ".published"  # in the work folder: the names of published files


@contextmanager
def outputs(folder: Path, wait_seconds: float = 5) -> Iterator[Path]:
    """Yield an empty work folder; at the end, move its content into `folder`, or delete it after an error.

    The work folder is `folder/.partial`. If a run is killed, the next run removes what it left. If another run of the
    same stage is active, raises `BusyError`.
    """
    work = folder / PARTIAL
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, wait_seconds), with_path(folder), cleanup_on_signal(lambda: _remove(work)):
        _remove(work)
        work.mkdir()
        yield work
        with defer_signals():
            (work / _PUBLISHED).unlink(missing_ok=True)
            for path in sorted(work.iterdir()):
                _move(path, folder / path.name)


def clear(folder: Path) -> None:
    """Remove partial and published files that a killed run left in `folder`, unless another run is active there."""
    if (folder / LOCK).exists():
        with suppress(BusyError), locked(folder / LOCK):
            _remove(folder / PARTIAL)


def publish(path: Path) -> None:
    """Copy a file of the work folder to its final place atomically, while the run continues.

    If the run fails, the copy is removed. An output of an earlier run that already exists is replaced only at the end.
    """
    work = next(parent for parent in path.parents if parent.name == PARTIAL)
    place = path.relative_to(work)
    target = work.parent / place
    if place.parts[0] not in _published(work):
        if (work.parent / place.parts[0]).exists():
            return
        with (work / _PUBLISHED).open("a") as file:  # before the copy, so that a killed run's copies are all listed
            file.write(f"{place.parts[0]}\n")
    target.parent.mkdir(exist_ok=True)
    copy = work / f"{_PUBLISHED}.new"
    shutil.copyfile(path, copy)
    copy.replace(target)


def _published(work: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return (work / _PUBLISHED).read_text().splitlines()
    return []


def _remove(work: Path) -> None:
    for name in _published(work):
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
