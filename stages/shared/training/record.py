"""What a training leaves, written and shown epoch by epoch: checkpoints, losses, metrics, reconstructions."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from stages.shared.arrays import Uint8
from stages.shared.formats import write_csv, write_json
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process.outputs import show

_PICTURES = 8  # at most
_SIDE = 56  # pixels of a picture, at least
_GAP = 2


class Record:
    """Writes into `folder`, the stage's work folder, and shows what changes from epoch to epoch.

    dataset: its name; images: some of which the reconstructions are shown, uint8 [N, height, width, channels].
    """

    def __init__(self, folder: Path, dataset: str, images: Uint8) -> None:
        self.folder, self.dataset = folder, dataset
        self.images = np.array(images[:_PICTURES])
        self.epochs = 0
        (folder / "checkpoints").mkdir()
        (folder / "reconstructions").mkdir()
        write_csv(folder / "loss.csv", ["epoch", "train_loss", "test_loss"], [])

    def add(self, autoencoder: Autoencoder, train_loss: float, test_loss: float) -> Path:
        """Write an epoch's autoencoder and losses; give its checkpoint."""
        self.epochs += 1
        checkpoint = self.folder / "checkpoints" / f"{self.epochs}.safetensors"
        autoencoder.write(checkpoint)
        losses, metrics = self.folder / "loss.csv", self.folder / "metrics.json"
        with losses.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([self.epochs, train_loss, test_loss])
        values = {"dataset": self.dataset, "epochs": self.epochs, "train_loss": train_loss, "test_loss": test_loss}
        write_json(metrics, values)
        picture = self.folder / "reconstructions" / f"{self.epochs}.png"
        draw(self.images, autoencoder).save(picture)
        for path in (losses, metrics, picture):
            show(path)
        return checkpoint


def draw(images: Uint8, autoencoder: Autoencoder) -> Image.Image:
    """A row of images, uint8 [N, height, width, channels], over a row of their reconstructions."""
    reconstructions = np.rint(255 * autoencoder.decode(autoencoder.encode(images))).astype(np.uint8)
    rows = np.stack([images, reconstructions])  # [2, N, height, width, channels]
    factor = -(-_SIDE // images.shape[1])
    rows = rows.repeat(factor, axis=2).repeat(factor, axis=3)
    rows = np.pad(rows, ((0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
    _, count, height, width, channels = rows.shape
    sheet = rows.transpose(0, 2, 1, 3, 4).reshape(2 * height, count * width, channels)[:-_GAP, :-_GAP]
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
