"""A batch's gradient, in two ways: by autograd, for any network, and by hand, in half the time, for dense ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stages.shared.training.network import Network

# Write the gradient of the mean squared error between the network's output for an input and a target, both
# [N, pixels], into each parameter's `grad`, as `flatten` leaves them; return the error, a scalar.
Gradient = Callable[[Tensor, Tensor], Tensor]


def gradient_of(network: Network) -> Gradient:
    """The quickest way that takes this network."""
    return ByHand(network) if ByHand.takes(network) else Autograd(network)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Have PyTorch work on so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Autograd:
    """The general way: whatever PyTorch can differentiate."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @torch.inference_mode(mode=False)
    @torch.enable_grad()
    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.mse_loss(self.network(x), target)
        self.network.zero_grad(set_to_none=False)
        loss.backward()
        return loss.detach()


class ByHand:
    """What `Autograd` does, in half its time: at this size, autograd's bookkeeping costs as much as the products.

    Nothing is allocated but the first time that a batch size comes. Differs from `Autograd` only in the order of some
    additions, so in the last bits.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.workspaces: dict[int, list[_Workspace]] = {}  # by batch size
        self.dot = torch.dot  # for the loss, whose last bits depend on how many threads there are

    @staticmethod
    def takes(network: Network) -> bool:
        """Whether the network is linear layers with at most an activation of `_SLOPES` after each."""
        modules = [*network.encoder, *network.decoder]
        pairs = pairwise([*modules, nn.Linear(1, 1)])
        return isinstance(modules[0], nn.Linear) and all(
            isinstance(module, nn.Linear) or (type(module) in _SLOPES and isinstance(following, nn.Linear))
            for module, following in pairs
        )

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        if len(x) not in self.workspaces:
            self.workspaces[len(x)] = list(_workspaces(self.network, len(x)))
        layers = self.workspaces[len(x)]

        inputs = [x]  # of each layer: [N, in]
        for layer in layers:
            torch.addmm(layer.bias, inputs[-1], layer.transposed, out=layer.before)
            layer.slope.forward(layer.before, layer.after)
            inputs.append(layer.after)

        reconstruction, grad = inputs.pop(), layers[-1].grad  # [N, pixels], both
        torch.sub(reconstruction, target, out=grad)
        error = grad.view(-1)
        loss = self.dot(error, error) / len(error)
        grad.mul_(2 / grad.numel())

        for index in reversed(range(len(layers))):
            layer = layers[index]
            layer.slope.backward(layer.grad, layer.before, layer.after)
            torch.mm(layer.grad_transposed, inputs[index], out=layer.weight_grad)
            torch.sum(layer.grad, dim=0, out=layer.bias_grad)
            if index:
                torch.mm(layer.grad, layer.weight, out=layers[index - 1].grad)
        return loss


class _Slope(NamedTuple):
    """y = f(x): `forward(x, y)` writes it, `backward(grad, x, y)` turns the gradient by y into the one by x, in place.

    Where y alone tells the slope, both ways pass over x in its own memory.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]
    in_place: bool


_aten = torch.ops.aten
_NONE = _Slope(lambda x, y: None, lambda grad, x, y: None, in_place=True)
_SLOPES: dict[type[nn.Module], _Slope] = {
    nn.ReLU: _Slope(
        lambda x, y: torch.relu_(x),
        lambda grad, x, y: _aten.threshold_backward.grad_input(grad, y, 0, grad_input=grad),
        in_place=True,
    ),
    nn.SiLU: _Slope(
        lambda x, y: _aten.silu.out(x, out=y),
        lambda grad, x, y: _aten.silu_backward.grad_input(grad, x, grad_input=grad),
        in_place=False,
    ),
    nn.GELU: _Slope(
        lambda x, y: _aten.gelu.out(x, out=y),
        lambda grad, x, y: _aten.gelu_backward.grad_input(grad, x, grad_input=grad),
        in_place=False,
    ),
    nn.Sigmoid: _Slope(
        lambda x, y: torch.sigmoid_(x),
        lambda grad, x, y: _aten.sigmoid_backward.grad_input(grad, y, grad_input=grad),
        in_place=True,
    ),
}


class _Workspace(NamedTuple):
    """A linear layer with its activation: its tensors, and the memory for what one batch makes of them."""

    weight: Tensor  # [out, in]
    transposed: Tensor  # [in, out], the same memory
    weight_grad: Tensor
    bias: Tensor  # [out]
    bias_grad: Tensor
    slope: _Slope
    before: Tensor  # [N, out], the activation's input
    after: Tensor  # [N, out], the activation's output
    grad: Tensor  # [N, out], of the loss by `after`, then by `before`
    grad_transposed: Tensor  # [out, N], the same memory


def _workspaces(network: Network, count: int) -> Iterator[_Workspace]:
    modules = [*network.encoder, *network.decoder]
    for linear, following in pairwise([*modules, None]):
        if isinstance(linear, nn.Linear):
            slope = _SLOPES.get(type(following), _NONE)  # none after the latent layer
            before = linear.weight.data.new_empty(count, linear.out_features)
            grad = torch.empty_like(before)
            yield _Workspace(
                weight=linear.weight.data,
                transposed=linear.weight.data.t(),
                weight_grad=linear.weight.grad,  # type: ignore[arg-type]
                bias=linear.bias.data,
                bias_grad=linear.bias.grad,  # type: ignore[arg-type]
                slope=slope,
                before=before,
                after=before if slope.in_place else torch.empty_like(before),
                grad=grad,
                grad_transposed=grad.t(),
            )
