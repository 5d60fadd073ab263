"""download: read the images, check them, and convert them to one size and color.

Reads  `download.source`: a folder of pictures, [train/, test/][<class>/**/]picture, or a file such as
       data/fashion-mnist.yaml, which describes a known data set and its mirrors
Writes data/download/train_images.npy, test_images.npy (uint8 [N, height, width, channels]), train_labels.npy,
       test_labels.npy (uint16 [N]; empty without classes), dataset.json, pictures.csv (the picture file of each image,
       if the source is a folder), unreadable.csv (skipped files)
"""

from stages.shared.runtime.run import run

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from errno import ENAMETOOLONG
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image, ImageColor
from pydantic import AfterValidator, BeforeValidator, Field

from stages.shared.arrays import Uint8, Uint16
from stages.shared.formats import write_csv, write_json
from stages.shared.images.dataset import DESCRIPTION, FOLDER, SPLITS, DatasetInfo, Range, Split
from stages.shared.images.dataset_spec import Arrays, DatasetSpec, Source
from stages.shared.images.folder import count_kinds, show, show_name, split_indices
from stages.shared.images.layout import Listing, list_pictures
from stages.shared.images.metadata import NAME as METADATA
from stages.shared.images.metadata import Metadata
from stages.shared.images.picture import ENDINGS
from stages.shared.images.pool import Indices, Pool
from stages.shared.images.preprocessing import Color, Fit, Preprocessing
from stages.shared.images.survey import Survey
from stages.shared.images.survey import show as show_number
from stages.shared.images.write import Refusal, survey_images, survey_pictures, write_images, write_pictures
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError, with_path
from stages.shared.runtime.outputs import outputs

MAX_LISTED = 20  # unreadable pictures in an error
MAX_SHOWN = 8  # classes in a line
SIDE = 64  # default height and width of a folder's pictures


def spell_gray(color: object) -> object:
    """Return the color; raise `ValueError` if it is `grey`, the spelling of earlier versions."""
    if color == "grey":
        raise ValueError("expected 'gray', the new spelling")
    return color


def ascending(pair: Any) -> Any:
    """Return the value; raise `ValueError` if it is two numbers and the first is not the smaller one."""
    if isinstance(pair, list) and not pair[0] < pair[1]:
        raise ValueError("expected [black, white] with white larger than black")
    return pair


class Params(params.Section):
    """Source, size, color and classes of the images.

    height, width, color: with null, a known data set keeps its own, and a folder gets 64 x 64 RGB.
    background: a color in Pillow's notation.
    range: two values that become black and white; null for the bounds of the pixel type, `data` for the smallest and
    largest value of all pictures.
    classes: a regular expression with a group, or a table in the folder; null if subfolders are classes.
    test_share: share of test images; not used if the source has a test split.
    """

    source: str = Field(min_length=1)
    height: int | None = Field(ge=1, le=4096)
    width: int | None = Field(ge=1, le=4096)
    color: Annotated[Color | None, BeforeValidator(spell_gray)]
    fit: Fit
    background: str
    range: Annotated[
        Literal["dtype", "data"] | Annotated[list[float], Field(min_length=2, max_length=2)] | None,
        AfterValidator(ascending),
    ]
    classes: Annotated[str, Field(min_length=1)] | None
    test_share: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)
    unreadable: Literal["refuse", "skip"]


def choose_preprocessing(p: Params, height: int, width: int, color: Color) -> Preprocessing:
    """Make the preprocessing from the params; the arguments replace params that are null. Raises `InputError`."""
    try:
        background = ImageColor.getrgb(p.background)[:3]
    except ValueError:
        raise InputError(
            "params.yaml: download.background: expected a color such as white, black or '#8080ff', "
            f"got {p.background!r:.40}"
        ) from None
    return Preprocessing(p.height or height, p.width or width, p.color or color, p.fit, background)


def choose_range(p: Params, survey: Callable[[], Survey]) -> Range | None:
    """Choose the values that become black and white, by the params.

    Returns None if each picture is scaled by the bounds of its own type. `survey` is a function that reads all
    pictures.
    """
    match p.range:
        case [black, white]:
            return Range(black, white)
        case "data":
            return survey().by_data()
    return None


def check_range(p: Params, seen: Survey, survey: Callable[[], Survey], chosen: Range | None) -> Range | None:
    """Check the range of values of the whole set, and return it; None if the pictures have different types.

    Raises `InputError` if the range doesn't suit the values. `seen` is the survey made while the images were written;
    large JPEGs may have been decoded at reduced size for it. `survey` is a function that reads all pictures at full
    size.
    """
    if isinstance(p.range, list):
        seen.require_one(f"[{', '.join(map(show_number, p.range))}]")
    if p.range is None and seen.doubtful and (closely := survey()).doubtful:
        raise closely.question()
    by_type = seen.by_type()
    return chosen._replace(white_of_type=by_type.white if by_type else None) if chosen else by_type


