"""How a stage's process begins and ends: settings, signals, errors, exit codes.

A stage imports this module before anything else, so that Ctrl-C is quiet from then on, while the rest is imported.
"""

import os
import sys
import threading
from collections.abc import Callable
from traceback import format_exception
from types import TracebackType

from stages.shared import environment
from stages.shared.process import launch, signals
from stages.shared.process.errors import explain
from stages.shared.process.orphan import follow_dvc


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    message = explain(error)
    if launch.ERROR_FILE in os.environ:
        launch.record(error, message or "".join(format_exception(kind, error, traceback)))
    elif message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(message, file=sys.stderr)


def _take_over() -> None:
    signals.take_over()
    sys.excepthook = _report


# Only where a stage is the program (`python -m stages.…`): a notebook's or a test's process is its own.
if (getattr(sys.modules["__main__"].__spec__, "name", None) or "").startswith("stages."):
    _take_over()
    environment.hold()


def run(main: Callable[[], None]) -> None:
    """Call `main` as the whole of this process and exit as a well-behaved command does.

    Exit codes: 0 after success; 1 after an error that the user can put right, printed without a traceback; 130 after
    Ctrl-C and 143 after SIGTERM, silently, once the half-made outputs are gone. Any other exception is a bug and keeps
    its traceback.
    """
    _take_over()
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=follow_dvc, daemon=True).start()
    main()
