"""The processes that train together, each on its part of every batch: PyTorch's own collectives, no more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from stages.shared.process.errors import InputError

_SILENCE = timedelta(minutes=10)  # after which a process that says nothing is given up


@dataclass(frozen=True)
class Group:
    """So many processes, of which this one is number `rank`; one alone needs no collectives."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def part(self, of: Tensor) -> Tensor:
        """This process's part of a tensor's rows; the parts differ in length by one at most, and may be empty."""
        return of.tensor_split(self.size)[self.rank] if self.size > 1 else of

    def add(self, tensor: Tensor) -> None:
        """Put in each process's `tensor` the sum of all of them; raises `InputError` where one has ended."""
        if self.size > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise LostError(self.size) from error

    def share(self, value: Any) -> Any:
        """What the first process has as `value`, plain data, in every process."""
        values = [value]
        if self.size > 1:
            try:
                distributed.broadcast_object_list(values)
            except RuntimeError as error:
                raise LostError(self.size) from error
        return values[0]

    def share_tensor(self, tensor: Tensor) -> None:
        """Put in each process's `tensor` what the first one has."""
        if self.size > 1:
            distributed.broadcast(tensor, 0)


class LostError(InputError):
    """Another process of the group ended."""

    def __init__(self, size: int) -> None:
        super().__init__(f"train: one of the {size} processes has ended, so this one does")


def member() -> bool:
    """Whether a launcher started this process as one of a group."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def local() -> tuple[int, int]:
    """This process's number on its machine, and how many there are."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that a launcher such as torchrun put this process in; alone, where none did.

    NCCL joins GPUs, Gloo everything else.
    """
    if not member():
        yield Group()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_SILENCE)
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


ALONE = Group()
