"""Start and end of a stage's process: environment, signal handlers, error messages, exit codes.

A stage imports this module first, so that Ctrl-C is handled while the other modules are imported.
"""

import gc
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from traceback import format_exception
from types import TracebackType

from stages.shared import environment
from stages.shared.runtime import signals, torchrun
from stages.shared.runtime.errors import InputError, explain, one_line


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    message = explain(error)
    if torchrun.ERROR_FILE in os.environ:
        text = message or "".join(format_exception(kind, error, traceback))
        torchrun.record(error, text, is_explained=message is not None)
    elif message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        lines = [message, *(_ways_back() if "DVC_STAGE" in os.environ else [])]
        print(*lines, sep="\n", file=sys.stderr)


def _ways_back() -> list[str]:
    """Line for the user: how to restore the outputs that DVC removed before this stage; no line if impossible."""
    from subprocess import run

    folder, ways = f"data/{_NAME}", []
    with suppress(InputError, LookupError, ImportError):
        from stages.shared.runtime.yaml_reader import read_document

        outs = read_document(Path("dvc.lock"))["stages"][_NAME]["outs"]
        if any(Path(".dvc/cache/files/md5", out["md5"][:2], out["md5"][2:]).exists() for out in outs):
            ways += ["undo the change and `dvc repro` restores it from the cache"]
    with suppress(OSError):
        command = ["git", "ls-files", "--deleted", folder]
        if run(command, capture_output=True, check=False).stdout:  # noqa: S603
            ways += [f"`git restore {folder}` restores the files that git keeps"]
    return [f"DVC removed {folder} before it ran {_NAME}: {'; '.join(ways)}"] if ways else []


# The stage run by `python -m stages.…`; "" in tools, notebooks and tests
_NAME = (getattr(sys.modules["__main__"].__spec__, "name", None) or "").partition("stages.")[2]
if _NAME:
    signals.install_handlers()
    sys.excepthook = _report
    environment.fix_environment()
    # Raise the GC threshold while modules are imported: collections would take a quarter of a short stage's time.
    gc.set_threshold(50_000)


def _answer(arguments: Sequence[str]) -> None:
    """Print the help, or an error about the command-line arguments, and exit."""
    from stages.shared.runtime.params import describe

    if not {"-h", "--help"} & set(arguments):
        given = one_line(shlex.join(arguments))
        print(f"{_NAME}: expected no argument but --help, got {given}; its params are in params.yaml", file=sys.stderr)
        sys.exit(2)
    stage = sys.modules["__main__"]
    print(f"{stage.__doc__}\nParams, the section {_NAME} of params.yaml:\n{describe(stage.Params)}")
    sys.exit()


def run(main: Callable[[], None]) -> None:
    """Run `main` as the main program, and set the exit code.

    Exit codes: 0 after success or `--help`; 2 after any other argument; 1 after an error that the user can correct,
    which is printed without a traceback; 130 after Ctrl-C and 143 after SIGTERM, once partial outputs are removed, with
    nothing printed. Any other exception is a bug, and its traceback is printed.
    """
    if _NAME and sys.argv[1:]:
        _answer(sys.argv[1:])
    if not _NAME:  # a program of tools/
        signals.install_handlers()
        sys.excepthook = _report
    main()
