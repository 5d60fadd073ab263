"""Training in PyTorch: the network, a batch's gradient, the loop over an epoch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from stages.shared.autoencoder import Autoencoder, Layer
from stages.shared.files import Uint8

Schedule = Literal["constant", "one-cycle"]

_MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
_TEST_BATCH = 2048


class Network(nn.Module):
    """The layers `sizes`, from the pixels to the latent, and the same back; PyTorch's own initialisation."""

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        self.encoder = _layers(sizes, activation)
        self.decoder = _layers(sizes[::-1], activation).append(nn.Sigmoid())
        self.workspaces: dict[int, list[_Workspace]] = {}  # by batch size

    def forward(self, x: Tensor) -> Tensor:
        """[N, pixels] to its reconstruction [N, pixels], both in [0, 1]."""
        latent = self.encoder(x)  # [N, latent]
        return self.decoder(latent)  # type: ignore[no-any-return]


def _layers(sizes: Sequence[int], activation: str) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), _MODULES[activation]()]
    return nn.Sequential(*modules[:-1])


def flatten(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Lay all parameters end to end in one tensor, their gradients in another: an optimizer's step is then one call.

    The network's own become views of these.
    """
    parameters = list(network.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    flat = parameters[0].new_zeros(sum(sizes))
    grad = torch.zeros_like(flat)
    for parameter, data, its_grad in zip(parameters, flat.split(sizes), grad.split(sizes), strict=True):
        parameter.data = _laid(data, parameter).copy_(parameter.data)
        parameter.grad = _laid(its_grad, parameter)
    return flat, grad


def _laid(flat: Tensor, like: Tensor) -> Tensor:
    """`flat` as a tensor shaped `like`, a matrix's longer side outermost in memory.

    On two threads, MKL writes a 784 x 128 gradient in three quarters of the time that a 128 x 784 one takes.
    """
    if like.dim() == 2 and like.shape[0] < like.shape[1]:
        return flat.view(like.shape[::-1]).t()
    return flat.view_as(like)


def gradient(network: Network, x: Tensor) -> Tensor:
    """Write the gradient of the mean squared error into each parameter's `grad`; return the error, a scalar.

    The plain way, by autograd; x is [N, pixels]. `gradient_by_hand` is the quick one.
    """
    loss = nn.functional.mse_loss(network(x), x)
    network.zero_grad(set_to_none=False)
    loss.backward()
    return loss.detach()


def gradient_by_hand(network: Network, x: Tensor) -> Tensor:
    """What `gradient` does, in half its time: at this size, autograd's bookkeeping costs as much as the products.

    Nothing is allocated but the first time that a batch size comes. Differs from `gradient` only in the order of some
    additions, so in the last bits. Every parameter needs its `grad` beforehand, as `flatten` leaves it.
    """
    if len(x) not in network.workspaces:
        network.workspaces[len(x)] = list(_workspaces(network, len(x)))
    layers = network.workspaces[len(x)]

    inputs = [x]  # of each layer: [N, in]
    for layer in layers:
        torch.addmm(layer.bias, inputs[-1], layer.transposed, out=layer.before)
        layer.activation.forward(layer.before, layer.after)
        inputs.append(layer.after)

    reconstruction, grad = inputs.pop(), layers[-1].grad  # [N, pixels], both
    torch.sub(reconstruction, x, out=grad)
    error = grad.view(-1)
    loss = torch.dot(error, error) / len(error)
    grad.mul_(2 / grad.numel())

    for index in reversed(range(len(layers))):
        layer = layers[index]
        layer.activation.backward(layer.grad, layer.before, layer.after)
        torch.mm(layer.grad_transposed, inputs[index], out=layer.weight_grad)
        torch.sum(layer.grad, dim=0, out=layer.bias_grad)
        if index:
            torch.mm(layer.grad, layer.weight, out=layers[index - 1].grad)
    return loss


class _Activation(NamedTuple):
    """y = f(x): `forward(x, y)` writes it, `backward(grad, x, y)` turns the gradient by y into the one by x, in place.

    Where y alone tells the slope, both ways pass over x in its own memory.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]
    in_place: bool


