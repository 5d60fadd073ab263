"""train: fit the autoencoder to the training images.

Reads  data/download/train_images.npy, test_images.npy, dataset.json
Writes data/train/checkpoints/1.safetensors … and reconstructions/1.png … one an epoch, autoencoder.safetensors,
       loss.csv, metrics.json; the pictures, losses and metrics stand there from the first epoch on

Goes on where a run of the same recipe was ended (`shared/training/state.py`). With `train.processes`, or started by
torchrun, several processes train together.
"""

from stages.shared.process.run import is_program, run

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from stages.shared.images.dataset import SPLITS, Dataset, count_held_out, images_file, read_images
from stages.shared.model.operations import ACTIVATIONS
from stages.shared.process import launch, memory, params, waiting
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import clear, outputs

if TYPE_CHECKING:
    import torch

    from stages.shared.arrays import Uint8
    from stages.shared.model.autoencoder import Autoencoder
    from stages.shared.training.fit import Fit
    from stages.shared.training.group import Group
    from stages.shared.training.state import Keeper

FOLDER = Path("data/train")
ENOUGH = 10_000  # images to judge by
ENOUGH_NUMBERS = 2**23  # of larger ones: 64 MiB of float64
MIN_CYCLE = 10  # steps, of which 3 rise

HOW = {  # images are read that are more than the memory at hand
    "full": "each is read alone; with train.shuffle: blocks they come in long runs, quicker",
    "blocks": "they are read in long runs, and mixed within 64 of these",
}

BESIDE = {  # others, where no bit depends on how many threads work, and where one does
    True: "one of its threads does the work, to the same bit",
    False: "its threads sleep while they wait; train.threads: 1 is quicker, with other last digits",
}

Width = Annotated[int, Field(ge=1, le=65_536)]


def _schedules() -> Iterable[str]:
    from stages.shared.training.schedules import SCHEDULES

    return SCHEDULES


def _shuffles() -> Iterable[str]:
    from stages.shared.training.shuffles import SHUFFLES

    return SHUFFLES


def _noises() -> Iterable[str]:
    from stages.shared.training.noise import NOISES

    return NOISES


def _optimizers() -> Iterable[str]:
    from stages.shared.training.optimizers import OPTIMIZERS

    return OPTIMIZERS


class Params(params.Section):
    """The recipe. The latent layer follows `layers`, and the decoder mirrors the encoder."""

    validation: float = Field(ge=0)
    layers: list[Width] = Field(max_length=64)
    latent_size: Width
    activation: Annotated[str, params.OneOf(lambda: ACTIVATIONS)]
    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1)
    optimizer: Annotated[str, params.OneOf(_optimizers)]
    learning_rate: float = Field(gt=0, le=1000)
    schedule: Annotated[str, params.OneOf(_schedules)]
    shuffle: Annotated[str, params.OneOf(_shuffles)]
    noise: float = Field(ge=0, le=1)
    noise_kind: Annotated[str, params.OneOf(_noises)]
    seed: int = Field(ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1)
    processes: int = Field(ge=1, le=1024)


def check_validation(p: Params, images: int) -> int:
    """How many of so many training `images` are held out; raises `InputError` where that is none, or all of them."""
    count = count_held_out(p.validation, images)
    if (p.validation > 1 and count != p.validation) or (p.validation and not 0 < count < images):
        raise InputError(
            f"params.yaml: train.validation: expected 0, a share below 1, or a number of images below {images} that "
            f"leaves some on both sides, got {p.validation:g}"
        )
    return count


