"""train: train the autoencoder.

Reads  data/download/train_images.npy, test_images.npy, dataset.json
Writes data/train/checkpoints/1.safetensors … and reconstructions/1.png … (for at most `checkpoints` epochs), loss.csv,
       metrics.json, autoencoder.safetensors; pictures, losses and metrics are published after every epoch

Resumes an interrupted training of the same recipe (`shared/training/store.py`). Trains data-parallel with
`train.processes` or under torchrun.
"""

from stages.shared.runtime.run import run

import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stages.shared.images.dataset import SPLITS, DatasetInfo, images_file, read_images, validation_size
from stages.shared.model.operations import ACTIVATIONS
from stages.shared.runtime import memory, params, torchrun
from stages.shared.runtime.cores import Cores
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.outputs import clear, outputs

if TYPE_CHECKING:
    import torch

    from stages.shared.arrays import Uint8
    from stages.shared.training.distributed import Group
    from stages.shared.training.loop import Trainer
    from stages.shared.training.store import CheckpointStore

FOLDER = Path("data/train")
WARN_BYTES = 1e9  # of checkpoints, above which `train` prints their size
MIN_CYCLE = 10  # steps, 3 of them with a rising rate
MIN_IMAGES, MAX_NUMBERS = 5_000, 1_024  # number of training images, and of pixels per image, for the recipe `pixels`

Width = Annotated[int, Field(ge=1, le=65_536)]


def _losses() -> Iterable[str]:
    from stages.shared.training.losses import LOSSES

    return LOSSES


def _optimizers() -> Iterable[str]:
    from stages.shared.training.optimizers import OPTIMIZERS

    return OPTIMIZERS


def _schedules() -> Iterable[str]:
    from stages.shared.training.schedules import SCHEDULES

    return SCHEDULES


def _noises() -> Iterable[str]:
    from stages.shared.training.noise import NOISES

    return NOISES


class Pixels(params.Section):
    """Recipe `pixels`: an encoder with hidden layers of widths `layers`, and a decoder that mirrors it."""

    layers: list[Width] = Field(max_length=64)
    activation: Annotated[str, params.OneOf(lambda: ACTIVATIONS)]
    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1)
    loss: Annotated[str, params.OneOf(_losses)]
    optimizer: Annotated[str, params.OneOf(_optimizers)]
    learning_rate: float = Field(gt=0, le=1000)
    schedule: Annotated[str, params.OneOf(_schedules)]
    noise: float = Field(ge=0, le=1)
    noise_kind: Annotated[str, params.OneOf(_noises)]


class Components(params.Section):
    """Recipe `components`: the same kind of network, trained on principal components."""

    count: Width
    scale: float = Field(gt=0, le=1000)
    layers: list[Width] = Field(max_length=64)
    activation: Annotated[str, params.OneOf(lambda: ACTIVATIONS)]
    steps: int = Field(ge=1, le=100_000_000)
    batch_size: int = Field(ge=1)
    equalize: float = Field(ge=0, le=1)
    sign_flips: int = Field(ge=0)
    noise: float = Field(ge=0, le=1)
    mirror_up_to: int = Field(ge=0)
    optimizer: Annotated[str, params.OneOf(_optimizers)]
    learning_rate: float = Field(gt=0, le=1000)
    schedule: Annotated[str, params.OneOf(_schedules)]


class Params(params.Section):
    """Params of both recipes."""

    recipe: Literal["auto", "pixels", "components"]
    validation: float = Field(ge=0)
    checkpoints: int = Field(ge=1, le=100_000)
    latent_size: Width
    seed: int = Field(ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1)
    processes: int = Field(ge=1, le=1024)
    pixels: Pixels
    components: Components


@dataclass(frozen=True)
class Choice:
    """The chosen recipe, `pixels` or `components`, and why it was chosen."""

    recipe: str
    reason: str

    @classmethod
    def make(cls, p: Params, images: int, numbers: int) -> "Choice":
        """Choose the recipe. images: number of training images. numbers: height x width x channels of each image."""
        if p.recipe != "auto":
            return cls(p.recipe, f"train.recipe is {p.recipe}")
        if images < MIN_IMAGES:
            return cls("components", f"there are {images} training images, fewer than {MIN_IMAGES:,}")
        if numbers > MAX_NUMBERS:
            return cls("components", f"an image has {numbers:,} numbers, more than {MAX_NUMBERS:,}")
        return cls("pixels", f"there are at least {MIN_IMAGES:,} training images, of at most {MAX_NUMBERS:,} numbers")

    def flatten(self, p: Params) -> dict[str, Any]:
        """Put the params of the chosen recipe into one dictionary, as it is stored in the model file."""
        shared = {"recipe": self.recipe, "reason": self.reason} | p.model_dump(
            exclude={"recipe", "pixels", "components"}
        )
        if self.recipe == "pixels":
            return shared | p.pixels.model_dump()
        used = p.components.model_dump(exclude={"count"})
        return shared | used | {"components": p.components.count, "epochs": min(p.checkpoints, p.components.steps)}


