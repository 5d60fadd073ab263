"""Folders as people have them: which pictures are of which split and class, and what is left out and said."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from stages.shared.images.layout import Listing, list_pictures
from stages.shared.runtime.errors import InputError

PETS = ("cat", "dog")
SPLITS = {"train": {"cat": 4, "dog": 4}, "test": {"cat": 2, "dog": 2}}


def lay_out(root: Path, counts: Mapping[str, int], files: Iterable[str] = ()) -> None:
    """So many files in each folder, called as pictures of it are, and other files: their names alone are looked at."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / folder / f"{number}.jpg").touch()
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def pets(**splits: int) -> dict[str, int]:
    """The folders of two classes in each split, with so many pictures each."""
    return {f"{split}/{pet}": count for split, count in splits.items() for pet in PETS}


def write_table(path: Path, rows: Iterable[Sequence[str]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def found(listing: Listing) -> dict[str | None, dict[str, int] | int]:
    """How many pictures of which class, or without classes, there are in each split."""
    if listing.labels is None:
        return {split: len(pictures) for split, pictures in listing.pictures.items()}
    return {
        split: dict(Counter(listing.classes[label] for label in labels)) for split, labels in listing.labels.items()
    }


def refused(root: Path, asked: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        list_pictures(root, asked)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# Splits


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "TEST"),
        ("train", "test1"),
        ("train_1", "eval-2"),
        ("Training", "Evaluation"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
    ],
)
def test_splits_by_the_words_in_use(train: str, test: str, tmp_path: Path) -> None:
    lay_out(tmp_path, pets(**{train: 4, test: 2}))
    listing = list_pictures(tmp_path)
    assert found(listing) == SPLITS
    said = f"training pictures are in {train}/, test pictures are in {test}/"
    assert listing.notes == ([] if (train, test) == ("train", "test") else [said])


@pytest.mark.parametrize("word", ["val", "valid", "Validation", "validation_2", "dev", "val2017"])
def test_a_validation_split_is_the_test_where_there_is_no_other(word: str, tmp_path: Path) -> None:
    lay_out(tmp_path, pets(train=4, **{word: 2}))
    listing = list_pictures(tmp_path)
    assert found(listing) == SPLITS
    assert f"{word}/ (4 pictures) is the test split, because there is no other" in listing.notes


def test_a_third_split_is_left_out(tmp_path: Path) -> None:
    lay_out(tmp_path, pets(train=4, valid=3, test=2))
    listing = list_pictures(tmp_path)
    assert found(listing) == SPLITS
    assert listing.notes == ["left out valid/ (6 pictures): train.validation holds out training images instead"]


def test_files_beside_splits_are_passed_over(tmp_path: Path) -> None:
    lay_out(tmp_path, pets(train=4, test=2), ["README.md", "LICENSE", "test/notes.txt"])
    listing = list_pictures(tmp_path)
    assert found(listing) == SPLITS
    assert len(listing.other) == 3


@pytest.mark.parametrize("name", ["masks", "Ground_Truth", "annotations", "labels", "segmentations", "gt"])
def test_a_folder_about_the_pictures_beside_splits_is_left_out(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, pets(train=4, test=2) | {f"{name}/deep": 3})
    listing = list_pictures(tmp_path)
    assert found(listing) == SPLITS
    assert listing.notes == [f"left out {name}/ (3 pictures): by name neither a split nor a class"]


def test_a_test_without_classes_is_left_out_where_training_has_some(tmp_path: Path) -> None:
    lay_out(tmp_path, pets(train=4) | {"test": 5})
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: SPLITS["train"]}
    assert listing.notes == [
        "left out test/ (5 pictures): it has no class folders, but train/ has",
        "the test images are drawn from train/ (download.test_share)",
    ]
    lay_out(tmp_path, pets(val=2))
    assert found(list_pictures(tmp_path)) == SPLITS, "with classes, val/ is the better test"


