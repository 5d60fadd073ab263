"""List the pictures of a folder, and split them into training and test."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Int64
from stages.shared.images.picture import ENDINGS
from stages.shared.listing import list_visible
from stages.shared.runtime.errors import one_line

MAX_KINDS = 8  # of other files, in a line


@dataclass(frozen=True)
class Tree:
    """A folder: its own pictures, and its subfolders with pictures; both are sorted by the bytes of their names."""

    path: Path
    pictures: list[Path]
    folders: list["Tree"]

    def __iter__(self) -> Iterator[Path]:
        """Yield all pictures at any depth."""
        yield from self.pictures
        for folder in self.folders:
            yield from folder

    @cached_property
    def count(self) -> int:
        """Number of pictures at any depth."""
        return len(self.pictures) + sum(folder.count for folder in self.folders)


@dataclass
class Walk:
    """Reads folders recursively. Collects unreadable files with reasons (bad), and other files than pictures."""

    bad: list[tuple[Path, str]] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)

    def read(self, folder: Path) -> Tree:
        """Read a folder and its subfolders; an unreadable folder gives an empty `Tree`."""
        try:
            entries = [(path, path.lstat().st_mode) for path in list_visible(folder)]
        except OSError as error:
            self.bad.append((folder, error.strerror or str(error)))
            entries = []
        tree = Tree(folder, [], [])
        for path, mode in entries:
            if S_ISDIR(mode):
                inner = self.read(path)
                if inner.pictures or inner.folders:
                    tree.folders.append(inner)
            elif S_ISLNK(mode) and (reason := _refused(path)):
                self.bad.append((path, reason))
            elif path.suffix.lower() not in ENDINGS:
                self.other.append(path)
            elif S_ISREG(mode) or path.is_file():
                tree.pictures.append(path)
            else:
                self.bad.append((path, "is not a regular file"))
        return tree


def all_pictures(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """List all pictures in `folder` at any depth, sorted; and all unreadable files with their reasons."""
    walk = Walk()
    return sorted(walk.read(folder), key=os.fsencode), walk.bad


def _refused(link: Path) -> str | None:
    """Return why a link can't be used; None if it leads to a file.

    A link to a folder is refused, because DVC skips such links silently.
    """
    if link.is_dir():
        return "a link to a folder, in which DVC doesn't see changes: put the folder itself here, or links to its files"
    return None if link.exists() else "a link to a missing file"


def count_kinds(paths: Sequence[Path]) -> str:
    """Describe the numbers of files by ending, most frequent first: `2 .txt, 1 .csv, 1 without an ending`."""
    kinds = sorted(Counter(path.suffix.lower() for path in paths).items(), key=lambda kind: (-kind[1], kind[0] or "~"))
    listed = [f"{count} {show_name(ending) or 'without an ending'}" for ending, count in kinds[:MAX_KINDS]]
    return ", ".join(listed) + ", …" * (len(kinds) > MAX_KINDS)


def split_indices(labels: NDArray[Any], share: float, seed: int) -> tuple[Int64, Int64]:
    """Draw a stratified split from labels, [N]; return the indices of the training and of the test images, ascending.

    The share of test images is `share`, up to rounding, both within each class and overall. At least one image of each
    class is in the training split. If this leaves no test image, at least one test image is drawn from all images,
    regardless of class.
    """
    indices = np.random.default_rng(seed).permutation(len(labels))
    indices = indices[np.argsort(labels[indices], kind="stable")]  # sorted by class, shuffled within each
    taken = np.empty(len(labels), bool)
    taken[indices] = np.diff(np.floor(np.arange(len(labels) + 1) * share + 0.5)) > 0
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    taken[first[np.bincount(inverse, weights=taken) == counts]] = False
    if not taken.any():
        order = np.random.default_rng(seed).permutation(len(labels))
        taken[order[: min(max(1, round(share * len(labels))), len(labels) - 1)]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def show_name(name: str) -> str:
    """Return a file name as text; invalid UTF-8 and unprintable characters are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def show(path: Path) -> str:
    """Return a path as one line of text."""
    return one_line(show_name(str(path)), 1000)