def check_validation(p: Params, images: int) -> int:
    """Number of held-out images out of `images` training images; raises `InputError` if `validation` is invalid."""
    count = validation_size(p.validation, images)
    if (p.validation > 1 and count != p.validation) or (p.validation and not 0 < count < images):
        raise InputError(
            f"params.yaml: train.validation: expected 0, a share below 1, or a number of images below {images}, "
            f"with at least one image held out and one left to train on, got {p.validation:g}"
        )
    return count


def check(p: Params, choice: Choice, images: int, cores: int) -> None:
    """Raise `InputError` if the params don't suit the number of training images or of cores."""
    most = max(cores, 2)  # 2 is the default, which must work on one core too
    if p.threads > most:
        raise InputError(f"params.yaml: train.threads: expected at most {most}, the number of cores, got {p.threads}")
    if choice.recipe == "components":
        if p.components.count < p.latent_size:
            raise InputError(
                f"params.yaml: train.components.count: expected at least train.latent_size, {p.latent_size}, got "
                f"{p.components.count}; the latent can't have more dimensions than there are components"
            )
        if p.pixels.noise:
            raise InputError(
                f"params.yaml: train.pixels.noise: expected 0 with the recipe components ({choice.reason}), got "
                f"{p.pixels.noise:g}; set train.components.noise in its place, or train.recipe to pixels"
            )
    steps = p.components.steps
    if choice.recipe == "pixels":
        steps = p.pixels.epochs * math.ceil(images / p.pixels.batch_size)
    if getattr(p, choice.recipe).schedule == "one-cycle" and steps < MIN_CYCLE:
        raise InputError(
            f"params.yaml: train.{choice.recipe}.schedule: one-cycle needs at least {MIN_CYCLE} steps, got "
            f"{steps}; set more epochs or steps, a smaller batch_size, or schedule: constant"
        )


