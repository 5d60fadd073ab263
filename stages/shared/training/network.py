"""The autoencoder as a PyTorch module, made from lists of operations."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.modules import to_module
from stages.shared.model.operations import Config, Operation, parse


class Network(nn.Module):
    """Encoder and decoder, built from lists of operations and initialized by PyTorch."""

    def __init__(self, encoder: Sequence[Config], decoder: Sequence[Config]) -> None:
        super().__init__()
        self.configs = {"encoder": encoder, "decoder": decoder}
        self.encoder = nn.Sequential(*map(to_module, encoder))
        self.decoder = nn.Sequential(*map(to_module, decoder))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct x: [N, pixels] to [N, pixels], both in [0, 1]."""
        latent = self.encoder(x)  # [N, latent]
        return self.decoder(latent)  # type: ignore[no-any-return]

    def autoencoder(self, size: tuple[int, int, int], training: dict[str, Any]) -> Autoencoder:
        """Copy of the current weights as an `Autoencoder`; size: height, width and channels."""
        return Autoencoder(self._operations("encoder"), self._operations("decoder"), *size, training)

    def _operations(self, part: str) -> list[Operation]:
        operations = []
        for module, description in zip(self.get_submodule(part).children(), self.configs[part], strict=True):
            kind, settings, shape = parse(description)
            named = dict(module.named_parameters())
            tensors = tuple(named[name].detach().cpu().numpy().copy() for name in kind.tensors(settings))
            operations.append(Operation(description["kind"], settings, tensors, shape))
        return operations


def flatten(network: nn.Module) -> tuple[nn.Parameter, Tensor]:
    """Move all parameters into one flat tensor and their gradients into another, so that one call is an optimizer step.

    The network's parameters become views of the flat tensor. The second tensor has one more number, for the loss, so
    that processes sum gradients and loss together.
    """
    parameters = list(network.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    flat = nn.Parameter(parameters[0].new_zeros(sum(sizes)), requires_grad=False)  # autograd uses the network's views
    sums = flat.data.new_zeros(sum(sizes) + 1)
    flat.grad = sums[:-1]
    for parameter, data, its_grad in zip(parameters, flat.data.split(sizes), flat.grad.split(sizes), strict=True):
        parameter.data = _laid(data, parameter).copy_(parameter.data)
        parameter.grad = _laid(its_grad, parameter)
    return flat, sums


def _laid(flat: Tensor, like: Tensor) -> Tensor:
    """Return a view of `flat` with the shape of `like`; in memory, the longer side of a matrix is the outer one.

    With two threads, MKL writes a 784 x 128 gradient in 3/4 of the time of a 128 x 784 one.
    """
    if like.dim() == 2 and like.shape[0] < like.shape[1]:
        return flat.view(like.shape[::-1]).t()
    return flat.view_as(like)