_aten = torch.ops.aten
_ACTIVATIONS: dict[type[nn.Module], _Activation] = {
    nn.ReLU: _Activation(
        lambda x, y: torch.relu_(x),
        lambda grad, x, y: _aten.threshold_backward.grad_input(grad, y, 0, grad_input=grad),
        in_place=True,
    ),
    nn.SiLU: _Activation(
        lambda x, y: _aten.silu.out(x, out=y),
        lambda grad, x, y: _aten.silu_backward.grad_input(grad, x, grad_input=grad),
        in_place=False,
    ),
    nn.GELU: _Activation(
        lambda x, y: _aten.gelu.out(x, out=y),
        lambda grad, x, y: _aten.gelu_backward.grad_input(grad, x, grad_input=grad),
        in_place=False,
    ),
    nn.Sigmoid: _Activation(
        lambda x, y: torch.sigmoid_(x),
        lambda grad, x, y: _aten.sigmoid_backward.grad_input(grad, y, grad_input=grad),
        in_place=True,
    ),
    nn.Linear: _Activation(lambda x, y: None, lambda grad, x, y: None, in_place=True),  # after the latent layer: none
}


class _Workspace(NamedTuple):
    """A linear layer with its activation: its tensors, and the memory for what one batch makes of them."""

    weight: Tensor  # [out, in]
    transposed: Tensor  # [in, out], the same memory
    weight_grad: Tensor
    bias: Tensor  # [out]
    bias_grad: Tensor
    activation: _Activation
    before: Tensor  # [N, out], the activation's input
    after: Tensor  # [N, out], the activation's output
    grad: Tensor  # [N, out], of the loss by `after`, then by `before`
    grad_transposed: Tensor  # [out, N], the same memory


def _workspaces(network: Network, count: int) -> Iterator[_Workspace]:
    modules = [*network.encoder, *network.decoder]
    for linear, following in pairwise(modules):
        if isinstance(linear, nn.Linear):
            activation = _ACTIVATIONS[type(following)]
            before = linear.weight.data.new_empty(count, linear.out_features)
            grad = torch.empty_like(before)
            yield _Workspace(
                weight=linear.weight.data,
                transposed=linear.weight.data.t(),
                weight_grad=linear.weight.grad,  # type: ignore[arg-type]
                bias=linear.bias.data,
                bias_grad=linear.bias.grad,  # type: ignore[arg-type]
                activation=activation,
                before=before,
                after=before if activation.in_place else torch.empty_like(before),
                grad=grad,
                grad_transposed=grad.t(),
            )


