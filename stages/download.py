"""download: bring in the images, checked, and all in one form.

Reads  `download.source`: a file such as data/fashion-mnist.yaml, which describes a known data set, and the mirrors that
       it names; or a folder of pictures, [train/, test/][<class>/**/]picture
Writes data/download/train_images.npy, test_images.npy (uint8 [N, height, width, channels]), train_labels.npy,
       test_labels.npy (uint16 [N]; without classes empty), dataset.json, and of a folder pictures.csv (which file each
       image is) and unreadable.csv (what was passed over)
"""

from stages.shared.process.run import run

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from PIL import ImageColor
from pydantic import Field

from stages.shared.arrays import Uint16
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import DESCRIPTION, FOLDER, SPLITS, Split
from stages.shared.images.folder import Listing, divide, list_pictures, show, show_name
from stages.shared.images.form import Color, Fit, Form
from stages.shared.images.known import Known
from stages.shared.images.write import Refusal, write_arrays, write_pictures
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import outputs

NAMED = 20  # unreadable pictures in an error
SIDE = 64  # pixels of a folder's pictures where the params leave it open


class Params(params.Section):
    """Which images, and the form that they are brought to: null is the data set's own, and of a folder 64 x 64 RGB.

    source: a path. background: a color as Pillow reads it. test_share: of what is not split already.
    """

    source: str = Field(min_length=1)
    height: int | None = Field(ge=1, le=4096)
    width: int | None = Field(ge=1, le=4096)
    color: Color | None
    fit: Fit
    background: str
    test_share: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)
    unreadable: Literal["refuse", "skip"]


def choose_form(p: Params, height: int, width: int, color: Color) -> Form:
    """The form that the params ask for, and where they leave it open, the given one. Raises `InputError`."""
    try:
        background = ImageColor.getrgb(p.background)[:3]
    except ValueError:
        raise InputError(
            "params.yaml: download.background: expected a color such as white, black or '#8080ff', "
            f"got {p.background!r:.40}"
        ) from None
    return Form(p.height or height, p.width or width, p.color or color, p.fit, background)


def write_known(p: Params, path: Path, folder: Path) -> None:
    """Write the data set that the file at `path` describes."""
    known = Known.load(path)
    with TemporaryDirectory(dir=folder) as scratch:
        splits = dict(known.read(Path(scratch)))
    if None in splits:
        images, labels = splits.pop(None)
        places = divide(labels, p.test_share, p.seed)
        splits |= {split: (images[of], labels[of]) for split, of in zip(SPLITS, places, strict=True)}
    shape = splits["train"][0].shape
    form = choose_form(p, shape[1], shape[2], "grey" if shape[3] == 1 else "rgb")
    for split in SPLITS:
        images, labels = splits[split]
        write_arrays(images, form, folder / f"{split}_images.npy")
        finish(folder, split, labels, known.name, form)
    write_description(folder, known.name, known.classes, [], [])


def write_folder(p: Params, source: Path, folder: Path) -> None:
    """Write the pictures in the folder `source`. Raises `InputError` where some can't be read, unless they may not."""
    listing = list_pictures(source)
    if listing.other:
        example = show(min(listing.other).relative_to(source))
        print(
            f"download: {len(listing.other)} files are no pictures by their names, and passed over, such as {example}"
        )
    form = choose_form(p, SIDE, SIDE, "rgb")
    name = show_name(source.resolve().name)
    bad, rows = list(listing.bad), []
    for split, paths, labels in arrange(p, listing):
        written, refused = write_pictures(paths, form, folder / f"{split}_images.npy")
        bad += refused
        if not bad or p.unreadable == "skip":
            if not written:
                raise InputError(
                    f"{show(source)}: no image for the {split} split, out of {len(paths)} pictures; add some, or "
                    "change download.test_share"
                )
            finish(folder, split, labels[written if listing.classes else []], name, form, len(written))
            rows += [
                [split, index, show_name(str(paths[place].relative_to(source)))] for index, place in enumerate(written)
            ]
    if bad and p.unreadable == "refuse":
        raise refusal(source, bad)
    if bad:
        print(
            f"download: warning: {len(bad)} could not be read, and stand in {FOLDER / 'unreadable.csv'}",
            file=sys.stderr,
        )
    notes = [[show_name(str(path.relative_to(source))), reason] for path, reason in bad]
    write_description(folder, name, listing.classes, rows, notes)


def arrange(p: Params, listing: Listing) -> list[tuple[Split, list[Path], Uint16]]:
    """Each split with its pictures and labels, shuffled: a folder's own order is class by class."""
    splits = {split: (paths, np.zeros(len(paths), np.uint16)) for split, paths in listing.pictures.items()}
    if listing.labels is not None:
        splits = {split: (paths, np.array(listing.labels[split], np.uint16)) for split, (paths, _) in splits.items()}
    if None in splits:
        paths, labels = splits[None]
        places = divide(labels, p.test_share, p.seed)
        splits = {split: ([paths[i] for i in of], labels[of]) for split, of in zip(SPLITS, places, strict=True)}
    random = np.random.default_rng(p.seed)
    arranged = []
    for split in SPLITS:
        paths, labels = splits[split]
        order = random.permutation(len(paths))
        arranged.append((split, [paths[place] for place in order], labels[order]))
    return arranged


def refusal(source: Path, bad: Sequence[Refusal]) -> InputError:
    """The error that names what can't be read, up to twenty."""
    lines = [f"  {show(path)}: {reason}" for path, reason in bad[:NAMED]]
    more = [f"  and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
    return InputError(
        "\n".join(
            [
                f"{show(source)}: {len(bad)} can't be read:",
                *lines,
                *more,
                "mend or remove them, or pass them over with `download.unreadable: skip`",
            ]
        )
    )


def finish(folder: Path, split: str, labels: Uint16, name: str, form: Form, count: int | None = None) -> None:
    """Write a split's labels, and say what came of it."""
    np.save(folder / f"{split}_labels.npy", labels)
    print(f"download: {name}, {count or len(labels)} {split} images, {form.height} x {form.width} {form.color}")


def write_description(
    folder: Path,
    name: str,
    classes: Sequence[str],
    pictures: Sequence[Sequence[object]],
    unreadable: Sequence[Sequence[object]],
) -> None:
    write_json(folder / DESCRIPTION.name, {"dataset": name, "classes": list(classes)})
    write_csv(folder / "pictures.csv", ["split", "index", "file"], pictures)
    write_csv(folder / "unreadable.csv", ["file", "reason"], unreadable)


def main() -> None:
    p = params.read("download", Params)
    source = Path(p.source).expanduser()
    if not source.exists():
        raise InputError(
            f"params.yaml: download.source: expected a file or folder that is there, got {p.source!r:.200}"
        )
    with outputs(FOLDER) as folder:
        (write_folder if source.is_dir() else write_known)(p, source, folder)


if __name__ == "__main__":
    run(main)
