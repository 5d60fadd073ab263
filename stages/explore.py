"""explore: one self-contained page in which the latent space can be looked at and played with.

Reads  data/extract/latents.csv, images.npy, selection.json, data/train/autoencoder.safetensors, checkpoints/*,
       loss.csv, data/evaluate/metrics.json, and the page's sources in stages/explorer/
Writes data/explore/explorer.html, which needs no server and makes no request
"""

from stages.shared.process.run import run

import gzip
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from pydantic import Field

from stages.explorer.bundle import plotly
from stages.explorer.packing import encode, pack, png_sheet, safe_json, sheet_columns, shrink, source_hash
from stages.shared.arrays import Float32, Uint8
from stages.shared.formats import read_array, read_json
from stages.shared.latents.projection import Projection
from stages.shared.latents.table import Latents
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.history import Losses, checkpoint, read_history
from stages.shared.process import params
from stages.shared.process.errors import InputError, damaged
from stages.shared.process.outputs import outputs

EXTRACT = Path("data/extract")
METRICS = Path("data/evaluate/metrics.json")
SOURCES = Path(__file__).parent / "explorer"
FOLDER = Path("data/explore")

# In this order they make one script: what a file uses at load stands above it.
SCRIPTS = (
    "data.js",
    "decoder.js",
    "state.js",
    "classes.js",
    "plot.js",
    "point.js",
    "decode.js",
    "interpolate.js",
    "epochs.js",
    "training.js",
    "keys.js",
    "main.js",
)
LIMIT_BYTES = 8_000_000
GREYS = 64  # in the reconstructions of earlier epochs; nobody can tell from 256, and they take a quarter less space
CURVE_ROWS = 500  # of the loss curve, at most
SLIDER_MARGIN = 0.1  # how far past the latents the sliders go, as a share of their span
AXIS_MARGIN = 0.03

LABELS = {
    "test_mse": "Test error, MSE a pixel",
    "psnr_db": "PSNR, dB",
    "mean_image_mse": "Error of the mean image",
    "pca_mse": "Error of PCA",
    "pca_error_removed": "Share of PCA's error removed",
    "mean_image_psnr_db": "PSNR of the mean image, dB",
    "pca_psnr_db": "PSNR of PCA, dB",
    "pca_trustworthiness": "Trustworthiness of PCA",
    "knn_accuracy": "Class accuracy from the latents",
    "pca_knn_accuracy": "Class accuracy from PCA",
    "trustworthiness": "Trustworthiness",
    "collapsed_dimensions": "Collapsed dimensions",
}


class Params(params.Section):
    """What the page shows at most: epochs, nearest neighbours of a point, images along an interpolation."""

    epochs: int = Field(ge=1, le=100)
    neighbors: int = Field(ge=1, le=24)
    steps: int = Field(ge=3, le=25)


@dataclass(frozen=True)
class Points:
    """The images to explore, uint8 [N, height, width], and where the last epoch put them, float32 [N, latent size]."""

    images: Uint8
    latents: Float32
    source: Latents  # labels, indices, and where they come from
    selection: str


