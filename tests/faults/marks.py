"""Of many alike cases, `make test` tries the few that are named, and `make faults` the others."""

from collections.abc import Sequence
from typing import Any

import pytest

faults = pytest.mark.faults


def all_but(kept: Sequence[Any], cases: Sequence[Any]) -> list[Any]:
    """The cases as params, all but the `kept` marked `faults`; a case of several params is a tuple."""
    assert all(case in cases for case in kept)
    params = [(case, case if isinstance(case, tuple) else (case,)) for case in cases]
    return [pytest.param(*values, marks=[] if case in kept else faults) for case, values in params]
