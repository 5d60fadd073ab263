"""Make trainers from images and params."""

from collections.abc import Mapping
from typing import Any

import torch

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime.cores import Cores
from stages.shared.training.components import Components
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.loop import Trainer
from stages.shared.training.pixels import Pixels
from stages.shared.training.recipe import Recipe


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


def train_autoencoder(images: Uint8, training: Mapping[str, Any], cores: Cores | None = None) -> Autoencoder:
    """Train an autoencoder on images, uint8 [N, height, width, channels], on the CPU.

    training: the params of the chosen recipe, as the model file stores them.

    Raises `InputError` if training diverges.
    """
    torch.set_num_threads(1 if training.get("components") else training["threads"])
    trainer = make_trainer(images, training, torch.device("cpu"))
    trainer.fit(cores=cores)
    return trainer.space.autoencoder(dict(training))
