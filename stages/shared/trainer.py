"""Training in PyTorch: the network, a batch's gradient, the loop over an epoch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stages.shared.autoencoder import Autoencoder, Layer
from stages.shared.files import Uint8

Schedule = Literal["constant", "one-cycle"]

_MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
_TEST_BATCH = 8192

_aten = torch.ops.aten
# The derivative of each activation, from the gradient after it, its input and its output.
_BACKWARD: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda grad, x, y: _aten.threshold_backward(grad, y, 0),
    nn.SiLU: lambda grad, x, y: _aten.silu_backward(grad, x),
    nn.GELU: lambda grad, x, y: _aten.gelu_backward(grad, x),
    nn.Sigmoid: lambda grad, x, y: _aten.sigmoid_backward(grad, y),
}


class Network(nn.Module):
    """The layers `sizes`, from the pixels to the latent, and the same back; PyTorch's own initialisation."""

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        self.encoder = _layers(sizes, activation)
        self.decoder = _layers(sizes[::-1], activation).append(nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[N, pixels] to its reconstruction [N, pixels], both in [0, 1]."""
        latent = self.encoder(x)  # [N, latent]
        return self.decoder(latent)  # type: ignore[no-any-return]


def _layers(sizes: Sequence[int], activation: str) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        modules += [nn.Linear(inputs, outputs), _MODULES[activation]()]
    return nn.Sequential(*modules[:-1])


def flatten(network: nn.Module) -> nn.Parameter:
    """Lay all parameters, and their gradients, end to end in one, so that the optimizer's step is a single call.

    The network's own parameters become views of it.
    """
    parameters = list(network.parameters())
    flat = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, data, grad in zip(parameters, flat.data.split(sizes), flat.grad.split(sizes), strict=True):
        parameter.data = data.view_as(parameter)
        parameter.grad = grad.view_as(parameter)
    return flat


def gradient(network: Network, x: Tensor) -> Tensor:
    """Write the gradient of the mean squared error into each parameter's `grad`; return the error, a scalar.

    The plain way, by autograd; x is [N, pixels]. `gradient_by_hand` is the quick one.
    """
    loss = nn.functional.mse_loss(network(x), x)
    network.zero_grad(set_to_none=False)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


@torch.no_grad()
def gradient_by_hand(network: Network, x: Tensor) -> Tensor:
    """What `gradient` does, in nearly half its time: at this size autograd's bookkeeping costs as much as the products.

    Differs from it only in the order of some additions, so in the last bits.
    """
    modules = [*network.encoder, *network.decoder]
    outputs = [x]
    for module in modules:
        outputs.append(module(outputs[-1]))
    grad = outputs[-1] - x  # [N, pixels]
    loss = grad.square().mean()
    grad *= 2 / grad.numel()
    for index in reversed(range(len(modules))):
        module, before, after = modules[index], outputs[index], outputs[index + 1]
        if isinstance(module, nn.Linear):
            torch.mm(grad.t(), before, out=module.weight.grad)
            torch.sum(grad, dim=0, out=module.bias.grad)
            if index:
                grad = grad @ module.weight
        else:
            grad = _BACKWARD[type(module)](grad, before, after)
    return loss


class Trainer:
    """Adam on the mean squared error, over images that stay uint8 until their batch is drawn.

    images: uint8 [N, height, width], memory-mapped or not. The same arguments give the same weights, bit for bit, on
    the same build, device and thread count.
    """

    def __init__(
        self,
        images: Uint8,
        layers: Sequence[int],
        activation: str,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        schedule: Schedule,
        seed: int,
        device: torch.device,
    ) -> None:
        torch.set_flush_denormal(True)
        torch.manual_seed(seed)
        self.height, self.width = images.shape[1:]
        self.activation = activation
        self.device = device
        self.batch_size = batch_size
        self.images = self._to_device(images)
        self.network = Network([self.height * self.width, *layers], activation).to(device)
        self.optimizer = torch.optim.Adam([flatten(self.network)], learning_rate, fused=True)
        self.schedule = self._schedule(schedule, learning_rate, epochs)
        self.shuffle = torch.Generator().manual_seed(seed)

    def epoch(self, progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> float:
        """Train on every image once, in a new random order; return the mean of the batches' losses."""
        batches = torch.randperm(len(self.images), generator=self.shuffle).split(self.batch_size)
        total = torch.zeros((), device=self.device)
        for indices in progress(batches):
            x = self.images[indices].float().div_(255)  # [batch, pixels]
            total += gradient_by_hand(self.network, x)
            self.optimizer.step()
            self.schedule()
        return total.item() / len(batches)

    @torch.no_grad()
    def test(self, images: Uint8) -> float:
        """The mean squared error per pixel over all of `images`, uint8 [N, height, width]."""
        total = torch.zeros((), dtype=torch.float64)
        for part in self._to_device(images).split(_TEST_BATCH):
            x = part.to(self.device).float().div_(255)
            total += (self.network(x) - x).square_().sum(dtype=torch.float64).cpu()
        return total.item() / images.size

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """The network as it is now, to keep."""
        return Autoencoder(
            encoder=list(_weights(self.network.encoder)),
            decoder=list(_weights(self.network.decoder)),
            activation=self.activation,
            height=self.height,
            width=self.width,
            training=training,
        )

    def _to_device(self, images: Uint8) -> Tensor:
        return torch.from_numpy(images.reshape(len(images), -1)).to(self.device)

    def _schedule(self, schedule: Schedule, learning_rate: float, epochs: int) -> Callable[[], None]:
        if schedule == "constant":
            return lambda: None
        steps = epochs * -(-len(self.images) // self.batch_size)
        return torch.optim.lr_scheduler.OneCycleLR(self.optimizer, learning_rate, total_steps=steps).step


def _weights(layers: nn.Module) -> Iterator[Layer]:
    for module in layers.modules():
        if isinstance(module, nn.Linear):
            yield module.weight.detach().cpu().numpy().copy(), module.bias.detach().cpu().numpy().copy()
