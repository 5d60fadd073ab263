"""restore: denoise test images with autoencoders and with standard filters.

Reads  data/download/train_images.npy (to train the autoencoders and to choose the filters' settings), test_images.npy,
       dataset.json, data/train/autoencoder.safetensors (for comparison)
Writes data/restore/noise.csv (one row per amount and method), restored.png
"""

from stages.shared.runtime.run import run

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float32, Uint8
from stages.shared.figure import new_figure, show_grid, write_png
from stages.shared.formats import write_csv
from stages.shared.images.dataset import DatasetInfo, read_images
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime import params
from stages.shared.runtime.cores import Cores
from stages.shared.runtime.outputs import outputs
from stages.shared.scores.restoration import FILTERS, RestorationScore, best_setting, fit_linear, score_restoration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/restore")
AUTOENCODER = "autoencoder"
EXPLORED = "the explorer's model"
MAX_SHOWN = 8  # images
BATCH_SIZE = 128  # of the networks
ENOUGH_STEPS = 2000  # a network that trains for fewer batches is compared with the linear autoencoder


def _noises() -> Iterable[str]:
    from stages.shared.training.noise import NOISES

    return NOISES


class Params(params.Section):
    """Params of the noise, of the images, and of the autoencoders (one for each amount of noise)."""

    kind: Annotated[str, params.OneOf(_noises)]
    sample: int = Field(ge=1, le=10_000)
    tuned_on: int = Field(ge=1, le=10_000)
    amounts: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1, max_length=10)
    linear_up_to: float = Field(ge=0, le=1)
    layers: list[Annotated[int, Field(ge=1, le=100_000)]] = Field(max_length=20)
    latent_size: int = Field(ge=1, le=10_000)
    epochs: int = Field(ge=1, le=1000)
    learning_rate: float = Field(gt=0, le=10)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True)
class Method:
    """Result of a method: setting (if any), restored images, [N, height, width, channels], and their score."""

    setting: float | None
    images: Float32
    score: RestorationScore


Restored = dict[str, Method]  # by method; first the noisy images


def choose_images(p: Params, train_images: Uint8, test_images: Uint8) -> tuple[Float32, Float32]:
    """Choose test images to restore, and training images on which filter settings are tuned; both in [0, 1]."""
    chosen = np.sort(np.random.default_rng(p.seed).permutation(len(test_images))[: p.sample])
    clean: Float32 = np.divide(test_images[chosen], 255, dtype=np.float32)
    return clean, np.divide(train_images[-p.tuned_on :], 255, dtype=np.float32)


def add_noise(p: Params, images: Float32, amount: float, number: int) -> Float32:
    """Add noise to images in [0, 1], [N, height, width, channels]; each value of `number` gives different noise."""
    import torch

    from stages.shared.training.noise import Noise

    height, width, channels = images.shape[1:]
    noise = Noise(p.kind, amount, (height, width, channels), len(images), p.seed, torch.device("cpu"))
    noise.draw(number)
    noisy: Float32 = noise.add(torch.from_numpy(images).flatten(1), noise.drawn).numpy()
    return noisy.reshape(images.shape)


def train(p: Params, images: Uint8, amount: float, cores: Cores | None = None) -> Autoencoder:
    """Train an autoencoder that removes this amount of noise; raises `InputError` if training diverges.

    Up to `linear_up_to` it is the best linear one, in closed form; above, a network. A network with a short training
    is used only if it is better than the linear one on held-out training images.
    """
    if amount <= p.linear_up_to or (_is_short(p, images) and not _is_network_better(p, images, amount, cores)):
        return train_linear(p, images, amount)
    return train_network(p, images, amount, cores)


def _is_short(p: Params, images: Uint8) -> bool:
    return p.epochs * math.ceil(len(images) / BATCH_SIZE) < ENOUGH_STEPS