def check(p: Params, images: int, cores: int) -> None:
    """Refuse what no training on so many images can be made of, before it starts; raises `InputError`."""
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
    """The device of that name; `auto` takes CUDA, else MPS, else the CPU. Raises `InputError` where it is missing.

    Of several processes on one machine each has a GPU of its own.
    """
    import torch

    from stages.shared.training.group import local

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there[name]:
        raise InputError(f"params.yaml: train.device: '{name}' is not available here; take 'auto' or 'cpu'")
    number, processes = local()
    if name != "cuda" or processes == 1:
        return torch.device(name)
    if processes > torch.cuda.device_count():
        raise InputError(f"train: {processes} processes want a GPU each, and there are {torch.cuda.device_count()}")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def find_failure(
    autoencoder: "Autoencoder", test_loss: float, train_images: "Uint8", test_images: "Uint8"
) -> str | None:
    """What went wrong with a training whose losses are finite, in a line; None where something was learnt.

    The images are uint8 [N, height, width, channels]; of many, the first 10,000 are looked at, fewer of large ones.
    """
    enough = max(2, min(ENOUGH, ENOUGH_NUMBERS // autoencoder.pixels))
    train_images, test_images = train_images[:enough], test_images[:enough]
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


def key(p: Params, device: "torch.device") -> str:
    """What a training is known by: all that can change a byte of what it leaves, but for `epochs` where those can't."""
    from stages.shared.training.schedules import BEGINS_ALIKE
    from stages.shared.training.state import key_of

    recipe = p.model_dump(exclude={"epochs"} if p.schedule in BEGINS_ALIKE else set())
    return key_of(recipe | {"device": device.type}, [images_file(split) for split in SPLITS])


def train(
    p: Params,
    train_images: "Uint8",
    test_images: "Uint8",
    device: "torch.device",
    folder: Path,
    dataset: str = "",
    keeper: "Keeper | None" = None,
    group: "Group | None" = None,
    choice: waiting.Choice | None = None,
) -> "Fit":
    """Train as `p` says, from where `keeper` has it; write all outputs into `folder`, the work folder.

    The images are uint8 [N, height, width, channels]. Raises `InputError` where a loss stops being finite, and, with a
    `choice`, `BeginAnewError` where it holds no more; warns on stderr where they are, and yet nothing was learnt.
    """
    import torch

    from stages.shared.training.fit import Fit
    from stages.shared.training.group import ALONE, local
    from stages.shared.training.record import Record
    from stages.shared.training.state import Keeper
    from stages.shared.training.trainer import Trainer

    group = group or ALONE
    torch.set_num_threads(max(1, p.threads // local()[1]))
    recipe = p.model_dump(exclude={"device", "threads", "processes", "validation"})
    held_out = count_held_out(p.validation, len(train_images))
    split, images = ("validation", train_images[-held_out:]) if held_out else ("test", test_images)
    train_images = train_images[: len(train_images) - held_out]
    from_disk = train_images.nbytes > memory.at_hand()
    if from_disk and group.first:
        print(f"train: {train_images.nbytes / 1e9:.1f} GB of images are more than the memory at hand: {HOW[p.shuffle]}")
    trainer = Trainer(train_images, device=device, group=group, from_disk=from_disk, **recipe)
    record = Record(folder, dataset, images, split) if group.first else None
    fit = Fit(trainer, images, split, p.model_dump(), record, keeper or Keeper(None), choice)
    fit.go_on()
    if choice and device.type == "cpu" and trainer.threads > 1:
        if choice.asleep:
            print(f"train: others use the cores, so {BESIDE[trainer.work_on_one_thread()]}")
        if fit.keeper.own and is_program() and not launch.is_launched():  # or it could not be begun anew
            choice.begin()
    _, loss = fit.run()
    test_loss = trainer.test(test_images) if held_out else loss
    if record:
        if held_out:
            print(f"train: the validation loss was least after epoch {record.choose(test_loss)} of {p.epochs}")
        autoencoder = trainer.autoencoder(p.model_dump())
        autoencoder.write(folder / "autoencoder.safetensors")
        failure = find_failure(autoencoder, test_loss, train_images, test_images)
        if failure:
            print(f"train: warning: {failure}", file=sys.stderr)
    return fit


def main() -> None:
    choice = waiting.choose(*(params.peek("train", key) for key in ("threads", "processes")))
    p = params.read("train", Params)
    if launch.wanted(p.processes):
        try:
            launch.launch("stages.train", p.processes)
        finally:  # the first process may have been killed
            clear(FOLDER)
        return
    train_images = read_images("train")
    test_images = read_images("test", train_images.shape[1:])
    dataset = Dataset.read()
    trained_on = len(train_images) - check_validation(p, len(train_images))
    check(p, trained_on, os.cpu_count() or 1)
    device = choose_device(p.device)

    from stages.shared.training import state
    from stages.shared.training.group import joined

    with joined(device) as group:
        p = p.model_copy(update={"processes": group.size})
        name = key(p, device)
        if group.share(name) != name:
            raise InputError("train: the processes' params, images or sources differ; bring all machines to the same")
        if not group.first:
            train(p, train_images, test_images, device, FOLDER, group=group)
            return
        together = f", {group.size} processes together" if group.size > 1 else ""
        together += ", the step not captured" if group.size > 1 and device.type == "cuda" else ""
        threads = f"{p.threads} thread{'s' if p.threads > 1 else ''}"
        print(f"train: {dataset.name}, {trained_on} images, on {device.type} with {threads}{together}")
        with state.keeper(name, state.folder()) as keeper:
            with outputs(FOLDER) as folder:
                fit = train(p, train_images, test_images, device, folder, dataset.name, keeper, group, choice)
            fit.finish(FOLDER / "autoencoder.safetensors")


if __name__ == "__main__":
    run(main)
