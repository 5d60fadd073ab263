"""Training throughput: the tutorial's DataLoader loop, this project's loop, and the matrix products alone."""

import statistics
from collections.abc import Callable

import torch

from benchmarks import baseline
from benchmarks.data import Data
from benchmarks.measure import alternate, in_subprocess, ratio, seconds, table
from stages.shared.model.architecture import dense
from stages.shared.training.build import make_trainer
from stages.shared.training.network import Network, flatten


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
    """Seconds per epoch of the tutorial's DataLoader loop."""
    torch.set_num_threads(threads)
    loop = baseline.Baseline(data, device)
    return lambda: seconds(lambda: list(loop.steps()), device)


def no_loader(data: Data, device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds per epoch of the tutorial's step on batches from a tensor in memory."""
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
    """Seconds per epoch of this project's loop, with hand-written gradients or autograd."""
    torch.set_num_threads(threads)
    recipe = {
        "layers": baseline.LAYERS,
        "latent_size": baseline.LATENT,
        "activation": "relu",
        "epochs": rounds,
        "batch_size": baseline.BATCH,
        "optimizer": "adam",
        "learning_rate": baseline.RATE,
        "schedule": "constant",
        "seed": 0,
    }
    trainer = make_trainer(data.train_images, recipe, device)
    if autograd:
        trainer.fast = None

    def epoch() -> None:
        with trainer.no_grad():
            for batch in trainer.batches():
                trainer.train_batch(batch)
        trainer.end_epoch()

    return lambda: seconds(epoch, device)


def floor(data: Data, device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds for the matrix products of an epoch."""
    torch.set_num_threads(threads)
    multiply = products(data.train_images[0].size, device)
    steps = -(-len(data.train_images) // baseline.BATCH)
    return lambda: seconds(lambda: [multiply() for _ in range(steps)], device)


def throughput(data: Data, device: torch.device, threads: int, rounds: int) -> str:
    """Images a second of each, in alternating rounds, each in a process of its own: what every part brings."""
    with (
        in_subprocess(baseline_loop, data, device, threads) as slow,
        in_subprocess(no_loader, data, device, threads) as loaded,
        in_subprocess(own_loop, data, device, threads, rounds + 1, True) as differentiated,
        in_subprocess(own_loop, data, device, threads, rounds + 1) as quick,
        in_subprocess(floor, data, device, threads) as least,
    ):
        works = {
            "the tutorial's DataLoader loop": slow,
            "a plain loop over a tensor in memory": loaded,
            "this project's loop with autograd": differentiated,
            "this project's loop": quick,
            "the matrix multiplications alone": least,
        }
        times = alternate(works, rounds)
    images, usual = len(data.train_images), times["the tutorial's DataLoader loop"]
    rows = [
        [
            name,
            f"{images / statistics.median(taken):,.0f}",
            f"{1000 * baseline.BATCH / images * statistics.median(taken):.3f}",
            f"{statistics.median(taken):.2f}",
            f"{ratio(usual, taken):.1f}",
            f"{ratio(taken, times['the matrix multiplications alone']):.2f}",
        ]
        for name, taken in times.items()
    ]
    header = [
        "",
        "images/s",
        "ms per step",
        "s per epoch",
        "speed relative to the DataLoader loop",
        "time relative to the last row",
    ]
    return (
        f"Each loop trains whole epochs with batches of {baseline.BATCH}. The last row times only the matrix "
        "multiplications of the training steps, as a lower bound. The numbers are medians of "
        f"{rounds} alternating rounds. The last two columns are medians of the ratios in each round, so they differ "
        f"from the ratios of the medians.\n\n{table(header, rows)}"
    )
