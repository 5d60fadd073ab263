"""Time to loss: how long until the test MSE is what the usual recipe ends on."""

import statistics

import torch

from benchmarks import usual
from benchmarks.data import Data
from benchmarks.measure import seconds, table
from stages.shared.trainer import Trainer

# Of this project's own params; `docs/recipes.md` has its line for `dvc exp run`.
QUICKEST = {"activation": "gelu", "epochs": 4, "batch_size": 64, "learning_rate": 0.02, "schedule": "one-cycle"}
SEEDS = range(5)


def _usual(data: Data, device: torch.device) -> tuple[list[float], list[float]]:
    """The usual recipe with the usual loop: after each epoch, the seconds trained so far and the test MSE."""
    run = usual.Usual(data, device)
    times: list[float] = []
    losses: list[float] = []
    for epoch in range(usual.EPOCHS):
        times.append(seconds(lambda: list(run.steps()), device) + (times[-1] if epoch else 0))
        losses.append(run.test_loss())
    return times, losses


def _quickest(data: Data, device: torch.device, seed: int) -> tuple[float, float]:
    """This project's loop with its quickest recipe: seconds, preparation included, and the test MSE."""
    trainers = []

    def work() -> None:
        trainer = Trainer(data.train_images, layers=usual.LAYERS, seed=seed, device=device, **QUICKEST)  # type: ignore[arg-type]
        for _ in range(int(QUICKEST["epochs"])):  # type: ignore[call-overload]
            trainer.epoch()
        trainers.append(trainer)

    taken = seconds(work, device)
    return taken, trainers[0].test(data.test_images)


def time_to_loss(data: Data, device: torch.device) -> str:
    """Both, and how many times quicker."""
    times, losses = _usual(data, device)
    target = losses[-1]
    first = next(time for time, loss in zip(times, losses, strict=True) if loss <= target)
    runs = [_quickest(data, device, seed) for seed in SEEDS]
    quick = statistics.median(time for time, _ in runs)
    reached = sum(loss <= target for _, loss in runs)
    recipe = ", ".join(f"{name} {value}" for name, value in QUICKEST.items())
    rows = [
        ["the usual loop and recipe, all 10 epochs", f"{times[-1]:.1f}", f"{target:.4f}", "1"],
        [
            "the same, until it first is as good as it ends",
            f"{first:.1f}",
            f"{losses[times.index(first)]:.4f}",
            f"{times[-1] / first:.1f}",
        ],
        [
            f"this project's loop, {recipe}",
            f"{quick:.2f}",
            f"{min(loss for _, loss in runs):.4f}–{max(loss for _, loss in runs):.4f}",
            f"{times[-1] / quick:.0f}",
        ],
    ]
    return (
        table(["", "s", "test MSE", "times quicker"], rows)
        + f"\n\nIn {reached} of {len(runs)} seeds the quick one ends on {target:.4f} or better; the time is a median. "
        + f"Against the usual recipe's first time at that loss it is {first / quick:.0f} times quicker."
    )
