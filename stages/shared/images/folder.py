"""A folder of pictures: which are in it, of which classes, in which split."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.shared.arrays import Int64
from stages.shared.images.dataset import SPLITS, Split
from stages.shared.images.form import ENDINGS
from stages.shared.listing import entries
from stages.shared.process.errors import InputError, one_line


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    pictures: the files of each split, and those of no split yet under None; sorted within a class.
    labels: their classes, in the same order; None where there are none.
    classes: their names, sorted; empty where there are no labels.
    bad: what can't be read that looks like a picture or a folder, with the reason.
    other: files that no one takes for pictures.
    """

    classes: list[str]
    pictures: dict[Split | None, list[Path]]
    labels: dict[Split | None, list[int]] | None
    bad: list[tuple[Path, str]]
    other: list[Path]


def list_pictures(folder: Path) -> Listing:
    """Look through `folder`, laid out as `[train/, test/][<class>/**/]picture`; raises `InputError` where it isn't."""
    walk = _Walk(folder)
    top = walk.entries(folder)
    parts: dict[Split | None, Path] = {None: folder}
    splits = [name for name in SPLITS if folder / name in top and walk.is_folder(folder / name)]
    if len(splits) == 1 == len(top):  # a split that has no other yet
        parts = {None: top[0]}
    elif len(splits) == 2:
        parts = {name: folder / name for name in SPLITS}
        beside = [entry for entry in top if entry.name not in SPLITS]
        if beside:
            raise InputError(
                f"{show(beside[0])}: stands beside train/ and test/ in a folder of pictures; move it into one of them, "
                "or out of the folder"
            )
    found = {split: _by_class(walk, part) for split, part in parts.items()}
    classes = sorted({name for by_class in found.values() for name in by_class if name})
    _check(folder, found, classes)
    names = [show_name(name) for name in classes]
    pictures = {split: [path for _, path in _ordered(by_class)] for split, by_class in found.items()}
    labels = {
        split: [classes.index(name) for name, _ in _ordered(by_class) if name] for split, by_class in found.items()
    }
    return Listing(names, pictures, labels if classes else None, walk.bad, walk.other)


def all_pictures(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Every picture in `folder`, however it is laid out, sorted; and what can't be read, with the reason."""
    walk = _Walk(folder)
    return sorted(walk.pictures(folder), key=os.fsencode), walk.bad


ByClass = dict[str, list[Path]]  # pictures by the name of their class; under "" those of none


def _ordered(by_class: ByClass) -> list[tuple[str, Path]]:
    return [(name, path) for name in sorted(by_class) for path in by_class[name]]


def _by_class(walk: "_Walk", folder: Path) -> ByClass:
    by_class: ByClass = {}
    for entry in walk.entries(folder):
        pictures = sorted(walk.pictures(entry), key=os.fsencode)
        if pictures:
            by_class.setdefault(entry.name if walk.is_folder(entry) else "", []).extend(pictures)
    return by_class


def _check(folder: Path, found: dict[Split | None, ByClass], classes: Sequence[str]) -> None:
    for split, by_class in found.items():
        where = folder / split if split else folder
        if not by_class:
            raise InputError(f"{show(where)}: no picture in it; expected files such as .jpg or .png, or class folders")
        if "" in by_class and classes:
            raise InputError(
                f"{show(by_class[''][0])}: stands beside class folders such as {show_name(classes[0])}/; move the "
                f"{len(by_class[''])} pictures like it into one, or all pictures out of the class folders"
            )
        unknown = set(by_class) - set(found.get("train", by_class))
        if unknown:
            raise InputError(
                f"{show(where / min(unknown))}: a class without a picture in train/; add some, or remove it"
            )
    forms = Counter(unicodedata.normalize("NFC", show_name(name)) for name in classes)
    if double := [name for name, count in forms.items() if count > 1]:
        raise InputError(
            f"{show(folder)}: two class folders are called {double[0]!r}, in different bytes for the same letters; "
            "rename one, or move the pictures of one into the other"
        )
    if len(classes) > 65_535:
        raise InputError(f"{show(folder)}: expected at most 65535 class folders, got {len(classes)}")


@dataclass
class _Walk:
    """Goes through a folder and what links in it lead to; notes what is no picture, and what can't be read."""

    root: Path
    bad: list[tuple[Path, str]] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)

    def entries(self, folder: Path) -> list[Path]:
        """What stands in a folder; nothing, and noted, where it can't be read."""
        try:
            return entries(folder)
        except OSError as error:
            self.bad.append((folder, error.strerror or str(error)))
            return []

    def is_folder(self, path: Path) -> bool:
        try:
            return path.is_dir()
        except OSError:  # a link in a circle, on some systems
            return False

    def pictures(self, path: Path, within: tuple[Path, ...] = ()) -> Iterator[Path]:
        """The pictures at and below `path`; `within` are the folders around it, links resolved."""
        if path.is_symlink() and (reason := self._refused(path, within)):
            self.bad.append((path, reason))
        elif self.is_folder(path):
            around = (*within, path.resolve())
            for entry in self.entries(path):
                yield from self.pictures(entry, around)
        elif path.suffix.lower() not in ENDINGS:
            self.other.append(path)
        elif path.is_file():
            yield path
        else:
            self.bad.append((path, "is no file"))

    def _refused(self, link: Path, within: tuple[Path, ...]) -> str | None:
        """Why a link is not followed; None where it is."""
        try:
            target = link.resolve(strict=True)
        except FileNotFoundError:
            return "a link to what is not there"
        except (OSError, RuntimeError):  # the latter before Python 3.13
            return "a link in a circle"
        if target in within or self.root.resolve().is_relative_to(target):
            return "a link to a folder around it"
        # Where the link itself stands outside the folder, reached by another link, it may lead no further.
        outside = not link.parent.resolve().is_relative_to(self.root.resolve())
        if outside and not any(target.is_relative_to(folder) for folder in (*within[-1:], self.root.resolve())):
            return "a link that leads on from outside the folder"
        return None


def divide(labels: NDArray[Any], share: float, seed: int) -> tuple[Int64, Int64]:
    """Places of the training and of the test images, both ascending, from all images' labels, [N].

    Of each class a share goes to the test, drawn by the seed: as near as whole images allow, and so that it is right
    for all classes together as well; but at least one of a class stays in the training.
    """
    places = np.random.default_rng(seed).permutation(len(labels))
    places = places[np.argsort(labels[places], kind="stable")]  # class by class, shuffled within
    taken = np.empty(len(labels), bool)
    taken[places] = np.diff(np.floor(np.arange(len(labels) + 1) * share + 0.5)) > 0
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    taken[first[np.bincount(inverse, weights=taken) == counts]] = False
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def show_name(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8, and what can't be printed, as escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def show(path: Path) -> str:
    """A path as one line of text."""
    return one_line(show_name(str(path)), 1000)