def choose_device(name: str) -> "torch.device":
    """Return the device of that name; raises `InputError` if it is missing.

    `auto` is CUDA if there is a GPU, otherwise MPS, otherwise the CPU. If several processes run on one machine, each
    gets its own GPU.
    """
    import torch

    from stages.shared.training.distributed import local_rank_and_size

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there[name]:
        raise InputError(f"params.yaml: train.device: '{name}' is not available here; set it to auto or cpu")
    number, processes = local_rank_and_size()
    if name != "cuda" or processes == 1:
        return torch.device(name)
    if processes > torch.cuda.device_count():
        raise InputError(
            f"train: {processes} processes need a GPU each, but there are only {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def make_resume_key(training: Mapping[str, Any], device: "torch.device") -> str:
    """Resume key: everything that affects the outputs.

    The param `epochs` is left out if a longer training starts with the same epochs and can therefore resume this one.
    """
    import_module("stages.shared.training.build")  # the key contains the sources of imported modules
    from stages.shared.training.schedules import PREFIX_INVARIANT
    from stages.shared.training.store import resume_key

    without_epochs = training["recipe"] == "pixels" and training["schedule"] in PREFIX_INVARIANT
    recipe = {name: value for name, value in training.items() if name != "epochs" or not without_epochs}
    return resume_key(recipe | {"device": device.type}, [images_file(split) for split in SPLITS])


def train(
    training: dict[str, Any],
    train_images: "Uint8",
    test_images: "Uint8",
    device: "torch.device",
    folder: Path,
    store: "CheckpointStore | None" = None,
    group: "Group | None" = None,
    cores: Cores | None = None,
) -> "Trainer":
    """Train with the params that `Choice.flatten` returned, and write all outputs into `folder`.

    The images are uint8 [N, height, width, channels]. If `store` has a state of this training, it is resumed. Raises
    `InputError` if a loss is not finite; prints a warning on stderr if the result is poor.
    """
    import torch

    from stages.shared.scores.convergence import check_converged
    from stages.shared.training.build import make_trainer
    from stages.shared.training.distributed import ALONE, local_rank_and_size
    from stages.shared.training.log import TrainingLog
    from stages.shared.training.losses import LOSSES
    from stages.shared.training.store import CheckpointStore

    store, group = store or CheckpointStore(None), group or ALONE
    in_components = training["recipe"] == "components"  # their matrices are too small for more threads
    torch.set_num_threads(1 if in_components else max(1, training["threads"] // local_rank_and_size()[1]))
    held_out_size = validation_size(training["validation"], len(train_images))
    split, held_out = ("validation", train_images[-held_out_size:]) if held_out_size else ("test", test_images)
    train_images = train_images[: len(train_images) - held_out_size]
    from_disk = train_images.nbytes > memory.available()
    if from_disk and not in_components and group.is_rank_zero:
        print(
            f"train: {train_images.nbytes / 1e9:.1f} GB of images exceed the available memory, so they are read one by "
            "one; train.recipe: components is faster"
        )
    trainer = make_trainer(train_images, training, device, group, from_disk=from_disk)
    if trainer.space.mirrored and group.is_rank_zero:
        print(
            "train: also trains on the images' mirror images, which lower PCA's error on held-out images; "
            "train.components.mirror_up_to: 0 leaves them out"
        )
    size = len(trainer.kept) * sum(4 * weights.numel() for weights in trainer.space.network.parameters())
    if size > WARN_BYTES and group.is_rank_zero:
        print(
            f"train: {len(trainer.kept)} checkpoints take {size / 1e9:.1f} GB in {FOLDER} (three times as "
            "much if the file system has no hard links); set a smaller train.checkpoints to keep fewer"
        )
    log = TrainingLog(folder, held_out, split, training) if group.is_rank_zero else None
    trainer.resume(log, store)
    trainer.fit(held_out, log, store, cores)
    test_loss = trainer.space.evaluate(test_images, group) if held_out_size else trainer.losses[-1][1]
    if log:
        if held_out_size:
            best = f"the validation loss was lowest after epoch {log.best_epoch()} of {training['epochs']}"
            print(f"train: {best}; the test loss after the last epoch is {test_loss:.5f}")
        autoencoder = trainer.space.autoencoder(training)
        autoencoder.write(folder / "autoencoder.safetensors")
        loss = LOSSES[training.get("loss", "mse")]
        failure = check_converged(autoencoder, loss, test_loss, train_images, test_images)
        if failure:
            print(f"train: warning: {failure}", file=sys.stderr)
    return trainer


def main() -> None:
    cores = Cores("train")
    p = params.read("train", Params)
    if torchrun.wanted(p.processes):
        try:
            torchrun.launch("stages.train", p.processes)
        finally:  # rank 0 may have been killed
            clear(FOLDER)
        return
    train_images = read_images("train")
    test_images = read_images("test", train_images.shape[1:])
    dataset = DatasetInfo.read()
    trained_on = len(train_images) - check_validation(p, len(train_images))
    choice = Choice.make(p, len(train_images), train_images[0].size)
    check(p, choice, trained_on, os.cpu_count() or 1)
    device = choose_device(p.device)

    from stages.shared.training import store
    from stages.shared.training.distributed import init_process_group

    with init_process_group(device) as group:
        training = choice.flatten(p) | {"processes": group.size}
        name = make_resume_key(training, device)
        if group.broadcast(name) != name:
            raise InputError(
                "train: the processes differ in their params, images or source code; use the same on all machines"
            )
        if not group.is_rank_zero:
            train(training, train_images, test_images, device, FOLDER, group=group)
            return
        suffix = f" in each of {group.size} processes" if group.size > 1 else ""
        suffix += ", without CUDA graph" if group.size > 1 and device.type == "cuda" else ""
        count = 1 if choice.recipe == "components" else p.threads
        threads = f"{count} thread{'s' if count > 1 else ''}"
        print(f"train: {dataset.name}, {trained_on} images, on {device.type} with {threads}{suffix}")
        on = "pixels" if choice.recipe == "pixels" else f"up to {p.components.count} principal components"
        print(f"train: trains on {on}, because {choice.reason}")
        if choice.recipe == "pixels" and (size := p.pixels.batch_size) > trained_on:
            print(f"train: each batch has all {trained_on} images, fewer than train.pixels.batch_size ({size})")
        with store.open_store(name, store.root_folder()) as kept:
            with outputs(FOLDER) as folder:
                trainer = train(training, train_images, test_images, device, folder, kept, group, cores)
            kept.save(trainer.state(), FOLDER / "autoencoder.safetensors")


if __name__ == "__main__":
    run(main)
