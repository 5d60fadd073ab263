"""Make trainers from images and params (those of `train`, or those stored in a model file)."""

from collections.abc import Mapping
from typing import Any

import torch

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.cores import Cores
from stages.shared.runtime.errors import corrupt_file
from stages.shared.training.components import Components
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.loop import Trainer
from stages.shared.training.pixels import Pixels
from stages.shared.training.recipe import Recipe

_NEEDED = (
    *("layers", "latent_size", "activation", "epochs", "batch_size", "optimizer", "learning_rate", "schedule"),
    *("seed", "threads"),
)


def make_trainer(
    images: Uint8, params: Mapping[str, Any], device: torch.device, group: Group = ALONE, *, from_disk: bool = False
) -> Trainer:
    """Make a trainer for images, uint8 [N, height, width, channels], with the params of `train`.

    from_disk: whether the images are larger than the memory.
    """
    recipe = Recipe.of(params)
    if recipe.components is not None:
        return Trainer(Components(images, recipe, device, group), recipe, group)
    return Trainer(Pixels(images, recipe, device, from_disk=from_disk), recipe, group)


def check_recipe(training: Mapping[str, Any]) -> None:
    """Raise `InputError` if `training`, from a model file, doesn't contain all params of a training."""
    missing = [name for name in _NEEDED if name not in training]
    if missing:
        raise corrupt_file(MODEL, f"its training params, including {missing[0]}")


def retrain(images: Uint8, training: Mapping[str, Any], cores: Cores | None = None) -> Autoencoder:
    """Train a new autoencoder on other images, on the CPU, with the params of a model file (`training`).

    Raises `InputError` if training diverges.
    """
    torch.set_num_threads(1 if training.get("components") else training["threads"])
    trainer = make_trainer(images, training, torch.device("cpu"))
    trainer.fit(cores=cores)
    return trainer.space.autoencoder(dict(training))
