"""Table of the learning rate schedules for `schedule` in params.yaml."""

import math
from collections.abc import Callable


def constant(step: int, steps: int) -> float:
    """Constant learning rate."""
    return 1.0


def one_cycle(step: int, steps: int) -> float:
    """One-cycle schedule: a cosine from 1/25 up to 1 in the first 30 % of the steps, then a cosine down to 4e-6.

    Smith and Topin, "Super-convergence" (2018), as in `torch.optim.lr_scheduler.OneCycleLR`, except that the momentum
    is constant: a captured CUDA graph couldn't change the momentum, and the loss is no worse.
    """
    peak, last = 0.3 * steps - 1, steps - 1
    low, high, share = (1 / 25, 1, step / peak) if step <= peak else (1, 4e-6, (step - peak) / (last - peak))
    return high + (low - high) * (1 + math.cos(math.pi * share)) / 2


# By name: from the step, counted from 0, and the number of steps to a factor of the learning rate
SCHEDULES: dict[str, Callable[[int, int], float]] = {"constant": constant, "one-cycle": one_cycle}
PREFIX_INVARIANT = {"constant"}  # schedules that don't depend on the number of steps
