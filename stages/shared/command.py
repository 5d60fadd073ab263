"""How a stage's process begins and ends: signals, errors, exit codes.

A stage imports this module before anything else, so that Ctrl-C is quiet from then on, while the rest is imported.
"""

import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from stages.shared.errors import InputError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
TERMINATED = 128 + signal.SIGTERM
_GRACE = 1.0  # seconds until an orphan that is in one long call, where Python handles no signal, is ended anyway
# As PyTorch, the dynamic linker and Python's threads say it.
_NO_MEMORY = re.compile("allocate memory|out of memory|failed to map segment|can't start new thread")
_cleanups: list[Callable[[], None]] = []


def _end(signum: int, frame: FrameType | None) -> None:
    """Clear away what is half-made and exit, here and now; a second signal doesn't wait for it.

    An exception would have to pass through whatever runs at the moment: C++ that is being imported aborts, a callback
    swallows it.
    """
    _on_signals(lambda signum, frame: os._exit(128 + signum))
    try:
        for clean in _cleanups:
            clean()
        sys.stdout.flush()
    finally:
        os._exit(128 + signum)


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if (message := explain(error)) is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(message, file=sys.stderr)


def _take_over() -> None:
    _on_signals(_end)
    sys.excepthook = _report


# Only where a stage is the program (`python -m stages.…`): a notebook's or a test's process is its own.
if (getattr(sys.modules["__main__"].__spec__, "name", None) or "").startswith("stages."):
    _take_over()
    # NumPy's products on one thread: shared out among cores, their sums would differ in the last bits with the number
    # of cores. Nothing here is large enough to miss them. PyTorch has its own threads, `train.threads`.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def run(main: Callable[[], None]) -> None:
    """Call `main` as the whole of this process and exit as a well-behaved command does.

    Exit codes: 0 after success; 1 after an error that the user can put right, printed without a traceback; 130 after
    Ctrl-C and 143 after SIGTERM, silently, once the half-made outputs are gone. Any other exception is a bug and keeps
    its traceback.
    """
    _take_over()
    # Matplotlib keeps its list of fonts here, not in the home folder, whose settings would change the pictures.
    os.environ["MPLCONFIGDIR"] = str(Path(".matplotlib_cache").absolute())
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_follow_dvc, daemon=True).start()
    main()


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


@contextmanager
def cleaned(clean: Callable[[], None]) -> Iterator[None]:
    """Call `clean` when the block is left, be it by a signal that ends a stage's process."""
    _cleanups.append(clean)
    try:
        yield
    finally:
        clean()
        _cleanups.remove(clean)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let a Ctrl-C or SIGTERM that comes during the block wait for its end."""
    if threading.current_thread() is not threading.main_thread():  # signals reach no other
        yield
        return
    waiting: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for signum in waiting:
            signal.raise_signal(signum)


def _follow_dvc(every: float = 0.2) -> None:
    """End this process when the `dvc repro` that started it is killed: an orphan would write into the next run."""
    import psutil

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
    os._exit(TERMINATED)
