"""The loop over an epoch: batches drawn, gradients taken, the optimizer's steps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.model.architecture import dense
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.training.gradients import gradient_of
from stages.shared.training.network import Network, flatten
from stages.shared.training.optimizers import OPTIMIZERS
from stages.shared.training.schedules import SCHEDULES

_TEST_BATCH = 2048


class Trainer:
    """An optimizer on the mean squared error, over images that stay uint8 until their batch is drawn.

    images: uint8 [N, height, width, channels], memory-mapped or not. The same arguments give the same weights, bit for
    bit, on the same build, device and thread count.
    """

    def __init__(
        self,
        images: Uint8,
        *,
        layers: Sequence[int],
        latent_size: int,
        activation: str,
        epochs: int,
        batch_size: int,
        optimizer: str,
        learning_rate: float,
        schedule: str,
        seed: int,
        device: torch.device,
    ) -> None:
        # Numbers next to zero are slow on many CPUs. Threads inherit this, so it comes before their first work.
        torch.set_flush_denormal(True)
        torch.set_float32_matmul_precision("highest")  # no TF32 on CUDA
        torch.manual_seed(seed)
        self.size: tuple[int, int, int] = images.shape[1:]
        self.device = device
        self.batch_size = batch_size
        self.network = Network(*dense(images[0].size, layers, latent_size, activation)).to(device)
        self.images = _rows(images).to(device if _fits(images, device) else "cpu")  # [N, pixels], uint8
        self.total = torch.zeros((), device=device)
        batch = self.images.new_empty(batch_size, self.images.shape[1])  # uint8
        x = torch.empty(batch_size, self.images.shape[1], device=device)
        # By size: the last batch of an epoch may be a smaller one.
        self.inputs = {size: (batch[:size], x[:size]) for size in (batch_size, len(self.images) % batch_size)}
        self.parameters, grad = flatten(self.network)
        self.gradient = gradient_of(self.network)
        self.optimizer = OPTIMIZERS[optimizer](self.parameters, grad)
        self.rates = SCHEDULES[schedule](learning_rate, epochs * -(-len(self.images) // batch_size))
        self.shuffle = torch.Generator().manual_seed(seed)
        self.full_step = self._captured_step() if self.images.is_cuda else self._step

    @torch.inference_mode()
    def epoch(self, progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> float:
        """Train on every image once, in a new random order; return the mean of the batches' losses."""
        order = torch.randperm(len(self.images), generator=self.shuffle).to(self.images.device)
        batches = order.split(self.batch_size)
        self.total.zero_()
        for indices in progress(batches):
            self.optimizer.rate.fill_(next(self.rates))
            step = self.full_step if len(indices) == self.batch_size else self._step
            step(indices)
        return self.total.item() / len(batches)

    def _step(self, indices: Tensor) -> None:
        batch, x = self.inputs[len(indices)]  # [batch, pixels], both
        torch.index_select(self.images, 0, indices, out=batch)
        torch.div(batch.to(self.device), 255, out=x)
        self.total += self.gradient(x, x)
        self.optimizer.step()

    def _captured_step(self) -> Callable[[Tensor], None]:
        """`_step` for full batches as one CUDA graph: launched kernel by kernel, it is the launches that take the time.

        The capture leaves weights and optimizer as they were.
        """
        indices = torch.arange(self.batch_size, device=self.device)
        weights = self.parameters.clone()
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # a capture wants libraries and memory warmed up, on a stream of its own
            for _ in range(3):
                self._step(indices)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(indices)
        self.parameters.copy_(weights)
        for tensor in self.optimizer.state.values():
            tensor.zero_()

        def replay(batch: Tensor) -> None:
            indices.copy_(batch)
            graph.replay()

        return replay

    @torch.inference_mode()
    def test(self, images: Uint8) -> float:
        """The mean squared error per pixel over all of `images`, uint8 [N, height, width, channels]."""
        total = torch.zeros((), dtype=torch.float64)
        for part in _rows(images).split(_TEST_BATCH):
            x = part.to(self.device).float().div_(255)
            total += (self.network(x) - x).square_().sum(dtype=torch.float64).cpu()
        return total.item() / images.size

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """The network as it is now, to keep."""
        return self.network.autoencoder(self.size, training)


def _fits(images: Uint8, device: torch.device) -> bool:
    """Whether the device has room for the images and as much again for everything else."""
    return device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2


def _rows(images: Uint8) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1))