def write_known(p: Params, path: Path, folder: Path) -> None:
    """Write the known data set described by the file at `path`."""
    if p.classes is not None:
        raise InputError(f"params.yaml: download.classes: {path} defines its classes; leave this param empty")
    known = DatasetSpec.load(path)
    with TemporaryDirectory(dir=folder) as scratch:
        source = known.open(Path(scratch))
        form = choose_preprocessing(p, *(source.size or (SIDE, SIDE)), source.color)
        if source.size is None and not (p.height and p.width):
            print(
                f"download: the pictures of {known.name} differ in size, so they become {form.height} x {form.width}; "
                "set download.height and download.width to change this"
            )
        survey = survey_images((image for split in source.splits.values() for image, _ in split), p.range == "data")
        chosen = choose_range(p, lambda: survey)
        form = replace(form, range=chosen)
        spread = check_range(p, survey, lambda: survey, chosen)
        files = {split: Path(scratch) / f"{split or 'all'}.npy" for split in source.splits}
        labels = [write_labeled(known, source, split, form, file) for split, file in files.items()]
        pool = Pool(list(files.values()), np.concatenate(labels))
        if None in files:
            indices = pool.keep_together(split_indices(pool.labels, p.test_share, p.seed), p.test_share, p.seed)
        else:
            indices = pool.keep_given(pool.given)
        finish(folder, pool, pool.shuffle_classes(indices, p.seed), known.name, source.classes, form)
    write_description(folder, known.name, source.classes, form, spread, [], [], [])


def write_labeled(known: DatasetSpec, source: Source, split: Split | None, form: Preprocessing, target: Path) -> Uint16:
    """Write the images of a split to the file `target`; return their labels, which are all 0 without classes."""
    labels, pictures = array("H"), source.splits[split]

    def images(labeled: Iterable[tuple[Image.Image | Uint8, Any]]) -> Iterator[Any]:
        for image, label in labeled:
            labels.append(known.find_class(label, source.classes) if source.classes else 0)
            yield image

    if isinstance(pictures, Arrays) and form.keeps(pictures.images):
        count = sum(1 for _ in images(zip(pictures.images, pictures.labels, strict=True)))
        np.save(target, pictures.images.reshape(count, *form.shape))
    else:
        write_images(images(pictures), form, target)
    return np.array(labels, np.uint16)


def write_folder(p: Params, source: Path, folder: Path) -> None:
    """Write the pictures in the folder `source`; raises `InputError` for unreadable ones unless they are skipped."""
    listing = list_pictures(source, p.classes)
    for note in listing.notes:
        print(f"download: {note}")
    metadata = Metadata.read(listing.metadata)
    if other := [path for path in listing.other if path.name != METADATA]:
        one = len(other) == 1
        are = "1 file without a picture's ending was" if one else f"{len(other)} files without a picture's ending were"
        print(f"download: {are} skipped: {count_kinds(other)}")
    every = [path for paths in listing.pictures.values() for path in paths]
    chosen = choose_range(p, lambda: survey_pictures(every))
    form = replace(choose_preprocessing(p, SIDE, SIDE, "rgb"), range=chosen)
    name = show_name(source.resolve().name)
    bad, survey = list(listing.bad), Survey()
    with TemporaryDirectory(dir=folder) as scratch:
        files, labels, read = [], [], []
        for split, paths, of in arrange(p, listing):
            files.append(Path(scratch) / f"{split}.npy")
            written = write_pictures(paths, form, files[-1])
            bad += written.bad
            survey.merge(written.survey)
            labels.append(of[written.indices])
            read += [paths[place] for place in written.indices]
            if not written.indices and (not bad or p.unreadable == "skip"):
                raise InputError(
                    f"{show(source)}: none of the {len(paths)} pictures for the {split} split can be read; "
                    "add readable pictures"
                )
        if bad and p.unreadable == "refuse":
            raise refusal(source, bad)
        spread = check_range(p, survey, lambda: survey_pictures(every), chosen)
        for line in survey.lines():
            print(f"download: {line}")
        pool = Pool(files, np.concatenate(labels))
        if None in listing.pictures:
            indices = pool.keep_together(pool.given, p.test_share, p.seed)
        else:
            indices = pool.keep_given(pool.given)
        finish(folder, pool, indices, name, listing.classes, form)
    if bad:
        print(
            f"download: warning: {len(bad)} file{'s' * (len(bad) > 1)} could not be read; "
            f"listed in {FOLDER / 'unreadable.csv'}",
            file=sys.stderr,
        )
    rows = [
        [split, index, show_name(str(read[image].relative_to(source))), *metadata.of(read[image])]
        for split, of in zip(SPLITS, indices, strict=True)
        for index, image in enumerate(of)
    ]
    notes = [[show_name(str(path.relative_to(source))), reason] for path, reason in bad]
    described = sum(any(row[3:]) for row in rows)
    if metadata.columns:
        names = ", ".join(metadata.columns)
        print(f"download: {METADATA} has the columns {names} for {described} of {len(rows)} pictures")
    write_description(folder, name, listing.classes, form, spread, metadata.columns, rows, notes)


