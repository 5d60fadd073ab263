"""Optimizers over one flat tensor: the table of those that `train.optimizer` can name."""

from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimizer(Protocol):
    """Made from all parameters and their gradient, each one tensor that stays where it is.

    A CUDA graph can capture the step: what changes from step to step lies in tensors.

    rate: the learning rate, a scalar tensor, filled before each step.
    state: every tensor that a step changes besides the parameters, by name, all zero before the first.
    """

    rate: Tensor
    state: dict[str, Tensor]

    def __init__(self, parameters: Tensor, grad: Tensor) -> None: ...
    def step(self) -> None: ...


def _rate(grad: Tensor) -> Tensor:
    """Where no graph reads it, float64: then it is the very number that params.yaml has."""
    return torch.zeros((), device=grad.device, dtype=torch.float32 if grad.is_cuda else torch.float64)


class Adam:
    """Adam (Kingma and Ba, 2015) by its functional form: PyTorch's class around it takes half as long again."""

    def __init__(self, parameters: Tensor, grad: Tensor) -> None:
        self.parameters, self.grad = parameters, grad
        self.rate = _rate(grad)
        self.state = {
            "mean": torch.zeros_like(grad),  # moving averages of the gradient
            "square": torch.zeros_like(grad),
            "steps": torch.zeros((), device=grad.device),
        }

    def step(self) -> None:
        adam(
            [self.parameters],
            [self.grad],
            [self.state["mean"]],
            [self.state["square"]],
            [],
            [self.state["steps"]],
            fused=True,
            capturable=self.grad.is_cuda,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.rate,
            weight_decay=0,
            eps=1e-8,
            maximize=False,
        )


class Sgd:
    """Stochastic gradient descent with Nesterov's momentum of 0.9."""

    def __init__(self, parameters: Tensor, grad: Tensor) -> None:
        self.parameters, self.grad = parameters, grad
        self.rate = _rate(grad)
        self.state = {"momentum": torch.zeros_like(grad)}

    def step(self) -> None:
        sgd(
            [self.parameters],
            [self.grad],
            [self.state["momentum"]],
            fused=True,
            weight_decay=0,
            momentum=0.9,
            lr=self.rate,
            dampening=0,
            nesterov=True,
            maximize=False,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "sgd": Sgd}
