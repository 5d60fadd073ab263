"""Images that are more than the memory holds, asked for on the disk before they are needed."""

from collections.abc import Iterator

from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.process.memory import Map
from stages.shared.training.shuffles import BLOCK_BYTES, MIXED_BLOCKS


class FromDisk:
    """Tells the kernel which of the mapped images come next: a batch ahead, or with blocks a window of them."""

    def __init__(self, images: Uint8, shuffle: str, batch_size: int) -> None:
        self.map, self.batch_size = Map(images), batch_size
        self.window = 1  # batches
        if shuffle == "blocks":
            self.window = max(1, MIXED_BLOCKS // 2 * BLOCK_BYTES // (images[0].nbytes * batch_size))
        else:
            self.map.expect_random()

    def fetcher(self, order: Tensor, steps: int) -> Iterator[None]:
        """To be advanced before each step from `steps` on: asks for the images of the window that follows."""
        size = self.window * self.batch_size
        self._fetch(order[steps * self.batch_size :][:size])
        for start in range(steps * self.batch_size, len(order), self.batch_size):
            if (start - steps * self.batch_size) % size == 0:
                self._fetch(order[start + size :][:size])
            yield

    def _fetch(self, indices: Tensor) -> None:
        if len(indices):
            self.map.fetch(indices.sort().values.numpy())