def _is_network_better(p: Params, images: Uint8, amount: float, cores: Cores | None) -> bool:
    """Train both on all but the last images, compare them on these, and print the result."""
    count = max(1, min(p.tuned_on, len(images) // 5))
    clean: Float32 = np.divide(images[-count:], 255, dtype=np.float32)
    noisy = add_noise(p, clean, amount, 1)
    others = images[: max(1, len(images) - count)]
    both = (train_network(p, others, amount, cores), train_linear(p, others, amount))
    network, linear = (score_restoration(clean, each.decode(each.encode(noisy))) for each in both)
    is_better = network.mse < linear.mse
    print(
        f"restore: noise of {amount:g}: uses a {'network' if is_better else 'linear autoencoder'}; on {count} held-out "
        f"training images, a network has {decibels(network)} and a linear autoencoder {decibels(linear)}",
        flush=True,
    )
    return is_better


def train_linear(p: Params, images: Uint8, amount: float) -> Autoencoder:
    """Fit the best linear autoencoder for this amount of noise, in closed form."""
    # Numbers 0 and 1 are the noise of the images that are restored, and of those that filters are tuned on.
    return fit_linear(images, lambda rows, number: add_noise(p, rows, amount, number + 2), p.latent_size, p.seed)


def train_network(p: Params, images: Uint8, amount: float, cores: Cores | None = None) -> Autoencoder:
    """Train a network for this amount of noise; raises `InputError` if training diverges."""
    from stages.shared.training.build import train_autoencoder

    recipe = {
        "layers": p.layers,
        "latent_size": p.latent_size,
        "activation": "silu",
        "epochs": p.epochs,
        "batch_size": min(BATCH_SIZE, len(images)),
        "optimizer": "adam",
        "learning_rate": p.learning_rate,
        "schedule": "one-cycle",
        "noise": amount,
        "noise_kind": p.kind,
        "seed": p.seed,
        "threads": 2,
    }
    return train_autoencoder(images, recipe, cores)


def restore(p: Params, amount: float, clean: Float32, tuned_on: Float32, ours: dict[str, Autoencoder]) -> Restored:
    """Denoise images with every method. Filters use the setting that is best for the images `tuned_on`.

    clean: the images before noise is added. ours: the autoencoders to compare, by name.
    """
    noisy, noisy_too = add_noise(p, clean, amount, 0), add_noise(p, tuned_on, amount, 1)
    results = {"noisy": Method(None, noisy, score_restoration(clean, noisy))}
    for name in FILTERS:
        setting = best_setting(name, tuned_on, noisy_too)
        images = FILTERS[name].apply(noisy, setting)
        results[name] = Method(setting, images, score_restoration(clean, images))
    for name, autoencoder in ours.items():
        images = autoencoder.decode(autoencoder.encode(noisy))
        results[name] = Method(None, images, score_restoration(clean, images))
    return results


def best_filter(results: Restored) -> str:
    """Name of the filter with the smallest error on these images."""
    return min(FILTERS, key=lambda name: results[name].score.mse)


def summary(amount: float, results: Restored) -> str:
    """Describe the main results for one amount of noise in one line."""
    best = best_filter(results)
    parts = [f"{name} {decibels(results[name].score)}" for name in ("noisy", best, AUTOENCODER, EXPLORED)]
    return f"restore: noise of {amount:g}: {', '.join(parts)}"


def decibels(score: RestorationScore) -> str:
    return "without error" if score.psnr_db is None else f"{score.psnr_db:.1f} dB"


HEADER = ["dataset", "kind", "amount", "method", "setting", "mse", "psnr_db", "ssim"]


def rows(of: str, p: Params, restored: dict[float, Restored]) -> list[list[object]]:
    """Make the rows of `noise.csv`."""
    return [
        [of, p.kind, amount, name, method.setting, method.score.mse, method.score.psnr_db, method.score.ssim]
        for amount, results in restored.items()
        for name, method in results.items()
    ]


def draw_restored(of: str, p: Params, clean: Float32, restored: dict[float, Restored]) -> "Figure":
    """Draw clean and noisy images for each amount, and the results of the best filter and of both autoencoders."""
    count = min(MAX_SHOWN, len(clean))
    _, height, width, _ = clean.shape
    panel = 5 * max(0.8 * height / width, 0.42) + 0.5  # inches, for five rows with names of two lines
    figure = new_figure(0.8 * count + 2.9, panel * len(restored) + 0.5, "constrained")
    figure.suptitle(f"{of}: noise taken off test images ({p.kind})")
    for axes, (amount, results) in zip(
        figure.subplots(len(restored), squeeze=False).flat, restored.items(), strict=True
    ):
        methods = {
            "noisy": "noisy",
            best_filter(results): best_filter(results),
            AUTOENCODER: AUTOENCODER,
            EXPLORED: EXPLORED,
        }
        names = ["clean", *(f"{name}\n{decibels(results[method].score)}" for method, name in methods.items())]
        pictures = [clean, *(results[method].images for method in methods)]
        stack = np.stack([np.clip(item[:count], 0, 1) for item in pictures])  # [5, count, height, width, channels]
        show_grid(axes, stack, names, [""] * count)
        axes.tick_params(labelsize=9)
        axes.set_title(f"amount of noise {amount:g}", fontsize="medium", color="dimgray")
    return figure


def main() -> None:
    cores = Cores("restore")
    p = params.read("restore", Params)
    dataset = DatasetInfo.read()
    explored = Autoencoder.read()
    train_images, test_images = (read_images(split, explored.size) for split in ("train", "test"))
    clean, tuned_on = choose_images(p, train_images, test_images)
    restored = {}
    with outputs(FOLDER) as folder:
        for amount in p.amounts:
            ours = {AUTOENCODER: train(p, train_images, amount, cores), EXPLORED: explored}
            restored[amount] = restore(p, amount, clean, tuned_on, ours)
            print(summary(amount, restored[amount]), flush=True)
        write_csv(folder / "noise.csv", HEADER, rows(dataset.name, p, restored))
        write_png(draw_restored(dataset.name, p, clean, restored), folder / "restored.png")


if __name__ == "__main__":
    run(main)
