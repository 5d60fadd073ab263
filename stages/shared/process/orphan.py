"""The watch that ends a stage when the `dvc repro` that started it is killed: it would write into the next run."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_GRACE = 1.0  # seconds until an orphan that is in one long call, where Python handles no signal, is ended anyway


def follow_dvc(every: float = 0.2) -> None:
    """Look every so many seconds whether DVC lives; end this process when it doesn't.

    Returns where that can't be known, and this process goes on.
    """
    links = _links()
    while links is not None and all(_parent(child) == parent for child, parent in links):
        time.sleep(every)
    if links is None:
        return
    with suppress(OSError, ValueError):  # nobody listens any more
        if os.environ.get("RANK", "0") == "0":
            print(f"{os.environ['DVC_STAGE']}: what started this has ended, so this ends, too", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(128 + signal.SIGTERM)


def _links() -> list[tuple[int, int]] | None:
    """Who is whose child, from this process up to DVC: between them may be a shell, and a launcher of processes.

    A launcher has its processes in sessions of their own, DVC has all in its own; whoever adopted an orphan is of
    another. None where it can't be known who is who; a first link that is none where DVC has ended already.
    """
    import psutil

    if not _sees_itself():
        return [(0, os.getppid())]
    links = []
    child = os.getpid()
    try:
        while True:
            parent = psutil.Process(child).ppid()
            links.append((child, parent))
            if psutil.Process(parent).environ().get("DVC_STAGE") != os.environ["DVC_STAGE"]:
                break
            child = parent
        adopted = os.getsid(child) != os.getsid(parent)
    except psutil.AccessDenied:  # another user's: init has adopted this, or sudo stands between
        adopted = parent == 1
    except (psutil.NoSuchProcess, ProcessLookupError):  # one has just ended
        adopted = True
    return [(0, -1)] if adopted else links


def _sees_itself() -> bool:
    """Whether /proc, where there is one, is about the processes that this one knows: in a container it may not be."""
    own = Path("/proc/self")
    return not own.exists() or own.readlink() == Path(str(os.getpid()))


def _parent(pid: int) -> int:
    """The parent of a process, 0 for this one; -1 where it has ended."""
    import psutil

    if pid in (0, os.getpid()):
        return os.getppid()
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return -1