def test_classes_of_the_test_alone_are_kept_and_said(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train/good": 4, "test/good": 2, "test/crack": 3, "ground_truth/crack": 3})
    listing = list_pictures(tmp_path)
    assert found(listing) == {"train": {"good": 4}, "test": {"crack": 3, "good": 2}}
    assert listing.notes[-1] == "1 class is only in the test split, so its predictions can't be right: crack (3)"


def test_a_split_in_a_folder_of_its_own_name(tmp_path: Path) -> None:
    lay_out(tmp_path, {f"{split}/{split}/{pet}": count for split, count in (("train", 4), ("test", 2)) for pet in PETS})
    assert found(list_pictures(tmp_path)) == SPLITS


def test_a_folder_of_all_images_in_a_split_is_no_class(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train/images": 4, "valid/images": 2}, ["train/labels/0.txt", "data.yaml"])
    listing = list_pictures(tmp_path)
    assert found(listing) == {"train": 4, "test": 2}
    assert listing.notes == [
        "training pictures are in train/images/",
        "valid/images/ (2 pictures) is the test split, because there is no other",
    ]


@pytest.mark.parametrize("names", [("road", "test", "track"), ("train", "tram"), ("train_station", "test_tube")])
def test_a_class_may_be_called_like_a_split(names: tuple[str, ...], tmp_path: Path) -> None:
    lay_out(tmp_path, dict.fromkeys(names, 2))
    assert list_pictures(tmp_path).classes == sorted(names)


@pytest.mark.parametrize(
    ("folders", "files", "words"),
    [
        (["train", "test"], ["c.png"], "c.png: lies next to the splits train/ and test/, but"),
        (["train", "test", "extra"], [], "extra: lies next to the splits train/ and test/, but"),
        (["train", "test", "test_old"], [], "test_old: lies next to the splits train/ and test/, but"),
        (["train1", "train2", "test"], [], "train1/ and train2/ are all named like the training split"),
        (["val", "test"], [], "are splits, but there is no training split; rename one to train/"),
        (["train", "test/dog"], [], "train: has no class folders, but test/ has"),
        (["a/train", "a/test", "b/train", "b/test"], [], "a: train/ and test/ are inside a class folder"),
        (["cat"], ["b.png", "c.png"], "b.png and 1 more: not in a class folder such as cat/"),
        (["train"], ["b.png"], "b.png: not in a class folder such as train/"),
        (["cafe\u0301", "caf\u00e9"], [], "two class names look the same, 'café', but differ in their bytes"),
    ],
)
def test_what_can_not_be_told_is_refused_by_name(
    folders: list[str], files: list[str], words: str, tmp_path: Path
) -> None:
    lay_out(tmp_path, dict.fromkeys(folders, 2), files)
    assert words in refused(tmp_path)


# Classes


def test_the_first_folders_are_the_classes(tmp_path: Path) -> None:
    lay_out(tmp_path, {"2023/01": 2, "2023/02": 2, "2024/01": 3})
    assert found(list_pictures(tmp_path)) == {None: {"2023": 4, "2024": 3}}


@pytest.mark.parametrize("around", ["pets", "a/b/pets", "train", "test"])
def test_a_folder_that_holds_all_is_no_class(around: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {f"{around}/{pet}": 4 for pet in PETS}, ["README.md", "__MACOSX/pets/cat/._0.jpg"])
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: SPLITS["train"]}
    assert listing.notes == [f"all 8 pictures are in {around}/, so it is not a class"]


def test_a_folder_around_splits_is_stepped_into_and_none_within_a_split(tmp_path: Path) -> None:
    lay_out(tmp_path, {"pets/train/cat": 4, "pets/test/cat": 2})
    assert found(list_pictures(tmp_path)) == {"train": {"cat": 4}, "test": {"cat": 2}}


def test_pictures_in_one_folder_have_no_class(tmp_path: Path) -> None:
    lay_out(tmp_path, {"images": 5}, ["labels/0.txt"])
    assert found(list_pictures(tmp_path)) == {None: 5}


@pytest.mark.parametrize("names", [["1", "2", "10"], ["-5", "0", "5.5", "10"], ["01", "2", "003"]])
def test_classes_that_are_numbers_are_in_their_order(names: list[str], tmp_path: Path) -> None:
    lay_out(tmp_path, dict.fromkeys(names, 1))
    assert list_pictures(tmp_path).classes == names
    (tmp_path / "ten").mkdir()
    (tmp_path / "ten/0.jpg").touch()
    assert list_pictures(tmp_path).classes == sorted([*names, "ten"]), "as text where one is none"


def test_what_desktops_leave_is_passed_over(tmp_path: Path) -> None:
    clutter = [".DS_Store", "Thumbs.db", "cat/.hidden.png", "cat/._0.png", "dog/desktop.ini", ".git/x.png"]
    clutter += ["__MACOSX/x.png", "cat/@eaDir/0.jpg/thumb.jpg", "lost+found/x.png"]
    lay_out(tmp_path, dict.fromkeys(PETS, 4), clutter)
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: SPLITS["train"]}
    assert (listing.other, listing.notes) == ([], [])


