"""The recipe of a training: all params that affect the trained weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Params of `train` by name; those that older model files don't have get defaults.

    checkpoints: maximum number of checkpoints; the last epoch always has one.
    steps: number of training steps, each with a full batch, in `epochs` equal parts; None: each epoch has all images
    once.
    components: number of principal components; None: train on pixels.
    scale: mean standard deviation of the first `latent_size` component scores.
    equalize: power of a score's standard deviation by which the initial weights of the first layer are divided.
    sign_flips: with this number of training images, half of each batch gets random signs.
    mirror_up_to: number of training images up to which their mirror images are used too, if they help.
    """

    layers: Sequence[int]
    latent_size: int
    activation: str
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    schedule: str
    seed: int
    checkpoints: int = 20
    loss: str = "mse"
    noise: float = 0
    noise_kind: str = "gaussian"
    steps: int | None = None
    components: int | None = None
    scale: float = 1
    equalize: float = 0.5
    sign_flips: int = 0
    mirror_up_to: int = 0

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Recipe":
        """Make a recipe from the params of `train`; params that don't affect the weights are ignored."""
        return cls(**{field.name: params[field.name] for field in fields(cls) if field.name in params})
