"""Find the class of each picture: by its folder, by a pattern or by a table (`download.classes`)."""

import csv
import io
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from stages.shared.images.folder import Tree, show, show_name
from stages.shared.images.metadata import NAME as METADATA
from stages.shared.images.picture import ENDINGS
from stages.shared.runtime.errors import InputError

Labeled = list[tuple[str, Path]]  # class and picture; "" without a class
Part = TypeVar("Part")

TABLES = {".csv", ".tsv"}
PARAM = "params.yaml: download.classes"
_MAX_BYTES, _MAX_TABLES = 2**26, 20  # of tables to suggest; more tables are probably one per picture
_FILES = re.compile("file|path|image|picture|photo", re.IGNORECASE)  # in the name of the file column
_CLASSES, _WITH_NAME = {"label", "class", "category", "target"}, re.compile(r"e?s$|[\W_]*name$")


def label(
    asked: str | None, source: Path, parts: Mapping[Part, Tree], other: Sequence[Path], notes: list[str]
) -> tuple[dict[Part, Labeled], set[Path]]:
    """Find the class of each picture in each part; also return those of the `other` files that are class tables.

    asked: the param `download.classes`. Guesses and suggestions for the user are appended to `notes`. Raises
    `InputError`.
    """
    if asked is None:
        by_folder = {part: _by_folder(tree) for part, tree in parts.items()}
        has_classes = any(name for labeled in by_folder.values() for name, _ in labeled)
        return by_folder, _suggest_tables(source, list(parts.values()), other, notes, {METADATA} if has_classes else ())
    if _split_table(asked):
        return _by_table(asked, source, parts, other, notes)
    return {part: _by_pattern(asked, source, tree) for part, tree in parts.items()}, set()


def check_all_labeled(asked: str | None, source: Path, splits: Iterable[Labeled]) -> None:
    """Raise `InputError` if a picture has no class by `download.classes`."""
    if asked is None:
        return
    pictures = [row for labeled in splits for row in labeled]
    if bare := [path for name, path in pictures if not name]:
        first = show_name(str(min(bare, key=os.fsencode).relative_to(source)))
        raise InputError(
            f"{PARAM}: {asked} gives no class to {len(bare)} of {len(pictures)} pictures, such as {first}; change this "
            "param, or move these pictures out of the folder"
        )


def _by_folder(tree: Tree) -> Labeled:
    if tree.pictures and tree.folders:
        others = f" and {len(tree.pictures) - 1} more" * (len(tree.pictures) > 1)
        raise InputError(
            f"{show(tree.pictures[0])}{others}: not in a class folder such as "
            f"{show_name(tree.folders[0].path.name)}/; move it into one, or move all pictures out of the class folders"
        )
    inside = [(item.path.name, path) for item in tree.folders for path in sorted(item, key=os.fsencode)]
    return [("", path) for path in tree.pictures] + inside


def _by_pattern(asked: str, source: Path, tree: Tree) -> Labeled:
    try:
        pattern = re.compile(asked)
    except re.error as error:
        raise InputError(f"{PARAM}: expected a regular expression or a .csv, got {asked!r}: {error}") from None
    if not pattern.groups:
        raise InputError(
            rf"{PARAM}: expected a pattern with a group for the class, such as '([a-z]+)_\d+', got {asked!r}"
        )
    found = ((pattern.search(path.relative_to(source).as_posix()), path) for path in sorted(tree, key=os.fsencode))
    return [((match and match[1]) or "", path) for match, path in found]


# Tables


def _split_table(asked: str) -> tuple[str, str] | None:
    """Split a param such as `labels.csv` or `labels.csv:breed` into table and column; None if it is a pattern.

    The column is an empty string if the param doesn't name one.
    """
    match = re.fullmatch(r"(.*\.[ct]sv)(?::(.*))?", asked, re.IGNORECASE | re.DOTALL)
    return match and (match[1], match[2] or "")


