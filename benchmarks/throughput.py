"""Training throughput: the usual loop, this project's, and the matrix products alone."""

import statistics
from collections.abc import Callable

import torch

from benchmarks import baseline
from benchmarks.data import Data
from benchmarks.measure import alternate, apart, ratio, seconds, table
from stages.shared.model.architecture import dense
from stages.shared.training.gradients import Autograd
from stages.shared.training.network import Network, flatten
from stages.shared.training.trainer import Trainer


def products(pixels: int, device: torch.device) -> Callable[[], None]:
    """The matrix products of one training step, forward and backward, into memory laid out as the step's own."""
    network = Network(*dense(pixels, baseline.LAYERS, baseline.LATENT, "relu")).to(device)
    flatten(network)
    batch = baseline.BATCH
    layers = []
    for linear in (module for module in network.modules() if isinstance(module, torch.nn.Linear)):
        weight, weight_grad = linear.weight.data, linear.weight.grad
        x = torch.rand(batch, linear.in_features, device=device)
        y = torch.rand(batch, linear.out_features, device=device)
        layers.append((weight, weight.t(), weight_grad, x, torch.empty_like(x), y, y.t()))

    def step() -> None:
        for _, transposed, _, x, _, y, _ in layers:
            torch.mm(x, transposed, out=y)
        for index, (weight, _, weight_grad, x, x_grad, y, y_transposed) in reversed(list(enumerate(layers))):
            torch.mm(y_transposed, x, out=weight_grad)
            if index:
                torch.mm(y, weight, out=x_grad)

    return _captured(step) if device.type == "cuda" else step


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def baseline_loop(data: Data, device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds an epoch of the usual loop."""
    torch.set_num_threads(threads)
    loop = baseline.Baseline(data, device)
    return lambda: seconds(lambda: list(loop.steps()), device)


def no_loader(data: Data, device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds an epoch of the usual step, on batches that are drawn from the array."""
    torch.set_num_threads(threads)
    loop = baseline.Baseline(data, device)
    images = torch.from_numpy(data.train_images.reshape(len(data.train_images), -1))  # [N, pixels], uint8

    def epoch() -> None:
        for indices in torch.randperm(len(images)).split(baseline.BATCH):
            loop.step(images[indices].to(device).float() / 255)

    return lambda: seconds(epoch, device)


def own_loop(
    data: Data, device: torch.device, threads: int, rounds: int, autograd: bool = False
) -> Callable[[], float]:
    """Seconds an epoch of this project's, by hand or by autograd over one flat buffer."""
    torch.set_num_threads(threads)
    trainer = Trainer(
        data.train_images,
        layers=baseline.LAYERS,
        latent_size=baseline.LATENT,
        activation="relu",
        epochs=rounds,
        batch_size=baseline.BATCH,
        optimizer="adam",
        learning_rate=baseline.RATE,
        schedule="constant",
        seed=0,
        device=device,
    )
    if autograd:
        trainer.gradient = Autograd(trainer.network)
    return lambda: seconds(trainer.epoch, device)


def floor(data: Data, device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds for the products of as many steps as an epoch has."""
    torch.set_num_threads(threads)
    multiply = products(data.train_images[0].size, device)
    steps = -(-len(data.train_images) // baseline.BATCH)
    return lambda: seconds(lambda: [multiply() for _ in range(steps)], device)


def throughput(data: Data, device: torch.device, threads: int, rounds: int) -> str:
    """Images a second of each, in alternating rounds, each in a process of its own: what every part brings."""
    with (
        apart(baseline_loop, data, device, threads) as slow,
        apart(no_loader, data, device, threads) as loaded,
        apart(own_loop, data, device, threads, rounds + 1, True) as differentiated,
        apart(own_loop, data, device, threads, rounds + 1) as quick,
        apart(floor, data, device, threads) as least,
    ):
        works = {
            "the usual loop": slow,
            "no loader": loaded,
            "and autograd into one flat buffer": differentiated,
            "and by hand: this project's loop": quick,
            "its matrix products alone": least,
        }
        times = alternate(works, rounds)
    images = len(data.train_images)
    rows = [
        [
            name,
            f"{images / statistics.median(taken):,.0f}",
            f"{1000 * baseline.BATCH / images * statistics.median(taken):.3f}",
            f"{statistics.median(taken):.2f}",
            f"{ratio(times['the usual loop'], taken):.1f}",
            f"{ratio(taken, times['its matrix products alone']):.2f}",
        ]
        for name, taken in times.items()
    ]
    header = ["", "images/s", "ms a step", "s an epoch", "times the usual", "times its products"]
    return f"Whole epochs, batches of {baseline.BATCH}; medians of {rounds} alternating rounds.\n\n" + table(
        header, rows
    )
