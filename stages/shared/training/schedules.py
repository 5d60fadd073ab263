"""The learning rate from step to step: the table of schedules that `train.schedule` can name."""

from collections.abc import Callable, Iterator
from itertools import repeat

import torch


def constant(learning_rate: float, steps: int) -> Iterator[float]:
    """The same rate throughout."""
    return repeat(learning_rate, steps)


def one_cycle(learning_rate: float, steps: int) -> Iterator[float]:
    """Up to the rate and down to next to nothing: Smith and Topin, "Super-convergence" (2018), as PyTorch has it.

    The rate alone follows the cycle: a captured step could not see another momentum, and the loss is no worse.
    """
    optimizer = torch.optim.SGD([torch.zeros(())], learning_rate)  # that nothing is trained with
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, cycle_momentum=False)
    for _ in range(steps):
        yield float(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()


SCHEDULES: dict[str, Callable[[float, int], Iterator[float]]] = {"constant": constant, "one-cycle": one_cycle}
BEGINS_ALIKE = {"constant"}  # those whose rates don't depend on how many epochs there are to be
