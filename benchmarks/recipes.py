"""Better recipes: what a few settings give. `python -m benchmarks.recipes` writes docs/recipes.md, in half an hour."""

import statistics
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.data import Data, load
from benchmarks.measure import machine, seconds, table
from stages.shared.trainer import Trainer
from stages.train import Params, choose_device

ROOT = Path(__file__).parent.parent
SEEDS = range(3)
CYCLE = {"schedule": "one-cycle"}
RECIPES: list[dict[str, Any]] = [  # what each changes of params.yaml
    {},
    CYCLE | {"learning_rate": 0.01},
    CYCLE | {"learning_rate": 0.03, "activation": "silu", "epochs": 4, "batch_size": 96},
    CYCLE | {"learning_rate": 0.03, "activation": "silu", "layers": [128, 64], "epochs": 3, "batch_size": 128},
    CYCLE | {"learning_rate": 0.02, "activation": "gelu"},
    CYCLE | {"learning_rate": 0.01, "activation": "gelu", "batch_size": 32},
    CYCLE | {"learning_rate": 0.003, "activation": "silu", "layers": [512, 256, 64]},
    CYCLE | {"learning_rate": 0.002, "activation": "silu", "layers": [1024, 512, 256], "batch_size": 128, "epochs": 20},
]


def measure(data: Data, recipe: dict[str, Any], device: torch.device) -> tuple[float, float]:
    """Seconds of the training loop, without test losses and files, and the test MSE."""
    recipe = recipe | {"layers": [*recipe["layers"], recipe["latent_size"]]}
    for name in ("latent_size", "device", "threads"):
        del recipe[name]
    trainer = Trainer(data.train_images, **recipe, device=device)
    taken = seconds(lambda: [trainer.epoch() for _ in range(recipe["epochs"])], device)
    return taken, trainer.test(data.test_images)


def command(changes: dict[str, Any]) -> str:
    """The line that trains so."""
    settings = [
        f"-S 'train.{name}={value}'" if name == "layers" else f"-S train.{name}={value}"
        for name, value in changes.items()
    ]
    return f"`{' '.join(['dvc exp run', *settings])}`"


def main() -> None:
    defaults = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]
    torch.set_num_threads(Params.model_validate(defaults).threads)
    device = choose_device(defaults["device"])
    data = load()
    rows = []
    for changes in RECIPES:
        runs = [measure(data, defaults | changes | {"seed": seed}, device) for seed in SEEDS]
        losses = [loss for _, loss in runs]
        mean = f"{statistics.mean(losses):.4f} ({min(losses):.4f}–{max(losses):.4f})"
        rows.append([command(changes), mean, f"{statistics.median(taken for taken, _ in runs):.0f}"])
        print(*rows[-1], sep="  ", flush=True)
    text = [
        "# Recipes",
        f"Made by `python -m benchmarks.recipes` on {data.dataset}: the test MSE after the last epoch, as mean (range) "
        f"over {len(SEEDS)} seeds, and the training loop's median time. Compare times within this table only.",
        machine(device),
        table(["what to run", "test MSE", "s"], rows),
    ]
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "recipes.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
