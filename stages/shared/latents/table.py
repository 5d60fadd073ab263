"""Read `latents.csv` and `selection.json`, the outputs of `extract`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Float64, Int64
from stages.shared.formats import read_csv, read_json
from stages.shared.runtime.errors import corrupt_file

FOLDER = Path("data/extract")
TABLE = FOLDER / "latents.csv"
SELECTION = FOLDER / "selection.json"


@dataclass(frozen=True)
class Latents:
    """Latents of N images.

    values: float64 [N, latent size].
    labels: int64 [N], indices into `classes`; None without classes.
    indices: int64 [N], the indices of the images in their split.
    """

    values: Float64
    labels: Int64 | None
    indices: Int64
    classes: list[str]
    dataset: str
    split: str

    @classmethod
    def read(cls) -> "Latents":
        """Read `latents.csv` and `selection.json`; raises `InputError` if one is missing or invalid."""
        selection = read_json(SELECTION, ["dataset", "classes", "split", "count"])
        dataset, classes, split, count = (selection[key] for key in ("dataset", "classes", "split", "count"))
        texts = isinstance(classes, list) and all(isinstance(text, str) and text for text in [dataset, split, *classes])
        if not texts or type(count) is not int:
            raise corrupt_file(SELECTION, "dataset and split as text, class names and a count")
        fixed = header(0, bool(classes))
        rows = read_csv(TABLE, [*fixed, "z1"])
        dimensions = [name for name in rows[0] if name not in fixed]
        try:
            values = np.array([[float(row[name]) for name in dimensions] for row in rows])
            labels = np.array([int(row["label"]) for row in rows], np.int64) if classes else None
            indices = np.array([int(row["index"]) for row in rows], np.int64)
        except (ValueError, OverflowError) as error:
            raise corrupt_file(TABLE, f"numbers, got: {error}") from None
        if len(rows) != count:
            raise corrupt_file(TABLE, f"{count} rows, as in {SELECTION}, got {len(rows)}")
        if not np.isfinite(values).all() or indices.min() < 0 or not _fit(labels, len(classes)):
            raise corrupt_file(
                TABLE, f"finite latents, and labels below {len(classes)}, the number of classes in {SELECTION}"
            )
        return cls(values, labels, indices, classes, dataset, split)


def header(latent_size: int, labeled: bool) -> list[str]:
    """Column names of `latents.csv`; without labels, there are no columns for label and class."""
    names = ["index", "label", "class"] if labeled else ["index"]
    return [*names, *(f"z{dimension}" for dimension in range(1, latent_size + 1))]


def _fit(labels: NDArray[np.int64] | None, classes: int) -> bool:
    return labels is None or bool(labels.min() >= 0 and labels.max() < classes)
