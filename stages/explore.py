"""explore: one self-contained page in which the latent space can be looked at and played with.

Reads  data/extract/latents.csv, images.npy, selection.json, data/train/autoencoder.safetensors, checkpoints/*,
       loss.csv, data/evaluate/metrics.json, data/download/train_images.npy, train_labels.npy (for the cloud), and the
       page's sources in stages/explorer/
Writes data/explore/explorer.html, which needs no server and makes no request
"""

from stages.shared.process.run import run

import html
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.explorer.packing import MOST_PIXELS, encode, pack, planes, safe_json, sheet, sheet_columns, source_hash
from stages.explorer.weights import Rounded, bytes_of, numbers_in, round_rows, shrink
from stages.shared.arrays import Float32, Uint8
from stages.shared.formats import read_array, read_bytes, read_json
from stages.shared.images.dataset import read_images, read_labels
from stages.shared.latents.projection import Projection
from stages.shared.latents.table import Latents
from stages.shared.model.autoencoder import MODEL, Autoencoder, scale
from stages.shared.model.history import History, checkpoint, read_history
from stages.shared.model.operations import apply
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
    "camera.js",
    "axes.js",
    "markers.js",
    "plot.js",
    "marks.js",
    "gestures.js",
    "point.js",
    "decode.js",
    "pad.js",
    "epochs.js",
    "interpolate.js",
    "errors.js",
    "select.js",
    "map.js",
    "own.js",
    "search.js",
    "cloud.js",
    "curve.js",
    "training.js",
    "keys.js",
    "main.js",
)
QUALITY = (
    90  # of WebP, for the reconstructions of earlier epochs where no decoder makes them: 2 of 255 off, as garments
)
PIXEL_TOLERANCE = 1 / 255  # at most, between the page's decoder and the model's
LATENT_TOLERANCE = 1 / 500  # at most, between the page's encoder and the model's, as a share of a dimension's span
PROBES = 500  # of the points, and as many places between the sliders' ends: what tolerances are measured on
CLOUD_BITS = 14  # of a training latent's number
CURVE_ROWS = 500  # of the loss curve, at most
SLIDER_MARGIN = 0.1  # how far past the latents the sliders go, as a share of their span

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
    "knn_recall": "Share of the true neighbors found",
    "trustworthiness": "Trustworthiness",
    "collapsed_dimensions": "Collapsed dimensions",
    "refined_mse": "Error from the best latents found",
    "refined_psnr_db": "PSNR from those, dB",
    "refined_knn_accuracy": "Class accuracy from those",
    "refined_trustworthiness": "Trustworthiness of those",
    "encoder_share_of_error": "Share of the error that is the encoder's",
}


class Params(params.Section):
    """What the page shows at most: epochs, nearest neighbors of a point, images along an interpolation.

    And whether it shows all training latents, as a cloud; and how large it may be, in millions of bytes.
    """

    epochs: int = Field(ge=1, le=100)
    neighbors: int = Field(ge=1, le=24)
    steps: int = Field(ge=3, le=25)
    cloud: bool
    megabytes: int = Field(ge=1, le=200)


@dataclass(frozen=True)
class Points:
    """The images to explore, and where the last epoch put them.

    images: uint8 [N, height, width, channels]
    latents: float32 [N, latent size]
    """

    images: Uint8
    latents: Float32
    source: Latents  # labels, indices, and where they come from
    selection: str


@dataclass(frozen=True)
class Cloud:
    """All training images' latents, float32 [N, latent size], and their labels, [N]; None where there are none."""

    latents: Float32
    labels: NDArray[Any] | None


@dataclass(frozen=True)
class Run:
    """What a run of the pipeline left: the page's material, but for the epochs before the last."""

    points: Points
    autoencoder: Autoencoder
    history: History
    figures: list[dict[str, Any]]
    cloud: Cloud | None


@dataclass(frozen=True)
class Snapshot:
    """The same images after one epoch, and what shows their reconstructions: the decoder, or else a sheet of them."""

    epoch: int
    latents: Float32  # [N, latent size]
    errors: Float32  # [N], mean squared error per pixel
    decoder: Rounded | None
    sheet: bytes

    def blocks(self, position: int) -> dict[str, str]:
        """The page's elements for it, by their ids."""
        numbers = {f"epoch-{position}": pack(planes(self.latents), planes(self.errors))}
        if self.decoder is None:
            return numbers | {f"sheet-{position}": encode(self.sheet)}
        return numbers | {f"decoder-{position}": pack(self.decoder.content)}


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


def read_cloud(autoencoder: Autoencoder, classes: int, wanted: bool) -> Cloud | None:
    """The training images' latents where they are wanted; raises `InputError` where the images don't fit the model."""
    images = read_images("train", autoencoder.size)  # mapped, which takes no time
    labels = read_labels("train", len(images), classes)
    return Cloud(autoencoder.encode(images), labels) if wanted else None


def read_checkpoint(epoch: int, last: Autoencoder) -> Autoencoder:
    """The autoencoder after `epoch`; raises `InputError` where it has other operations than the `last`."""
    autoencoder = Autoencoder.read(checkpoint(epoch))
    if describe(autoencoder) != describe(last):
        raise damaged(checkpoint(epoch), f"the operations of {MODEL}")
    return autoencoder


