"""Memory at hand, and what the kernel is told of files mapped into it. No byte of an output depends on either."""

import mmap
from pathlib import Path

import numpy as np

from stages.shared.arrays import Int64, Uint8

_PAGE = mmap.PAGESIZE
_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory.limit_in_bytes")  # of cgroups version 2 and 1


def at_hand() -> int:
    """The bytes that this process may still fill: those free on the machine, and what its control groups leave."""
    import psutil

    free = int(psutil.virtual_memory().available)
    own = psutil.Process().memory_info()
    anonymous = own.rss - getattr(own, "shared", 0)
    return min([free, *(limit - anonymous for limit in _limits())])


def _limits() -> list[int]:
    """The limits of the control groups that this process is in, where there are some."""
    table = Path("/proc/self/cgroup")
    if not table.exists():
        return []
    found = []
    for line in table.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers in ("", "memory"):
            root = _CGROUPS / controllers
            for folder in [root / name[1:], *(root / name[1:]).parents]:
                texts = [file.read_text().strip() for limit in _LIMITS if (file := folder / limit).is_file()]
                found += [int(text) for text in texts if text.isdigit()]  # or "max"
    return found


class Map:
    """The pages of the file that an array is mapped from; of another array there are none, and nothing happens."""

    def __init__(self, array: Uint8) -> None:
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        self.file = base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None
        if self.file is not None:
            start = np.frombuffer(self.file, np.uint8).ctypes.data
            self.offset, self.row = array.ctypes.data - start, array[0].nbytes

    def expect_random(self) -> None:
        """Have a page read alone: what the kernel reads with it otherwise is thrown away again before it is needed."""
        if self.file is not None:
            self.file.madvise(mmap.MADV_RANDOM)

    def fetch(self, rows: Int64) -> None:
        """Have these rows, ascending, read from the disk in runs, while this process goes on."""
        if self.file is None:
            return
        ends = np.flatnonzero(np.diff(rows, append=-1) != 1)
        for first, last in zip(rows[np.concatenate([[0], ends[:-1] + 1])], rows[ends], strict=True):
            start = (self.offset + int(first) * self.row) // _PAGE * _PAGE
            self.file.madvise(mmap.MADV_WILLNEED, start, self.offset + (int(last) + 1) * self.row - start)
