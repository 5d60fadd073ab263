"""Prefetch images that are larger than the memory."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.runtime.memory import MappedFile


class Prefetcher:
    """Asks the kernel to read the next batch of memory-mapped images."""

    def __init__(self, images: Uint8) -> None:
        self.map = MappedFile(images)
        self.map.advise_random()

    def __call__(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the batches of indices; before each one, start to prefetch the next."""
        for batch, ahead in zip_longest(batches, batches[1:]):
            if ahead is not None:
                self.map.prefetch(ahead.cpu().sort().values.numpy())
            yield batch
