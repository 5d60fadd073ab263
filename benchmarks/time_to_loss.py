"""Time to loss: seconds until the tutorial's final test MSE."""

import statistics
from collections.abc import Mapping
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks import baseline
from benchmarks.data import Data, command, recipe
from benchmarks.measure import one_process, seconds, table
from stages.shared.scores.metrics import reconstruction_errors
from stages.shared.training.build import make_trainer
from stages.shared.training.loop import Trainer

CYCLE = {"activation": "silu", "schedule": "one-cycle", "learning_rate": 0.03}
QUICKEST: dict[str, dict[str, Any]] = {  # what each changes of `params.yaml`
    "the tutorial's layers": CYCLE | {"epochs": 4, "batch_size": 96},
    "the tutorial's layers without the one of width 12": CYCLE | {"layers": [128, 64], "epochs": 3, "batch_size": 128},
    "principal components": {
        "recipe": "components",
        "components": 64,
        "layers": [144, 48],
        "scale": 4,
        "steps": 750,
        "epochs": 1,
        "batch_size": 192,
        "sign_flips": 0,
        "learning_rate": 0.035,
    },
}
SEEDS = range(10, 15)  # others than those that the recipes were picked on, 0 to 9
Run = tuple[float, float]  # seconds, and the test MSE at their end


def _baseline(data: Data, device: torch.device, threads: int, seed: int) -> Run:
    torch.set_num_threads(threads)
    run = baseline.Baseline(data, device, seed)
    taken = sum(seconds(lambda: list(run.steps()), device) for _ in range(baseline.EPOCHS))
    return taken, run.test_loss()


def _ours(data: Data, device: torch.device, threads: int, seed: int, changes: Mapping[str, Any]) -> Run:
    """The seconds include the preparation: weights, optimizer, PCA, and on a GPU the upload and the graph."""
    threadpool_limits(1, "blas")  # NumPy's, as in a stage
    torch.set_num_threads(1 if changes.get("recipe") == "components" else threads)
    trainers: list[Trainer] = []

    def work() -> None:
        trainers.append(make_trainer(data.train_images, recipe({**changes, "seed": seed}), device))
        trainers[0].fit()

    taken = seconds(work, device)
    autoencoder, images = trainers[0].space.autoencoder({}), data.test_images
    return taken, float(reconstruction_errors(autoencoder, images, autoencoder.encode(images)).mean())


def time_to_loss(data: Data, device: torch.device, threads: int) -> str:
    """Compare the tutorial's recipe with the fast ones, seed by seed in turn."""
    reference: list[Run] = []
    quick: dict[str, list[Run]] = {name: [] for name in QUICKEST}
    with one_process(tasks=1) as process:
        for seed in SEEDS:
            reference.append(process.submit(_baseline, data, device, threads, seed).result())
            for name, changes in QUICKEST.items():
                quick[name].append(process.submit(_ours, data, device, threads, seed, changes).result())
    target = statistics.median(loss for _, loss in reference)
    rows = [_row("the tutorial's DataLoader loop and recipe", reference, reference, target)]
    rows += [_row(f"this project's loop, {name}", quick[name], reference, target) for name in QUICKEST]
    header = ["", "s", "test MSE, by seed", f"seeds with {target:.4f} or less", "speed relative to the tutorial"]
    introduction = (
        f"The goal is the test MSE of the tutorial: its recipe trains for {baseline.EPOCHS} epochs, and the median of "
        f"its final test MSE is {target:.4f}. The table has the seconds of each training, as medians of {len(SEEDS)} "
        "seeds; the trainings were run in turn, seed by seed. The last column is the median of the ratios for each "
        "seed, so it differs from the ratio of the medians."
    )
    commands = "\n".join(f"- {name}: {command(changes)}" for name, changes in QUICKEST.items())
    return f"{introduction}\n\n{table(header, rows)}\n\nThe commands for these settings:\n\n{commands}"


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
