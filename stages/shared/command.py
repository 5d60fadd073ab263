"""How a stage's process begins and ends: signals, errors, exit codes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from stages.shared.errors import InputError

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def run(main: Callable[[], None]) -> None:
    """Call `main` as the whole of this process and exit as a well-behaved command does.

    Exit codes: 0 after success; 1 after an error that the user can put right, printed without a traceback; 130 after
    Ctrl-C and 143 after SIGTERM, silently, once the half-made outputs are gone. Any other exception is a bug and keeps
    its traceback.
    """
    signal.signal(signal.SIGTERM, _exit_terminated)
    # Matplotlib keeps its list of fonts here, not in the home folder, whose settings would change the pictures.
    os.environ["MPLCONFIGDIR"] = str(Path(".matplotlib_cache").absolute())
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_follow_parent, args=(os.getppid(),), daemon=True).start()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except InputError as error:
        sys.exit(str(error))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: not found; run `dvc repro`, which makes what is missing")
    except OSError as error:
        sys.exit(f"{error.filename or 'writing the outputs'}: {error.strerror or error}")


def _exit_terminated(signum: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def _follow_parent(parent: int, every: float = 0.2) -> None:
    """End this process when `dvc repro`, its parent, is killed: an orphan would write into the next run's outputs."""
    while os.getppid() == parent:
        time.sleep(every)
    os.kill(os.getpid(), signal.SIGTERM)
