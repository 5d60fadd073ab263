"""The latents of a few images, as the extract stage leaves them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.shared.files import damaged, read_csv, read_json


@dataclass(frozen=True)
class Latents:
    """N images' latents: values float64 [N, latent size], labels and indices int64 [N]; and where they come from."""

    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    classes: list[str]
    dataset: str
    split: str

    @classmethod
    def read(cls, folder: Path) -> "Latents":
        """Read `latents.csv` and `selection.json` in `folder`; raises `InputError` where one is missing or damaged."""
        facts = folder / "selection.json"
        selection = read_json(facts, ["dataset", "classes", "split", "count"])
        dataset, classes, split, count = (selection[key] for key in ("dataset", "classes", "split", "count"))
        texts = isinstance(classes, list) and all(isinstance(text, str) and text for text in [dataset, split, *classes])
        if not texts or type(count) is not int:
            raise damaged(facts, "texts for dataset and split, class names and a count")
        path = folder / "latents.csv"
        rows = read_csv(path, ["index", "label", "class", "z1"])
        dimensions = [name for name in rows[0] if name not in ("index", "label", "class")]
        try:
            values = np.array([[float(row[name]) for name in dimensions] for row in rows])
            labels = np.array([int(row["label"]) for row in rows], np.int64)
            indices = np.array([int(row["index"]) for row in rows], np.int64)
        except (ValueError, OverflowError) as error:
            raise damaged(path, f"numbers, got: {error}") from None
        if len(rows) != count:
            raise damaged(path, f"{count} rows, as {facts} says, got {len(rows)}")
        if not np.isfinite(values).all() or min(*labels, *indices) < 0 or labels.max() >= len(classes):
            raise damaged(path, f"finite latents, and labels below {len(classes)}, the classes of {facts}")
        return cls(values, labels, indices, classes, dataset, split)
