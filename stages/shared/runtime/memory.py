"""Available memory, and madvise hints for memory-mapped files. The outputs depend on neither."""

import mmap
from pathlib import Path

import numpy as np

from stages.shared.arrays import Int64, Uint8

_PAGE = mmap.PAGESIZE
_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory.limit_in_bytes")  # of cgroups version 2 and 1


def available() -> int:
    """Bytes that this process can still allocate: the machine's free memory, or less if a cgroup limits it."""
    import psutil

    free = int(psutil.virtual_memory().available)
    own = psutil.Process().memory_info()
    anonymous = own.rss - getattr(own, "shared", 0)
    return min([free, *(limit - anonymous for limit in _limits())])


def _limits() -> list[int]:
    """Memory limits of this process's cgroups, in bytes."""
    table = Path("/proc/self/cgroup")
    if not table.exists():
        return []
    limits = []
    for line in table.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers in ("", "memory"):
            root = _CGROUPS / controllers
            for folder in [root / name[1:], *(root / name[1:]).parents]:
                texts = [file.read_text().strip() for limit in _LIMITS if (file := folder / limit).is_file()]
                limits += [int(text) for text in texts if text.isdigit()]  # or "max"
    return limits


class MappedFile:
    """Gives the kernel madvise hints for the file that an array is mapped from; ignores arrays that are not mapped."""

    def __init__(self, array: Uint8) -> None:
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        self.file = base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None
        if self.file is not None:
            start = np.frombuffer(self.file, np.uint8).ctypes.data
            self.offset, self.row = array.ctypes.data - start, array[0].nbytes

    def advise_random(self) -> None:
        """Turn off readahead, because rows will be read in random order."""
        if self.file is not None:
            self.file.madvise(mmap.MADV_RANDOM)

    def prefetch(self, rows: Int64) -> None:
        """Start reading these rows in the background; their indices are ascending."""
        if self.file is None:
            return
        ends = np.flatnonzero(np.diff(rows, append=-1) != 1)
        for first, last in zip(rows[np.concatenate([[0], ends[:-1] + 1])], rows[ends], strict=True):
            start = (self.offset + int(first) * self.row) // _PAGE * _PAGE
            self.file.madvise(mmap.MADV_WILLNEED, start, self.offset + (int(last) + 1) * self.row - start)
