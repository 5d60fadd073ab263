"""Number of free CPU cores."""

import os
import time


class Cores:
    """The CPU cores that this process may use; `stage` is its name in messages."""

    def __init__(self, stage: str) -> None:
        self.stage, self._is_reported = stage, False
        affinity = hasattr(os, "sched_getaffinity")
        self._numbers = os.sched_getaffinity(0) if affinity else set(range(os.cpu_count() or 1))
        self._clocks = self._read()

    def free(self) -> float:
        """Average number of cores that were idle, or worked for this process, since the last call."""
        before, self._clocks = self._clocks, self._read()
        return (self._clocks[1] - before[1]) / (self._clocks[0] - before[0])

    def report_busy(self, effect: str) -> None:
        """Print that the cores are busy, and the effect, the first time it is called."""
        from tqdm import tqdm

        if not self._is_reported:
            tqdm.write(f"{self.stage}: the cores are busy, {effect}")
            self._is_reported = True

    def _read(self) -> tuple[float, float]:
        """Return the wall-clock time in seconds, and the core seconds that were idle or used by this process."""
        import psutil

        times = psutil.cpu_times(percpu=True)
        idle = sum(times[core].idle + getattr(times[core], "iowait", 0) for core in self._numbers)
        return time.monotonic(), idle + time.process_time()
