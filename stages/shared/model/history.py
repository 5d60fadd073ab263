"""The history of a training: its losses, epoch by epoch, and the autoencoder that each epoch left."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.shared.formats import read_csv
from stages.shared.process.errors import damaged

_LOSSES = Path("data/train/loss.csv")
_CHECKPOINTS = Path("data/train/checkpoints")


class Losses(NamedTuple):
    """A row of `loss.csv`: the mean squared errors per pixel in and after an epoch; epochs count from 1."""

    epoch: int
    train_loss: float
    test_loss: float


def read_history() -> list[Losses]:
    """The losses of every epoch, in order.

    Raises `InputError` where `loss.csv` is missing or damaged, or has other than as many rows as there are checkpoints.
    """
    rows = read_csv(_LOSSES, Losses._fields)
    try:
        history = [Losses(int(row["epoch"]), float(row["train_loss"]), float(row["test_loss"])) for row in rows]
    except ValueError as error:
        raise damaged(_LOSSES, f"numbers, got: {error}") from None
    epochs = [losses.epoch for losses in history]
    if epochs != list(range(1, len(history) + 1)) or not np.isfinite(history).all():
        raise damaged(_LOSSES, "epochs from 1 on, and finite losses")
    found = len(list(_CHECKPOINTS.iterdir()))
    if found != len(history):
        raise damaged(_CHECKPOINTS, f"{len(history)} files, as {_LOSSES} has epochs, got {found}")
    return history


def checkpoint(epoch: int) -> Path:
    """The file of the autoencoder after `epoch`."""
    return _CHECKPOINTS / f"{epoch}.safetensors"
