"""The watch that ends a stage when the `dvc repro` that started it is killed: it would write into the next run."""

import os
import signal
import time

import psutil

_GRACE = 1.0  # seconds until an orphan that is in one long call, where Python handles no signal, is ended anyway


def follow_dvc(every: float = 0.2) -> None:
    """Look every so many seconds whether DVC lives; return never, or end this process."""

    def is_dvcs_shell(process: psutil.Process) -> bool:
        try:
            return process.environ().get("DVC_STAGE") == os.environ["DVC_STAGE"]
        except psutil.AccessDenied:  # another user's
            return False

    try:
        child = psutil.Process()
        while is_dvcs_shell(parent := psutil.Process(child.ppid())):  # one that doesn't exec its last command
            child = parent
        # Whoever adopts orphans is of another session than DVC's children.
        while child.ppid() == parent.pid and os.getsid(parent.pid) == os.getsid(0):
            time.sleep(every)
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass  # one of them has just ended
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(128 + signal.SIGTERM)