class _Adam:
    """Adam over one tensor, by its functional form: the class that PyTorch has around that takes half as long again.

    The parameters and their gradient stay where they are. A CUDA graph can capture the step: the rate is a tensor, too.
    """

    def __init__(self, parameters: Tensor, grad: Tensor) -> None:
        self.parameters, self.grad = parameters, grad
        self.mean, self.square = torch.zeros_like(grad), torch.zeros_like(grad)  # moving averages of the gradient
        self.steps = torch.zeros((), device=grad.device)
        # Where no graph reads it, float64: then it is the very number that params.yaml has.
        self.rate = torch.zeros((), device=grad.device) if grad.is_cuda else torch.zeros((), dtype=torch.float64)

    def step(self) -> None:
        adam(
            [self.parameters],
            [self.grad],
            [self.mean],
            [self.square],
            [],
            [self.steps],
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

    def reset(self) -> None:
        for tensor in (self.mean, self.square, self.steps):
            tensor.zero_()


def _rates(schedule: Schedule, learning_rate: float, steps: int) -> Iterator[float]:
    """The learning rate of each of so many steps."""
    if schedule == "constant":
        yield from repeat(learning_rate, steps)
        return
    optimizer = torch.optim.SGD([torch.zeros(())], learning_rate)  # that nothing is trained with
    # The rate alone follows the cycle: a captured step could not see another momentum, and the loss is no worse.
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, cycle_momentum=False)
    for _ in range(steps):
        yield float(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()


class Trainer:
    """Adam on the mean squared error, over images that stay uint8 until their batch is drawn.

    images: uint8 [N, height, width], memory-mapped or not. The same arguments give the same weights, bit for bit, on
    the same build, device and thread count.
    """

    def __init__(
        self,
        images: Uint8,
        *,
        layers: Sequence[int],
        activation: str,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        schedule: Schedule,
        seed: int,
        device: torch.device,
    ) -> None:
        # Numbers next to zero are slow on many CPUs. Threads inherit this, so it comes before their first work.
        torch.set_flush_denormal(True)
        torch.set_float32_matmul_precision("highest")  # no TF32 on CUDA
        torch.manual_seed(seed)
        self.height, self.width = images.shape[1:]
        self.activation = activation
        self.device = device
        self.batch_size = batch_size
        self.network = Network([self.height * self.width, *layers], activation).to(device)
        self.images = _rows(images).to(device if _fits(images, device) else "cpu")  # [N, pixels], uint8
        self.total = torch.zeros((), device=device)
        batch = self.images.new_empty(batch_size, self.images.shape[1])  # uint8
        x = torch.empty(batch_size, self.images.shape[1], device=device)
        # By size: the last batch of an epoch may be a smaller one.
        self.inputs = {size: (batch[:size], x[:size]) for size in (batch_size, len(self.images) % batch_size)}
        self.adam = _Adam(*flatten(self.network))
        self.rates = _rates(schedule, learning_rate, epochs * -(-len(self.images) // batch_size))
        self.shuffle = torch.Generator().manual_seed(seed)
        self.full_step = self._captured_step() if self.images.is_cuda else self._step

    @torch.inference_mode()
    def epoch(self, progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> float:
        """Train on every image once, in a new random order; return the mean of the batches' losses."""
        order = torch.randperm(len(self.images), generator=self.shuffle).to(self.images.device)
        batches = order.split(self.batch_size)
        self.total.zero_()
        for indices in progress(batches):
            self.adam.rate.fill_(next(self.rates))
            step = self.full_step if len(indices) == self.batch_size else self._step
            step(indices)
        return self.total.item() / len(batches)

    def _step(self, indices: Tensor) -> None:
        batch, x = self.inputs[len(indices)]  # [batch, pixels], both
        torch.index_select(self.images, 0, indices, out=batch)
        torch.div(batch.to(self.device), 255, out=x)
        self.total += gradient_by_hand(self.network, x)
        self.adam.step()

    def _captured_step(self) -> Callable[[Tensor], None]:
        """`_step` for full batches as one CUDA graph: launched kernel by kernel, it is the launches that take the time.

        The capture leaves weights and optimizer as they were.
        """
        indices = torch.arange(self.batch_size, device=self.device)
        weights = self.adam.parameters.clone()
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # a capture wants libraries and memory warmed up, on a stream of its own
            for _ in range(3):
                self._step(indices)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(indices)
        self.adam.parameters.copy_(weights)
        self.adam.reset()

        def replay(batch: Tensor) -> None:
            indices.copy_(batch)
            graph.replay()

        return replay

    @torch.inference_mode()
    def test(self, images: Uint8) -> float:
        """The mean squared error per pixel over all of `images`, uint8 [N, height, width]."""
        total = torch.zeros((), dtype=torch.float64)
        for part in _rows(images).split(_TEST_BATCH):
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


def _fits(images: Uint8, device: torch.device) -> bool:
    """Whether the device has room for the images and as much again for everything else."""
    return device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2


def _rows(images: Uint8) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1))


def _weights(layers: nn.Module) -> Iterator[Layer]:
    for module in layers.modules():
        if isinstance(module, nn.Linear):
            yield module.weight.detach().cpu().numpy().copy(), module.bias.detach().cpu().numpy().copy()
