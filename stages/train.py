"""train: fit the autoencoder to the training images.

Reads  data/download/train_images.npy, test_images.npy, dataset.json
Writes data/train/checkpoints/1.safetensors … one an epoch, autoencoder.safetensors, loss.csv, metrics.json
"""

from stages.shared.process.run import run

import math
import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import Dataset, read_images
from stages.shared.model.operations import ACTIVATIONS
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import outputs

if TYPE_CHECKING:
    import torch

    from stages.shared.arrays import Uint8
    from stages.shared.model.autoencoder import Autoencoder

FOLDER = Path("data/train")
ENOUGH = 10_000  # images to judge by
MIN_CYCLE = 10  # steps, of which 3 rise

Width = Annotated[int, Field(ge=1, le=65_536)]


def _schedules() -> Iterable[str]:
    from stages.shared.training.schedules import SCHEDULES

    return SCHEDULES


def _optimizers() -> Iterable[str]:
    from stages.shared.training.optimizers import OPTIMIZERS

    return OPTIMIZERS


class Params(params.Section):
    """The recipe. The latent layer follows `layers`, and the decoder mirrors the encoder."""

    layers: list[Width] = Field(max_length=64)
    latent_size: Width
    activation: Annotated[str, params.OneOf(lambda: ACTIVATIONS)]
    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1)
    optimizer: Annotated[str, params.OneOf(_optimizers)]
    learning_rate: float = Field(gt=0, le=1000)
    schedule: Annotated[str, params.OneOf(_schedules)]
    seed: int = Field(ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1)


def check(p: Params, images: int, cores: int) -> None:
    """Refuse what no training can be made of, before it starts; raises `InputError`."""
    if p.batch_size > images:
        raise InputError(f"params.yaml: train.batch_size: expected at most {images}, the images, got {p.batch_size}")
    steps = p.epochs * math.ceil(images / p.batch_size)
    if p.schedule == "one-cycle" and steps < MIN_CYCLE:
        raise InputError(
            f"params.yaml: train.schedule: one-cycle needs at least {MIN_CYCLE} steps to rise and fall, got {steps} "
            f"(epochs x batches); take more epochs, a smaller batch_size, or constant"
        )
    most = max(cores, 2)  # 2 is the default, which must work on one core too
    if p.threads > most:
        raise InputError(f"params.yaml: train.threads: expected at most {most}, the cores, got {p.threads}")


def choose_device(name: str) -> "torch.device":
    """The device of that name; `auto` takes CUDA, else MPS, else the CPU. Raises `InputError` where it is missing."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, available in there.items() if available))
    if not there[name]:
        raise InputError(f"params.yaml: train.device: '{name}' is not available here; take 'auto' or 'cpu'")
    return torch.device(name)


def find_failure(
    autoencoder: "Autoencoder", test_loss: float, train_images: "Uint8", test_images: "Uint8"
) -> str | None:
    """What went wrong with a training whose losses are finite, in a line; None where something was learnt.

    The images are uint8 [N, height, width, channels]; of many, the first 10,000 are looked at.
    """
    train_images, test_images = train_images[:ENOUGH], test_images[:ENOUGH]
    if (train_images == train_images[0]).all():
        return f"no two training images differ, of {len(train_images)}: there is nothing to tell apart"
    latents = autoencoder.encode(test_images)  # [N, latent size]
    if (test_images != test_images[0]).any() and np.ptp(latents, axis=0).max() <= 1e-5 * np.abs(latents).max():
        return (
            "every test image has the same latent: no unit of some layer responds any more; "
            "try a smaller train.learning_rate, wider train.layers or train.activation: silu"
        )
    mean_image = train_images.mean(axis=0)  # [height, width, channels]
    mean_image_loss = np.square((test_images - mean_image) / 255).mean()
    if test_loss >= mean_image_loss:
        return (
            f"the test loss {test_loss:.5f} is no better than the mean training image's, {mean_image_loss:.5f}; "
            "try a smaller train.learning_rate or more train.epochs"
        )
    return None


def train(p: Params, train_images: "Uint8", test_images: "Uint8", device: "torch.device", folder: Path) -> list[float]:
    """Train as `p` says; write `folder`'s checkpoints, model and loss curve; return the last losses, train and test.

    The images are uint8 [N, height, width, channels]. Raises `InputError` where a loss stops being finite; warns on
    stderr where they are, and yet nothing was learnt.
    """
    import torch

    from stages.shared.training.trainer import Trainer

    torch.set_num_threads(p.threads)
    trainer = Trainer(train_images, device=device, **p.model_dump(exclude={"device", "threads"}))
    (folder / "checkpoints").mkdir()
    losses: list[list[float]] = []
    for epoch in range(1, p.epochs + 1):
        train_loss = trainer.epoch(partial(tqdm, desc=f"epoch {epoch}/{p.epochs}", leave=False, disable=None))
        test_loss = trainer.test(test_images)
        if not math.isfinite(train_loss + test_loss):
            raise InputError(
                f"train: the loss is {train_loss} in epoch {epoch} at the rate {p.learning_rate}: it diverged; "
                f"try a smaller train.learning_rate, say {p.learning_rate / 10:g}"
            )
        print(f"epoch {epoch}/{p.epochs}: train loss {train_loss:.5f}, test loss {test_loss:.5f}")
        losses.append([train_loss, test_loss])
        autoencoder = trainer.autoencoder(p.model_dump())
        autoencoder.write(folder / "checkpoints" / f"{epoch}.safetensors")
    autoencoder.write(folder / "autoencoder.safetensors")
    rows = [[epoch, *pair] for epoch, pair in enumerate(losses, start=1)]
    write_csv(folder / "loss.csv", ["epoch", "train_loss", "test_loss"], rows)
    failure = find_failure(autoencoder, test_loss, train_images, test_images)
    if failure:
        print(f"train: warning: {failure}", file=sys.stderr)
    return losses[-1]


def main() -> None:
    p = params.read("train", Params)
    train_images = read_images("train")
    test_images = read_images("test", train_images.shape[1:])
    dataset = Dataset.read()
    check(p, len(train_images), os.cpu_count() or 1)
    device = choose_device(p.device)
    threads = f"{p.threads} thread{'s' if p.threads > 1 else ''}"
    print(f"train: {dataset.name}, {len(train_images)} images, on {device} with {threads}")
    with outputs(FOLDER) as folder:
        train_loss, test_loss = train(p, train_images, test_images, device, folder)
        metrics = {"dataset": dataset.name, "epochs": p.epochs, "train_loss": train_loss, "test_loss": test_loss}
        write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)
