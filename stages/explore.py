"""explore: write one interactive HTML page of the latent space.

Reads  data/extract/latents.csv, images.npy, selection.json, colors.json, data/train/autoencoder.safetensors,
       checkpoints/*, loss.csv, data/evaluate/scores.csv, data/download/train_images.npy, train_labels.npy (for the
       cloud), pictures.csv, dataset.json, and the page's sources in stages/explorer/
Writes data/explore/explorer.html, which works without a server and makes no requests
"""

from stages.shared.runtime.run import run

import html
import json
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.explorer.packing import MAX_PIXELS, encode, pack, planes, safe_json, sheet, sheet_columns, source_hash
from stages.explorer.script import pack_script
from stages.explorer.weights import (
    FEWEST_BITS,
    MAX_BITS,
    Rounded,
    Shared,
    bytes_of,
    numbers_in,
    round_rows,
    shrink,
)
from stages.shared.arrays import Float32, Uint8
from stages.shared.formats import read_array, read_bytes, read_csv, read_json
from stages.shared.images.dataset import DatasetInfo, read_images, read_labels
from stages.shared.images.pictures import Pictures, variances
from stages.shared.latents.projection import Projection
from stages.shared.latents.table import Latents
from stages.shared.model.autoencoder import MODEL, Autoencoder, scale
from stages.shared.model.history import History, checkpoint, read_history
from stages.shared.model.operations import Operation, apply
from stages.shared.palette import read_colors
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError, corrupt_file
from stages.shared.runtime.outputs import outputs

EXTRACT = Path("data/extract")
SCORES = Path("data/evaluate/scores.csv")
SOURCES = Path(__file__).parent / "explorer"
FOLDER = Path("data/explore")

QUALITY = 90  # of WebP for reconstructions of epochs without a decoder: 2 of 255 off for garments
PIXEL_TOLERANCE = 1 / 255  # maximum difference of the page's decoder from the model's
EARLIER = 2  # times this tolerance for the decoders of earlier epochs
LATENT_TOLERANCE = 1 / 500  # likewise of the encoder, as a share of a dimension's range
PROBES = 500  # points, and as many random latents, to check the tolerances with
CLOUD_BITS = 14  # per number of a training latent
MAX_CLOUD = 0.25  # share of the maximum size of the page
CURVE_ROWS = 500  # maximum, of the loss curve
SLIDER_MARGIN = 0.1  # beyond the latents, as a share of their range

LABELS = {
    "mse": "Error, MSE per pixel",
    "psnr_db": "PSNR, dB",
    "knn_accuracy": "Class accuracy from the latents",
    "trustworthiness": "Trustworthiness",
    "collapsed_dimensions": "Collapsed dimensions",
}


class Params(params.Section):
    """Content and maximum size of the page.

    epochs, neighbors, steps: maximum number of epochs, and numbers of neighbors and interpolated images.
    cloud: whether to show all training latents.
    megabytes: maximum size.
    """

    epochs: int = Field(ge=1, le=100)
    neighbors: int = Field(ge=1, le=24)
    steps: int = Field(ge=3, le=25)
    cloud: bool
    megabytes: int = Field(ge=1, le=200)


@dataclass(frozen=True)
class Points:
    """The images to explore, and their latents after the last epoch.

    images: uint8 [N, height, width, channels]
    latents: float32 [N, latent size]
    """

    images: Uint8
    latents: Float32
    source: Latents  # labels, indices and source
    selection: str


@dataclass(frozen=True)
class Cloud:
    """Latents of all training images, float32 [N, latent size], and their labels, [N] (None without classes)."""

    latents: Float32
    labels: NDArray[Any] | None


@dataclass(frozen=True)
class Run:
    """Results of a pipeline run that the page shows, except for earlier epochs."""

    dataset: DatasetInfo
    points: Points
    pictures: Pictures
    autoencoder: Autoencoder
    history: History
    figures: list[dict[str, Any]]
    cloud: Cloud | None
    colors: dict[str, list[str]]  # "#rrggbb" of each class, by background


@dataclass(frozen=True)
class Snapshot:
    """State after one epoch: latents and errors of the images, and the decoder or a sheet of reconstructions."""

    epoch: int
    latents: Float32  # [N, latent size]
    errors: Float32  # [N], mean squared error per pixel
    decoder: Rounded | None
    sheet: bytes

    def blocks(self, position: int) -> dict[str, str]:
        """Elements of the page for this epoch, by element id."""
        numbers = {f"epoch-{position}": pack(planes(self.latents), planes(self.errors))}
        if self.decoder is None:
            return numbers | {f"sheet-{position}": encode(self.sheet)}
        return numbers | {f"decoder-{position}": pack(self.decoder.content)}


