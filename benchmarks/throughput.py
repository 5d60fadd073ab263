"""Training throughput: the usual loop, this project's, and the matrix products alone."""

import statistics
from collections.abc import Callable
from itertools import islice, pairwise

import torch

from benchmarks import usual
from benchmarks.data import Data
from benchmarks.measure import alternate, ratio, seconds, table
from stages.shared.trainer import Trainer

SKIP = 20  # batches that the usual loop's workers may prepare before the clock starts
BATCHES = 200  # that it is then timed over


def products(pixels: int, device: torch.device) -> Callable[[], None]:
    """The matrix products of one training step, forward and backward, into memory that is there already."""
    half = [pixels, *usual.LAYERS]
    sizes = half + half[-2::-1]
    batch = usual.BATCH
    layers = []
    for inputs, outputs in pairwise(sizes):
        weight = torch.rand(outputs, inputs, device=device)
        x, y = torch.rand(batch, inputs, device=device), torch.rand(batch, outputs, device=device)
        layers.append((weight, weight.t(), torch.empty_like(weight), x, torch.empty_like(x), y, y.t()))

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


def throughput(data: Data, device: torch.device, rounds: int) -> str:
    """Images a second of the three, in alternating rounds."""
    slow = usual.Usual(data, device)
    trainer = Trainer(
        data.train_images,
        layers=usual.LAYERS,
        activation="relu",
        epochs=rounds + 1,
        batch_size=usual.BATCH,
        learning_rate=usual.RATE,
        schedule="constant",
        seed=0,
        device=device,
    )
    multiply = products(data.train_images[0].size, device)
    images = len(data.train_images)
    steps = images / usual.BATCH
    batches = min(BATCHES, int(steps) - SKIP)

    def usual_loop() -> float:
        running = slow.steps()
        list(islice(running, SKIP))
        return seconds(lambda: list(islice(running, batches)), device) / batches

    def floor() -> float:
        return seconds(lambda: [multiply() for _ in range(int(steps))], device) / int(steps)

    works = {
        "the usual loop": usual_loop,
        "this project's loop": lambda: seconds(trainer.epoch, device) / steps,
        "its matrix products alone": floor,
    }
    times = alternate(works, rounds)
    rows = [
        [
            name,
            f"{usual.BATCH / statistics.median(taken):,.0f}",
            f"{1000 * statistics.median(taken):.3f}",
            f"{steps * statistics.median(taken):.2f}",
            f"{ratio(times['the usual loop'], taken):.1f}",
            f"{ratio(taken, times['its matrix products alone']):.2f}",
        ]
        for name, taken in times.items()
    ]
    header = ["", "images/s", "ms a step", "s an epoch", "times the usual", "times its products"]
    return f"Batches of {usual.BATCH}, medians of {rounds} alternating rounds.\n\n" + table(header, rows)