def arrange(p: Params, listing: Listing) -> list[tuple[Split, list[Path], Uint16]]:
    """Return the picture paths and the labels of each split.

    They are in random order, because the pictures of a folder are sorted by class.
    """
    splits = {split: (paths, np.zeros(len(paths), np.uint16)) for split, paths in listing.pictures.items()}
    if listing.labels is not None:
        splits = {split: (paths, np.array(listing.labels[split], np.uint16)) for split, (paths, _) in splits.items()}
    if None in splits:
        paths, labels = splits[None]
        if 1 < len(listing.classes) == len(paths):
            print(
                "download: each class has only 1 picture, so the test images are drawn from all pictures, and evaluate "
                "can't predict classes"
            )
        places = split_indices(labels, p.test_share, p.seed)
        splits = {split: ([paths[i] for i in of], labels[of]) for split, of in zip(SPLITS, places, strict=True)}
    random = np.random.default_rng(p.seed)
    arranged = []
    for split in SPLITS:
        paths, labels = splits[split]
        order = random.permutation(len(paths))
        arranged.append((split, [paths[place] for place in order], labels[order]))
    return arranged


def refusal(source: Path, bad: Sequence[Refusal]) -> InputError:
    """Make an error that lists the unreadable pictures, at most twenty."""
    lines = [f"  {show(path)}: {reason}" for path, reason in bad[:MAX_LISTED]]
    more = [f"  and {len(bad) - MAX_LISTED} more"] if len(bad) > MAX_LISTED else []
    return InputError(
        "\n".join(
            [
                f"{show(source)}: {len(bad)} file{'s' * (len(bad) > 1)} can't be read:",
                *lines,
                *more,
                "repair or remove unreadable files, or skip them with `download.unreadable: skip`",
            ]
        )
    )


def finish(folder: Path, pool: Pool, indices: Indices, name: str, classes: Sequence[str], form: Preprocessing) -> None:
    """Write the images and labels of both splits, and print how many there are."""
    pool.move(indices, folder)
    for split, of in zip(SPLITS, indices, strict=True):
        np.save(folder / f"{split}_labels.npy", pool.labels[of if classes else []])
        images = f"{len(of)} {split} image{'s' * (len(of) != 1)}"
        print(f"download: {name}, {images}, {form.height} x {form.width} {form.color}")


def write_description(
    folder: Path,
    name: str,
    classes: Sequence[str],
    form: Preprocessing,
    spread: Range | None,
    columns: Sequence[str],
    pictures: Sequence[Sequence[object]],
    unreadable: Sequence[Sequence[object]],
) -> None:
    if spread and (spread.black, spread.white) != (0, 255):
        print(f"download: black is the value {show_number(spread.black)}, white is {show_number(spread.white)}")
    labels = np.concatenate([np.load(folder / f"{split}_labels.npy") for split in SPLITS])
    print(f"download: {count_classes(classes, labels)}")
    write_json(folder / DESCRIPTION.name, DatasetInfo(name, list(classes), spread, form.fit, form.background).to_json())
    write_csv(folder / "pictures.csv", ["split", "index", "file", *columns], pictures)
    write_csv(folder / "unreadable.csv", ["file", "reason"], unreadable)


def count_classes(classes: Sequence[str], labels: Uint16) -> str:
    """Describe the classes in a line: how many there are, and the first of them with their numbers of images."""
    if not classes:
        return "no classes; download.classes can take them from file names or from a table"
    counts = np.bincount(labels, minlength=len(classes))
    listed = [f"{name} ({count})" for name, count in zip(classes[:MAX_SHOWN], counts, strict=False)]
    more = [f"and {len(classes) - MAX_SHOWN} more"] if len(classes) > MAX_SHOWN else []
    return f"{len(classes)} class{'es' * (len(classes) > 1)}: {', '.join(listed + more)}"


def refuse_file(path: Path) -> None:
    """Raise `InputError` if the source is an archive or a picture instead of a data set description."""
    import tarfile
    import zipfile

    with with_path(path), path.open("rb") as file:
        packed = file.read(6) in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
        packed = packed or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    if packed:
        raise InputError(f"{show(path)}: this is an archive; unpack it and set download.source to the folder")
    if path.suffix.lower() in ENDINGS:
        raise InputError(f"{show(path)}: this is a picture; set download.source to its folder")


def main() -> None:
    p = params.read("download", Params)
    source = Path(p.source).expanduser()
    try:
        exists = source.exists()
    except OSError as error:
        if error.errno != ENAMETOOLONG:
            raise
        exists = False
    if not exists:
        raise InputError(f"params.yaml: download.source: expected an existing file or folder, got {p.source!r:.200}")
    if source.is_file():
        refuse_file(source)
    with outputs(FOLDER) as folder:
        (write_folder if source.is_dir() else write_known)(p, source, folder)


if __name__ == "__main__":
    run(main)