@dataclass(frozen=True)
class Run:
    """What a run of the pipeline left: the page's material, but for the epochs before the last."""

    points: Points
    autoencoder: Autoencoder
    history: list[Losses]
    figures: list[dict[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """The same images after one epoch."""

    epoch: int
    latents: Float32  # [N, latent size]
    errors: Float32  # [N], mean squared error per pixel
    sheet: bytes  # PNG of the reconstructions; empty for the last epoch, whose decoder the page has


def read_points(autoencoder: Autoencoder) -> Points:
    """Read what `extract` wrote; raises `InputError` where its files don't fit each other or the model."""
    source = Latents.read()
    count, size = source.values.shape
    if size != autoencoder.latent_size:
        raise damaged(
            EXTRACT / "latents.csv", f"{autoencoder.latent_size} latent dimensions, as the model's, got {size}"
        )
    images = read_array(EXTRACT / "images.npy", np.uint8, (None, *autoencoder.size))
    if len(images) != count:
        raise damaged(EXTRACT / "images.npy", f"{count} images, as latents.csv has rows, got {len(images)}")
    selection = read_json(EXTRACT / "selection.json", ["selection"])["selection"]
    return Points(images, source.values.astype(np.float32), source, str(selection))


def spread(total: int, most: int) -> list[int]:
    """At most `most` of the numbers 1 … total, evenly spread, the last always among them, and the first from two on."""
    if most == 1:
        return [total]
    return [round(number) for number in np.linspace(1, total, min(most, total))]


def read_checkpoint(epoch: int, points: Points) -> Autoencoder:
    """The autoencoder after `epoch`; raises `InputError` where it is not one of these images and latents."""
    autoencoder = Autoencoder.read(checkpoint(epoch))
    sizes = (*autoencoder.size, autoencoder.latent_size)
    if sizes != (*points.images.shape[1:], points.latents.shape[1]):
        raise damaged(checkpoint(epoch), "images and latents of the same size as in data/extract")
    return autoencoder


def snapshot(epoch: int, last: bool, points: Points) -> Snapshot:
    """What the autoencoder was after `epoch`: latents, errors and, but for the last, reconstructions."""
    autoencoder = read_checkpoint(epoch, points)
    latents = points.latents if last else autoencoder.encode(points.images)
    reconstructions = autoencoder.decode(latents)  # [N, height, width, channels]
    errors: Float32 = ((reconstructions - points.images / np.float32(255)) ** 2).mean(axis=(1, 2, 3))
    sheet = b"" if last else png_sheet(np.rint(np.rint(reconstructions * (GREYS - 1)) * (255 / (GREYS - 1))))
    return Snapshot(epoch, latents, errors, sheet)


def widen(low: float, high: float, share: float) -> list[float]:
    """The range with a margin on both sides; one of no width is made one of width 1."""
    margin = (high - low) * share if high > low else 0.5
    return [low - margin, high + margin]


def slider_ranges(latents: Float32) -> list[list[float]]:
    """How far the slider of each latent dimension goes, from the latents [N, latent size]."""
    return [
        widen(low, high, SLIDER_MARGIN)
        for low, high in zip(latents.min(axis=0).tolist(), latents.max(axis=0).tolist(), strict=True)
    ]


def axes(snapshots: Sequence[Snapshot], sliders: list[list[float]], projection: Projection | None) -> list[Any]:
    """The plot's axes: they hold every point after every epoch, and the sliders' ends where these are axes too."""
    latents = np.concatenate([each.latents for each in snapshots])  # [epochs * N, latent size]
    places = latents if projection is None else projection.place(latents)  # [epochs * N, up to 3]
    if projection is None:
        places = np.concatenate([places, np.array(sliders).T])
        titles = [f"z{dimension}" for dimension in range(1, places.shape[1] + 1)]
    else:
        titles = [f"PC{number} ({share:.0%})" for number, share in enumerate(projection.shares, start=1)]
    return [
        {"title": title, "range": widen(low, high, AXIS_MARGIN)}
        for title, low, high in zip(titles, places.min(axis=0).tolist(), places.max(axis=0).tolist(), strict=True)
    ]


def flatten(values: Mapping[str, Any], labels: Mapping[str, str], parent: str = "") -> list[dict[str, Any]]:
    """The leaves of a nested mapping, in its order, each with a readable label."""
    leaves: list[dict[str, Any]] = []
    for key, value in values.items():
        label = f"{parent}{labels.get(key, key.replace('_', ' ').capitalize() if not parent else key)}"
        if isinstance(value, Mapping):
            leaves += flatten(value, labels, f"{label}, ")
        else:
            leaves.append({"key": key, "label": label, "value": value})
    return leaves


def read_figures(dataset: str) -> list[dict[str, Any]]:
    """The numbers of `evaluate`, in its order; raises `InputError` where they are another data set's."""
    values = read_json(METRICS, ["dataset", "test_mse"])
    if values["dataset"] != dataset:
        raise damaged(METRICS, f"the figures of {dataset}, got those of {values['dataset']!r:.60}")
    leaves = flatten(values, LABELS)
    return [leaf for leaf in leaves if isinstance(leaf["value"], int | float) and not isinstance(leaf["value"], bool)]


def facts(p: Params, run: Run, snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """All that the page knows but weights, latents and pictures."""
    points, autoencoder = run.points, run.autoencoder
    projection = Projection.fit(points.latents)
    sliders = slider_ranges(points.latents)
    return {
        "dataset": points.source.dataset,
        "classes": points.source.classes,
        "split": points.source.split,
        "selection": points.selection,
        "indices": points.source.indices.tolist(),
        "labels": np.zeros(len(points.images), int).tolist()
        if points.source.labels is None
        else points.source.labels.tolist(),
        "height": autoencoder.height,
        "width": autoencoder.width,
        "columns": sheet_columns(len(points.images)),
        "activation": next(op.kind for op in autoencoder.decoder if op.kind != "linear"),
        "encoderSizes": [
            autoencoder.pixels,
            *(op.settings["out_features"] for op in autoencoder.encoder if op.tensors),
        ],
        "decoderShapes": [list(op.tensors[0].shape) for op in autoencoder.decoder if op.tensors],
        "epochs": [each.epoch for each in snapshots],
        "epochsTrained": len(run.history),
        "projection": projection and {"mean": projection.mean.tolist(), "components": projection.components.tolist()},
        "sliders": sliders,
        "axes": axes(snapshots, sliders, projection),
        "curve": [run.history[number - 1] for number in spread(len(run.history), CURVE_ROWS)],
        "figures": run.figures,
        "training": flatten(autoencoder.training, {}),
        "neighbors": p.neighbors,
        "steps": p.steps,
    }


def pack_fixed(run: Run) -> dict[str, str]:
    """What the page holds whatever the epochs, by the id of its element."""
    return {
        "plotly": encode(gzip.compress(plotly().encode(), mtime=0)),
        "decoder": pack([tensor for op in run.autoencoder.decoder for tensor in op.tensors]),
        "images": encode(png_sheet(run.points.images)),
    }


def page(p: Params, run: Run, snapshots: Sequence[Snapshot], fixed: Mapping[str, str]) -> str:
    """The page, whole."""
    script = "\n".join((SOURCES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (SOURCES / "page.css").read_text(encoding="utf-8")
    packed = dict(fixed)
    for position, each in enumerate(snapshots):
        packed[f"epoch-{position}"] = pack([each.latents, each.errors])
        packed[f"sheet-{position}"] = encode(each.sheet)
    blocks = [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in packed.items() if text]
    return Template((SOURCES / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(run.points.source.dataset),
        scripts_allowed=f"{source_hash(script)} {source_hash(plotly())}",
        style=style,
        script=script,
        facts=safe_json(facts(p, run, snapshots)),
        packed="\n".join(blocks),
    )


def build(p: Params, run: Run) -> tuple[str, list[int]]:
    """The page, with as many of the epochs as fit, and which these are.

    Raises `InputError` where not even the last epoch fits.
    """
    total = len(run.history)
    latents = run.points.latents
    corners = np.array(slider_ranges(latents), dtype=np.float32).T  # [2, latent size]
    run = replace(run, autoencoder=shrink(run.autoencoder, np.concatenate([latents, corners])))
    fixed = pack_fixed(run)
    if sum(map(len, fixed.values())) > LIMIT_BYTES:
        raise too_large(fixed)
    known: dict[int, Snapshot] = {}
    most = min(p.epochs, total)
    while True:
        epochs = spread(total, most)
        for epoch in epochs:
            if epoch not in known:
                known[epoch] = snapshot(epoch, epoch == total, run.points)
        snapshots = [known[epoch] for epoch in epochs]
        text = page(p, run, snapshots, fixed)
        excess = len(text.encode()) - LIMIT_BYTES
        if excess <= 0:
            return text, epochs
        if most == 1:
            raise too_large(fixed)
        one = max(len(known[epoch].sheet) for epoch in epochs) * 4 // 3 + 1
        most = max(1, most - max(1, excess // one))


def too_large(fixed: Mapping[str, str]) -> InputError:
    """The error for a page over the limit, which names the param behind most of it."""
    wide = len(fixed["decoder"]) > len(fixed["images"])
    key, part, remedy = (
        ("train.layers", "decoder", "narrower layers") if wide else ("extract.count", "images", "fewer images")
    )
    return InputError(
        f"params.yaml: {key}: expected an explorer of at most {LIMIT_BYTES:,} bytes, "
        f"got {len(fixed[part]):,} for the {part} alone; take {remedy}"
    )


def main() -> None:
    p = params.read("explore", Params)
    autoencoder = Autoencoder.read()
    points = read_points(autoencoder)
    learned = Run(points, autoencoder, read_history(), read_figures(points.source.dataset))
    for epoch in spread(len(learned.history), p.epochs):
        read_checkpoint(epoch, points)  # a damaged one is refused before the work starts
    with outputs(FOLDER) as folder:
        text, epochs = build(p, learned)
        (folder / "explorer.html").write_text(text, encoding="utf-8", newline="\n")
    if len(epochs) < len(learned.history):
        print(f"explore: of {len(learned.history)} epochs the page shows {', '.join(map(str, epochs))}")
    print(f"explore: {FOLDER / 'explorer.html'}, {len(text.encode()) / 1e6:.1f} MB, opens in a browser")


if __name__ == "__main__":
    run(main)
