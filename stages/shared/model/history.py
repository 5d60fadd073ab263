"""The history of a training: its losses, epoch by epoch, and the autoencoder that each epoch left."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.shared.formats import read_csv
from stages.shared.listing import entries
from stages.shared.process.errors import damaged

_LOSSES = Path("data/train/loss.csv")
_CHECKPOINTS = Path("data/train/checkpoints")
_SUFFIX = ".safetensors"
SPLITS = ("test", "validation")  # whose loss can be taken after each epoch


class Losses(NamedTuple):
    """A row of `loss.csv`: mean squared errors per pixel, in an epoch's training and after it; epochs count from 1."""

    epoch: int
    train: float
    after: float


class History(NamedTuple):
    """The losses of every epoch, in order; split: of which images those after each are, `test` or `validation`."""

    split: str
    losses: list[Losses]


def read_history() -> History:
    """The losses of every epoch.

    Raises `InputError` where `loss.csv` is missing or damaged, or the checkpoints aren't one for each of its rows.
    """
    rows = read_csv(_LOSSES, ["epoch", "train_loss"])
    split = next((split for split in SPLITS if f"{split}_loss" in rows[0]), None)
    if split is None:
        raise damaged(_LOSSES, f"a column {' or '.join(f'{split}_loss' for split in SPLITS)}")
    try:
        history = [Losses(int(row["epoch"]), float(row["train_loss"]), float(row[f"{split}_loss"])) for row in rows]
    except ValueError as error:
        raise damaged(_LOSSES, f"numbers, got: {error}") from None
    epochs = [losses.epoch for losses in history]
    if epochs != list(range(1, len(history) + 1)) or not np.isfinite(history).all():
        raise damaged(_LOSSES, "epochs from 1 on, and finite losses")
    found = {path.name for path in entries(_CHECKPOINTS) if path.suffix.lower() == _SUFFIX}
    wrong = sorted(found ^ {checkpoint(epoch).name for epoch in epochs})
    if wrong:
        state = "one too many" if wrong[0] in found else "missing"
        raise damaged(
            _CHECKPOINTS, f"a checkpoint for each of the {len(epochs)} epochs of {_LOSSES}; {wrong[0]} is {state}"
        )
    return History(split, history)


def checkpoint(epoch: int) -> Path:
    """The file of the autoencoder after `epoch`."""
    return _CHECKPOINTS / f"{epoch}{_SUFFIX}"
