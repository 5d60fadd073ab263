"""An autoencoder's network in PyTorch, made from the operations that describe it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.operations import Description, Operation, split


class Network(nn.Module):
    """An encoder and a decoder of described operations, with PyTorch's own initialization."""

    def __init__(self, encoder: Sequence[Description], decoder: Sequence[Description]) -> None:
        super().__init__()
        self.descriptions = {"encoder": encoder, "decoder": decoder}
        self.encoder = nn.Sequential(*map(_module, encoder))
        self.decoder = nn.Sequential(*map(_module, decoder))

    def forward(self, x: Tensor) -> Tensor:
        """[N, pixels] to its reconstruction [N, pixels], both in [0, 1]."""
        latent = self.encoder(x)  # [N, latent]
        return self.decoder(latent)  # type: ignore[no-any-return]

    def autoencoder(self, size: tuple[int, int, int], training: dict[str, Any]) -> Autoencoder:
        """The network as it is now, to keep, for images of that height, width and channels."""
        return Autoencoder(self._operations("encoder"), self._operations("decoder"), *size, training)

    def _operations(self, part: str) -> list[Operation]:
        operations = []
        for module, description in zip(self.get_submodule(part).children(), self.descriptions[part], strict=True):
            kind, settings = split(description)
            named = dict(module.named_parameters())
            tensors = tuple(named[name].detach().cpu().numpy().copy() for name in kind.shapes(settings))
            operations.append(Operation(description["kind"], settings, tensors))
        return operations


def _module(description: Description) -> nn.Module:
    kind, settings = split(description)
    module: nn.Module = getattr(nn, kind.torch)(**settings)
    return module


def flatten(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Lay all parameters end to end in one tensor, their gradients in another: an optimizer's step is then one call.

    The network's own become views of these. The second has room for one number more, the loss: what processes add up.
    """
    parameters = list(network.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    flat = parameters[0].new_zeros(sum(sizes))
    sums = flat.new_zeros(sum(sizes) + 1)
    for parameter, data, its_grad in zip(parameters, flat.split(sizes), sums[:-1].split(sizes), strict=True):
        parameter.data = _laid(data, parameter).copy_(parameter.data)
        parameter.grad = _laid(its_grad, parameter)
    return flat, sums


def _laid(flat: Tensor, like: Tensor) -> Tensor:
    """`flat` as a tensor shaped `like`, a matrix's longer side outermost in memory.

    On two threads, MKL writes a 784 x 128 gradient in three quarters of the time that a 128 x 784 one takes.
    """
    if like.dim() == 2 and like.shape[0] < like.shape[1]:
        return flat.view(like.shape[::-1]).t()
    return flat.view_as(like)
