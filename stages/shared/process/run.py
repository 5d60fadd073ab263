"""How a stage's process begins and ends: settings, signals, errors, exit codes.

A stage imports this module before anything else, so that Ctrl-C is quiet from then on, while the rest is imported.
"""

import gc
import os
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from traceback import format_exception
from types import TracebackType

from stages.shared import environment
from stages.shared.process import launch, signals
from stages.shared.process.errors import BeginAnewError, explain, one_line


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    message = explain(error)
    if launch.ERROR_FILE in os.environ:
        launch.record(error, message or "".join(format_exception(kind, error, traceback)))
    elif message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(message, file=sys.stderr)
        if "DVC_STAGE" in os.environ:
            print(
                f"DVC removed what {_NAME} had written, before it ran {_NAME}: undo the edit and `dvc repro` brings it "
                f"back, `git restore data/{_NAME}` what git keeps of it",
                file=sys.stderr,
            )


def _take_over() -> None:
    signals.take_over()
    sys.excepthook = _report


# The stage that is the program (`python -m stages.…`); "" in a notebook or a test, whose process is its own.
_NAME = (getattr(sys.modules["__main__"].__spec__, "name", None) or "").partition("stages.")[2]
_GIVEN = dict(os.environ)  # what it began with, and does again after `BeginAnewError`
if _NAME:
    _take_over()
    environment.hold()
    # Modules are no garbage. To look for it again and again while they load, and among them all at the end, takes a
    # quarter of a short stage's time.
    gc.set_threshold(50_000)


def is_program() -> bool:
    """Whether a stage is the program, so that this process is its own to begin anew, and no notebook's."""
    return bool(_NAME)


def _answer(arguments: Sequence[str]) -> None:
    """Print the help that is asked for, or refuse the arguments; either way end this process."""
    from stages.shared.process.params import describe

    if not {"-h", "--help"} & set(arguments):
        given = one_line(shlex.join(arguments))
        print(f"{_NAME}: takes no argument but --help, got {given}; its params are in params.yaml", file=sys.stderr)
        sys.exit(2)
    stage = sys.modules["__main__"]
    print(f"{stage.__doc__}\nParams, the section {_NAME} of params.yaml:\n{describe(stage.Params)}")
    sys.exit()


def run(main: Callable[[], None]) -> None:
    """Call `main` as the whole of this process and exit as a well-behaved command does.

    Exit codes: 0 after success or `--help`; 2 after any other argument; 1 after an error that the user can put right,
    printed without a traceback; 130 after Ctrl-C and 143 after SIGTERM, silently, once the half-made outputs are gone.
    Any other exception is a bug and keeps its traceback, but for `BeginAnewError`, after which this process is its
    command's from the beginning, in the environment that it was given.
    """
    _take_over()
    if _NAME and sys.argv[1:]:
        _answer(sys.argv[1:])
    if "DVC_STAGE" in os.environ:
        from stages.shared.process.orphan import follow_dvc

        threading.Thread(target=follow_dvc, daemon=True).start()
    try:
        main()
    except BeginAnewError:
        sys.stdout.flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(command[0], command, _GIVEN)  # noqa: S606 (its own command)
    if _NAME:
        gc.freeze()
