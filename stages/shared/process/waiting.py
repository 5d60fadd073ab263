"""How PyTorch's threads wait for each other: spinning where the cores are theirs, asleep where others want them."""

import os
import sys

from stages.shared.process import launch

_LOOK = 0.2  # seconds
_LEFT = 0.3  # cores that others may use, and the threads still spin
_SETTLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")


def choose(threads: object, processes: object) -> bool:
    """Settle it for this process, before PyTorch is imported; give whether other programs use the cores.

    Both as params.yaml has them, right or wrong. What the environment says already holds, and no byte depends on it.

    Spinning is several times as quick on free cores. But where another program wants one of them, a thread that spins
    keeps it from the very thread that it waits for, and a training takes five to twenty times as long; asleep, it does
    not. Bound to a core each, threads that spin share one core with a program that comes later, and are kept from
    nothing else. Where there are more cores than threads, or processes that train together, they are not bound: all
    would be to the same cores.
    """
    if not isinstance(threads, int) or threads < 2 or any(name in os.environ for name in _SETTLES):
        return False
    cores = _cores()
    if _runs_already() or _free(cores) < threads - _LEFT:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        return True
    together = launch.is_launched() or processes != 1 or launch.wanted(1)
    if len(cores) <= threads and not together:
        os.environ["OMP_PROC_BIND"] = "true"
    return False


def _cores() -> set[int]:
    """Those that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _free(cores: set[int]) -> float:
    """How many of them are free."""
    import psutil

    used = psutil.cpu_percent(interval=_LOOK, percpu=True)
    return sum(1 - used[core] / 100 for core in cores)


def _runs_already() -> bool:
    """Whether another training runs; one that starts at this moment uses no core yet."""
    import psutil

    own = sys.orig_argv[1:]
    return not launch.is_launched() and any(
        process.pid != os.getpid() and (process.info["cmdline"] or [])[1:] == own
        for process in psutil.process_iter(["cmdline"])
    )
