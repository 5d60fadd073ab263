"""Table of the optimizers for `optimizer` in params.yaml; they work on one flat tensor."""

from collections.abc import Callable
from functools import partial
from inspect import unwrap

import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer


def _without_compiler(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """Return the optimizer class without the wrappers of its methods.

    In PyTorch 2.15 the wrappers import the compiler, which takes a second. Without them, the methods must be called
    with gradients turned off.
    """
    methods = {name: unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")}
    vars(methods["step"])["hooked"] = True  # prevents a wrapper for hooks and profiles of 10 µs per step
    return type(kind.__name__, (kind,), methods)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": partial(_without_compiler(Adam), fused=True),
    "sgd": partial(_without_compiler(SGD), momentum=0.9, nesterov=True, fused=True),
}


@torch.no_grad()
def make_optimizer(name: str, parameters: nn.Parameter) -> Optimizer:
    """Make an optimizer whose state is already allocated and zero, and set the gradient to zero.

    Its learning rate is a tensor that must be filled before each step, so that a captured CUDA graph can read it. It is
    float32 on a GPU, otherwise float64, which is exactly the number in params.yaml.
    """
    cuda = parameters.is_cuda
    rate = torch.zeros((), device="cuda" if cuda else "cpu", dtype=torch.float32 if cuda else torch.float64)
    optimizer = OPTIMIZERS[name]([parameters], lr=rate)
    if "capturable" in optimizer.defaults:
        optimizer.param_groups[0]["capturable"] = cuda
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()  # with learning rate 0: allocates the state, changes no parameter
    for tensor in optimizer.state[parameters].values():
        tensor.zero_()
    return optimizer
