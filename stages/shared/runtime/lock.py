"""Lock file that names the process that holds it; the kernel releases the lock when this process ends."""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.shared.runtime.errors import InputError, with_path
from stages.shared.runtime.signals import cleanup_on_signal

_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}  # from some network file systems and FUSE
_POLL_SECONDS = 0.05
_noted: set[Path] = set()  # folders with a printed warning


class BusyError(InputError):
    """Another process holds the lock; the message names the process."""


@contextmanager
def locked(path: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock file at `path`, and remove it at the end; raise `BusyError` after `wait_seconds` of waiting.

    The kernel releases the lock when the process ends for any reason. If the file system has no locks, prints a warning
    and continues without a lock.
    """
    with with_path(path):
        descriptor = _acquire(path, wait_seconds)
    try:
        with cleanup_on_signal(lambda: path.unlink(missing_ok=True)):  # Unlink while locked; waiters recreate it
            yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, wait_seconds: float) -> int:
    deadline = time.monotonic() + wait_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            content = os.read(descriptor, 4096)
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise BusyError(f"{path.parent}: {_describe(content, path)}") from None
            time.sleep(_POLL_SECONDS)
            continue
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            if path.parent not in _noted:
                print(
                    f"{path.parent}: this file system has no locks ({error.strerror}); do not start a second run",
                    flush=True,
                )
                _noted.add(path.parent)
            return descriptor
        if os.fstat(descriptor).st_nlink:  # otherwise the previous holder has just removed it
            command = shlex.join(["python", *sys.orig_argv[1:]])
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps([socket.gethostname(), os.getpid(), command]).encode())
            return descriptor
        os.close(descriptor)


def _describe(content: bytes, path: Path) -> str:
    """Describe the process that wrote `content` into the lock file, and what the user can do."""
    who = "another process"
    with suppress(ValueError, TypeError):
        host, pid, command = json.loads(content)
        if host != socket.gethostname():
            return (
                f"process {pid} on the machine {host} ({command}) is writing here; wait for it to end, or stop it; "
                f"if that machine is gone, remove {path}"
            )
        who = f"process {pid} ({command})"
    return f"{who} is writing here; wait for it to end, or stop it"
