"""History of a training: losses and checkpoints by epoch."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.shared.formats import read_csv
from stages.shared.listing import list_visible
from stages.shared.model.autoencoder import COMPONENTS_FILE, Autoencoder
from stages.shared.runtime.errors import corrupt_file

_LOSSES = Path("data/train/loss.csv")
_CHECKPOINTS = Path("data/train/checkpoints")
_SUFFIX = ".safetensors"
LOSS_SPLITS = ("test", "validation")  # with a loss after each epoch


class Losses(NamedTuple):
    """A row of `loss.csv`: training loss during an epoch, and loss after it, per pixel; epochs count from 1."""

    epoch: int
    train: float
    after: float


class History(NamedTuple):
    """Losses of all epochs, and the epochs that have a checkpoint, including the last.

    split: the images for the losses after each epoch, `test` or `validation`.
    """

    split: str
    losses: list[Losses]
    kept: list[int]


def read_history() -> History:
    """Read `loss.csv`, and list the checkpoints.

    Raises `InputError` if `loss.csv` or the last checkpoint is missing or corrupt, if another checkpoint is missing, or
    if there is one too many.
    """
    rows = read_csv(_LOSSES, ["epoch", "train_loss"])
    split = next((split for split in LOSS_SPLITS if f"{split}_loss" in rows[0]), None)
    if split is None:
        raise corrupt_file(_LOSSES, f"a column {' or '.join(f'{split}_loss' for split in LOSS_SPLITS)}")
    try:
        history = [Losses(int(row["epoch"]), float(row["train_loss"]), float(row[f"{split}_loss"])) for row in rows]
    except ValueError as error:
        raise corrupt_file(_LOSSES, f"numbers, got: {error}") from None
    epochs = [losses.epoch for losses in history]
    if epochs != list(range(1, len(history) + 1)) or not np.isfinite(history).all():
        raise corrupt_file(_LOSSES, "epochs from 1 on, and finite losses")
    names = {path.name for path in list_visible(_CHECKPOINTS) if path.suffix.lower() == _SUFFIX} - {COMPONENTS_FILE}
    training = Autoencoder.read(checkpoint(epochs[-1])).training
    kept = checkpoint_epochs(len(epochs), training.get("checkpoints", len(epochs)))
    wrong = sorted(names ^ {checkpoint(epoch).name for epoch in kept})
    if wrong:
        state = "one too many" if wrong[0] in names else "missing"
        which = f"{len(kept)} checkpoints of the {len(epochs)} epochs of {_LOSSES}"
        raise corrupt_file(_CHECKPOINTS, f"{which}; {wrong[0]} is {state}")
    return History(split, history, kept)


def checkpoint_epochs(epochs: int, most: int) -> list[int]:
    """List the epochs that get a checkpoint: all, or every 2nd (4th, 8th, …, until `most` suffice), and the last.

    A longer training never needs a checkpoint that a shorter one didn't write, so it can resume from the shorter one.
    """
    step = 1
    while -(-epochs // step) > most:
        step *= 2
    return [epoch for epoch in range(1, epochs + 1) if epoch % step == 0 or epoch == epochs]


def checkpoint(epoch: int) -> Path:
    """Path of the checkpoint after `epoch`."""
    return _CHECKPOINTS / f"{epoch}{_SUFFIX}"
