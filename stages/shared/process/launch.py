"""A stage as several processes, started and watched by PyTorch's own launcher, torchrun."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stages.shared.process.errors import InputError, LostError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # the launcher's, one for each process
GO_ON = "run it again: it goes on from the last epoch that is whole"


def is_launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def wanted(processes: int) -> bool:
    """Whether the param or torchrun's own environment asks for a launcher that is not there yet."""
    return not is_launched() and (processes > 1 or "PET_NPROC_PER_NODE" in os.environ or "PET_NNODES" in os.environ)


def launch(module: str, processes: int) -> None:
    """Run `module` as so many processes of this machine, as `torchrun --nproc-per-node` does, and wait for their end.

    What the environment says in torchrun's own variables holds: PET_NNODES, PET_RDZV_ENDPOINT, PET_MAX_RESTARTS and the
    rest. Raises `InputError` with what ended the first that failed.
    """
    os.environ.setdefault("PET_NPROC_PER_NODE", str(processes))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or the launcher warns; each process sets its own
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import parse_args, run

    logging.disable()  # what the launcher logs of an end is told in a line, below
    alone = [] if "PET_NNODES" in os.environ else ["--standalone"]
    try:
        run(parse_args([*alone, "--module", module]))
    except ChildFailedError as error:
        raise InputError(_reason(error)) from None
    except RendezvousError as error:
        raise InputError(f"the processes do not find each other: {error}; see PET_RDZV_ENDPOINT") from None
    except SignalException as error:
        sys.stdout.flush()
        os._exit(128 + error.sigval)


def record(error: BaseException, message: str) -> None:
    """Leave the message of what ends this process to the launcher, which tells it once for all processes."""
    extra = {"py_callstack": message, "timestamp": str(int(time.time())), "lost": isinstance(error, LostError)}
    content = {"message": {"message": message, "extraInfo": extra}}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(content), encoding="utf-8")


def _reason(error: "ChildFailedError") -> str:
    """What the process says that failed of itself; of one that a signal ended, which."""

    def consequence(failure: "ProcessFailure") -> bool:
        message = failure.message
        return failure.exitcode == -signal.SIGTERM or (isinstance(message, dict) and message["extraInfo"]["lost"])

    rank, first = min(error.failures.items(), key=lambda item: (consequence(item[1]), item[1].timestamp, item[0]))
    if isinstance(first.message, dict):
        return str(first.message["message"])
    how = signal.Signals(-first.exitcode).name if first.exitcode < 0 else f"exit code {first.exitcode}"
    return f"process {rank} of {os.environ['PET_NPROC_PER_NODE']} ended by {how}; {GO_ON}"
