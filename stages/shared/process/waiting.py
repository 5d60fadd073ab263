"""How PyTorch's threads wait for each other: spinning where the cores are theirs, asleep where others want them."""

import os
import sys
import time

from stages.shared.process import launch

_LOOK = 0.2  # seconds
_LOOKS = 3  # that must all find others there, since a program that starts or ends is no reason to sleep
_LEFT = 0.3  # cores that others may use, and the threads still spin
_WORTH = 5  # times as long as a start takes, a training has gone on before it is worth another
_SETTLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")


class Choice:
    """How this process's threads wait, for as long as it lives, and whether the cores are still as they were then."""

    def __init__(self, threads: int) -> None:
        self._threads, self._cores = threads, _cores()
        self._made = time.monotonic()
        self._begun: float | None = None
        self._clocks = self._read_clocks()
        self.asleep = all(self._others_use(_LEFT, _LOOK) for _ in range(_LOOKS))

    def begin(self) -> None:
        """Let `suits` look from here on, where the training begins; a start takes as long as it took until here."""
        self._begun = time.monotonic()
        self._clocks = self._read_clocks()

    def suits(self) -> bool:
        """Whether the threads wait as they should by what others have used since the last look; True before `begin`.

        Those that sleep spin again where others use no more than half of what had them sleep: a start takes seconds,
        and shall not follow from every flicker.
        """
        if self._begun is None or time.monotonic() - self._begun < _WORTH * (self._begun - self._made):
            return True
        return self._others_use(_LEFT / 2 if self.asleep else _LEFT) == self.asleep

    def _others_use(self, much: float, wait: float = 0) -> bool:
        """Whether others have used so many cores since the last look and for so long, or trainings want too many."""
        time.sleep(wait)
        before, self._clocks = self._clocks, self._read_clocks()
        left = (self._clocks[1] - before[1]) / (self._clocks[0] - before[0])
        return len(self._cores) < self._threads * (1 + _trainings()) or left < self._threads - much

    def _read_clocks(self) -> tuple[float, float]:
        """Seconds that have gone by, and seconds in which the cores did nothing or worked for this process."""
        import psutil

        times = psutil.cpu_times(percpu=True)
        idle = sum(times[core].idle + getattr(times[core], "iowait", 0) for core in self._cores)
        return time.monotonic(), idle + time.process_time()


def choose(threads: object, processes: object) -> Choice | None:
    """Settle it for this process, before PyTorch is imported; None where there is nothing to choose.

    Both as params.yaml has them, right or wrong. What the environment says already holds, and no byte depends on it.

    Spinning is several times as quick on free cores. But where another program wants one of them, a thread that spins
    keeps it from the very thread that it waits for, and a training takes five to twenty times as long; asleep, it does
    not. Bound to a core each, threads that spin share one core with a program that comes later, and are kept from
    nothing else. Where there are more cores than threads, or processes that train together, they are not bound: all
    would be to the same cores.
    """
    if not isinstance(threads, int) or threads < 2 or any(name in os.environ for name in _SETTLES):
        return None
    choice = Choice(threads)
    if choice.asleep:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        return choice
    together = launch.is_launched() or processes != 1 or launch.wanted(1)
    if len(_cores()) <= threads and not together:
        os.environ["OMP_PROC_BIND"] = "true"
    return choice


def _cores() -> set[int]:
    """Those that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _trainings() -> int:
    """How many others run, processes that train together not among them; one that has just begun uses no core yet."""
    import psutil

    if launch.is_launched():
        return 0
    own = sys.orig_argv[1:]
    return sum(
        process.pid != os.getpid() and (process.info["cmdline"] or [])[1:] == own
        for process in psutil.process_iter(["cmdline"])
    )