def describe(autoencoder: Autoencoder) -> list[Any]:
    """What all epochs of a run have in common."""
    return [autoencoder.size, *(each.description for each in (*autoencoder.encoder, *autoencoder.decoder))]


def probes(rows: NDArray[Any]) -> NDArray[Any]:
    """Some of the rows, evenly spread."""
    return rows[:: -(-len(rows) // PROBES)]


def small_decoder(autoencoder: Autoencoder, latents: Float32) -> Rounded:
    """The decoder in as few bits as hold PIXEL_TOLERANCE, at the latents [N, latent size] and all around them."""
    low, high = np.array(slider_ranges(latents)).T
    scattered = np.random.default_rng(0).uniform(low, high, (PROBES, len(low)))
    places = np.concatenate([probes(latents), scattered]).astype(np.float32)
    exact = apply(autoencoder.decoder, places)
    return shrink(
        autoencoder.decoder, lambda short: bool(np.abs(apply(short, places) - exact).max() <= PIXEL_TOLERANCE)
    )


def small_encoder(run: Run) -> Rounded:
    """The encoder in as few bits as hold LATENT_TOLERANCE at the images to explore."""
    span = np.ptp(run.points.latents, axis=0)  # [latent size]
    span[span == 0] = 1
    pixels = scale(probes(run.points.images))
    exact = apply(run.autoencoder.encoder, pixels)
    return shrink(
        run.autoencoder.encoder,
        lambda short: bool((np.abs(apply(short, pixels) - exact) / span).max() <= LATENT_TOLERANCE),
    )


def snapshot(epoch: int, run: Run) -> Snapshot:
    """What the autoencoder was after `epoch`: latents, errors, and its decoder or a sheet, whichever is smaller.

    For the last epoch it is the decoder.
    """
    autoencoder, last, points = read_checkpoint(epoch, run.autoencoder), epoch == len(run.history.losses), run.points
    latents = points.latents if last else autoencoder.encode(points.images)
    reconstructions = autoencoder.decode(latents)  # [N, height, width, channels]
    errors: Float32 = ((reconstructions - points.images / np.float32(255)) ** 2).mean(axis=(1, 2, 3))
    if last:
        return Snapshot(epoch, latents, errors, small_decoder(autoencoder, latents), b"")
    shown = sheet(np.rint(reconstructions * 255), quality=QUALITY)
    if numbers_in(autoencoder.decoder) < len(shown):  # a weight takes a byte or more
        decoder = small_decoder(autoencoder, latents)
        if len(pack(decoder.content)) < len(encode(shown)):
            return Snapshot(epoch, latents, errors, decoder, b"")
    return Snapshot(epoch, latents, errors, None, shown)


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


def component_titles(projection: Projection | None) -> list[str]:
    """What the principal components are called on the plot's axes; none where there is no projection."""
    shares = [] if projection is None else projection.shares.tolist()
    return [f"PC{number} ({share:.0%})" for number, share in enumerate(shares, start=1)]


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


def facts(p: Params, run: Run, snapshots: Sequence[Snapshot], encoder: Rounded) -> dict[str, Any]:
    """All that the page knows but weights, latents and pictures."""
    points, autoencoder, cloud = run.points, run.autoencoder, run.cloud
    projection = Projection.fit(points.latents)
    # Where an earlier epoch's decoder is there, the sliders go through its latents too.
    sliders = slider_ranges(np.concatenate([each.latents for each in snapshots if each.decoder is not None]))
    return {
        "dataset": points.source.dataset,
        "classes": points.source.classes,
        "split": points.source.split,
        "selection": points.selection,
        "indices": points.source.indices.tolist(),
        "labels": [] if points.source.labels is None else points.source.labels.tolist(),
        "height": autoencoder.height,
        "width": autoencoder.width,
        "channels": autoencoder.channels,
        "columns": sheet_columns(len(points.images)),
        "encoder": operations(encoder),
        "encoderSizes": widths(autoencoder),
        "decoder": operations(next(each.decoder for each in reversed(snapshots) if each.decoder is not None)),
        "weightBytes": {
            "encoder": bytes_of(encoder.bits),
            "decoders": [each.decoder and bytes_of(each.decoder.bits) for each in snapshots],
        },
        "cloud": cloud and {"count": len(cloud.latents), "bytes": bytes_of(CLOUD_BITS)},
        "epochs": [each.epoch for each in snapshots],
        "epochsTrained": len(run.history.losses),
        "projection": projection and {"mean": projection.mean.tolist(), "components": projection.components.tolist()},
        "sliders": sliders,
        "componentTitles": component_titles(projection),
        "curveOf": ["train", run.history.split],
        "curve": [run.history.losses[number - 1] for number in spread(len(run.history.losses), CURVE_ROWS)],
        "figures": run.figures,
        "training": flatten(autoencoder.training, {}),
        "neighbors": p.neighbors,
        "steps": p.steps,
    }


def operations(rounded: Rounded) -> list[dict[str, Any]]:
    """What the page's interpreter needs of each operation beside the numbers in its tensors."""
    return [each.description | {"shapes": [tensor.shape for tensor in each.tensors]} for each in rounded.operations]


def widths(autoencoder: Autoencoder) -> list[int]:
    """How many numbers go into the encoder, and come out of each of its layers."""
    layers = [each.settings["out_features"] for each in autoencoder.encoder if "out_features" in each.settings]
    return [autoencoder.pixels, *layers]


def pack_fixed(run: Run, encoder: Rounded) -> dict[str, str]:
    """What the page holds whatever the epochs, by the id of its element."""
    images = run.points.images
    side = sheet_columns(len(images)) * max(images.shape[1:3])
    if side > MOST_PIXELS:
        raise InputError(
            f"params.yaml: extract.count: expected images that fit a sheet of {MOST_PIXELS} pixels a side, "
            f"got {len(images)} of {images.shape[2]} x {images.shape[1]}; take fewer"
        )
    blocks = {
        "encoder": pack(encoder.content),
        "images": encode(sheet(images, lossless=True, quality=20, method=2)),
    }
    if run.cloud is not None:
        scales, whole = round_rows(run.cloud.latents.T, CLOUD_BITS)  # [latent size], [latent size, N]
        labels = b"" if run.cloud.labels is None else planes(run.cloud.labels.astype(np.uint16))
        blocks["cloud"] = pack(planes(scales), planes(whole, bytes_of(CLOUD_BITS)), labels)
    return blocks


def read_source(name: str) -> str:
    """One of the page's sources."""
    return read_bytes(SOURCES / name).decode("utf-8")


def page(values: Mapping[str, Any], blocks: Mapping[str, str]) -> str:
    """The page, whole, from its facts and its packed elements by their ids."""
    script = "\n".join(map(read_source, SCRIPTS))
    style = read_source("page.css")
    elements = [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blocks.items()]
    return Template(read_source("page.html")).substitute(
        title=html.escape(values["dataset"]),
        scripts_allowed=source_hash(script),
        style=style,
        script=script,
        facts=safe_json(values),
        packed="\n".join(elements),
    )


def build(p: Params, run: Run) -> tuple[str, list[int]]:
    """The page, with as many of the epochs as fit, and which these are.

    Raises `InputError` where not even the last epoch fits.
    """
    total, limit = len(run.history.losses), 1_000_000 * p.megabytes
    encoder = small_encoder(run)
    fixed = pack_fixed(run, encoder)
    known = {total: snapshot(total, run)}
    least = fixed | known[total].blocks(0)
    if sum(map(len, least.values())) > limit:
        raise too_large(p, least)
    most = min(p.epochs, total)
    while True:
        epochs = spread(total, most)
        for epoch in epochs:
            if epoch not in known:
                known[epoch] = snapshot(epoch, run)
        snapshots = [known[epoch] for epoch in epochs]
        blocks = [each.blocks(position) for position, each in enumerate(snapshots)]
        text = page(facts(p, run, snapshots, encoder), ChainMap(fixed, *blocks))
        excess = len(text.encode()) - limit
        if excess <= 0:
            return text, epochs
        if most == 1:
            raise too_large(p, least)
        one = max(sum(map(len, each.values())) for each in blocks)
        most = max(1, most - max(1, excess // one))


REMEDIES = {
    "encoder": ("encoder", "narrower train.layers"),
    "decoder-0": ("decoder", "narrower train.layers"),
    "images": ("images", "a smaller extract.count"),
    "epoch-0": ("latents", "a smaller extract.count"),
    "cloud": ("training latents", "explore.cloud: false"),
}


def too_large(p: Params, blocks: Mapping[str, str]) -> InputError:
    """The error for a page over the limit, which names what most of it is."""
    largest = max(REMEDIES.keys() & blocks.keys(), key=lambda name: len(blocks[name]))
    part, remedy = REMEDIES[largest]
    return InputError(
        f"params.yaml: explore.megabytes: expected an explorer of at most {p.megabytes} MB, got more, "
        f"{len(blocks[largest]) / 1e6:.1f} for the {part}; take more megabytes, or {remedy}"
    )


def main() -> None:
    p = params.read("explore", Params)
    autoencoder = Autoencoder.read()
    points = read_points(autoencoder)
    figures = read_figures(points.source.dataset)
    cloud = read_cloud(autoencoder, len(points.source.classes), p.cloud)
    learned = Run(points, autoencoder, read_history(), figures, cloud)
    for epoch in spread(len(learned.history.losses), p.epochs):
        read_checkpoint(epoch, autoencoder)  # a damaged one is refused before the work starts
    with outputs(FOLDER) as folder:
        text, epochs = build(p, learned)
        (folder / "explorer.html").write_text(text, encoding="utf-8", newline="\n")
    if len(epochs) < len(learned.history.losses):
        print(f"explore: of {len(learned.history.losses)} epochs the page shows {', '.join(map(str, epochs))}")
    print(f"explore: {FOLDER / 'explorer.html'}, {len(text.encode()) / 1e6:.1f} MB, opens in a browser")


if __name__ == "__main__":
    run(main)
