"""A stage begun in this process, up to where its work would start: quick enough for thousands of damaged inputs."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from threadpoolctl import threadpool_limits

from stages.shared.runtime import run as process
from stages.shared.runtime.errors import explain


class Ready(BaseException):
    """The stage has read and checked all its inputs, and opens its outputs. No `except` of the stage's stops it."""


@contextmanager
def _ready(*_: object) -> Iterator[Path]:
    raise Ready
    yield Path()


def dry_run(stage: str, root: Path | None) -> str | None:
    """Begin `stage` in the project at `root`, or in the current folder.

    Returns None where it would go on to write, and else what it says as it exits with 1.
    Anything else, as an exception that `explain` knows nothing of, is the test's failure.
    """
    module = importlib.import_module(f"stages.{stage}")
    with (
        chdir(root) if root else nullcontext(),
        patch.object(module, "outputs", _ready),
        patch("stages.shared.runtime.torchrun.launch", side_effect=Ready),
        patch.dict("os.environ"),
        warnings.catch_warnings(),
        threadpool_limits(1),
    ):
        warnings.simplefilter("error")
        try:
            process.run(module.main)
        except Ready:
            return None
        except Exception as error:
            if message := explain(error):
                return message
            raise
    pytest.fail(f"{stage} has written nothing")
