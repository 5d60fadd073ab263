"""The order of the images in an epoch: the table of those that `train.shuffle` can name."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

BLOCK_BYTES = 2**20  # of images that follow each other in the file
MIXED_BLOCKS = 64  # that are in memory together


def full(count: int, image_bytes: int, random: Generator) -> Tensor:
    """Any order of all images is as likely as any other."""
    return torch.randperm(count, generator=random)


def blocks(count: int, image_bytes: int, random: Generator) -> Tensor:
    """Blocks of images that follow each other, in random order; the images of 64 blocks are mixed, then of the next 64.

    So an epoch reads a file of any size in long runs, and each run once. The blocks begin elsewhere in each epoch.
    """
    length = max(1, min(BLOCK_BYTES // image_bytes, count))
    offset = torch.randint(length, (), generator=random)
    inside = torch.arange(count).split(length)
    order = torch.randperm(len(inside), generator=random).tolist()
    groups = [order[start : start + MIXED_BLOCKS] for start in range(0, len(order), MIXED_BLOCKS)]
    mixed = []
    for group in groups:
        indices = torch.cat([inside[block] for block in group])
        mixed.append(indices[torch.randperm(len(indices), generator=random)])
    return torch.cat(mixed).add_(offset).remainder_(count)


# By name: from the count of images, the bytes of one, and a generator, to the indices of all of them, int64 [count].
SHUFFLES: dict[str, Callable[[int, int, Generator], Tensor]] = {"full": full, "blocks": blocks}