def read_points(autoencoder: Autoencoder) -> Points:
    """Read the outputs of `extract`; raises `InputError` if they don't fit each other or the model."""
    source = Latents.read()
    count, size = source.values.shape
    if size != autoencoder.latent_size:
        raise corrupt_file(
            EXTRACT / "latents.csv", f"{autoencoder.latent_size} latent dimensions, as in the model, got {size}"
        )
    images = read_array(EXTRACT / "images.npy", np.uint8, (None, *autoencoder.size))
    if len(images) != count:
        raise corrupt_file(
            EXTRACT / "images.npy", f"{count} images, the number of rows of latents.csv, got {len(images)}"
        )
    selection = read_json(EXTRACT / "selection.json", ["selection"])["selection"]
    return Points(images, source.values.astype(np.float32), source, str(selection))


def spread(total: int, most: int) -> list[int]:
    """Choose at most `most` evenly spread numbers from 1 … total.

    The last number is always included, and the first one if `most` is 2 or more.
    """
    if most == 1:
        return [total]
    return [round(number) for number in np.linspace(1, total, min(most, total))]


def choose_epochs(history: History, most: int) -> list[int]:
    """Choose at most `most` evenly spread epochs that have a checkpoint."""
    return [history.kept[number - 1] for number in spread(len(history.kept), most)]


def read_cloud(p: Params, autoencoder: Autoencoder, classes: int) -> Cloud | None:
    """Encode all training images for the cloud of points; raises `InputError`.

    Returns None if the cloud is turned off or would take too much of the page's size limit.
    """
    images = read_images("train", autoencoder.size)  # memory-mapped
    labels = read_labels("train", len(images), classes)
    if not p.cloud:
        return None
    size = len(images) * (autoencoder.latent_size * bytes_of(CLOUD_BITS) + 2) * 4 / 3  # base64
    if size > MAX_CLOUD * 1_000_000 * p.megabytes:
        print(
            f"explore: left out the cloud of {len(images)} training latents, which would take {size / 1e6:.1f} MB; "
            "increase explore.megabytes to include it"
        )
        return None
    return Cloud(autoencoder.encode(images), labels)


def read_checkpoint(epoch: int, last: Autoencoder) -> Autoencoder:
    """Read the checkpoint of `epoch`.

    Raises `InputError` if its operations differ from those of the final model, `last`.
    """
    autoencoder = Autoencoder.read(checkpoint(epoch))
    if describe(autoencoder) != describe(last):
        raise corrupt_file(checkpoint(epoch), f"the operations of {MODEL}")
    components = last.components
    if components is not None and not np.array_equal(autoencoder.encoder[0].tensors[0], components):
        raise corrupt_file(checkpoint(epoch), f"the principal components of {MODEL}")
    return autoencoder


def describe(autoencoder: Autoencoder) -> list[Any]:
    """Collect everything about the model that is the same in all epochs."""
    return [autoencoder.size, *(item.config for item in (*autoencoder.encoder, *autoencoder.decoder))]


