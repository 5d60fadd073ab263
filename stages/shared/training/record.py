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

    dataset: its name; images: those that are not trained on, of which some reconstructions are shown, uint8 [N, height,
    width, channels]; split: which these are, `test` or `validation`.
    """

    def __init__(self, folder: Path, dataset: str, images: Uint8, split: str = "test") -> None:
        self.folder, self.dataset, self.split = folder, dataset, split
        self.losses: list[float] = []  # on these images, of each epoch
        self.images = np.array(images[:_PICTURES])
        self.metrics: dict[str, object] = {}
        (folder / "checkpoints").mkdir()
        (folder / "reconstructions").mkdir()
        write_csv(folder / "loss.csv", ["epoch", "train_loss", f"{split}_loss"], [])

    def add(self, autoencoder: Autoencoder, train_loss: float, loss: float) -> Path:
        """Write an epoch's autoencoder and its losses, in training and on the images; give its checkpoint."""
        self.losses.append(loss)
        epoch = len(self.losses)
        checkpoint = self.folder / "checkpoints" / f"{epoch}.safetensors"
        autoencoder.write(checkpoint)
        losses = self.folder / "loss.csv"
        with losses.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([epoch, train_loss, loss])
        self.metrics = {"dataset": self.dataset, "epochs": epoch, "train_loss": train_loss, f"{self.split}_loss": loss}
        self._write_metrics()
        picture = self.folder / "reconstructions" / f"{epoch}.png"
        draw(self.images, autoencoder).save(picture)
        show(losses)
        show(picture)
        return checkpoint

    def choose(self, test_loss: float) -> int:
        """Add to the metrics which epoch did best on validation, and the last one's test loss; give that epoch."""
        best = 1 + min(range(len(self.losses)), key=self.losses.__getitem__)
        self.metrics |= {"best_epoch": best, "test_loss": test_loss}
        self._write_metrics()
        return best

    def _write_metrics(self) -> None:
        path = self.folder / "metrics.json"
        write_json(path, self.metrics)
        show(path)


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
