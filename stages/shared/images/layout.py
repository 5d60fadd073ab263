"""Find splits and classes in a folder of pictures.

The layout is `[folder/]*[train/, test/][<class>/**/]picture`. Whenever something is left out, replaced or guessed, the
user gets a note. An ambiguous layout is an error.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.shared.images import classes, metadata
from stages.shared.images.classes import Labeled
from stages.shared.images.dataset import Split
from stages.shared.images.folder import Tree, Walk, count_kinds, show, show_name
from stages.shared.runtime.errors import InputError

MAX_CLASSES = 65_535  # labels are uint16
ARCHIVES = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"}

Role = Literal["train", "val", "test"]
Parts = dict[Role | None, Tree]  # the key None is for pictures without a split
_ROLES: dict[str, Role] = {  # the words in data_files.py of Hugging Face's datasets 5.2
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_PURPOSES: dict[Role, str] = {"train": "training", "val": "validation", "test": "test"}
_LETTER = r"[^\W\d_]"
_ROLE = re.compile(rf"(?<!{_LETTER})({'|'.join(sorted(_ROLES, key=len, reverse=True))})(?!{_LETTER})", re.IGNORECASE)
# Letters of names of folders such as masks/, and endings of file names such as `cell 1_mask.png`
_ABOUT = {"annotation", "groundtruth", "label", "mask", "segmentation", "segmentationmask"}
_ABOUT |= {f"{word}s" for word in _ABOUT} | {"gt", "segmentationclass", "segmentationobject"}
_ANY = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"}  # folder names that are not class names
_ABOUT_END = re.compile(
    r"[-_. ](annotation|ground[-_. ]?truth|gt|label|mask|seg|segmentation)s?[-_. ]?\d*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Listing:
    """Pictures and classes that were found in a folder.

    classes: sorted class names, in numerical order if all are numbers; empty without labels.
    pictures: picture files of each split (key None if there is no split), sorted within a class.
    labels: label of each picture, in the order of `pictures`; None without classes.
    bad: unreadable pictures and folders, with reasons.
    other: files whose ending is not that of a picture.
    metadata: the files named `metadata.csv`.
    notes: one line for each thing that was left out, replaced or guessed.
    """

    classes: list[str]
    pictures: dict[Split | None, list[Path]]
    labels: dict[Split | None, list[int]] | None
    bad: list[tuple[Path, str]]
    other: list[Path]
    notes: list[str]
    metadata: list[Path]


def list_pictures(folder: Path, asked: str | None = None) -> Listing:
    """List the pictures in `folder`; asked: the param `download.classes`. Raises `InputError`."""
    walk, notes = Walk(), _Notes(folder, [])
    root = walk.read(folder)
    if not root.count:
        raise _nothing(walk, folder)
    parts = _find_parts(_without_masks(root, notes), notes)
    if asked is None:
        _check_classes_of_splits(parts)
    labeled, tables = classes.label(asked, folder, parts, walk.other, notes.lines)
    classes.check_all_labeled(asked, folder, [labeled[part] for part in labeled if part in ("train", None)])
    splits = _choose_test(labeled, parts, notes)
    classes.check_all_labeled(asked, folder, splits.values())
    names = _sort_names({name for pictures in splits.values() for name, _ in pictures if name})
    _check_names(folder, names)
    place = {name: label for label, name in enumerate(names)} | {"": 0}
    for pictures in splits.values():
        pictures.sort(key=lambda row: place[row[0]])
    if len(splits.get(None, ["train", "test"])) < 2:
        raise InputError(f"{show(folder)}: expected at least 2 pictures, to train on one and test on the other, got 1")
    return Listing(
        [show_name(name) for name in names],
        {split: [path for _, path in pictures] for split, pictures in splits.items()},
        {split: [place[name] for name, _ in pictures] for split, pictures in splits.items()} if names else None,
        walk.bad,
        [path for path in walk.other if path not in tables],
        notes.lines,
        [path for path in walk.other if path.name == metadata.NAME],
    )


@dataclass(frozen=True)
class _Notes:
    """Notes for the user; they name folders relative to the source folder."""

    root: Path
    lines: list[str]

    def add(self, line: str) -> None:
        self.lines.append(line)

    def name(self, tree: Tree) -> str:
        return f"{show_name(str(tree.path.relative_to(self.root)))}/"

    def sized(self, *trees: Tree) -> str:
        """Describe a folder, or several with the same name: their number, name, and number of pictures."""
        pictures = _count(sum(tree.count for tree in trees), "picture")
        if len(trees) == 1:
            return f"{self.name(trees[0])} ({pictures})"
        return f"{len(trees)} folders called {show_name(trees[0].path.name)}/ ({pictures})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _nothing(walk: Walk, folder: Path) -> InputError:
    """Make an error for a folder without pictures."""
    archives = [path for path in walk.other if path.suffix.lower() in ARCHIVES]
    if walk.bad:
        path, reason = walk.bad[0]
        found = f", and {show(path)}: {reason}"
    elif archives:
        found = f", but {_count(len(archives), 'archive')} such as {show_name(archives[0].name)}: unpack those you need"
    elif walk.other:
        found = f", got {count_kinds(walk.other)}"
    else:
        found = ""
    return InputError(f"{show(folder)}: no picture in it; expected files such as .jpg or .png, or class folders{found}")


# Masks, annotations and the like


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]", "", name).casefold()


def _is_about(tree: Tree) -> bool:
    return _letters(tree.path.name) in _ABOUT


def _stem(path: Path) -> str:
    return path.stem.casefold()


def _bare(path: Path) -> str:
    return _ABOUT_END.sub("", _stem(path))


def _without_masks(root: Tree, notes: _Notes) -> Tree:
    """Return the tree without masks and similar files that accompany pictures of the same names, at any depth."""
    folders: dict[str, list[Tree]] = {}
    files: list[Path] = []

    def strip(tree: Tree) -> Tree:
        about = [folder for folder in tree.folders if _is_about(folder)]
        others = [folder for folder in tree.folders if folder not in about]
        beside: Iterable[Path] = ()
        if about and not others:
            beside = tree.pictures
        elif about and len(others) == 1 and not tree.pictures:
            beside = others[0]
        stems = {_stem(path) for path in beside}
        kept = []
        for folder in tree.folders:
            if folder in about and stems and all(_stem(path) in stems or _bare(path) in stems for path in folder):
                folders.setdefault(folder.path.name, []).append(folder)
            else:
                kept.append(strip(folder))
        masks = {path for path in tree.pictures if _ABOUT_END.search(path.stem)}
        if masks:
            own = {_stem(path) for path in tree.pictures}
            masks = {path for path in masks if _bare(path) in own}
        files.extend(masks)
        return Tree(tree.path, [path for path in tree.pictures if path not in masks] if masks else tree.pictures, kept)

    stripped = strip(root)
    for trees in folders.values():
        notes.add(
            f"left out {notes.sized(*trees)}: its files are named like the pictures beside it; "
            "rename it if it is a class"
        )
    if files:
        example = show_name(min(files).name)
        notes.add(
            f"left out {_count(len(files), 'picture')} such as {example}: named like masks; rename those that are not"
        )
    return stripped


# Splits


def _role(name: str) -> tuple[Role, str] | None:
    """Find a word such as `train` in a folder's name; return the role and the remaining letters.

    Returns None if the name has no such word.
    """
    found = _ROLE.search(name)
    return found and (_ROLES[found[1].casefold()], _letters(name[: found.start()] + name[found.end() :]))


def _find_roles(tree: Tree) -> tuple[dict[Role, list[Tree]], list[Tree], list[Tree]]:
    """Sort the subfolders by name into three groups: splits, folders such as masks/, and others.

    The name of a split is a word such as `train` in upper or lower case, with or without numbers. It may have an affix
    such as `_set` if all splits have the same.
    """
    about = [folder for folder in tree.folders if _is_about(folder)]
    named = {folder.path: _role(folder.path.name) for folder in tree.folders if folder not in about}
    rests = {role[1] for role in named.values() if role}
    roles: dict[Role, list[Tree]] = {}
    others = []
    for folder in tree.folders:
        role = named.get(folder.path)
        if role and (len(rests) == 1 or not role[1]):
            roles.setdefault(role[0], []).append(folder)
        elif folder not in about:
            others.append(folder)
    return {role: roles[role] for role in _PURPOSES if role in roles}, about, others


def _find_parts(root: Tree, notes: _Notes) -> Parts:
    """Find the splits, or the folder with the class folders. Descends into a folder if it is the only content."""
    tree = root
    parts: Parts = {}
    while not parts:
        roles, about, others = _find_roles(tree)
        if "train" in roles and (len(roles) > 1 or not (others or tree.pictures)):
            _check_roles(tree, roles, others, notes)
            if about:
                notes.add(f"left out {', '.join(map(notes.sized, about))}: by name neither a split nor a class")
            if len(roles) > 1:
                parts = {role: _enter(trees[0]) for role, trees in roles.items()}
            else:
                tree = roles["train"][0]
        elif len(roles) > 1 and not others and not tree.pictures:
            names = " and ".join(notes.name(trees[0]) for trees in roles.values())
            raise InputError(
                f"{show(tree.path)}: {names} are splits, but there is no training split; rename one to train/"
            )
        elif len(tree.folders) == 1 and not tree.pictures:
            tree = tree.folders[0]
        else:
            parts = {None: tree}
    if tree is not root:
        notes.add(f"all {_count(tree.count, 'picture')} are in {notes.name(tree)}, so it is not a class")
    named = {role: part for role, part in parts.items() if role in ("train", "test")}
    if any(part.path.name != role for role, part in named.items()):
        notes.add(", ".join(f"{_PURPOSES[role]} pictures are in {notes.name(part)}" for role, part in named.items()))
    return parts


def _check_roles(tree: Tree, roles: dict[Role, list[Tree]], others: list[Tree], notes: _Notes) -> None:
    """Raise `InputError` if there is other content beside the splits, or if two folders have the same role."""
    beside = [*tree.pictures, *(folder.path for folder in others)]
    if beside and len(roles) > 1:
        names = " and ".join(notes.name(trees[0]) for trees in roles.values())
        raise InputError(
            f"{show(beside[0])}: lies next to the splits {names}, but is no split itself; move it into one of these "
            f"splits, or out of {show(tree.path)}"
        )
    for role, trees in roles.items():
        if len(trees) > 1:
            names = " and ".join(map(notes.name, trees))
            raise InputError(
                f"{show(tree.path)}: {names} are all named like the {_PURPOSES[role]} split; move their pictures into "
                "one folder, or move all but one folder out"
            )


def _enter(split: Tree) -> Tree:
    """Descend while the only content is a folder that is no class: `train/train/` (some zips) or `train/images/`."""
    tree = split
    while len(tree.folders) == 1 and not tree.pictures:
        name = tree.folders[0].path.name
        if name != split.path.name and _letters(name) not in _ANY:
            break
        tree = tree.folders[0]
    return tree


def _check_classes_of_splits(parts: Parts) -> None:
    """Raise `InputError` if class folders contain splits."""
    for folder in parts[None].folders if None in parts else []:
        roles, _, others = _find_roles(folder)
        if "train" in roles and len(roles) > 1 and not others:
            names = " and ".join(f"{show_name(trees[0].path.name)}/" for trees in roles.values())
            raise InputError(
                f"{show(folder.path)}: {names} are inside a class folder; set download.source to this folder, or move "
                "the splits to the top, with the class folders in each"
            )


def _choose_test(labeled: dict[Role | None, Labeled], parts: Parts, notes: _Notes) -> dict[Split | None, Labeled]:
    """Choose the training and test pictures, or the only part if there are no splits; raises `InputError`."""
    if None in labeled:
        return {None: labeled[None]}
    train = labeled["train"]
    found: dict[Role, Labeled] = {role: labeled[role] for role in ("test", "val") if role in labeled}
    if _names(train):
        for role in [role for role, pictures in found.items() if not _names(pictures)]:
            del found[role]
            notes.add(
                f"left out {notes.sized(parts[role])}: it has no class folders, but {notes.name(parts['train'])} has"
            )
    if not found:
        notes.add(f"the test images are drawn from {notes.name(parts['train'])} (download.test_share)")
        return {None: train}
    role, *more = found
    test = found[role]
    if role == "val":
        notes.add(f"{notes.sized(parts[role])} is the test split, because there is no other")
    for left_out in more:
        notes.add(f"left out {notes.sized(parts[left_out])}: train.validation holds out training images instead")
    if only := _names(test) - _names(train):
        if not _names(train):
            raise InputError(
                f"{show(parts['train'].path)}: has no class folders, but {notes.name(parts[role])} has; move its "
                f"pictures into class folders, such as {notes.name(parts['train'])}{show_name(min(only))}/"
            )
        counts = Counter(name for name, _ in test)
        listed = ", ".join(f"{show_name(name)} ({counts[name]})" for name in _sort_names(only)[:8])
        more_of_them = ", …" * (len(only) > 8)
        are, their = ("1 class is", "its") if len(only) == 1 else (f"{len(only)} classes are", "their")
        notes.add(f"{are} only in the test split, so {their} predictions can't be right: {listed}{more_of_them}")
    return {"train": train, "test": test}


# Classes


def _names(pictures: Labeled) -> set[str]:
    return {name for name, _ in pictures if name}


def _sort_names(names: set[str]) -> list[str]:
    """Sort names in numerical order if all are numbers, otherwise as text."""
    if all(re.fullmatch(r"[-+]?\d+([.,]\d+)?", name) for name in names):
        return sorted(names, key=lambda name: (float(name.replace(",", ".")), name))
    return sorted(names)


def _check_names(folder: Path, names: list[str]) -> None:
    forms = Counter(unicodedata.normalize("NFC", show_name(name)) for name in names)
    if double := [name for name, count in forms.items() if count > 1]:
        raise InputError(
            f"{show(folder)}: two class names look the same, {double[0]!r}, but differ in their bytes (Unicode); "
            "rename one class, or merge both"
        )
    if len(names) > MAX_CLASSES:
        raise InputError(f"{show(folder)}: expected at most {MAX_CLASSES} classes, got {len(names)}")
