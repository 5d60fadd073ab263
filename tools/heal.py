"""Mend what a killed DVC leaves of its own files, and say so; docs/dvc-kill.md says how that comes about.

Run in the project's root. Reads, and writes only where one of them is broken: `.dvc/tmp/rwlock`, its twin of the
experiments, `dvc.lock`. Nothing is touched while another DVC runs in the project.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from dvc.exceptions import DvcException
from dvc.lock import Lock, LockError
from dvc.rwlock import SCHEMA as RWLOCK_SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import parse_yaml
from voluptuous import Invalid

LOCKFILE = Path("dvc.lock")
TMP = Path(".dvc/tmp")
RWLOCKS = (TMP / "rwlock", TMP / "exps" / "rwlock")
PARTIAL = Path(".partial.dvc.lock")
KEPT = TMP / "dvc.lock.broken"
RUNNING = "another DVC runs here{}, so nothing is mended: let it end, or end it, and try again"


def main() -> None:
    """Mend what is broken, or end with a line that says why not."""
    if broken():
        with alone():
            for path in broken():  # anew: what another DVC was writing is whole by now
                mend_lockfile() if path == LOCKFILE else remove(path)


def broken() -> list[Path]:
    """Gives those of DVC's own files that DVC can't read."""
    checks = dict.fromkeys(RWLOCKS, is_rwlock) | {LOCKFILE: is_lockfile}
    return [path for path, is_whole in checks.items() if path.exists() and not is_whole(path.read_bytes())]


def is_rwlock(content: bytes) -> bool:
    """Whether DVC can read `content` as its table of the paths in use."""
    try:
        RWLOCK_SCHEMA(json.loads(content))
    except (ValueError, Invalid):
        return False
    return True


def is_lockfile(content: bytes) -> bool:
    """Whether DVC can read `content` as a dvc.lock."""
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode(), LOCKFILE))
    except (UnicodeDecodeError, DvcException, Invalid):
        return False
    return True


def remove(rwlock: Path) -> None:
    """Take a broken table of the paths in use away: nothing uses any, since no other DVC runs."""
    say(f"{rwlock} is {state(rwlock)}: removed")
    rwlock.unlink()


def mend_lockfile() -> None:
    """Put git's dvc.lock in place of a broken one, which is kept aside; without one in git, only take it away.

    Either way the next `dvc repro` finds in the run cache what the broken one said of stages that had run.
    """
    if b"<<<<<<<" in LOCKFILE.read_bytes():
        sys.exit(f"heal: {LOCKFILE} holds a merge conflict, which is not what a kill leaves: resolve it")
    known = in_git(LOCKFILE)
    if known is not None and not is_lockfile(known):
        sys.exit(f"heal: this DVC can't read {LOCKFILE}, nor the one in git: nothing is changed")
    shutil.copyfile(LOCKFILE, KEPT)
    if known is None:
        say(f"{LOCKFILE} is {state(LOCKFILE)} and not in git: taken away, kept as {KEPT}")
        LOCKFILE.unlink()
    else:
        say(f"{LOCKFILE} is {state(LOCKFILE)}: the one in git takes its place, the broken one is kept as {KEPT}")
        PARTIAL.write_bytes(known)
        PARTIAL.replace(LOCKFILE)


def in_git(path: Path) -> bytes | None:
    """Gives the file as git's index has it, or None without git, a repository or such a file in it."""
    with suppress(FileNotFoundError):
        shown = subprocess.run(["git", "show", f":./{path}"], capture_output=True, check=False)
        return shown.stdout if shown.returncode == 0 else None
    return None


@contextmanager
def alone() -> Iterator[None]:
    """Hold DVC's own locks, or end where another DVC is at work."""
    try:
        with Lock(str(TMP / "lock")), Lock(str(TMP / "rwlock.lock")):
            # DVC lets go of its locks while a stage's command runs.
            if others := dvc_processes():
                sys.exit("heal: " + RUNNING.format(f" ({others})"))
            yield
    except LockError:
        sys.exit("heal: " + RUNNING.format(""))


def dvc_processes() -> str:
    """Names the DVC processes at work in this project or below it; empty without any."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_dvc = any(Path(word).name == "dvc" for word in process.cmdline()[:3])
            if is_dvc and Path(process.cwd()).is_relative_to(Path.cwd()):
                found.append(f"process {process.pid}")
    return ", ".join(found)


def state(path: Path) -> str:
    """What is wrong with a broken file."""
    return "cut off" if path.stat().st_size else "empty"


def say(line: str) -> None:
    """Tell the user, beside what DVC says."""
    print(f"heal: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
