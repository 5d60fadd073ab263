"""Run a stage as several processes with torchrun, PyTorch's launcher."""

import json
import logging
import os
import re
import signal
import time
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stages.shared.runtime.errors import InputError, PeerLostError, one_line
from stages.shared.runtime.signals import cleanup_on_signal, end

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # set by the launcher, one file for each process
RESUME = "run it again to resume after the last complete epoch"
_NUMBERS = ("RANK", "WORLD_SIZE", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def is_launched() -> bool:
    """Whether a launcher started this process; raises `InputError` if its variables are incomplete or invalid."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return False
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise InputError(
                f"{name}: not set, although RANK and WORLD_SIZE are; start this with torchrun, or unset both"
            )
    for name in _NUMBERS:
        if not re.fullmatch("[0-9]{1,9}", value := os.environ.get(name, "0")):
            raise InputError(f"{name}: expected a whole number in the environment, got {value!r:.40}")
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank >= size:
        raise InputError(f"RANK: expected less than WORLD_SIZE ({size}) in the environment, got {rank}")
    return True


def wanted(processes: int) -> bool:
    """Whether a launcher must be started: the params or torchrun's variables ask for one, and none is running."""
    return not is_launched() and (processes > 1 or "PET_NPROC_PER_NODE" in os.environ or "PET_NNODES" in os.environ)


def launch(module: str, processes: int) -> None:
    """Run `module` in `processes` processes on this machine, like `torchrun --nproc-per-node`, and wait for them.

    torchrun's environment variables apply: PET_NNODES, PET_RDZV_ENDPOINT, PET_MAX_RESTARTS and others. If a process
    fails, raises `InputError` with the error of the process that failed first.
    """
    os.environ.setdefault("PET_NPROC_PER_NODE", str(processes))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # without it the launcher warns; each process sets its own
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import parse_args, run

    logging.disable()  # the errors raised below replace the launcher's log
    alone = [] if "PET_NNODES" in os.environ else ["--standalone"]
    try:
        # The launcher would leave its log folder behind.
        with TemporaryDirectory() as logs, cleanup_on_signal(lambda: rmtree(logs, ignore_errors=True)):
            run(parse_args([*alone, "--log-dir", logs, "--module", module]))
    except ChildFailedError as error:
        raise InputError(_reason(error)) from None
    except RendezvousError as error:
        reason = without_frames(error.__cause__ or error)
        raise InputError(f"the processes did not find each other: {reason}; check PET_RDZV_ENDPOINT") from None
    except ValueError as error:  # invalid variables
        raise InputError(f"torchrun's variables, PET_…: {error}") from None
    except SignalException as error:
        end(error.sigval)


def without_frames(error: BaseException) -> str:
    """Return the text of a PyTorch error in one line, without the C++ stack frames that follow it."""
    return one_line(str(error).partition("Exception raised from")[0])


def record(error: BaseException, message: str, is_explained: bool = True) -> None:
    """Write this process's error to a file for the launcher, which reports one error for all processes."""
    kind = _LOST if isinstance(error, PeerLostError) else _EXPLAINED if is_explained else _BUG
    extra = {"py_callstack": message, "timestamp": str(int(time.time())), "kind": kind, "at": time.time()}
    content = {"message": {"message": message, "extraInfo": extra}}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(content), encoding="utf-8")


# Kinds of process ends, from causes to consequences of another process's end
_EXPLAINED, _KILLED, _BUG, _LOST, _TERMINATED = range(5)


def _reason(error: "ChildFailedError") -> str:
    """Return the error message of the process that failed first, or the signal that ended the process."""

    def order(rank: int) -> tuple[int, float, int]:
        failure = error.failures[rank]
        if isinstance(failure.message, dict):
            extra = failure.message["extraInfo"]
            return extra["kind"], extra["at"], rank
        # The launcher ends the other processes with SIGTERM; a stage then exits with 143.
        is_terminated = failure.exitcode in (-signal.SIGTERM, 128 + signal.SIGTERM)
        return _TERMINATED if is_terminated else _KILLED, failure.timestamp, rank

    rank = min(error.failures, key=order)
    first: ProcessFailure = error.failures[rank]
    if isinstance(first.message, dict):
        return str(first.message["message"])
    how = signal.Signals(-first.exitcode).name if first.exitcode < 0 else f"exit code {first.exitcode}"
    return f"process {rank} of {os.environ['PET_NPROC_PER_NODE']} ended by {how}; {RESUME}"
