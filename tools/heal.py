"""Repair DVC's files if a killed DVC left them broken (docs/dvc-kill.md).

Run it in the project's root. It changes `.dvc/tmp/rwlock`, `.dvc/tmp/exps/rwlock` and `dvc.lock`, but only if DVC can't
read them and no other DVC runs in the project.
"""

import json
import subprocess
import sys
from contextlib import suppress
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
KEPT = TMP / "dvc.lock.broken"
FILES = (TMP / "rwlock", TMP / "exps" / "rwlock", LOCKFILE)


def is_whole(path: Path, content: bytes) -> bool:
    """Whether `content` is valid for the file of DVC at `path`, so that DVC can read it."""
    try:
        if path == LOCKFILE:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode(), LOCKFILE))
        else:
            RWLOCK_SCHEMA(json.loads(content))
    except (ValueError, DvcException, Invalid):
        return False
    return True


def broken() -> list[Path]:
    """List the files that DVC can't read."""
    return [path for path in FILES if path.exists() and not is_whole(path, path.read_bytes())]


def repair(path: Path) -> str:
    """Remove a broken file, or restore dvc.lock from git; returns a message for the user.

    If results were listed only in the broken dvc.lock, the next `dvc repro` finds them in the run cache.
    """
    content, what = path.read_bytes(), "truncated" if path.stat().st_size else "empty"
    if path != LOCKFILE:
        path.unlink()
        return f"{path} is {what}: removed"
    if b"<<<<<<<" in content:
        sys.exit(f"heal: {path} contains a merge conflict; resolve it")
    known = b""
    with suppress(FileNotFoundError):  # git
        known = subprocess.run(["git", "show", f":./{path}"], capture_output=True, check=False).stdout
    if known and not is_whole(path, known):
        sys.exit(f"heal: nothing changed; this DVC can read neither {path} nor the version in git")
    KEPT.write_bytes(content)
    if known:
        (TMP / "dvc.lock").write_bytes(known)
        (TMP / "dvc.lock").replace(path)
    else:
        path.unlink()
    done = "restored from git" if known else "removed, because it is not in git"
    return f"{path} is {what}: {done}; the broken file is now {KEPT}"


def main() -> None:
    """Repair broken files; if this is not possible now, exit with the reason."""
    if not broken():
        return
    try:
        with Lock(str(TMP / "lock")), Lock(str(TMP / "rwlock.lock")):
            others = dvc_processes()  # DVC releases its locks while a stage runs
            for path in [] if others else broken():  # again: another DVC may have completed its file
                print(f"heal: {repair(path)}", file=sys.stderr)
    except LockError:
        others = ["it holds the lock"]
    if others:
        sys.exit(
            f"heal: nothing changed, because another DVC runs here ({', '.join(others)}); let it finish and try again"
        )


def dvc_processes() -> list[str]:
    """List the DVC processes that run in this project or in a folder below it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_dvc = any(Path(word).name == "dvc" for word in process.cmdline()[:3])
            if is_dvc and Path(process.cwd()).is_relative_to(Path.cwd()):
                found.append(f"process {process.pid}")
    return found


if __name__ == "__main__":
    main()
