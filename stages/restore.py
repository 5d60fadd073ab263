"""restore: noise taken off images again, by the autoencoder and by the filters that anybody has.

Reads  data/train/autoencoder.safetensors (trained on noise, its recipe is trained once more without), data/download/
       test_images.npy, train_images.npy (whose last ones the filters are set on), dataset.json
Writes data/restore/metrics.json, noise.csv (a row an amount and method), restored.png
"""

from stages.shared.process.run import run

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Uint8
from stages.shared.figure import new_figure, show_grid, write_png
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import Dataset, count_held_out, read_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process import params, waiting
from stages.shared.process.outputs import outputs
from stages.shared.scores.restoration import FILTERS, Score, best_setting, score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/restore")
OURS = "autoencoder"
PLAIN = "autoencoder trained without noise"
SHOWN = 8  # images


def _noises() -> Iterable[str]:
    from stages.shared.training.noise import NOISES

    return NOISES


class Params(params.Section):
    """The noise, in each of its amounts, and how many images: to be restored, and to set the filters on."""

    kind: Annotated[str, params.OneOf(_noises)]
    sample: int = Field(ge=1, le=10_000)
    tuned_on: int = Field(ge=1, le=10_000)
    amounts: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1, max_length=10)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True)
class Method:
    """What came of a method: its setting, none where it has none, and its images, [N, height, width, channels]."""

    setting: float | None
    images: Float32
    score: Score


Restored = dict[str, Method]  # by method, the noisy images themselves the first


def choose(p: Params, train_images: Uint8, test_images: Uint8) -> tuple[Float32, Float32]:
    """The test images to restore, and training images to set the filters on, in [0, 1]."""
    chosen = np.sort(np.random.default_rng(p.seed).permutation(len(test_images))[: p.sample])
    clean: Float32 = np.divide(test_images[chosen], 255, dtype=np.float32)
    return clean, np.divide(train_images[-p.tuned_on :], 255, dtype=np.float32)


def add_noise(p: Params, images: Float32, amount: float, number: int) -> Float32:
    """Images in [0, 1], [N, height, width, channels], with noise that differs from `number` to `number`."""
    import torch

    from stages.shared.training.noise import Noise

    height, width, channels = images.shape[1:]
    noise = Noise(p.kind, amount, (height, width, channels), len(images), p.seed, torch.device("cpu"))
    noise.draw(number)
    noisy: Float32 = noise.add(torch.from_numpy(images).flatten(1), noise.drawn).numpy()
    return noisy.reshape(images.shape)


def restore(p: Params, amount: float, clean: Float32, tuned_on: Float32, ours: dict[str, Autoencoder]) -> Restored:
    """Every method on the images with that much noise; a filter with the setting that does best on `tuned_on`."""
    noisy, noisy_too = add_noise(p, clean, amount, 0), add_noise(p, tuned_on, amount, 1)
    found = {"noisy": Method(None, noisy, score(clean, noisy))}
    for name in FILTERS:
        setting = best_setting(name, tuned_on, noisy_too)
        images = FILTERS[name].apply(noisy, setting)
        found[name] = Method(setting, images, score(clean, images))
    for name, autoencoder in ours.items():
        images = autoencoder.decode(autoencoder.encode(noisy))
        found[name] = Method(None, images, score(clean, images))
    return found


def best_filter(found: Restored) -> str:
    """The filter with the least error, on the images themselves: the strongest to be measured against."""
    return min(FILTERS, key=lambda name: found[name].score.mse)


def figures(of: str, p: Params, trained_on: float, restored: dict[float, Restored]) -> dict[str, Any]:
    """What `metrics.json` holds: for each amount the methods that matter, with null where a figure is not finite."""
    amounts = {}
    for amount, found in restored.items():
        best = best_filter(found)
        named = {"noisy": "noisy", "best_filter": best} | {
            name.replace(" ", "_"): name for name in (OURS, PLAIN) if name in found
        }
        amounts[f"{amount:g}"] = {"filter": best} | {
            f"{key}_{figure}": getattr(found[name].score, figure)
            for key, name in named.items()
            for figure in ("psnr_db", "ssim")
            if figure != "ssim" or found[name].score.ssim is not None
        }
    return {"dataset": of, "kind": p.kind, "trained_on_noise": trained_on, "amounts": amounts}


HEADER = ["dataset", "kind", "amount", "method", "setting", "mse", "psnr_db", "ssim"]


def rows(of: str, p: Params, restored: dict[float, Restored]) -> list[list[object]]:
    """The rows of `noise.csv`."""
    return [
        [of, p.kind, amount, name, method.setting, method.score.mse, method.score.psnr_db, method.score.ssim]
        for amount, found in restored.items()
        for name, method in found.items()
    ]


def draw(of: str, p: Params, clean: Float32, restored: dict[float, Restored]) -> "Figure":
    """For each amount: the images, noisy, through the best filter, and through the autoencoders."""
    count = min(SHOWN, len(clean))
    lines = 3 + sum(name in found for found in [next(iter(restored.values()))] for name in (OURS, PLAIN))
    _, height, width, _ = clean.shape
    panel = 0.8 * lines * height / width + 0.45  # inches
    figure = new_figure(0.8 * count + 2.6, panel * len(restored) + 0.5, "constrained")
    figure.suptitle(f"{of}: noise taken off test images, {p.kind}")
    for axes, (amount, found) in zip(figure.subplots(len(restored), squeeze=False).flat, restored.items(), strict=True):
        best = best_filter(found)
        shown = [("image", clean)] + [
            (label(name, found[name].score), found[name].images)
            for name in ("noisy", best, OURS, PLAIN)
            if name in found
        ]
        names, pictures = zip(*shown, strict=True)
        stack = np.stack([np.clip(each[:count], 0, 1) for each in pictures])  # [rows, count, height, width, channels]
        show_grid(axes, stack, names, [""] * count)
        axes.tick_params(labelsize=8)
        axes.set_title(f"amount {amount:g}", fontsize="medium", color="dimgray")
    return figure


def label(name: str, score: Score) -> str:
    """A method's name and its figure, in two lines."""
    short = {OURS: "autoencoder", PLAIN: "trained without"}.get(name, name)
    return short if score.psnr_db is None else f"{short}\n{score.psnr_db:.1f} dB"


def main() -> None:
    p = params.read("restore", Params)
    of = Dataset.read()
    autoencoder = Autoencoder.read()
    train_images, test_images = (read_images(split, autoencoder.size) for split in ("train", "test"))
    clean, tuned_on = choose(p, train_images, test_images)
    trained_on, ours = autoencoder.training.get("noise", 0), {OURS: autoencoder}
    if trained_on:
        waiting.choose(autoencoder.training.get("threads"), 1)
        from stages.shared.training.again import check_recipe, train_again

        check_recipe(autoencoder.training)
    with outputs(FOLDER) as folder:
        if trained_on:
            print(f"restore: {of.name}, the same network is trained without noise, to compare with")
            trained = len(train_images) - count_held_out(autoencoder.training.get("validation", 0), len(train_images))
            ours[PLAIN] = train_again(train_images[:trained], autoencoder.training | {"noise": 0})
        restored = {amount: restore(p, amount, clean, tuned_on, ours) for amount in p.amounts}
        write_json(folder / "metrics.json", figures(of.name, p, trained_on, restored))
        write_csv(folder / "noise.csv", HEADER, rows(of.name, p, restored))
        write_png(draw(of.name, p, clean, restored), folder / "restored.png")


if __name__ == "__main__":
    run(main)
