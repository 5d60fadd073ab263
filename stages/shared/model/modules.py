"""Operations as PyTorch modules."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.shared.model.operations import Config, Operation, Shape, parse


def to_module(description: Config) -> nn.Module:
    """Make the PyTorch module of an operation, from [N, in] to [N, out], with PyTorch's initialization."""
    kind, settings, shape = parse(description)
    module: nn.Module = getattr(nn, kind.torch)(**settings) if isinstance(kind.torch, str) else kind.torch(settings)
    return _on_images(module, shape) if shape else module


def _on_images(module: nn.Module, shape: Shape) -> nn.Module:
    """Let a module that takes images take rows instead: hooks convert its input and its output.

    A row has the order [height, width, channels], an image (channels, height, width). Hooks don't change the names of
    the module's tensors.
    """
    channels, height, width = shape

    def to_images(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        rows = inputs[0]
        return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def to_rows(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.permute(0, 2, 3, 1).flatten(1) if output.dim() == 4 else output

    module.register_forward_pre_hook(to_images)
    module.register_forward_hook(to_rows)
    return module


def load_modules(operations: Sequence[Operation]) -> nn.Sequential:
    """Make a PyTorch Sequential from operations and their weights: float32 [N, in] to [N, out]."""
    network = nn.Sequential(*(to_module(item.config) for item in operations))
    for layer, operation in zip(network, operations, strict=True):
        layer.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in operation.named.items()})
    return network
