"""Training log: losses, metrics, checkpoints and reconstructions after each epoch."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.shared.arrays import Uint8
from stages.shared.formats import write_csv, write_json
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime.outputs import publish

_PICTURES = 8  # at most
_SIDE = 56  # pixels of a picture, at least
_GAP = 2


class TrainingLog:
    """Writes to `folder`, the stage's work folder, and publishes the files after each epoch.

    held_out: images whose reconstructions are drawn, uint8 [N, height, width, channels].
    split: the split of these images, `test` or `validation`.
    training: the params to store in the model file.
    """

    def __init__(self, folder: Path, held_out: Uint8, split: str, training: dict[str, Any]) -> None:
        self.folder, self.split, self.training = folder, split, training
        self.losses: list[float] = []  # on held-out images, by epoch
        self.images = np.array(held_out[:_PICTURES])
        (folder / "checkpoints").mkdir()
        (folder / "reconstructions").mkdir()
        write_csv(folder / "loss.csv", ["epoch", "train_loss", f"{split}_loss"], [])

    def add(self, train_loss: float, loss: float) -> None:
        """Write the losses of the next epoch: on the training images, and on the held-out images."""
        self.losses.append(loss)
        losses = self.folder / "loss.csv"
        with losses.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([len(self.losses), train_loss, loss])
        publish(losses)
        metrics = self.folder / "metrics.json"
        write_json(metrics, {"train_loss": train_loss, f"{self.split}_loss": loss})
        publish(metrics)

    def add_checkpoint(self, epoch: int, autoencoder: Autoencoder) -> Path:
        """Write the checkpoint of an epoch and a picture of its reconstructions; return the checkpoint's path."""
        checkpoint = self.folder / "checkpoints" / f"{epoch}.safetensors"
        autoencoder.write(checkpoint, as_checkpoint=True)
        picture = self.folder / "reconstructions" / f"{epoch}.png"
        draw_reconstructions(self.images, autoencoder).save(picture)
        publish(picture)
        return checkpoint

    def best_epoch(self) -> int:
        """The epoch with the smallest loss on held-out images."""
        return 1 + self.losses.index(min(self.losses))


def draw_reconstructions(images: Uint8, autoencoder: Autoencoder) -> Image.Image:
    """Draw images, uint8 [N, height, width, channels], above their reconstructions."""
    reconstructions = np.rint(255 * autoencoder.decode(autoencoder.encode(images))).astype(np.uint8)
    rows = np.stack([images, reconstructions])  # [2, N, height, width, channels]
    factor = -(-_SIDE // images.shape[1])
    rows = rows.repeat(factor, axis=2).repeat(factor, axis=3)
    rows = np.pad(rows, ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
    _, count, height, width, channels = rows.shape
    sheet = rows.transpose(0, 2, 1, 3, 4).reshape(2 * height, count * width, channels)[:-_GAP, :-_GAP]
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
