"""search: find images similar to a query image, by latents, PCA and pixels.

Reads  data/train/autoencoder.safetensors, data/download/{train|test}_images.npy, {train|test}_labels.npy, dataset.json
Writes data/search/search.csv (one row per method), search.png (queries and their nearest images)
"""

from stages.shared.runtime.run import run

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.shared.arrays import Int64, Uint8, Uint16
from stages.shared.figure import GAP, frame, new_figure, show_grid, wrap, write_png
from stages.shared.formats import write_csv
from stages.shared.images.dataset import SPLITS, DatasetInfo, LabeledImages, images_file
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.outputs import outputs
from stages.shared.scores.baselines import PcaBaseline
from stages.shared.scores.neighbors import nearest
from stages.shared.scores.retrieval import Retrieval, retrieval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("data/search")
CUTOFFS = (1, 10, 100, 1000)
MAX_SHOWN, HITS = 10, 8  # queries in the picture, and nearest images of each
AUTOENCODER, PCA, PIXELS = "autoencoder", "pca", "pixels"


class Params(params.Section):
    """Number of queries, and the seed that draws them."""

    queries: int = Field(ge=1, le=100_000)
    seed: int = Field(ge=0)


def draw_queries(p: Params, test: LabeledImages) -> LabeledImages:
    """Draw the queries from the test images, in random order."""
    return test[np.random.default_rng(p.seed).permutation(len(test.images))[: p.queries]]


@dataclass(frozen=True)
class Index:
    """Codes (vectors to compare) of one method: for the training images, [M, …], and for the queries, [N, …]."""

    known: NDArray[Any]
    queries: NDArray[Any]

    @property
    def bytes(self) -> int:
        """Bytes that the code of one image takes."""
        return int(self.known[0].nbytes)


def make_indexes(autoencoder: Autoencoder, train: Uint8, queries: Uint8, seed: int) -> dict[str, Index]:
    """Make the index of the autoencoder and each baseline, by name; raises `InputError` if a latent is not finite."""
    pca = PcaBaseline.fit(train, autoencoder.latent_size, seed)
    ours = Index(autoencoder.encode(train), autoencoder.encode(queries))
    if not (np.isfinite(ours.known).all() and np.isfinite(ours.queries).all()):
        raise InputError(f"{MODEL}: its latents are not finite; train again with a smaller learning_rate")
    return {AUTOENCODER: ours, PCA: Index(pca.encode(train), pca.encode(queries)), PIXELS: Index(train, queries)}


def score_rankings(
    indexes: Mapping[str, Index], labels: Uint16 | None, query_labels: Uint16 | None
) -> dict[str, Retrieval]:
    """Score the ranking of each method, at cutoffs up to the number of training images; empty without labels."""
    if labels is None or query_labels is None:
        return {}
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= len(labels)]
    return {
        method: retrieval(index.known, labels, index.queries, query_labels, cutoffs)
        for method, index in indexes.items()
    }


def write_table(path: Path, name: str, indexes: Mapping[str, Index], scores: Mapping[str, Retrieval]) -> None:
    """Write the table with one row per method; only the header if there are no scores."""
    cutoffs = [f"precision_at_{cutoff}" for cutoff in CUTOFFS if scores and cutoff in scores[AUTOENCODER].precision]
    rows = [
        [name, method, indexes[method].bytes, score.average_precision, *score.precision.values()]
        for method, score in scores.items()
    ]
    write_csv(path, ["dataset", "method", "bytes", "mean_average_precision", *cutoffs], rows)


def choose_queries(labels: Uint16 | None, count: int) -> Int64:
    """Choose which of the `count` queries to show: the first one of each class, or without classes the first ones."""
    if labels is None:
        return np.arange(min(MAX_SHOWN, count))
    _, places = np.unique(labels, return_index=True)
    return places[:MAX_SHOWN]


def draw_hits(
    dataset: DatasetInfo, indexes: Mapping[str, Index], train: LabeledImages, queries: LabeledImages
) -> "Figure":
    """Draw some queries with their nearest training images, by latents and by pixels.

    Images of another class than the query have a frame.
    """
    some = choose_queries(queries.labels, len(queries.images))
    names: Sequence[str] = [""] * len(some)
    if queries.labels is not None:
        names = [wrap(dataset.classes[label]) for label in queries.labels[some]]
    hits = min(HITS, len(train.images))
    height, width, _ = queries.images.shape[1:]
    figure = new_figure(1.2 * hits + 3, 0.6 * len(some) * height / width + 1.3, "constrained")
    ratios = [width, *[hits * (width + GAP) - GAP] * 2]  # the same scale in all columns, so that rows align
    left, *others = figure.subplots(1, 3, width_ratios=ratios, gridspec_kw={"wspace": 0.05})
    show_grid(left, queries.images[some][:, np.newaxis] / 255, names, [""])
    titles, framed = {left: "query"}, False
    for axes, method, text in zip(others, (AUTOENCODER, PIXELS), ("the autoencoder", "the pixels"), strict=True):
        index = indexes[method]
        places = nearest(index.known, index.queries[some], hits).indices  # [shown, hits]
        show_grid(axes, train.images[places] / 255, [""] * len(some), [""] * hits)
        titles[axes] = f"found by {text}, {index.bytes} bytes an image"
        if train.labels is not None and queries.labels is not None:
            wrong = train.labels[places] != queries.labels[some][:, np.newaxis]
            frame(axes, wrong, height, width)
            framed |= bool(wrong.any())
    for axes, title in titles.items():
        axes.set_title(title, fontsize="medium", color="dimgray")
    figure.suptitle(f"{dataset.name}: the nearest training images" + framed * "; framed: of another class")
    return figure


def main() -> None:
    p = params.read("search", Params)
    dataset = DatasetInfo.read()
    autoencoder = Autoencoder.read()
    train, test = (LabeledImages.read(split, autoencoder.size, len(dataset.classes)) for split in SPLITS)
    if len(train.images) < 2:
        raise InputError(f"{images_file('train')}: expected at least 2 images for PCA, got 1")
    queries = draw_queries(p, test)
    indexes = make_indexes(autoencoder, train.images, queries.images, p.seed)
    scores = score_rankings(indexes, train.labels, queries.labels) if len(dataset.classes) > 1 else {}
    with outputs(FOLDER) as folder:
        write_table(folder / "search.csv", dataset.name, indexes, scores)
        write_png(draw_hits(dataset, indexes, train, queries), folder / "search.png")
    if scores:
        precisions = ", ".join(f"{method} {score.average_precision:.3f}" for method, score in scores.items())
        print(f"search: mean average precision of {len(queries.images)} queries: {precisions}")
    print(f"search: {FOLDER / 'search.png'} shows queries and their nearest images")


if __name__ == "__main__":
    run(main)