def probes(rows: NDArray[Any]) -> NDArray[Any]:
    """Choose some evenly spread rows, for checks."""
    return rows[:: -(-len(rows) // PROBES)]


Fits = Callable[[Sequence[Operation], float], bool]  # whether operations are within a multiple of the tolerance


def decoder_fits(autoencoder: Autoencoder, latents: Float32) -> Fits:
    """Return a function that checks whether a quantized decoder is accurate to PIXEL_TOLERANCE.

    It is tested at the given latents, [N, latent size], and at random latents around them.
    """
    low, high = np.array(slider_ranges(latents)).T
    scattered = np.random.default_rng(0).uniform(low, high, (PROBES, len(low)))
    places = np.concatenate([probes(latents), scattered]).astype(np.float32)
    exact = apply(autoencoder.decoder, places)
    return lambda short, times: bool(np.abs(apply(short, places) - exact).max() <= times * PIXEL_TOLERANCE)


def encoder_fits(run: Run) -> Fits:
    """Return a function that checks whether a quantized encoder is accurate to LATENT_TOLERANCE on `run`'s images."""
    span = np.ptp(run.points.latents, axis=0)  # [latent size]
    span[span == 0] = 1
    pixels = scale(probes(run.points.images))
    exact = apply(run.autoencoder.encoder, pixels)
    return lambda short, times: bool((np.abs(apply(short, pixels) - exact) / span).max() <= times * LATENT_TOLERANCE)


def small_shared(run: Run) -> Shared | None:
    """Quantize the shared components, using at most half of the tolerance of the encoder and of the decoder."""
    encoder, decoder = run.autoencoder.encoder, run.autoencoder.decoder
    fits_encoder, fits_decoder = encoder_fits(run), decoder_fits(run.autoencoder, run.points.latents)
    for bits in range(FEWEST_BITS, MAX_BITS):
        shared = Shared.make(run.autoencoder, bits)
        if shared is None:
            return None
        if fits_encoder(shared.encoder(encoder), 0.5) and fits_decoder(shared.decoder(decoder), 0.5):
            return shared
    return Shared.make(run.autoencoder, MAX_BITS)


def small_decoder(autoencoder: Autoencoder, latents: Float32, shared: Shared | None, times: float = 1) -> Rounded:
    """Quantize the decoder with the fewest bits that keep the error within `times` times the tolerance."""
    fits = decoder_fits(autoencoder, latents)
    decoder = shared.decoder(autoencoder.decoder) if shared else autoencoder.decoder
    return shrink(decoder, lambda short: fits(short, times), tensors_of(shared))


def small_encoder(run: Run, shared: Shared | None) -> Rounded:
    """Quantize the encoder with the fewest bits that keep the error within the tolerance."""
    fits = encoder_fits(run)
    encoder = shared.encoder(run.autoencoder.encoder) if shared else run.autoencoder.encoder
    return shrink(encoder, lambda short: fits(short, 1), tensors_of(shared))


def tensors_of(shared: Shared | None) -> list[Float32]:
    return list(shared.tensors.values()) if shared else []


def snapshot(epoch: int, run: Run, shared: Shared | None) -> Snapshot:
    """Compute the latents and errors after `epoch`, and add the decoder or a sheet of reconstructions.

    The smaller of the two is taken, but the last epoch always has the decoder.
    """
    autoencoder, last, points = read_checkpoint(epoch, run.autoencoder), epoch == len(run.history.losses), run.points
    latents = points.latents if last else autoencoder.encode(points.images)
    reconstructions = autoencoder.decode(latents)  # [N, height, width, channels]
    errors: Float32 = ((reconstructions - points.images / np.float32(255)) ** 2).mean(axis=(1, 2, 3))
    if last:
        return Snapshot(epoch, latents, errors, small_decoder(autoencoder, latents, shared), b"")
    shown = sheet(np.rint(reconstructions * 255), quality=QUALITY)
    own = shared.decoder(autoencoder.decoder) if shared else autoencoder.decoder
    if numbers_in(own, tensors_of(shared)) < len(shown):  # a weight takes a byte or more
        decoder = small_decoder(autoencoder, latents, shared, EARLIER)
        if len(pack(decoder.content)) < len(encode(shown)):
            return Snapshot(epoch, latents, errors, decoder, b"")
    return Snapshot(epoch, latents, errors, None, shown)


def widen(low: float, high: float, share: float) -> list[float]:
    """Add a margin to both sides of a range; a range of width 0 gets width 1."""
    margin = (high - low) * share if high > low else 0.5
    return [low - margin, high + margin]


def slider_ranges(latents: Float32) -> list[list[float]]:
    """Range of the slider of each latent dimension, for latents [N, latent size]."""
    return [
        widen(low, high, SLIDER_MARGIN)
        for low, high in zip(latents.min(axis=0).tolist(), latents.max(axis=0).tolist(), strict=True)
    ]


def component_titles(projection: Projection | None) -> list[str]:
    """Axis titles for the principal components; an empty list without a projection."""
    shares = [] if projection is None else projection.shares.tolist()
    return [f"PC{number} ({share:.0%})" for number, share in enumerate(shares, start=1)]


def flatten(values: Mapping[str, Any], labels: Mapping[str, str], parent: str = "") -> list[dict[str, Any]]:
    """List the leaves of a nested mapping, each with a readable label."""
    leaves: list[dict[str, Any]] = []
    for key, value in values.items():
        label = f"{parent}{labels.get(key, key.replace('_', ' ').capitalize() if not parent else key)}"
        if isinstance(value, Mapping):
            leaves += flatten(value, labels, f"{label}, ")
        else:
            leaves.append({"key": key, "label": label, "value": value})
    return leaves


def read_figures(dataset: str) -> list[dict[str, Any]]:
    """Read the scores of `evaluate`; raises `InputError` if rows are missing, or are of another data set."""
    rows = read_csv(SCORES, ["dataset", "method"])
    if rows[0]["dataset"] != dataset:
        raise corrupt_file(SCORES, f"scores of the data set {dataset}, got scores of {rows[0]['dataset']!r:.60}")
    if rows[-1]["method"] != "mean image":
        raise corrupt_file(SCORES, f"a last row for the mean image, got {rows[-1]['method']!r:.60}")
    try:
        return [
            {
                "key": f"{method}, {name}",
                "label": LABELS[name] + ("" if method == "autoencoder" else f", {method}"),
                "value": float(row[name]),
            }
            for row in rows
            for method in [row["method"]]
            for name in LABELS
            if row.get(name)
        ]
    except ValueError as error:
        raise corrupt_file(SCORES, f"numbers, got: {error}") from None


def facts(
    p: Params, run: Run, snapshots: Sequence[Snapshot], encoder: Rounded, shared: Shared | None
) -> dict[str, Any]:
    """Collect the data of the page: everything except weights, latents and pictures."""
    points, autoencoder, cloud = run.points, run.autoencoder, run.cloud
    projection = Projection.fit(points.latents)
    # The sliders also cover the latents of earlier epochs that have a decoder.
    sliders = slider_ranges(np.concatenate([item.latents for item in snapshots if item.decoder is not None]))
    return {
        "dataset": points.source.dataset,
        "classes": points.source.classes,
        "colors": run.colors,
        "split": points.source.split,
        "selection": points.selection,
        "indices": points.source.indices.tolist(),
        "labels": [] if points.source.labels is None else points.source.labels.tolist(),
        "preprocessing": preprocessing(run.dataset),
        "height": autoencoder.height,
        "width": autoencoder.width,
        "channels": autoencoder.channels,
        "columns": sheet_columns(len(points.images)),
        "shared": shared and {"shape": shared.rows.shape, "bytes": bytes_of(shared.bits)},
        "encoder": operations(encoder, shared),
        "encoderSizes": autoencoder.layer_sizes,
        "decoder": operations(next(item.decoder for item in reversed(snapshots) if item.decoder is not None), shared),
        "weightBytes": {
            "encoder": bytes_of(encoder.bits),
            "decoders": [item.decoder and bytes_of(item.decoder.bits) for item in snapshots],
        },
        "cloud": cloud and {"count": len(cloud.latents), "bytes": bytes_of(CLOUD_BITS)},
        "epochs": [item.epoch for item in snapshots],
        "epochsTrained": len(run.history.losses),
        "pca": projection and {"mean": projection.mean.tolist(), "components": projection.components.tolist()},
        "sliders": sliders,
        "componentTitles": component_titles(projection),
        "curveOf": ["train", run.history.split],
        "curve": [run.history.losses[number - 1] for number in spread(len(run.history.losses), CURVE_ROWS)],
        "figures": run.figures,
        "training": flatten(autoencoder.training, {}),
        "neighbors": p.neighbors,
        "steps": p.steps,
    }


def preprocessing(dataset: DatasetInfo) -> dict[str, Any]:
    """Describe how the page must convert uploaded pictures, in the same way as `download`."""
    limits = dataset.range and {
        "black": dataset.range.black,
        "white": dataset.range.white,
        "whiteOfType": dataset.range.white_of_type or 255,
    }
    return {"fit": dataset.fit, "background": dataset.background, "range": limits}


def operations(rounded: Rounded, shared: Shared | None) -> list[dict[str, Any]]:
    """Describe the operations of a network for the page.

    shapes: one entry per tensor: its shape, or its name if the page stores it as a shared one.
    """
    names = {id(tensor): name for name, tensor in shared.tensors.items()} if shared else {}
    return [
        item.config | {"shapes": [names.get(id(tensor), tensor.shape) for tensor in item.tensors]}
        for item in rounded.operations
    ]


def pack_fixed(run: Run, encoder: Rounded, shared: Shared | None) -> dict[str, str]:
    """Pack the elements of the page that are the same for all epochs, by element id."""
    images = run.points.images
    side = sheet_columns(len(images)) * max(images.shape[1:3])
    if side > MAX_PIXELS:
        raise InputError(
            f"params.yaml: extract.count: expected images that fit on one sheet of {MAX_PIXELS} x {MAX_PIXELS} pixels, "
            f"got {len(images)} of {images.shape[2]} x {images.shape[1]}; set a smaller number"
        )
    blocks = {
        "encoder": pack(encoder.content),
        "images": encode(sheet(images, lossless=True, quality=75, method=4)),
        "variances": pack(planes(variances(images).astype(np.float32))),
        "pictures": pack(json.dumps(asdict(run.pictures), ensure_ascii=False).encode()),
    }
    if shared is not None:
        blocks["shared"] = pack(shared.content)
    if run.cloud is not None:
        scales, whole = round_rows(run.cloud.latents.T, CLOUD_BITS)  # [latent size], [latent size, N]
        labels = b"" if run.cloud.labels is None else planes(run.cloud.labels.astype(np.uint16))
        blocks["cloud"] = pack(planes(scales), planes(whole, bytes_of(CLOUD_BITS)), labels)
    return blocks


def read_source(name: str) -> str:
    """Read one of the page's source files."""
    return read_bytes(SOURCES / name).decode("utf-8")


def page(values: Mapping[str, Any], blocks: Mapping[str, str]) -> str:
    """Assemble the HTML page from `values` (its data) and `blocks` (packed elements by id)."""
    script = pack_script(SOURCES / "main.js")
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
    """Build the page with as many epochs as fit the size limit; return the page and these epochs.

    Raises `InputError` if not even the last epoch fits.
    """
    kept, limit = run.history.kept, 1_000_000 * p.megabytes
    shared = small_shared(run)
    encoder = small_encoder(run, shared)
    fixed = pack_fixed(run, encoder, shared)
    known = {kept[-1]: snapshot(kept[-1], run, shared)}
    least = fixed | known[kept[-1]].blocks(0)
    if sum(map(len, least.values())) > limit:
        raise too_large(p, least)
    most = min(p.epochs, len(kept))
    while True:
        epochs = choose_epochs(run.history, most)
        for epoch in epochs:
            if epoch not in known:
                known[epoch] = snapshot(epoch, run, shared)
        snapshots = [known[epoch] for epoch in epochs]
        blocks = [item.blocks(position) for position, item in enumerate(snapshots)]
        text = page(facts(p, run, snapshots, encoder, shared), ChainMap(fixed, *blocks))
        excess = len(text.encode()) - limit
        if excess <= 0:
            return text, epochs
        if most == 1:
            raise too_large(p, least)
        one = max(sum(map(len, item.values())) for item in blocks)
        most = max(1, most - max(1, excess // one))


REMEDIES = {
    "shared": ("principal components", "a smaller train.components.count"),
    "encoder": ("encoder", "narrower layers in train"),
    "decoder-0": ("decoder", "narrower layers in train"),
    "images": ("images", "a smaller extract.count"),
    "epoch-0": ("latents", "a smaller extract.count"),
    "cloud": ("training latents", "explore.cloud: false"),
}


def too_large(p: Params, blocks: Mapping[str, str]) -> InputError:
    """Make an error for a page that is too large; it names the largest part."""
    largest = max(REMEDIES.keys() & blocks.keys(), key=lambda name: len(blocks[name]))
    part, remedy = REMEDIES[largest]
    return InputError(
        f"params.yaml: explore.megabytes: the page exceeds {p.megabytes} MB; its largest part, the {part}, takes "
        f"{len(blocks[largest]) / 1e6:.1f} MB; increase megabytes, or {remedy}"
    )


def main() -> None:
    p = params.read("explore", Params)
    autoencoder = Autoencoder.read()
    points = read_points(autoencoder)
    figures = read_figures(points.source.dataset)
    cloud = read_cloud(p, autoencoder, len(points.source.classes))
    colors = read_colors(len(points.source.classes))
    pictures = Pictures.read(points.source.split, points.source.indices.tolist())
    learned = Run(DatasetInfo.read(), points, pictures, autoencoder, read_history(), figures, cloud, colors)
    for epoch in choose_epochs(learned.history, p.epochs):
        read_checkpoint(epoch, autoencoder)  # raises an error for a corrupt one before the work starts
    with outputs(FOLDER) as folder:
        text, epochs = build(p, learned)
        (folder / "explorer.html").write_text(text, encoding="utf-8", newline="\n")
    if len(epochs) < len(learned.history.losses):
        print(f"explore: the page shows the epochs {', '.join(map(str, epochs))} of {len(learned.history.losses)}")
    print(f"explore: open {FOLDER / 'explorer.html'} ({len(text.encode()) / 1e6:.1f} MB) in a browser")


if __name__ == "__main__":
    run(main)
