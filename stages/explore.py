"""explore: one self-contained page in which the latent space can be looked at and played with.

Reads  data/extract/latents.csv, images.npy, selection.json, data/train/autoencoder.safetensors, checkpoints/*,
       loss.csv, data/evaluate/metrics.json, and the page's sources in stages/explorer/
Writes data/explore/explorer.html, which needs no server and makes no request
"""

from stages.shared.command import run

import base64
import gzip
import hashlib
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from stages.shared import params
from stages.shared.autoencoder import Autoencoder, Float32
from stages.shared.dataset import read_images
from stages.shared.errors import InputError
from stages.shared.files import Uint8, damaged, outputs, read_csv, read_json
from stages.shared.latents import Latents

EXTRACT = Path("data/extract")
TRAIN = Path("data/train")
METRICS = Path("data/evaluate/metrics.json")
SOURCES = Path("stages/explorer")
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
TOLERANCE = 2e-5  # of a pixel in [0, 1], between the page's decoder and the model's
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
    curve: list[list[float]]  # rows of epoch, train loss, test loss
    figures: list[dict[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """The same images after one epoch."""

    epoch: int
    latents: Float32  # [N, latent size]
    errors: Float32  # [N], mean squared error per pixel
    sheet: bytes  # PNG of the reconstructions; empty for the last epoch, whose decoder the page has


@dataclass(frozen=True)
class Projection:
    """How latents become the plot's up to three coordinates: `(latents - mean) @ components.T`."""

    mean: list[float]
    components: list[list[float]]
    variance: list[float]  # the share that each component explains


def read_points(autoencoder: Autoencoder) -> Points:
    """Read what `extract` wrote; raises `InputError` where its files don't fit each other or the model."""
    source = Latents.read(EXTRACT)
    count, size = source.values.shape
    if size != autoencoder.latent_size:
        raise damaged(
            EXTRACT / "latents.csv", f"{autoencoder.latent_size} latent dimensions, as the model's, got {size}"
        )
    images = read_images(EXTRACT / "images.npy", autoencoder.height, autoencoder.width)
    if len(images) != count:
        raise damaged(EXTRACT / "images.npy", f"{count} images, as latents.csv has rows, got {len(images)}")
    selection = read_json(EXTRACT / "selection.json", ["selection"])["selection"]
    return Points(images, source.values.astype(np.float32), source, str(selection))


def read_curve() -> list[list[float]]:
    """Read `loss.csv`: rows of epoch (1, 2, …), train and test loss; raises `InputError`."""
    path = TRAIN / "loss.csv"
    names = ["epoch", "train_loss", "test_loss"]
    try:
        curve = [[float(row[name]) for name in names] for row in read_csv(path, names)]
    except ValueError as error:
        raise damaged(path, f"numbers, got: {error}") from None
    if [row[0] for row in curve] != list(range(1, len(curve) + 1)) or not np.isfinite(curve).all():
        raise damaged(path, "the epochs 1, 2, … with finite losses")
    return curve


def spread(total: int, most: int) -> list[int]:
    """At most `most` of the numbers 1 … total, evenly spread, the last always among them, and the first from two on."""
    if most == 1:
        return [total]
    return [round(number) for number in np.linspace(1, total, min(most, total))]


def snapshot(epoch: int, last: bool, points: Points) -> Snapshot:
    """What the autoencoder was after `epoch`: latents, errors and, but for the last, reconstructions."""
    path = TRAIN / "checkpoints" / f"{epoch}.safetensors"
    autoencoder = Autoencoder.read(path)
    if (autoencoder.height, autoencoder.width, autoencoder.latent_size) != (
        *points.images.shape[1:],
        points.latents.shape[1],
    ):
        raise damaged(path, "images and latents of the same size as in data/extract")
    latents = points.latents if last else autoencoder.encode(points.images)
    reconstructions = autoencoder.decode(latents)  # [N, height, width]
    errors: Float32 = ((reconstructions - points.images / np.float32(255)) ** 2).mean(axis=(1, 2))
    sheet = b"" if last else png_sheet(np.rint(np.rint(reconstructions * (GREYS - 1)) * (255 / (GREYS - 1))))
    return Snapshot(epoch, latents, errors, sheet)


def sheet_columns(count: int) -> int:
    """How many images stand in a row of a sheet of `count`."""
    return math.isqrt(count - 1) + 1


def png_sheet(images: NDArray[Any]) -> bytes:
    """Images [N, height, width], 0 to 255, in one grey PNG, row by row."""
    count, height, width = images.shape
    columns = sheet_columns(count)
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width), dtype=np.uint8)
    grid[:count] = images
    pixels = grid.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return file.getvalue()


def project(latents: Float32) -> Projection | None:
    """The first three principal components of latents [N, latent size]; None where the plot can show all of them."""
    size = latents.shape[1]
    if size <= 3:
        return None
    from sklearn.decomposition import PCA

    found = min(3, len(latents))
    components, variance = np.zeros((3, size)), np.zeros(3)
    if found > 1 and np.ptp(latents, axis=0).any():
        pca = PCA(n_components=found, svd_solver="full").fit(latents.astype(np.float64))
        components[:found], variance[:found] = pca.components_, pca.explained_variance_ratio_
    mean = latents.mean(axis=0, dtype=np.float64)
    return Projection(mean.tolist(), components.tolist(), variance.tolist())


