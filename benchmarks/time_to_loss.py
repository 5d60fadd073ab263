"""Time to loss: how long until the test MSE is what the usual recipe ends on."""

import statistics
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks import baseline
from benchmarks.data import Data
from benchmarks.measure import one_process, seconds, table
from stages.shared.training.trainer import Trainer

# Of this project's own params; `docs/recipes.md` has their lines for `dvc exp run`.
CYCLE = {
    "activation": "silu",
    "latent_size": baseline.LATENT,
    "optimizer": "adam",
    "schedule": "one-cycle",
    "learning_rate": 0.03,
}
QUICKEST: dict[str, dict[str, Any]] = {
    "the tutorial's layers": CYCLE | {"layers": baseline.LAYERS, "epochs": 4, "batch_size": 96},
    "without the layer of 12": CYCLE | {"layers": [128, 64], "epochs": 3, "batch_size": 128},
}
SEEDS = range(10, 15)  # others than those that the recipes were picked on, 0 to 4
Run = tuple[float, float]  # seconds, and the test MSE at their end


def _baseline(data: Data, device: torch.device, threads: int, seed: int) -> Run:
    torch.set_num_threads(threads)
    run = baseline.Baseline(data, device, seed)
    taken = sum(seconds(lambda: list(run.steps()), device) for _ in range(baseline.EPOCHS))
    return taken, run.test_loss()


def _ours(data: Data, device: torch.device, threads: int, seed: int, recipe: Mapping[str, Any]) -> Run:
    """The seconds include the preparation: weights, optimizer, and on a GPU the upload and the graph."""
    torch.set_num_threads(threads)
    trainers = []

    def work() -> None:
        trainer = Trainer(data.train_images, seed=seed, device=device, **recipe)
        for _ in range(recipe["epochs"]):
            trainer.epoch()
        trainers.append(trainer)

    taken = seconds(work, device)
    return taken, trainers[0].test(data.test_images)


def time_to_loss(data: Data, device: torch.device, threads: int) -> str:
    """The usual recipe and the quick ones, seed by seed in turn, and how many times quicker the latter are."""
    reference: list[Run] = []
    quick: dict[str, list[Run]] = {name: [] for name in QUICKEST}
    with one_process(tasks=1) as process:
        for seed in SEEDS:
            reference.append(process.submit(_baseline, data, device, threads, seed).result())
            for name, recipe in QUICKEST.items():
                quick[name].append(process.submit(_ours, data, device, threads, seed, recipe).result())
    target = statistics.median(loss for _, loss in reference)
    rows = [_row("the usual loop and recipe", reference, reference, target)]
    for name, recipe in QUICKEST.items():
        settings = f"{recipe['epochs']} epochs of batches of {recipe['batch_size']}, silu, one-cycle to 0.03"
        title = f"this project's loop, {name}: {settings}"
        rows.append(_row(title, quick[name], reference, target))
    header = ["", "s", "test MSE, by seed", f"at {target:.4f} or less", "times quicker"]
    introduction = (
        f"Seconds of training, medians of {len(SEEDS)} seeds run in turn. The loss to reach is the median of what the "
        f"usual recipe ends on after its {baseline.EPOCHS} epochs: {target:.4f}."
    )
    return f"{introduction}\n\n{table(header, rows)}"


def _row(title: str, runs: list[Run], reference: list[Run], target: float) -> list[str]:
    times, losses = zip(*runs, strict=True)
    quicker = statistics.median(usual_time / time for (usual_time, _), time in zip(reference, times, strict=True))
    reached = sum(loss <= target for loss in losses)
    return [
        title,
        f"{statistics.median(times):.2f}",
        " ".join(f"{loss:.4f}" for loss in losses),
        f"{reached} of {len(runs)}",
        f"{quicker:.0f}",
    ]
