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

from benchmarks.data import load, recipe
from benchmarks.measure import machine, table
from benchmarks.recipes import WIDE
from stages import detect, restore, search
from stages.shared.images.dataset import DatasetInfo, LabeledImages
from stages.shared.training.build import train_autoencoder

ROOT = Path(__file__).parent.parent
DETECT = [("one", 16), ("one", 3), ("rest", 16)]  # what is normal, and the latent size
SEARCH: dict[str, dict[str, Any]] = {"as `params.yaml` has it": {}, "wide": WIDE}
FIGURES = "psnr_db", "ssim"
Figures = dict[str, Any]
Splits = tuple[LabeledImages, LabeledImages]


def spread(values: Iterable[float]) -> str:
    """The mean and the standard deviation over the seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    deviation = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.3f}{deviation}"


def by_method(runs: list[Figures], names: Iterable[Any]) -> list[list[object]]:
    """A row a method with each figure's spread over the runs."""
    return [
        [method.replace("_", " "), *(spread(run[method][name] for run in runs) for name in names)] for method in runs[0]
    ]


def detection(of: DatasetInfo, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each way to be normal and size."""
    for normal, size in DETECT:
        runs = []
        for seed in seeds:
            p = detect.Params.model_validate(params["detect"] | {"normal": normal, "latent_size": size, "seed": seed})
            with redirect_stdout(sys.stderr):
                found = detect.find(p, of, *splits)
            runs.append(detect.means(found))
        rows = by_method(runs, ["auroc", "precision", "recall"])
        text = table(["", "AUROC", "precision", "recall"], rows)
        print(f"`normal: {normal}`, {size} latents:\n\n{text}", end="\n\n", flush=True)


def retrieval(of: DatasetInfo, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each recipe."""
    train, test = splits
    for name, changes in SEARCH.items():
        runs = []
        for seed in seeds:
            p = search.Params.model_validate(params["search"] | {"seed": seed})
            autoencoder = train_autoencoder(train.images, recipe(changes | {"seed": seed}))
            queries = search.draw_queries(p, test)
            found = search.make_indexes(autoencoder, train.images, queries.images, seed)
            scores = search.score_rankings(found, train.labels, queries.labels)
            runs.append({method: {"mAP": each.average_precision, **each.precision} for method, each in scores.items()})
        names = ["mAP", *search.CUTOFFS]
        rows = [[*row, index.bytes] for index, row in zip(found.values(), by_method(runs, names), strict=True)]
        header = ["", "mAP", *(f"P@{cutoff}" for cutoff in search.CUTOFFS), "bytes"]
        print(f"The recipe {name}:\n\n{table(header, rows)}", end="\n\n", flush=True)


def restoration(of: DatasetInfo, splits: Splits, params: Mapping[str, Any], seeds: range) -> None:
    """A table for each amount of noise: PSNR and SSIM of every method."""
    train, test = splits
    runs: dict[float, list[restore.Restored]] = {}
    for seed in seeds:
        p = restore.Params.model_validate(params["restore"] | {"seed": seed})
        explored = train_autoencoder(train.images, recipe({"seed": seed}))
        clean, tuned_on = restore.choose_images(p, train.images, test.images)
        for amount in p.amounts:
            ours = {restore.AUTOENCODER: restore.train(p, train.images, amount), restore.EXPLORED: explored}
            runs.setdefault(amount, []).append(restore.restore(p, amount, clean, tuned_on, ours))
    for amount, of_seeds in runs.items():
        rows = [
            [method, *(spread(getattr(run[method].score, figure) for run in of_seeds) for figure in FIGURES)]
            for method in of_seeds[0]
        ]
        print(f"Noise of {amount:g}:\n\n{table(['', 'PSNR, dB', 'SSIM'], rows)}\n", flush=True)


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
        LabeledImages(data.train_images[train], data.train_labels[train]),
        LabeledImages(data.test_images[test], data.test_labels[test]),
    )
    of = DatasetInfo(data.dataset, data.classes)
    print(f"{of.name}, {len(splits[0].images)} training and {len(splits[1].images)} test images")
    print(f"\n{machine(torch.device('cpu'))}", end="\n\n", flush=True)
    for name, work in (("restore", restoration), ("detect", detection), ("search", retrieval)):
        if arguments.only in (None, name):
            work(of, splits, params, range(arguments.seeds))


if __name__ == "__main__":
    main()