def _by_table(
    asked: str, source: Path, parts: Mapping[Part, Tree], other: Sequence[Path], notes: list[str]
) -> tuple[dict[Part, Labeled], set[Path]]:
    name, column = _split_table(asked) or ("", "")
    tables = [path for path in other if path.suffix.lower() in TABLES]
    there = {_fold(str(path)): path for path in tables}
    scopes: dict[Path, list[Tree]] = {}
    for tree in parts.values():
        found = [there.get(_fold(str(folder / name))) for folder in _folders_up(tree, source)]
        for path in [path for path in found if path][:1]:
            scopes.setdefault(path, []).append(tree)
    if not scopes:
        names = ", ".join(show_name(str(path.relative_to(source))) for path in tables[:8]) or "no table"
        raise InputError(f"{PARAM}: expected a table in {show(source)}, got {name!r:.200}; the folder has {names}")
    classes: dict[Path, str] = {}
    for path, trees in scopes.items():
        pictures = _Pictures(source, [picture for tree in trees for picture in tree])
        table = _Table.read(path, pictures)
        classes |= table.classes(pictures, column, notes, show_name(str(path.relative_to(source))))
    labeled = {
        part: [(classes.get(path, ""), path) for path in sorted(tree, key=os.fsencode)] for part, tree in parts.items()
    }
    return labeled, set(scopes)


def _folders_up(tree: Tree, source: Path) -> list[Path]:
    """List the folder and its parents, up to the source folder."""
    return [folder for folder in (tree.path, *tree.path.parents) if folder.is_relative_to(source)]


def _suggest_tables(
    source: Path, trees: Sequence[Tree], other: Sequence[Path], notes: list[str], silent: Container[str]
) -> set[Path]:
    """Find tables that could define the classes. For each, add a line to `notes` with the param that would use it.

    silent: names of tables without such a line.
    """
    found: dict[str, list[tuple[Path, int, list[str]]]] = {}
    tables = [path for path in other if path.suffix.lower() in TABLES and path.stat().st_size <= _MAX_BYTES]
    for path in tables if len(tables) <= _MAX_TABLES else ():
        scope = [tree for tree in trees if path.parent in _folders_up(tree, source)]
        pictures = _Pictures(source, [picture for tree in scope for picture in tree])
        with suppress(InputError):
            table = _Table.read(path, pictures)
            files, hits = table.find_files(pictures)
            if hits:
                found.setdefault(path.name, []).append((path, hits, table.class_columns(files)))
    for name, namesakes in found.items():
        if name in silent:
            continue
        path, _, columns = namesakes[0]
        shown = show_name(str(path.relative_to(source)) if len(namesakes) == 1 else name)
        one = len(columns) == 1
        which = f"its column '{columns[0]}'" if one else f"one of its columns: {', '.join(columns[:8])}"
        param = f"download.classes: {show_name(name)}{'' if one else ':COLUMN'}"
        notes.append(
            f"{shown} lists {sum(hits for _, hits, _ in namesakes)} pictures; `{param}` would take their classes from "
            f"{which}"
        )
    return {path for namesakes in found.values() for path, _, _ in namesakes}


