"""End the process within two seconds after Ctrl-C, SIGTERM or the end of its parent, and remove partial outputs."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE_SECONDS = 0.7  # for the main thread to end the process itself, and for a signal that arrives twice
_POLL_SECONDS = 0.5  # between two checks of the parent
_cleanups: list[Callable[[], None]] = []
_lock = threading.RLock()  # held while outputs are moved or removed
_ended_at: float | None = None  # when the clean-up began


def install_handlers() -> None:
    """End this process, after clean-up, on SIGINT or SIGTERM, or if the DVC or launcher that started it has ended.

    Python runs signal handlers only in the main thread, and not during a long C call. In that case a second thread ends
    the process; Python's C-level signal handler wakes this thread.
    """
    for number in SIGNALS:
        signal.signal(number, end)
    _start_watching()


@cache
def _start_watching() -> None:
    """Start the second thread, once for each process."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, os.getppid()), daemon=True).start()


def _watch(reader: int, parent: int) -> None:
    is_followed = "DVC_STAGE" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ
    dvc_lives = _watch_dvc() if "DVC_STAGE" in os.environ else lambda: True
    while True:
        if select.select([reader], [], [], _POLL_SECONDS)[0]:
            signum = os.read(reader, 1)[0]
        elif not is_followed or (os.getppid() == parent and dvc_lives()):
            continue
        else:
            with suppress(OSError, ValueError):  # stderr may be closed
                print("The process that started this stage has ended, so the stage ends too.", file=sys.stderr)
            signum = signal.SIGTERM
            os.kill(os.getpid(), signum)
        if signum in SIGNALS:
            time.sleep(_GRACE_SECONDS)
            end(signum)


def _lives(process: "psutil.Process") -> bool:
    """Whether a process is running and not a zombie."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _watch_dvc() -> Callable[[], bool]:
    """Return a function that tells whether the DVC process that started this stage still runs.

    DVC is the nearest ancestor above the shell and the launcher of the stage. If that DVC was killed earlier, another
    process has adopted the stage; such a process is recognized by its session, which is not that of the stage's shell.
    If there is no such ancestor, or if /proc belongs to another namespace, the function always returns true.
    """
    import psutil

    with suppress(psutil.Error, OSError):
        child = psutil.Process()
        process = child.parent() if child.ppid() == os.getppid() else None
        while process is not None and _is_of_stage(process):
            child, process = process, process.parent()
        if process is not None:
            dvc, is_adopted = process, os.getsid(child.pid) != os.getsid(process.pid)
            return lambda: not is_adopted and _lives(dvc)
    return lambda: True


def _is_of_stage(process: "psutil.Process") -> bool:
    """Whether a process belongs to this stage: DVC started it, directly or through other processes."""
    import psutil

    try:
        return process.environ().get("DVC_STAGE") == os.environ["DVC_STAGE"]
    except psutil.AccessDenied:  # another user's
        return False


def end(signum: int, frame: FrameType | None = None) -> None:
    """Remove partial outputs, and exit at once. If a signal arrives 0.7 s later or more, the clean-up is skipped.

    An earlier one is ignored, because a launcher sends its processes the signal that they also get themselves.

    This function raises no exception, because C++ code that is being imported would abort, and a callback could ignore
    the exception.
    """
    global _ended_at  # noqa: PLW0603
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and _ended_at is not None:
        if time.monotonic() - _ended_at < _GRACE_SECONDS:
            return
        os._exit(128 + signum)
    _ended_at = _ended_at or time.monotonic()
    try:
        with _lock:
            for clean in reversed(_cleanups):
                clean()
            if is_main:  # in another thread, this could wait for a lock of the main thread
                sys.stdout.flush()
    finally:
        os._exit(128 + signum)


@contextmanager
def cleanup_on_signal(clean: Callable[[], None]) -> Iterator[None]:
    """Context that calls `clean` at its end, also if a signal ends the process."""
    _cleanups.append(clean)
    try:
        yield
    finally:
        clean()
        _cleanups.remove(clean)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Context that delays SIGINT and SIGTERM until its end."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    waiting: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in SIGNALS}
    try:
        with _lock:
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for signum in waiting:
            signal.raise_signal(signum)
