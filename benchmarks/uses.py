"""The tables of docs/uses.md: `python -m benchmarks.uses`, over an hour; `--share 0.01` for a trial of it."""

import argparse
import statistics
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.data import load
from benchmarks.measure import machine, table
from benchmarks.recipes import SMOOTH, WIDE
from stages import detect, restore, search
from stages.shared.images.dataset import Dataset, Labelled
from stages.shared.training.again import train_again

ROOT = Path(__file__).parent.parent
DETECT = [("one", 3), ("one", 16), ("rest", 3)]  # what is normal, and the latent size
SEARCH: dict[str, dict[str, Any]] = {"as `params.yaml` has it": {}, "wide": WIDE}
DENOISER = SMOOTH | {"layers": [512, 256], "latent_size": 64, "learning_rate": 0.003, "batch_size": 128}
RESTORE: dict[str, dict[str, Any]] = {
    "as `params.yaml` has it, `train.noise: 0.2`": {"noise": 0.2},
    "512-256 with 64 latents, `train.noise: 0.5`": DENOISER | {"noise": 0.5},
}
FIGURES = "psnr_db", "ssim"
Figures = dict[str, Any]
Splits = tuple[Labelled, Labelled]


def spread(values: Iterable[float]) -> str:
    """The mean and the standard deviation over the seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    deviation = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.3f}{deviation}"


def by_method(runs: list[Figures], methods: Iterable[str], names: Iterable[str]) -> list[list[object]]:
    """A row a method with each figure's spread over the runs; ours have no prefix."""
    return [
        [method.replace("_", " "), *(spread(run[f"{prefix}{name}"] for run in runs) for name in names)]
        for method in methods
        for prefix in ["" if method == detect.OURS else f"{method}_"]
    ]


def detection(of: Dataset, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each way to be normal and size."""
    for normal, size in DETECT:
        runs, methods = [], []
        for seed in seeds:
            p = detect.Params.model_validate(params["detect"] | {"normal": normal, "seed": seed})
            with redirect_stdout(sys.stderr):
                found = detect.find(p, of, *splits, params["train"] | {"latent_size": size})
            runs.append(detect.metrics(of.name, normal, found))
            methods = list(found[0].figures)
        names = ["auroc", "precision", "recall"]
        rows = by_method(runs, methods, names)
        text = table(["", "AUROC", "precision", "recall"], rows)
        print(f"`normal: {normal}`, {size} latents:\n\n{text}", end="\n\n", flush=True)


def retrieval(of: Dataset, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each recipe."""
    train, test = splits
    for name, changes in SEARCH.items():
        runs = []
        for seed in seeds:
            p = search.Params.model_validate(params["search"] | {"seed": seed})
            autoencoder = train_again(train.images, params["train"] | changes | {"seed": seed})
            queries = search.draw(p, test)
            found = search.indexes(autoencoder, train.images, queries.images, seed)
            runs.append(search.figures(of.name, found, search.score(found, train.labels, queries.labels)))
        names = [key for key in runs[0] if key.startswith(("mean_average", "precision_at"))]
        rows = [
            [*row, runs[0][f"{'' if method == search.OURS else f'{method}_'}bytes"]]
            for method, row in zip(found, by_method(runs, found, names), strict=True)
        ]
        header = ["", "mAP", *(f"P@{key.rpartition('_')[2]}" for key in names[1:]), "bytes"]
        print(f"The recipe {name}:\n\n{table(header, rows)}", end="\n\n", flush=True)


def restoration(of: Dataset, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each recipe and amount: PSNR and SSIM of every method."""
    train, test = splits
    for name, changes in RESTORE.items():
        runs: dict[float, list[restore.Restored]] = {}
        for seed in seeds:
            p = restore.Params.model_validate(params["restore"] | {"amounts": [0.2, 0.5], "seed": seed})
            recipe = params["train"] | changes | {"seed": seed}
            ours = {restore.OURS: train_again(train.images, recipe)}
            ours[restore.PLAIN] = train_again(train.images, recipe | {"noise": 0})
            clean, tuned_on = restore.choose(p, train.images, test.images)
            for amount in p.amounts:
                runs.setdefault(amount, []).append(restore.restore(p, amount, clean, tuned_on, ours))
        for amount, of_seeds in runs.items():
            rows = [
                [method, *(spread(getattr(run[method].score, figure) for run in of_seeds) for figure in FIGURES)]
                for method in of_seeds[0]
            ]
            print(f"The recipe {name}, noise of {amount:g}:\n\n{table(['', 'PSNR, dB', 'SSIM'], rows)}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uses", description=__doc__)
    parser.add_argument("--only", choices=["detect", "search", "restore"])
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on (3)")
    parser.add_argument("--share", type=float, default=1, help="of the images, for a trial (1)")
    arguments = parser.parse_args()
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["train"]["threads"] = 1  # the same last digits, whatever else the machine does
    torch.set_num_threads(1)
    data = load()
    train, test = (slice(int(arguments.share * len(of))) for of in (data.train_images, data.test_images))
    splits = (
        Labelled(data.train_images[train], data.train_labels[train]),
        Labelled(data.test_images[test], data.test_labels[test]),
    )
    of = Dataset(data.dataset, data.classes)
    print(f"{of.name}, {len(splits[0].images)} training and {len(splits[1].images)} test images")
    print(f"\n{machine(torch.device('cpu'))}", end="\n\n", flush=True)
    for name, work in (("restore", restoration), ("detect", detection), ("search", retrieval)):
        if arguments.only in (None, name):
            work(of, splits, params, range(arguments.seeds))


if __name__ == "__main__":
    main()
