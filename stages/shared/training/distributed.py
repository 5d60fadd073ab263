"""Data-parallel training with torch.distributed: each process trains on a shard of every batch."""

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

from stages.shared.runtime.errors import PeerLostError
from stages.shared.runtime.torchrun import is_launched, without_frames

_TIMEOUT = timedelta(minutes=10)  # for a process that doesn't respond


@dataclass(frozen=True)
class Group:
    """The process group; this process has the number `rank`. If it is the only one, no collectives are called."""

    rank: int = 0
    size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the process with rank 0, the only one that logs and writes checkpoints."""
        return self.rank == 0

    def shard(self, rows: Tensor) -> Tensor:
        """This process's shard of a tensor's rows. Lengths of shards differ by at most one; a shard may be empty."""
        return rows.tensor_split(self.size)[self.rank] if self.size > 1 else rows

    def all_reduce(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over all processes; raises `PeerLostError` if another process has ended."""
        if self.size > 1:
            with self._watched():
                distributed.all_reduce(tensor)

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's `value` in every process; it must be plain data."""
        values = [value]
        if self.size > 1:
            with self._watched():
                distributed.broadcast_object_list(values)
        return values[0]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # PyTorch's error for a broken connection
            reason = without_frames(error)
            raise PeerLostError(
                f"train: one of the {self.size} processes has ended, so this one ends too: {reason}"
            ) from error


def local_rank_and_size() -> tuple[int, int]:
    """This process's rank on its machine, and the number of processes there."""
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def init_process_group(device: torch.device) -> Iterator[Group]:
    """Join the process group of a launcher such as torchrun. Without a launcher, the group has one process.

    The backend is NCCL for GPUs, otherwise Gloo.
    """
    if not is_launched():
        yield Group()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        store, rank, size = next(rendezvous("env://"))
        if os.environ.get("GROUP_WORLD_SIZE") == "1":  # after a restart it still has what the dead ones wrote there
            store = PrefixStore(f"start-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = without_frames(error)
        raise PeerLostError(f"MASTER_ADDR, MASTER_PORT: the processes can't connect to {where}: {reason}") from None
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


ALONE = Group()
