"""The processes that train together, each on its part of every batch: PyTorch's own collectives, no more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from stages.shared.process.errors import LostError
from stages.shared.process.launch import is_launched

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
        """Put in each process's `tensor` the sum of all of them; raises `LostError` where one has ended."""
        if self.size > 1:
            with self._watched():
                distributed.all_reduce(tensor)

    def share(self, value: Any) -> Any:
        """What the first process has as `value`, plain data, in every process."""
        values = [value]
        if self.size > 1:
            with self._watched():
                distributed.broadcast_object_list(values)
        return values[0]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # all that PyTorch raises where a connection breaks
            raise LostError(f"train: one of the {self.size} processes has ended, and so this one: {error}") from error


def local() -> tuple[int, int]:
    """This process's number on its machine, and how many there are."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that a launcher such as torchrun put this process in; alone, where none did.

    NCCL joins GPUs, Gloo everything else.
    """
    if not is_launched():
        yield Group()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    store, rank, size = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":  # after a restart the store still has what the dead ones wrote there
        store = PrefixStore(f"start-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_SILENCE)
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


ALONE = Group()
