"""The loop over an epoch: batches drawn, gradients taken, the optimizer's steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from stages.shared.arrays import Uint8
from stages.shared.model.architecture import dense
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.training.disk import FromDisk
from stages.shared.training.gradients import ByHand, gradient_of, on_threads
from stages.shared.training.group import ALONE, Group
from stages.shared.training.network import Network, flatten
from stages.shared.training.noise import Noise
from stages.shared.training.optimizers import OPTIMIZERS
from stages.shared.training.schedules import SCHEDULES
from stages.shared.training.shuffles import SHUFFLES

_TEST_BATCH = 2048
_TEST_NUMBERS = 2**23  # of a batch, where images are large: 32 MiB of float32


class Trainer:
    """An optimizer on the mean squared error, over images that stay uint8 until their batch is drawn.

    images: uint8 [N, height, width, channels], memory-mapped or not; noise: how much of it the network sees on them and
    is to take off again: Vincent et al., "Extracting and composing robust features with denoising autoencoders" (2008);
    from_disk: whether they are more than the memory holds, and have to be asked for ahead; group: the processes that
    share each batch. The same arguments give the same
    weights, bit for bit, on the same build, device, and count of threads and processes.
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
        shuffle: str = "full",
        noise: float = 0,
        noise_kind: str = "gaussian",
        from_disk: bool = False,
        group: Group = ALONE,
    ) -> None:
        # Numbers next to zero are slow on many CPUs. Threads inherit this, so it comes before their first work.
        torch.set_flush_denormal(True)
        torch.set_float32_matmul_precision("highest")  # no TF32 on CUDA
        torch.manual_seed(seed)
        self.size: tuple[int, int, int] = images.shape[1:]
        self.device = device
        self.group = group
        self.batch_size = batch_size
        self.network = Network(*dense(images[0].size, layers, latent_size, activation)).to(device)
        self.images = _rows(images).to(device if _fits(images, device) else "cpu")  # [N, pixels], uint8
        self.batch = self.images.new_empty(batch_size, self.images.shape[1])  # uint8
        self.x = torch.empty(batch_size, self.images.shape[1], device=device)
        self.inputs: dict[int, tuple[Tensor, Tensor]] = {}  # by how many images there are, as `_step` needs it
        self.total = torch.zeros((), device=device)  # of the images' losses in this epoch
        self.parameters, self.sums = flatten(self.network)
        self.gradient = gradient_of(self.network)
        self.threads = torch.get_num_threads()
        self.optimizer = OPTIMIZERS[optimizer](self.parameters, self.sums[:-1])
        self.steps_an_epoch = -(-len(self.images) // batch_size)
        self.schedule = partial(SCHEDULES[schedule], learning_rate, epochs * self.steps_an_epoch)
        self.rates: Iterator[float] = self.schedule()
        self.noise = Noise(noise_kind, noise, self.size, batch_size, seed, device) if noise else None
        self.shuffle, self.random = SHUFFLES[shuffle], torch.Generator().manual_seed(seed)
        self.disk = FromDisk(images, shuffle, batch_size) if from_disk else None
        self.epochs, self.steps = 0, 0  # done: whole epochs, and steps of the one begun
        self.before = self.random.get_state()  # the generator's, as this epoch began
        captured = self.images.is_cuda and group.size == 1
        self.full_step = self._captured_step() if captured else self._step

    @torch.inference_mode()
    def work_on_one_thread(self) -> bool:
        """Take all but the losses' sums on one thread from here on, if no bit depends on it; give whether.

        Two threads that may not spin are slower than one. Whether the products' additions come in another order on
        more depends on their shapes and the library, so the gradients of a full batch and of the last one are compared.
        """
        if self.group.size > 1 or not isinstance(self.gradient, ByHand):
            return False
        for count in {self.batch_size, len(self.images) % self.batch_size or self.batch_size}:
            gradients = []
            for threads in self.threads, 1:
                with on_threads(threads):
                    self._loss(torch.arange(count), count)
                gradients.append(self.sums[:-1].clone())
            if not torch.equal(*gradients):
                return False
        self.gradient.dot = on_threads(self.threads)(torch.dot)
        torch.set_num_threads(1)
        return True

    @torch.inference_mode()
    def epoch(self, progress: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> float:
        """Train on every image once, in a new random order; return the mean of their losses.

        Goes on within an epoch that was begun. `progress` is given the batches that are left.
        """
        order = self.shuffle(len(self.images), self.images.shape[1], self.random)
        batches = order.to(self.images.device).split(self.batch_size)
        fetch = self.disk.fetcher(order, self.steps) if self.disk else None
        for indices in progress(batches[self.steps :]):
            if fetch:
                next(fetch)
            self.optimizer.rate.fill_(next(self.rates))
            if self.noise:
                self.noise.draw(self.epochs * self.steps_an_epoch + self.steps)
            full = len(indices) == self.batch_size
            step = self._shared_step if self.group.size > 1 else self.full_step if full else self._step
            step(indices)
            self.steps += 1
        loss = self.total.item() / len(self.images)
        self.total.zero_()
        self.epochs, self.steps, self.before = self.epochs + 1, 0, self.random.get_state()
        return loss

    def _step(self, indices: Tensor) -> None:
        self.total.add_(self._loss(indices, len(indices)), alpha=len(indices))
        self.optimizer.step()

    def _shared_step(self, indices: Tensor) -> None:
        """`_step` with each process on its part of the batch: their gradients and losses are added in one go."""
        part = self.group.part(indices)
        loss = self._loss(part, len(indices)) if len(part) else 0
        self.sums[-1] = loss
        self.sums.mul_(len(part) / len(indices))  # 0 of none: then whatever stood there is as good
        self.group.add(self.sums)
        self.total.add_(self.sums[-1], alpha=len(indices))
        self.optimizer.step()

    def _loss(self, indices: Tensor, of: int) -> Tensor:
        """The loss on these images, this process's part of so many; its gradient goes where the optimizer finds it."""
        count = len(indices)
        if count not in self.inputs:
            self.inputs[count] = self.batch[:count], self.x[:count]
        batch, x = self.inputs[count]  # [batch, pixels], both
        torch.index_select(self.images, 0, indices, out=batch)
        torch.div(batch.to(self.device), 255, out=x)
        return self.gradient(self.noise.add(x, self.group.part(self.noise.drawn[:of])) if self.noise else x, x)

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
        for tensor in (self.total, *self.optimizer.state.values()):
            tensor.zero_()

        def replay(batch: Tensor) -> None:
            indices.copy_(batch)
            graph.replay()

        return replay

    @torch.inference_mode()
    def test(self, images: Uint8) -> float:
        """The mean squared error per pixel over all of `images`, uint8 [N, height, width, channels]."""
        total = torch.zeros((), dtype=torch.float64)
        pixels = images[0].size
        parts = _rows(images).split(max(16, min(_TEST_BATCH, _TEST_NUMBERS // pixels)))
        with on_threads(self.threads):
            for part in parts[self.group.rank :: self.group.size]:
                x = part.to(self.device).float().div_(255)
                total += (self.network(x) - x).square_().sum(dtype=torch.float64).cpu()
        self.group.add(total)
        return total.item() / images.size

    @torch.inference_mode()
    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs to go on from here, as copies in main memory."""
        counts = torch.tensor([self.epochs, self.steps])
        tensors = {"counts": counts, "random": self.before, **self._changing()}
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}

    @torch.inference_mode()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave, of a trainer made with the same arguments but for `epochs`.

        In place, since a captured CUDA graph knows no other places.
        """
        self.epochs, self.steps = state["counts"].tolist()
        self.before = state["random"]
        self.random.set_state(self.before)
        for name, tensor in self._changing().items():
            tensor.copy_(state[name])
        done = self.epochs * self.steps_an_epoch + self.steps
        self.rates = islice(self.schedule(), done, None)

    def _changing(self) -> dict[str, Tensor]:
        optimizer = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state.items()}
        return {"parameters": self.parameters, "total": self.total, **optimizer}

    def autoencoder(self, training: dict[str, Any]) -> Autoencoder:
        """The network as it is now, to keep."""
        return self.network.autoencoder(self.size, training)


def _fits(images: Uint8, device: torch.device) -> bool:
    """Whether the device has room for the images and as much again for everything else."""
    return device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2


def _rows(images: Uint8) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1))
