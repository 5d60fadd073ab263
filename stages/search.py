"""search: images found by an image, in the latent space, against PCA and the pixels themselves.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/search/metrics.json, search.csv (a row a method), search.png (queries, and what is nearest to them)
"""

from stages.shared.process.run import run

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.shared.arrays import Int64, Uint8, Uint16
from stages.shared.figure import GAP, frame, new_figure, show_grid, write_png
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import SPLITS, Dataset, Labelled, images_file
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import outputs
from stages.shared.scores.baselines import PcaBaseline
from stages.shared.scores.retrieval import Retrieval, nearest_first, retrieval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/search")
CUTOFFS = (1, 10, 100, 1000)
SHOWN, HITS = 10, 8  # queries in the picture, and what is nearest to each
OURS, PCA, PIXELS = "autoencoder", "pca", "pixels"


class Params(params.Section):
    """How many test images are searched for, and the seed that draws them."""

    queries: int = Field(ge=1, le=100_000)
    seed: int = Field(ge=0)


def draw(p: Params, test: Labelled) -> Labelled:
    """The queries, in random order."""
    return test[np.random.default_rng(p.seed).permutation(len(test.images))[: p.queries]]


@dataclass(frozen=True)
class Index:
    """What a method compares images by: codes of the training images, [M, …], and of the queries, [N, …]."""

    known: NDArray[Any]
    queries: NDArray[Any]

    @property
    def bytes(self) -> int:
        """What an item takes."""
        return int(self.known[0].nbytes)


def indexes(autoencoder: Autoencoder, train: Uint8, queries: Uint8, seed: int) -> dict[str, Index]:
    """By method: ours, and those that it is held against. Raises `InputError` where a latent is not finite."""
    pca = PcaBaseline.fit(train, autoencoder.latent_size, seed)
    ours = Index(autoencoder.encode(train), autoencoder.encode(queries))
    if not (np.isfinite(ours.known).all() and np.isfinite(ours.queries).all()):
        raise InputError(f"{MODEL}: gives latents that are not finite; train again, with a smaller train.learning_rate")
    return {OURS: ours, PCA: Index(pca.encode(train), pca.encode(queries)), PIXELS: Index(train, queries)}


def score(found: Mapping[str, Index], labels: Uint16 | None, query_labels: Uint16 | None) -> dict[str, Retrieval]:
    """The scores by method, at those cutoffs that there are training images for; none where there are no labels."""
    if labels is None or query_labels is None:
        return {}
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= len(labels)]
    return {
        method: retrieval(index.known, labels, index.queries, query_labels, cutoffs) for method, index in found.items()
    }


def figures(name: str, found: Mapping[str, Index], scores: Mapping[str, Retrieval]) -> dict[str, Any]:
    """What `metrics.json` holds; ours have no prefix. What asks for classes is left out where there are no scores."""
    value: dict[str, Any] = {"dataset": name, "queries": len(found[OURS].queries)}
    for method, index in found.items():
        prefix = "" if method == OURS else f"{method}_"
        if method in scores:
            value[f"{prefix}mean_average_precision"] = scores[method].average_precision
            value |= {f"{prefix}precision_at_{cutoff}": share for cutoff, share in scores[method].precision.items()}
        value[f"{prefix}bytes"] = index.bytes
    return value


def write_table(path: Path, name: str, found: Mapping[str, Index], scores: Mapping[str, Retrieval]) -> None:
    """Write a row a method; none where there are no scores."""
    cutoffs = [f"precision_at_{cutoff}" for cutoff in CUTOFFS if scores and cutoff in scores[OURS].precision]
    rows = [
        [name, method, found[method].bytes, score.average_precision, *score.precision.values()]
        for method, score in scores.items()
    ]
    write_csv(path, ["dataset", "method", "bytes", "mean_average_precision", *cutoffs], rows)


def choose(labels: Uint16 | None, count: int) -> Int64:
    """Which of `count` queries are shown: the first of each class, in label order; without any, the first."""
    if labels is None:
        return np.arange(min(SHOWN, count))
    _, places = np.unique(labels, return_index=True)
    return places[:SHOWN]


def draw_hits(of: Dataset, found: Mapping[str, Index], train: Labelled, queries: Labelled) -> "Figure":
    """A few queries, and the nearest training images by our latents and by the pixels; of another class are framed."""
    some = choose(queries.labels, len(queries.images))
    names: Sequence[str] = [""] * len(some)
    if queries.labels is not None:
        names = [f"{of.classes[label]:.14}" for label in queries.labels[some]]
    hits = min(HITS, len(train.images))
    height, width, _ = queries.images.shape[1:]
    figure = new_figure(1.2 * hits + 3, 0.6 * len(some) * height / width + 1.3, "constrained")
    ratios = [width, *[hits * (width + GAP) - GAP] * 2]  # one scale for all, so that rows stay in line
    left, *others = figure.subplots(1, 3, width_ratios=ratios, gridspec_kw={"wspace": 0.05})
    show_grid(left, queries.images[some][:, np.newaxis] / 255, names, [""])
    titles, framed = {left: "query"}, False
    for axes, method, text in zip(others, (OURS, PIXELS), ("the autoencoder", "the pixels"), strict=True):
        index = found[method]
        places = nearest_first(index.known, index.queries[some], hits)  # [shown, hits]
        show_grid(axes, train.images[places] / 255, [""] * len(some), [""] * hits)
        titles[axes] = f"found by {text}, {index.bytes} bytes an image"
        if train.labels is not None and queries.labels is not None:
            wrong = train.labels[places] != queries.labels[some][:, np.newaxis]
            frame(axes, wrong, height, width)
            framed |= bool(wrong.any())
    for axes, title in titles.items():
        axes.set_title(title, fontsize="medium", color="dimgray")
    figure.suptitle(f"{of.name}: the nearest training images" + framed * "; framed: of another class")
    return figure


def main() -> None:
    p = params.read("search", Params)
    of = Dataset.read()
    autoencoder = Autoencoder.read()
    train, test = (Labelled.read(split, autoencoder.size, len(of.classes)) for split in SPLITS)
    if len(train.images) < 2:
        raise InputError(f"{images_file('train')}: expected at least 2 images, to find PCA's components, got 1")
    queries = draw(p, test)
    found = indexes(autoencoder, train.images, queries.images, p.seed)
    scores = score(found, train.labels, queries.labels) if len(of.classes) > 1 else {}
    with outputs(FOLDER) as folder:
        write_json(folder / "metrics.json", figures(of.name, found, scores))
        write_table(folder / "search.csv", of.name, found, scores)
        write_png(draw_hits(of, found, train, queries), folder / "search.png")


if __name__ == "__main__":
    run(main)