# What is about the pictures


def test_masks_of_the_pictures_beside_are_left_out(tmp_path: Path) -> None:
    lay_out(tmp_path, {"images": 4}, [f"masks/{number}.png" for number in range(4)])
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: 4}
    assert listing.notes[0].startswith("left out masks/ (4 pictures): its files are named like the pictures beside it")
    lay_out(tmp_path, {}, ["masks/another.png"])
    assert found(list_pictures(tmp_path)) == {None: {"images": 4, "masks": 5}}, "another name is no mask of them"


def test_masks_may_stand_in_each_class(tmp_path: Path) -> None:
    files = [f"{pet}/{kind}" for pet in PETS for kind in ("images/a.jpg", "images/b.jpg", "masks/a_mask.png")]
    lay_out(tmp_path, {}, files)
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: {"cat": 2, "dog": 2}}
    assert listing.notes[0].startswith("left out 2 folders called masks/ (2 pictures)")


def test_masks_may_stand_beside_each_picture(tmp_path: Path) -> None:
    files = [
        f"{pet}/a ({number}){end}"
        for pet in PETS
        for number in range(3)
        for end in (".png", "_mask.png", "_mask_1.png")
    ]
    lay_out(tmp_path, {}, files)
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: {"cat": 3, "dog": 3}}
    assert listing.notes == ["left out 12 pictures such as a (0)_mask.png: named like masks; rename those that are not"]


def test_a_picture_that_is_called_a_mask_alone_is_one(tmp_path: Path) -> None:
    lay_out(tmp_path, {}, ["cat/a.jpg", "cat/face_mask.jpg", "dog/a_mask.jpg"])
    listing = list_pictures(tmp_path)
    assert found(listing) == {None: {"cat": 2, "dog": 1}}
    assert listing.notes == []


@pytest.mark.parametrize("names", [["hats", "masks", "scarves"], ["hats", "masks"]])
def test_masks_may_be_a_class(names: list[str], tmp_path: Path) -> None:
    lay_out(tmp_path, {}, [f"{name}/{name} {number}.jpg" for name in names for number in range(3)])
    assert list_pictures(tmp_path).classes == names


def test_a_folder_of_masks_alone_is_of_pictures(tmp_path: Path) -> None:
    lay_out(tmp_path, {"masks": 5})
    assert found(list_pictures(tmp_path)) == {None: 5}


# Nothing to read


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no picture in it; expected files such as .jpg or .png, or class folders"),
        (["a.txt", "b/c.txt", "README"], "class folders, got 2 .txt, 1 without an ending"),
        (["train.zip", "test.zip"], "but 2 archives such as test.zip: unpack those you need"),
        (["a.jpg"], "expected at least 2 pictures, to train on one and test on the other, got 1"),
    ],
)
def test_a_folder_without_pictures(files: list[str], words: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {}, files)
    assert words in refused(tmp_path)


# Classes by a pattern


def test_a_pattern_takes_the_class_from_the_path(tmp_path: Path) -> None:
    lay_out(tmp_path, {"2023/01": 2, "2023/02": 2, "2024/01": 3})
    listing = list_pictures(tmp_path, r"^(\d+/\d+)")
    assert found(listing) == {None: {"2023/01": 2, "2023/02": 2, "2024/01": 3}}


def test_a_pattern_that_fits_some_pictures_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {}, ["cat.0.jpg", "dog.1.jpg", "other.jpg", "stray.jpg"])
    message = refused(tmp_path, r"(cat|dog)\.\d+")
    assert r"download.classes: (cat|dog)\.\d+ gives no class to 2 of 4 pictures, such as other.jpg" in message


