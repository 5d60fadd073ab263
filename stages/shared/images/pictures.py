"""The picture files of images with their metadata, and the variance of images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.shared.arrays import Float64, Uint8, batches
from stages.shared.formats import read_csv
from stages.shared.images.dataset import FOLDER
from stages.shared.runtime.errors import corrupt_file

PICTURES = FOLDER / "pictures.csv"
COLUMNS = ["split", "index", "file"]


@dataclass(frozen=True)
class Pictures:
    """The picture file of each image, and the columns of its `metadata.csv`, as texts.

    Both are empty if the source is not a folder of pictures.
    """

    files: list[str]
    columns: dict[str, list[str]]

    @classmethod
    def read(cls, split: str, indices: Sequence[int]) -> "Pictures":
        """Read the rows of `pictures.csv` for these images of a split; raises `InputError` if a row is missing."""
        rows = read_csv(PICTURES, COLUMNS, min_rows=0)
        if not rows:
            return cls([], {})
        by_index = {row["index"]: row for row in rows if row["split"] == split}
        try:
            found = [by_index[str(index)] for index in indices]
        except KeyError as error:
            raise corrupt_file(PICTURES, f"a row for {split} image {error}") from None
        names = [name for name in rows[0] if name not in COLUMNS]
        return cls([row["file"] for row in found], {name: [row[name] for row in found] for name in names})


def variances(images: Uint8) -> Float64:
    """Variance of each image's pixels in [0, 1] around its mean color, [N]; 0 if all pixels have the same color."""
    rows = batches(len(images), images[0].size)
    parts = [(images[batch] / np.float32(255)).var(axis=(1, 2), dtype=np.float64) for batch in rows]
    return np.asarray(np.concatenate(parts).mean(axis=1))
