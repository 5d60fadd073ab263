"""How PyTorch's threads wait for each other: spinning where the cores are theirs, asleep where others want them."""

import os

_LOOK = 0.2  # seconds
_FREE = 1.7  # cores, of the two that the defaults use


def choose() -> None:
    """Settle it for this process, before PyTorch is imported; what the environment says already holds.

    Spinning is up to twice as quick on free cores. But where another program wants one of them, a thread that spins
    keeps it from the very thread that it waits for, and a training takes five to twenty times as long; asleep, it does
    not. No byte depends on it.
    """
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ and _free_cores() < _FREE:
        os.environ["OMP_WAIT_POLICY"] = "passive"


def _free_cores() -> float:
    import psutil

    return (1 - psutil.cpu_percent(interval=_LOOK) / 100) * (psutil.cpu_count() or 1)