def place(latents: NDArray[Any], projection: Projection | None) -> NDArray[Any]:
    """Where latents [N, latent size] stand in the plot, [N, up to 3]."""
    if projection is None:
        return latents
    places: NDArray[Any] = (latents - np.array(projection.mean)) @ np.array(projection.components).T
    return places


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
    places = np.concatenate([place(each.latents, projection) for each in snapshots])  # [epochs * N, up to 3]
    if projection is None:
        places = np.concatenate([places, np.array(sliders).T])
        titles = [f"z{dimension}" for dimension in range(1, places.shape[1] + 1)]
    else:
        titles = [f"PC{number} ({share:.0%})" for number, share in enumerate(projection.variance, start=1)]
    return [
        {"title": title, "range": widen(low, high, AXIS_MARGIN)}
        for title, low, high in zip(titles, places.min(axis=0).tolist(), places.max(axis=0).tolist(), strict=True)
    ]


def round_mantissa(values: Float32, bits: int) -> Float32:
    """Float32 rounded to the nearest with `bits` of its 23 mantissa bits: zeros, which compress well, in the rest."""
    drop = 23 - bits
    if drop == 0:
        return values
    whole = values.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (whole >> np.uint32(drop) << np.uint32(drop)).view(np.float32)


def shrink(autoencoder: Autoencoder, latents: Float32) -> Autoencoder:
    """The autoencoder with decoder weights in as few bits as still decode `latents` within TOLERANCE."""
    exact = autoencoder.decode(latents)
    for bits in range(12, 24, 2):
        decoder = [(round_mantissa(weight, bits), round_mantissa(bias, bits)) for weight, bias in autoencoder.decoder]
        short = replace(autoencoder, decoder=decoder)
        if np.abs(short.decode(latents) - exact).max() <= TOLERANCE:
            return short
    return autoencoder


def pack(arrays: Sequence[NDArray[Any]]) -> str:
    """Float32 arrays end to end, as gzip of their bytes sorted by place (all the first ones first), in base64."""
    flat = np.concatenate([array.astype("<f4").ravel() for array in arrays])
    planes = flat.view(np.uint8).reshape(-1, 4).T.tobytes()
    return encode(gzip.compress(planes, compresslevel=6, mtime=0))


def encode(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")


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
    values = read_json(METRICS, ["dataset"])
    if values["dataset"] != dataset:
        raise damaged(METRICS, f"the figures of {dataset}, got those of {values['dataset']!r:.60}")
    leaves = flatten(values, LABELS)
    return [leaf for leaf in leaves if isinstance(leaf["value"], int | float) and not isinstance(leaf["value"], bool)]


def plotly() -> str:
    """The source of plotly.js, as the `plotly` package brings it."""
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def safe_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def source_hash(script: str) -> str:
    """What the page's content security policy calls this script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{encode(digest)}'"


def facts(p: Params, run: Run, snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """All that the page knows but weights, latents and pictures."""
    points, autoencoder = run.points, run.autoencoder
    projection = project(points.latents)
    sliders = slider_ranges(points.latents)
    return {
        "dataset": points.source.dataset,
        "classes": points.source.classes,
        "split": points.source.split,
        "selection": points.selection,
        "indices": points.source.indices.tolist(),
        "labels": points.source.labels.tolist(),
        "height": autoencoder.height,
        "width": autoencoder.width,
        "columns": sheet_columns(len(points.images)),
        "activation": autoencoder.activation,
        "encoderSizes": [autoencoder.encoder[0][0].shape[1], *(len(bias) for _, bias in autoencoder.encoder)],
        "decoderShapes": [list(weight.shape) for weight, _ in autoencoder.decoder],
        "epochs": [each.epoch for each in snapshots],
        "epochsTrained": len(run.curve),
        "projection": projection and vars(projection),
        "sliders": sliders,
        "axes": axes(snapshots, sliders, projection),
        "curve": [run.curve[number - 1] for number in spread(len(run.curve), CURVE_ROWS)],
        "figures": run.figures,
        "training": flatten(autoencoder.training, {}),
        "neighbors": p.neighbors,
        "steps": p.steps,
    }


def pack_fixed(run: Run) -> dict[str, str]:
    """What the page holds whatever the epochs, by the id of its element."""
    return {
        "plotly": encode(gzip.compress(plotly().encode(), mtime=0)),
        "decoder": pack([tensor for layer in run.autoencoder.decoder for tensor in layer]),
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
    total = len(run.curve)
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
    autoencoder = Autoencoder.read(TRAIN / "autoencoder.safetensors")
    points = read_points(autoencoder)
    learned = Run(points, autoencoder, read_curve(), read_figures(points.source.dataset))
    with outputs(FOLDER) as folder:
        text, epochs = build(p, learned)
        (folder / "explorer.html").write_text(text, encoding="utf-8", newline="\n")
    if len(epochs) < len(learned.curve):
        print(f"explore: of {len(learned.curve)} epochs the page shows {', '.join(map(str, epochs))}")
    print(f"explore: {FOLDER / 'explorer.html'}, {len(text.encode()) / 1e6:.1f} MB, opens in a browser")


if __name__ == "__main__":
    run(main)
