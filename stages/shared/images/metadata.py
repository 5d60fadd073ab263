"""Read `metadata.csv`: it has one row per picture, and names the picture in the column `file_name`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.shared.formats import read_csv
from stages.shared.runtime.errors import InputError

NAME = "metadata.csv"
KEY = "file_name"  # as in Hugging Face's imagefolder
TAKEN = {"split", "index", "file"}  # columns of pictures.csv


def depth(path: Path) -> tuple[int, Path]:
    """Sort key: files in a folder come before files in its subfolders."""
    return len(path.parts), path


@dataclass(frozen=True)
class Metadata:
    """Column names of all `metadata.csv` files, and the row of each picture, as text."""

    columns: list[str]
    rows: dict[Path, list[str]]

    @classmethod
    def read(cls, files: Iterable[Path]) -> "Metadata":
        """Read each `metadata.csv` among the files. Raises `InputError`.

        The paths of pictures in it are relative to its folder.
        """
        tables = {path: read_csv(path, [], min_rows=0) for path in sorted(files, key=depth) if path.name == NAME}
        columns = list(dict.fromkeys(name for rows in tables.values() if rows for name in rows[0] if name != KEY))
        for path, rows in tables.items():
            if rows and KEY not in rows[0]:
                raise InputError(f"{path}: expected a column {KEY}, got {', '.join(rows[0])[:80]}; add it")
        if taken := TAKEN.intersection(columns):
            raise InputError(f"{next(iter(tables))}: the column name {min(taken)} is reserved; rename it")
        found = {
            (path.parent / row[KEY]).resolve(): [row.get(name, "") for name in columns]
            for path, rows in tables.items()
            for row in rows
        }
        return cls(columns, found)

    def of(self, picture: Path) -> list[str]:
        """Return the texts in a picture's row; if it has no row, one empty text per column."""
        return self.rows.get(picture.resolve(), [""] * len(self.columns))
