"""Which settings are better, chosen on images held out for that: `docs/recipes.md`.

`python -m benchmarks.recipes` trains each recipe three times on the first 55,000 training images, and takes the loss on
the other 5,000. Of the recipes that cost about as much, the one with the least is chosen, and it alone meets the test
images. `--best` prints the tables of the best recipe on pixels and those on principal components.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.data import Data, command, load, recipe
from benchmarks.measure import machine, table
from stages import evaluate
from stages.shared.images.dataset import LabeledImages
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.training.build import make_trainer

ROOT = Path(__file__).parent.parent
HELD_OUT, TRAINED_ON = 5_000, 55_000
SEEDS = range(3)
CYCLE: dict[str, Any] = {"schedule": "one-cycle"}
SMOOTH = CYCLE | {"activation": "silu"}
WIDE = SMOOTH | {"layers": [1024, 512, 256], "learning_rate": 0.002, "batch_size": 128, "epochs": 20}
FINE = CYCLE | {"activation": "gelu", "layers": [768, 512, 256], "learning_rate": 0.001, "epochs": 25}
LONG: dict[str, Any] = FINE | {
    "recipe": "components",
    "components": 256,
    "layers": [512, 256, 128],
    "scale": 8,
    "equalize": 0,
    "sign_flips": 0,
    "noise": 0.15,
    "batch_size": 128,
    "learning_rate": 0.002,
    "epochs": 1,
    "steps": 40_000,
}
SHORT = LONG | {"steps": 23_000}
# What each changes of params.yaml; of those that cost about as much, one is chosen.
RECIPES: dict[str, list[dict[str, Any]]] = {
    "as much as the default": [
        {},
        CYCLE | {"learning_rate": 0.01},
        CYCLE | {"learning_rate": 0.02, "activation": "gelu"},
        SMOOTH | {"layers": [256, 128, 64], "epochs": 5, "learning_rate": 0.005},
    ],
    "five times": [
        SMOOTH | {"layers": [512, 256, 64], "learning_rate": 0.003},
        SMOOTH | {"layers": [512, 256, 64], "learning_rate": 0.003, "noise": 0.1},
    ],
    "25 times": [WIDE, WIDE | {"noise": 0.1}, FINE],
}
# Beside the best on pixels, in one run: all meet the test images.
BEST = {"best": [FINE, SHORT, LONG]}
REFINED = 20  # Gauss-Newton steps


@cache
def data() -> Data:
    return load()


def train(changes: dict[str, Any], seed: int) -> tuple[Autoencoder, float, float]:
    """The autoencoder, its loss on the images held out, and the seconds of one core."""
    torch.set_num_threads(1)
    training = recipe(changes | {"seed": seed})
    images, start = data().train_images, time.process_time()
    trainer = make_trainer(images[:-HELD_OUT], training, torch.device("cpu"))
    trainer.fit()
    taken = time.process_time() - start
    return trainer.space.autoencoder(training), trainer.space.evaluate(images[-HELD_OUT:]), taken


def judge(autoencoder: Autoencoder, refined: bool) -> list[evaluate.Scores]:
    """What `evaluate` says of it on the test images; once more with refined latents where they are asked for."""
    of = data()
    train_set = LabeledImages(of.train_images[:-HELD_OUT], of.train_labels[:-HELD_OUT])
    test = LabeledImages(of.test_images, of.test_labels)
    defaults = yaml.safe_load((ROOT / "params.yaml").read_text())["evaluate"]
    p = evaluate.Params.model_validate(defaults | {"refine": REFINED})
    latents = evaluate.SplitLatents.of(autoencoder, train_set, test)
    found = [latents, latents.refined(p, autoencoder, test.images)] if refined else [latents]
    sample = evaluate.Sample.draw(p, test.images)
    return [evaluate.compute_scores(p, autoencoder, train_set, test, sample, each, len(of.classes)) for each in found]


def products(changes: dict[str, Any]) -> int:
    """Multiplications and additions of a whole training, but for what all have in common, and without PCA."""
    training = recipe(changes)
    widths = [training.get("components", 784), *training["layers"], training["latent_size"]]
    images = training["steps"] * training["batch_size"] if "steps" in training else TRAINED_ON * training["epochs"]
    return int(sum(a * b for a, b in pairwise(widths)) * images)


def mean(values: Sequence[float], digits: int) -> str:
    """The mean, and how far the values are from the least to the greatest."""
    return f"{statistics.mean(values):.{digits}f} ± {(max(values) - min(values)) / 2:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="trainings at once, each on one thread")
    parser.add_argument("--best", action="store_true", help="the best recipes on pixels and on components alone")
    arguments = parser.parse_args()
    recipes = BEST if arguments.best else RECIPES
    torch.set_num_threads(1)
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        runs = {
            budget: [[pool.submit(train, changes, seed) for seed in SEEDS] for changes in candidates]
            for budget, candidates in recipes.items()
        }
        held_out, chosen = [], []
        for budget, candidates in recipes.items():
            results = [[run.result() for run in of] for of in runs[budget]]
            losses = [[loss for _, loss, _ in of] for of in results]
            best = int(np.argmin([statistics.mean(of) for of in losses]))
            for place, changes in enumerate(candidates):
                held_out.append(
                    [
                        command(changes),
                        f"{products(changes) / products({}):.1f}",
                        " ".join(f"{loss:.4f}" for loss in losses[place]),
                        f"{statistics.mean(losses[place]):.4f}" + (" (chosen)" if place == best else ""),
                        f"{statistics.median(taken for _, _, taken in results[place]):.0f}",
                    ]
                )
                print(*held_out[-1], sep="  ", flush=True)
            widest = budget == "25 times"
            tried = [best, 0] if candidates[0] == {} and best else [best]  # the default beside what was chosen
            for place in range(len(candidates)) if arguments.best else tried:
                judged = [pool.submit(judge, autoencoder, widest) for autoencoder, _, _ in results[place]]
                chosen.append((candidates[place], [run.result() for run in judged]))
    rows = []
    for changes, by_seed in chosen:
        for kind, scores in zip(["", ", with latent optimization"], zip(*by_seed, strict=True), strict=False):
            rows.append(
                [
                    command(changes) + kind,
                    f"{products(changes) / products({}):.1f}",
                    mean([each.mse for each in scores], 4),
                    mean([each.accuracy for each in scores], 3),
                    mean([each.trustworthiness for each in scores], 3),
                ]
            )
            print(*rows[-1], sep="  ", flush=True)
    tables = [
        table(["command", "cost", "validation MSE by seed", "mean", "CPU seconds"], held_out),
        table(["command", "cost", "test MSE", "10-NN accuracy", "trustworthiness"], rows),
    ]
    if arguments.best:
        print(machine(torch.device("cpu")), *tables, sep="\n\n")
        return
    text = [
        "# Recipes",
        INTRODUCTION.format(dataset=data().dataset),
        machine(torch.device("cpu")),
        tables[0],
        CHOSEN,
        tables[1],
        (ROOT / "benchmarks/recipes.md").read_text(encoding="utf-8"),
    ]
    (ROOT / "docs/recipes.md").write_text("\n\n".join(part.strip() for part in text) + "\n", encoding="utf-8")


INTRODUCTION = """
Choose settings for {dataset} with three latents, by cost and error. `python -m benchmarks.recipes` made this page.
Each row is trained on the first 55,000 training images with seeds 0, 1 and 2 on one thread, and validated on the other
5,000 (`train.validation: 5000`). Params that a row does not name have their values from `params.yaml`. *Cost* is the
number of multiplications and additions of a training, divided by the same number for the default. Compare times only
within this table.
"""
CHOSEN = """
There are three budgets: a cost of about 1, 5 and 25. For each budget, the candidate with the least validation loss was
chosen. Only the chosen candidates and the default were evaluated on the 10,000 test images. The table has means over
the seeds ± half of their range:
"""

if __name__ == "__main__":
    main()
