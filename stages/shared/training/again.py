"""A model file's recipe once more, on other images: what a use compares with, or asks of one class at a time."""

import math
from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.process.errors import InputError, damaged
from stages.shared.training.trainer import Trainer

_NEEDED = (
    *("layers", "latent_size", "activation", "epochs", "batch_size", "optimizer", "learning_rate", "schedule"),
    *("seed", "threads"),
)


def check_recipe(training: Mapping[str, Any]) -> None:
    """Refuse a model file that doesn't say how it was trained; raises `InputError`."""
    missing = [name for name in _NEEDED if name not in training]
    if missing:
        raise damaged(MODEL, f"the params that it was trained with, and {missing[0]} among them")


def train_again(images: Uint8, training: Mapping[str, Any]) -> Autoencoder:
    """Train by that recipe on these images, on the CPU; raises `InputError` where that diverges."""
    torch.set_num_threads(training["threads"])
    recipe = {name: value for name, value in training.items() if name in signature(Trainer).parameters}
    trainer = Trainer(images, **recipe | {"device": torch.device("cpu")})
    for epoch in range(1, training["epochs"] + 1):
        loss = trainer.epoch()
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} in epoch {epoch} at the rate {training['learning_rate']}: it diverged; try a "
                "smaller train.learning_rate"
            )
    return trainer.autoencoder(dict(training))