def test_a_pattern_that_fits_no_picture_of_the_test_has_one_drawn(tmp_path: Path) -> None:
    lay_out(tmp_path, {"test1": 3}, [f"train/{pet}.{number}.jpg" for pet in PETS for number in range(4)])
    listing = list_pictures(tmp_path, r"([a-z]+)\.\d+")
    assert found(listing) == {None: SPLITS["train"]}
    assert "left out test1/ (3 pictures): it has no class folders, but train/ has" in listing.notes


@pytest.mark.parametrize(("pattern", "words"), [("[a-z]+", "with a group for the class"), ("([a-z]+", "unterminated")])
def test_a_pattern_that_is_none(pattern: str, words: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"pets": 3})
    assert words in refused(tmp_path, pattern)


# Classes by a table


NAMES = [f"{pet}_{number}.jpg" for pet in PETS for number in range(4)]
ROWS = [["id", "filename", "label"], *([str(number), name, name[:3]] for number, name in enumerate(NAMES))]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A folder of pictures without classes, whose names begin with what is in the tables."""
    lay_out(tmp_path, {}, [f"images/{name}" for name in NAMES])
    return tmp_path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("name", "encoding"), [("labels.csv", "utf-8"), ("labels.CSV", "utf-8-sig"), ("a.tsv", "utf-8")]
)
def test_a_table_gives_the_classes(delimiter: str, name: str, encoding: str, flat: Path) -> None:
    write_table(flat / name, ROWS, delimiter, encoding)
    listing = list_pictures(flat, name)
    assert found(listing) == {None: SPLITS["train"]}
    columns = "file names in the column 'filename', classes in the column 'label'"
    assert listing.notes[-1] == f"{name} has a class for 8 pictures: {columns}"
    assert listing.other == []


@pytest.mark.parametrize(
    "written",
    [
        "{}.jpg",
        "{}",
        "{}.JPG",
        "{}.png",
        "images/{}.jpg",
        "./images/{}.jpg",
        "images\\{}.jpg",
        "/somewhere/pets/images/{}.jpg",
    ],
)
def test_a_table_names_pictures_by_name_or_path(written: str, flat: Path) -> None:
    write_table(flat / "labels.csv", [["picture", "kind"], *([written.format(name[:-4]), name[:3]] for name in NAMES)])
    assert found(list_pictures(flat, "labels.csv")) == {None: SPLITS["train"]}


def test_a_table_without_a_header(flat: Path) -> None:
    write_table(flat / "labels.csv", [[name, name[:3]] for name in NAMES])
    listing = list_pictures(flat, "labels.csv")
    assert found(listing) == {None: SPLITS["train"]}
    columns = "file names in the column '1', classes in the column '2'"
    assert listing.notes[-1] == f"labels.csv has a class for 8 pictures: {columns}"


def test_a_table_that_excel_saved(flat: Path) -> None:
    write_table(flat / "labels.csv", [["label", "file"], *([name[:3], name] for name in NAMES)], ";", "utf-8-sig")
    assert found(list_pictures(flat, "labels.csv:label")) == {None: SPLITS["train"]}, "its first bytes are no text"


def test_classes_of_a_table_keep_their_zeros(flat: Path) -> None:
    rows = [[name, f"0{number % 3}"] for number, name in enumerate(NAMES)]
    write_table(flat / "labels.csv", [["file", "class"], *rows])
    assert list_pictures(flat, "labels.csv").classes == ["00", "01", "02"]


def test_a_column_is_named_where_several_could_be_the_class(flat: Path) -> None:
    write_table(flat / "labels.csv", [["file", "age", "breed"], *([name, "3", name[:3]] for name in NAMES)])
    assert "such as labels.csv:age, got none; its columns are file, age, breed" in refused(flat, "labels.csv")
    assert "got race; its columns are file, age, breed" in refused(flat, "labels.csv:race")
    assert found(list_pictures(flat, "labels.csv:breed")) == {None: SPLITS["train"]}
    write_table(flat / "labels.csv", [["file", "id", "Class_Name"], *([name, "3", name[:3]] for name in NAMES)])
    assert found(list_pictures(flat, "labels.csv")) == {None: SPLITS["train"]}, "one is called so"
    write_table(flat / "labels.csv", [["file", "label_name", "label"], *([name, "a", name[:3]] for name in NAMES)])
    assert found(list_pictures(flat, "labels.csv")) == {None: SPLITS["train"]}, "one more so than the other"


def test_a_table_in_each_split(tmp_path: Path) -> None:
    for split, counts in SPLITS.items():
        names = [f"{pet}{number}.jpg" for pet, count in counts.items() for number in range(count)]
        lay_out(tmp_path, {}, [f"{split}/{name}" for name in names])
        rows = [[name, name[:3], "7"] for name in names]
        write_table(tmp_path / split / "metadata.csv", [["file_name", "label", "age"], *rows])
    assert found(list_pictures(tmp_path, "metadata.csv")) == SPLITS
    listing = list_pictures(tmp_path)
    assert found(listing) == {"train": 8, "test": 4}, "never unasked"
    assert listing.notes == [
        "metadata.csv lists 12 pictures; `download.classes: metadata.csv` would take their classes from its column "
        "'label'"
    ]


def test_metadata_beside_class_folders_is_no_class_table(tmp_path: Path) -> None:
    lay_out(tmp_path, {"cat": 2, "dog": 2})
    rows = [[f"{pet}/{number}.jpg", "7"] for pet in PETS for number in range(2)]
    write_table(tmp_path / "metadata.csv", [["file_name", "weight"], *rows])
    assert list_pictures(tmp_path).notes == []
    (tmp_path / "metadata.csv").rename(tmp_path / "labels.csv")
    assert "`download.classes: labels.csv` would take" in list_pictures(tmp_path).notes[0]


def test_a_table_of_the_training_pictures_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, {"test": 3}, [f"train/{name}" for name in NAMES])
    write_table(tmp_path / "train.csv", ROWS)
    listing = list_pictures(tmp_path, "train.csv")
    assert found(listing) == {None: SPLITS["train"]}
    assert "left out test/ (3 pictures): it has no class folders, but train/ has" in listing.notes


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[:-1], "labels.csv gives no class to 1 of 8 pictures, such as images/dog_3.jpg"),
        ([*ROWS, ["8", NAMES[0], "fox"]], "cat_0.jpg has two classes, cat and fox"),
        (
            [["file", "label"], ["a.jpg", "cat"]],
            "no column has file names of the pictures; the columns are file, label",
        ),
        ([["label"], ["cat"]], "expected two columns, files and classes, got 1"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(rows: list[list[str]], words: str, flat: Path) -> None:
    write_table(flat / "labels.csv", rows)
    assert words in refused(flat, "labels.csv")


def test_a_name_that_two_folders_have_needs_its_path(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train": 3, "test": 3})
    write_table(tmp_path / "labels.csv", [["id", "label"], *([str(number), "ab"[number % 2]] for number in range(3))])
    assert "0 matches 2 pictures" in refused(tmp_path, "labels.csv")
    rows = [[f"{split}/{number}.jpg", split] for split in ("train", "test") for number in range(3)]
    write_table(tmp_path / "labels.csv", [["path", "label"], *rows])
    assert found(list_pictures(tmp_path, "labels.csv")) == {"train": {"train": 3}, "test": {"test": 3}}


def test_a_table_that_is_not_there(flat: Path) -> None:
    write_table(flat / "Labels.csv", ROWS)
    assert "got 'label.csv'; the folder has Labels.csv" in refused(flat, "label.csv")
    assert found(list_pictures(flat, "labels.csv")) == {None: SPLITS["train"]}, "case does not count"
    write_table(flat.parent / "more.csv", ROWS)
    assert "expected a table in" in refused(flat, "../more.csv"), "DVC watches the folder alone"


def test_a_table_of_the_test_alone_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"train": 4}, [f"test/{name}" for name in NAMES])
    write_table(tmp_path / "test/labels.csv", ROWS)
    assert "labels.csv gives no class to 4 of 4 pictures, such as train/0.jpg" in refused(tmp_path, "labels.csv")


def test_rows_that_name_no_picture_are_counted(flat: Path) -> None:
    write_table(flat / "labels.csv", [*ROWS, ["8", "cat_8.jpg", "cat"]])
    assert list_pictures(flat, "labels.csv").notes[-1].endswith("; rows that match no picture: 1")