@dataclass(frozen=True)
class _Table:
    """A table of text: column names and rows."""

    path: Path
    header: list[str]
    rows: list[list[str]]

    @classmethod
    def read(cls, path: Path, pictures: "_Pictures") -> "_Table":
        """Read the CSV at `path`, separated by commas, semicolons, tabs or bars; raises `InputError`.

        If the first line is already a picture's row (the file has no header), the columns are named 1, 2, …
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
            first = text.partition("\n")[0]
            delimiter = max(",;\t|", key=first.count)
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            rows = [[" ".join(cell.split()) for cell in line] for line in lines]
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{show(path)}: expected a table, saved as CSV in UTF-8, got: {error}") from None
        rows = [row for row in rows if any(row)]
        width = max(map(len, rows), default=0)
        if width < 2:
            raise InputError(f"{show(path)}: expected two columns, files and classes, got {width}")
        header, *rest = [row + [""] * (width - len(row)) for row in rows]
        if any(pictures.find(cell) for cell in header):
            return cls(path, [str(number) for number in range(1, width + 1)], [header, *rest])
        return cls(path, header, rest)

    def find_files(self, pictures: "_Pictures") -> tuple[int, int]:
        """Find the column whose values match the most pictures; return its index and the number of these pictures."""
        hits = [
            len({path for row in self.rows for path in pictures.find(row[place])}) for place in range(len(self.header))
        ]
        best = max(range(len(hits)), key=lambda place: (hits[place], bool(_FILES.search(self.header[place])), -place))
        return best, hits[best]

    def class_columns(self, files: int) -> list[str]:
        """Return the columns that may contain the class: those with a typical name, or else all except the file column.

        files: index of the file column.
        """
        others = [name for place, name in enumerate(self.header) if place != files]
        called = [name for name in others if name.casefold() in _CLASSES]
        return called or [name for name in others if _WITH_NAME.sub("", name.casefold()) in _CLASSES] or others

    def classes(self, pictures: "_Pictures", column: str, notes: list[str], shown: str) -> dict[Path, str]:
        """Return the class of each picture that is in the table, and append a note. Raises `InputError`.

        column: the class column, empty to guess it. shown: the table's name for messages.
        """
        files, hits = self.find_files(pictures)
        if not hits:
            raise InputError(
                f"{show(self.path)}: no column has file names of the pictures; the columns are {', '.join(self.header)}"
            )
        columns = [column] if column else self.class_columns(files)
        if len(columns) != 1 or columns[0] not in self.header:
            raise InputError(
                f"{PARAM}: expected the class column of {shown}, such as "
                f"{shown}:{self.class_columns(files)[0]}, got {column or 'none'}; "
                f"its columns are {', '.join(self.header)}"
            )
        place, strangers = self.header.index(columns[0]), 0
        classes: dict[Path, str] = {}
        for row in self.rows:
            named = pictures.find(row[files])
            strangers += not named
            if len({path.parent for path in named}) > 1:
                raise InputError(
                    f"{show(self.path)}: {row[files]} matches {len(named)} pictures, such as {show(named[0])} and "
                    f"{show(named[1])}; write their paths into the table"
                )
            for path in named:
                if classes.setdefault(path, row[place]) != row[place]:
                    raise InputError(
                        f"{show(self.path)}: {row[files]} has two classes, {classes[path]} and {row[place]}; remove one"
                    )
        notes.append(
            f"{shown} has a class for {hits} pictures: file names in the column '{self.header[files]}', classes in the "
            f"column '{columns[0]}'" + (f"; rows that match no picture: {strangers}" if strangers else "")
        )
        return classes


class _Pictures:
    """Finds pictures by name or path, with or without the file ending; upper and lower case are equal."""

    def __init__(self, source: Path, paths: Sequence[Path]) -> None:
        self.source = source.resolve()
        self.inside = len(source.parts)
        self.by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for path in paths:
            for name in {_fold(path.name), _fold(path.stem)}:
                self.by_name[name].append(path)

    def find(self, text: str) -> list[Path]:
        *folders, name = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")] or [""]
        found = self.by_name.get(_fold(name)) or []
        if not found and PurePosixPath(name).suffix.lower() in ENDINGS:
            found = self.by_name.get(_fold(PurePosixPath(name).stem), [])
        if folders and found:
            wanted = [_fold(folder) for folder in folders]
            fits = [(path, self._fits(path, wanted)) for path in found]
            best = max(fit for _, fit in fits)
            found = [path for path, fit in fits if fit == best and fit]
        return found

    def _fits(self, path: Path, wanted: list[str]) -> int:
        """Compare the folders of a picture with the wanted folders.

        Returns 2 if all wanted folders match, 1 if only the picture's folders below the source match, otherwise 0.
        """
        inside = [_fold(folder) for folder in path.parts[self.inside : -1]]
        around = [_fold(folder) for folder in self.source.parts] + inside
        if around[-len(wanted) :] == wanted:
            return 2
        return int(wanted[len(wanted) - len(inside) :] == inside)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()
