"""Table of the loss functions for `train.pixels.loss`."""

from collections.abc import Callable

from torch import Tensor, nn

# By name: from a reconstruction and its target, both [N, …] in [0, 1], to a scalar, the mean over all numbers
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": nn.functional.mse_loss,
}
