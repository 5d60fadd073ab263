"""download from a folder: anybody's pictures, of any kind, whole or named as what they are."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from stages.shared.images.folder import split_indices
from stages.shared.images.preprocessing import Preprocessing
from stages.shared.runtime.errors import InputError
from tests.project import ROOT, STAGES, Project

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["download"]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


class Folder:
    """A folder of pictures, and `download` over it, in this process."""

    def __init__(self, root: Path) -> None:
        self.pictures, self.out = root / "pictures", root / "data/download"
        self.root = root
        self.pictures.mkdir()

    def add(
        self, name: str | bytes, color: Any = RED, mode: str = "RGB", size: tuple[int, int] = (8, 8), **save: Any
    ) -> Path:
        path = self.pictures / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, color).save(path, **save)
        return path

    def download(self, **changes: Any) -> None:
        changes = {"source": str(self.pictures), "height": 8, "width": 8} | changes
        (self.root / "params.yaml").write_text(yaml.safe_dump({"download": PARAMS | changes}))
        Project(self.root).play("download")

    def refused(self, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            self.download(**changes)
        assert not list(self.out.glob("*")), "nothing is written"
        return str(caught.value)

    def images(self, split: str = "train") -> Any:
        return np.load(self.out / f"{split}_images.npy")

    def classes(self) -> list[str]:
        classes: list[str] = json.loads((self.out / "dataset.json").read_text())["classes"]
        return classes

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def files(self, split: str) -> list[str]:
        return [row["file"] for row in self.rows("pictures.csv") if row["split"] == split]

    def labels(self, split: str) -> list[int]:
        labels: list[int] = np.load(self.out / f"{split}_labels.npy").tolist()
        return labels


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# Which pictures, of which class, in which split: tests/shared/images/test_layout.py has the rules


def test_the_images_have_the_labels_of_their_folders(folder: Folder) -> None:
    for shade, name in enumerate(("cat/a.png", "cat/deep/er/b.png", "dog/c.png", "dog/d.png")):
        folder.add(name, (255, 0, shade) if name[0] == "c" else (0, 255, shade))
    folder.download(test_share=0.5)
    assert folder.classes() == ["cat", "dog"]
    for split in ("train", "test"):
        images, labels, files = folder.images(split), folder.labels(split), folder.files(split)
        assert images.shape == (2, 8, 8, 3)
        assert images.dtype == np.uint8
        assert sorted(labels) == [0, 1], "a share of each class"
        assert [file[:3] for file in files] == [["cat", "dog"][label] for label in labels]
        for image, label in zip(images, labels, strict=True):
            assert (image[..., :2] == [RED, GREEN][label][:2]).all()


def test_what_metadata_csv_says_stands_beside_each_file(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        folder.add(name)
    (folder.pictures / "metadata.csv").write_text('file_name,age,note\ncat/a.png,3,"small, black"\ndog/c.png,7,\n')
    (folder.pictures / "dog/metadata.csv").write_text("file_name,owner\nd.png,Ada\n")
    folder.download(test_share=0.5)
    with (folder.out / "pictures.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows["cat/a.png"]) == ["split", "index", "file", "age", "note", "owner"]
    assert [rows["cat/a.png"][key] for key in ("age", "note", "owner")] == ["3", "small, black", ""]
    assert rows["dog/d.png"]["owner"] == "Ada"
    assert rows["cat/b.png"]["age"] == ""
    assert "metadata.csv has the columns age, note, owner for 3 of 4 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,age", "expected a column file_name, got name, age"),
        ("file_name,index", "the column name index is reserved"),
    ],
)
def test_a_metadata_csv_that_says_it_otherwise_is_refused(folder: Folder, header: str, message: str) -> None:
    folder.add("a.png")
    folder.add("b.png")
    (folder.pictures / "metadata.csv").write_text(f"{header}\na.png,3\n")
    assert message in folder.refused()


def test_no_subfolder_means_no_labels(folder: Folder) -> None:
    for index in range(10):
        folder.add(f"{index}.png", (index, 0, 0))
    folder.download()
    assert folder.classes() == []
    assert folder.labels("train") == folder.labels("test") == []
    assert len(folder.images("train")) == 8
    assert len(folder.images("test")) == 2
    for split in ("train", "test"):
        shades = folder.images(split)[:, 0, 0, 0]
        assert [int(file[:-4]) for file in folder.files(split)] == shades.tolist(), "pictures.csv says which is which"


def test_given_splits_are_kept(folder: Folder) -> None:
    for name in ("train/cat/a.png", "train/dog/b.png", "train/dog/c.png", "test/dog/d.png"):
        folder.add(name)
    folder.download()
    assert folder.classes() == ["cat", "dog"]
    assert sorted(folder.labels("train")) == [0, 1, 1]
    assert folder.labels("test") == [1]
    assert sorted(folder.files("train")) == ["train/cat/a.png", "train/dog/b.png", "train/dog/c.png"]


def test_what_was_guessed_and_what_came_of_it_is_printed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(10):
        folder.add(f"zoo/{['cat', 'dog', 'fox'][index % 3]}/{index}.png", (index, 0, 0))
    for name in ("zoo/notes.txt", "LICENSE"):
        (folder.pictures / name).write_text("a text")
    folder.download()
    lines = [line for line in capsys.readouterr().out.splitlines() if "of a single color" not in line]
    assert lines == [
        "download: all 10 pictures are in zoo/, so it is not a class",
        "download: 2 files without a picture's ending were skipped: 1 .txt, 1 without an ending",
        "download: pictures, 8 train images, 8 x 8 rgb",
        "download: pictures, 2 test images, 8 x 8 rgb",
        "download: 3 classes: cat (4), dog (3), fox (3)",
    ]


def test_of_many_classes_the_first_are_printed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(24):
        folder.add(f"{index % 12}/{index}.png", (index, 0, 0))
    folder.download()
    line = "download: 12 classes: 0 (2), 1 (2), 2 (2), 3 (2), 4 (2), 5 (2), 6 (2), 7 (2), and 4 more"
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_one_picture_a_class(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(20):
        folder.add(f"person {index}/portrait.png", (index, 0, 0))
    folder.download()
    assert len(folder.classes()) == 20
    assert (len(folder.images("train")), len(folder.images("test"))) == (16, 4)
    assert "each class has only 1 picture, so the test images are drawn from all pictures" in capsys.readouterr().out


def test_classes_that_the_param_asks_for(folder: Folder) -> None:
    for index in range(10):
        folder.add(f"{['cat', 'dog'][index % 2]}.{index}.png", [(255, 0, index), (0, 255, index)][index % 2])
    folder.download(classes=r"([a-z]+)\.\d+")
    assert folder.classes() == ["cat", "dog"]
    for split in ("train", "test"):
        for image, label in zip(folder.images(split), folder.labels(split), strict=True):
            assert (image[..., :2] == [RED, GREEN][label][:2]).all()


def test_a_known_data_set_has_its_own_classes(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    message = folder.refused(source=str(ROOT / "data/digits.yaml"), classes="labels.csv")
    assert "download.classes" in message
    assert "leave this param empty" in message
    folder.download(source=str(ROOT / "data/digits.yaml"))
    assert "10 classes: 0 (178), 1 (182), 2 (177)" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_refused_with_what_to_do(kind: str, folder: Folder) -> None:
    folder.add("cat/a.png")
    archive = shutil.make_archive(str(folder.root / "pets"), kind, folder.pictures)
    assert "is an archive; unpack it and set download.source to the folder" in folder.refused(source=archive)


def test_a_picture_is_refused_as_source(folder: Folder) -> None:
    assert "is a picture; set download.source to its folder" in folder.refused(source=str(folder.add("a.png")))


def test_the_split_is_seeded_and_the_order_mixes_the_classes(folder: Folder) -> None:
    for index in range(40):
        folder.add(f"{'ab'[index % 2]}/{index}.png")
    runs = []
    for seed in (0, 0, 1):
        folder.download(seed=seed)
        runs.append((folder.files("train"), folder.files("test")))
    assert runs[0] == runs[1] != runs[2]
    assert len(set(folder.labels("train")[:8])) == 2


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_a_split_has_the_share_of_each_class(share: float) -> None:
    labels = np.random.default_rng(0).choice(5, 1000, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    train, test = split_indices(labels, share, 0)
    assert sorted([*train, *test]) == list(range(1000))
    assert abs(len(test) - 1000 * share) <= 1
    for label, count in Counter(labels.tolist()).items():
        assert abs((labels[test] == label).sum() - count * share) <= 1


def test_a_class_of_one_picture_stays_in_the_training() -> None:
    labels = np.array([0] * 9 + [1])
    for share in (0.2, 0.5, 0.9):
        assert 9 in split_indices(labels, share, 0)[0]
    _, test = split_indices(np.arange(300).repeat(2), 0.2, 0)
    assert len(test) == 120
    assert max(Counter(np.arange(300).repeat(2)[test].tolist()).values()) == 1


@pytest.mark.parametrize(("labels", "share", "count"), [(range(300), 0.2, 60), ([0, 0], 0.2, 1), ([0] * 30, 0.01, 1)])
def test_where_no_class_can_spare_one_the_test_is_drawn_from_all(
    labels: Sequence[int], share: float, count: int
) -> None:
    train, test = split_indices(np.array(labels), share, 0)
    assert len(test) == count
    assert sorted([*train, *test]) == list(range(len(labels)))


def test_as_many_classes_as_16_bits_count(folder: Folder) -> None:
    labels = np.arange(65_535).repeat(2)
    _, test = split_indices(labels, 0.5, 0)
    assert len(test) == 65_535
    for index in range(300):
        folder.add(f"class {index}/a.png")
        folder.add(f"class {index}/b.png")
    folder.download()
    assert len(folder.classes()) == 300
    assert max(folder.labels("train")) == 299


def test_a_source_that_is_not_there(folder: Folder) -> None:
    assert "params.yaml: download.source: expected an existing file or folder" in folder.refused(source="nowhere")


def test_names_of_all_kinds(folder: Folder) -> None:
    odd: list[str | bytes] = [
        "new\nline",
        "quo\"te'",
        "<b>&amp;",
        "$x$ $y$",
        "ü – 数据",
        b"by\xff\xfetes",
        "tab\t",
        "=1+1",
    ]
    for name in odd:
        text = os.fsdecode(name)
        folder.add(f"{text}/{text}.png")
        folder.add(f"{text}/2.png")
    folder.download(test_share=0.5)
    shown = {"new\\nline", "quo\"te'", "<b>&amp;", "$x$ $y$", "ü – 数据", "by\\xff\\xfetes", "tab\\t", "=1+1"}
    assert set(folder.classes()) == shown
    files = folder.files("train") + folder.files("test")
    assert {file.split("/")[0] for file in files} == shown


# Links


def test_a_link_to_a_picture_is_followed(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    Image.new("RGB", (8, 8), BLUE).save(outside)
    for index in range(4):
        folder.add(f"cat/{index}.png")
    (folder.pictures / "cat/linked.png").symlink_to(outside)
    folder.download(test_share=0.3)
    assert max(folder.files("train") + folder.files("test")) == "cat/linked.png"
    assert (np.concatenate([folder.images("train"), folder.images("test")]) == BLUE).all(axis=(1, 2, 3)).sum() == 1


def test_a_source_that_is_a_link_is_followed(folder: Folder, tmp_path: Path) -> None:
    for index in range(5):
        folder.add(f"{index}.png")
    (tmp_path / "link").symlink_to(folder.pictures)
    folder.download(source=str(tmp_path / "link"))
    assert len(folder.images("train")) == 4


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.png", "a link to a missing file"),
        ("link.png", "a link to a missing file"),  # a circle
        (".", "a link to a folder"),
        ("../../outside", "a link to a folder"),
    ],
)
def test_a_link_that_dvc_does_not_follow_is_named(target: str, reason: str, folder: Folder, tmp_path: Path) -> None:
    for index in range(5):
        folder.add(f"cat/{index}.png")
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "outside/more.png")
    (folder.pictures / "cat/link.png").symlink_to(target)
    message = folder.refused()
    assert "cat/link.png: " + reason in message
    folder.download(unreadable="skip")
    assert [row["file"] for row in folder.rows("unreadable.csv")] == ["cat/link.png"]
    assert len(folder.images("train")) == 4


def test_a_linked_split_or_class_is_refused(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for index in range(5):
        folder.add(f"train/{index}.png")
        Image.new("RGB", (8, 8)).save(tmp_path / f"more/{index}.png")
    (folder.pictures / "test").symlink_to(tmp_path / "more")
    message = folder.refused()
    assert "test: a link to a folder, in which DVC doesn't see changes: put the folder itself here" in message


# Bad pictures


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has a thousand million pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 25_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def spoil(folder: Folder) -> dict[str, str]:
    """Bad pictures by their names, with a word of the reason."""
    whole = folder.add("cat/whole.jpg", size=(64, 64))
    data = whole.read_bytes()
    for name, content in {
        "cut.jpg": data[: len(data) // 2],
        "text.png": b"<!doctype html>",
        "empty.gif": b"",
        "bomb.png": bomb(),
        "zeros.bmp": bytes(100),
    }.items():
        (folder.pictures / "cat" / name).write_bytes(content)
    os.mkfifo(folder.pictures / "cat/pipe.png")
    return {
        "cut.jpg": "runcated",
        "text.png": "is an HTML page, not a supported kind of picture",
        "empty.gif": "is empty",
        "bomb.png": "exceeds limit",
        "zeros.bmp": "has only zeros",
        "pipe.png": "is not a regular file",
    }


def test_bad_pictures_are_all_named_and_nothing_is_written(folder: Folder) -> None:
    bad = spoil(folder)
    message = folder.refused()
    assert f"{len(bad)} files can't be read" in message
    for name, reason in bad.items():
        assert any(name in line and reason in line for line in message.splitlines()), message
    assert "download.unreadable: skip" in message


def test_bad_pictures_are_skipped_counted_and_listed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    bad = spoil(folder)
    for index in range(9):
        folder.add(f"dog/{index}.png")
    folder.download(unreadable="skip")
    assert len(folder.images("train")) + len(folder.images("test")) == 10
    assert len(folder.labels("train")) == len(folder.images("train"))
    assert {row["file"] for row in folder.rows("unreadable.csv")} == {f"cat/{name}" for name in bad}
    assert f"{len(bad)} files could not be read" in capsys.readouterr().err


def test_one_bad_picture_is_a_file(folder: Folder) -> None:
    folder.add("good.png")
    (folder.pictures / "bad.png").write_text("no picture")
    assert ": 1 file can't be read:" in folder.refused()


def test_of_many_bad_pictures_twenty_are_named(folder: Folder) -> None:
    for index in range(30):
        (folder.pictures / f"{index:02}.png").write_text("no picture")
    folder.add("good.png")
    message = folder.refused()
    assert "30 files can't be read" in message
    assert sum("not a supported kind of picture" in line for line in message.splitlines()) == 20
    assert "and 10 more" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user that may become another, to be one that may not read all")
@pytest.mark.parametrize("path", ["cat", "cat/1.png"])
def test_what_this_user_may_not_read(path: str, folder: Folder) -> None:
    for index in range(6):
        folder.add(f"{'cat' if index < 3 else 'dog'}/{index}.png")
    for each in (folder.root, *folder.root.parents):
        each.chmod(each.stat().st_mode | 0o755) if each.owner() == "root" and str(each) != "/" else None
    folder.root.chmod(0o777)
    (folder.pictures / path).chmod(0)
    try:
        os.seteuid(65534)
        with pytest.raises(InputError) as caught:
            folder.download()
    finally:
        os.seteuid(0)
    assert f"{path}: Permission denied" in str(caught.value)


# Whatever Pillow opens, in one form


def read(folder: Folder, path: Path, **changes: Any) -> Any:
    form: dict[str, Any] = {"height": 8, "width": 8, "color": "rgb", "fit": "pad", "background": (255, 255, 255)}
    return Preprocessing(**(form | changes)).read(path)[0]


QUALITY = {"quality": 100, "subsampling": 0}
KINDS: dict[str, dict[str, Any]] = {"a.png": {}, "a.webp": {"lossless": True}, "a.tiff": {}, "a.bmp": {}, "a.ppm": {}}
KINDS |= {"a.jpg": QUALITY, "a.JPEG": QUALITY}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_kinds_of_files(folder: Folder, name: str, color: str) -> None:
    path = folder.add(name, (200, 100, 50), **KINDS[name])
    pixels = read(folder, path, color=color)
    gray = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)  # ITU-R BT.601
    expected = [200, 100, 50] if color == "rgb" else [gray]
    assert pixels.shape == (8, 8, len(expected))
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_a_gif_gives_its_first_frame(folder: Folder) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    path = folder.pictures / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read(folder, path) == RED).all()


def test_a_palette_and_its_transparent_color(folder: Folder) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *GREEN])
    image.paste(0, (0, 0, 4, 8))
    path = folder.pictures / "a.png"
    image.save(path, transparency=0)
    pixels = read(folder, path, background=BLUE)
    assert (pixels[:, :4] == BLUE).all()
    assert (pixels[:, 4:] == GREEN).all()


def test_alpha_lies_over_the_background(folder: Folder) -> None:
    path = folder.add("a.png", (255, 0, 0, 51), "RGBA")
    assert read(folder, path, background=(0, 0, 255))[0, 0].tolist() == [51, 0, 204]
    path = folder.add("b.png", (0, 0), "LA")
    assert (read(folder, path, background=(10, 20, 30)) == [10, 20, 30]).all()


def test_sixteen_bits_are_scaled_and_not_cut(folder: Folder) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for name in ("a.png", "a.tiff"):
        Image.fromarray(values).save(folder.pictures / name)
        pixels = read(folder, folder.pictures / name, color="gray")
        assert np.abs(pixels[..., 0] - values / 257).max() <= 0.5


def test_cmyk(folder: Folder) -> None:
    path = folder.add("a.jpg", (0, 255, 255, 0), "CMYK", quality=100)
    assert np.abs(read(folder, path).astype(int) - RED).max() <= 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says(folder: Folder, orientation: int) -> None:
    """As seen, it is red on top left; each orientation keeps it in another way."""
    seen = np.zeros((8, 8, 3), np.uint8)
    seen[:4, :4] = RED
    seen[:4, 4:] = GREEN
    inverse = {
        1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }[orientation]  # fmt: skip
    image = Image.fromarray(seen)
    kept = image.transpose(Image.Transpose[inverse]) if inverse else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder.pictures / "a.png"
    kept.save(path, exif=exif)
    assert np.array_equal(read(folder, path), seen)


def test_the_three_ways_to_fit(folder: Folder) -> None:
    image = Image.new("RGB", (32, 16), RED)
    image.paste(GREEN, (8, 0, 24, 16))
    path = folder.pictures / "a.png"
    image.save(path)
    padded = read(folder, path, fit="pad", background=BLUE)
    assert (padded[:2] == BLUE).all()
    assert (padded[6:] == BLUE).all()
    assert np.abs(padded[2:6, 3:5].astype(int) - GREEN).max() < 30
    cropped = read(folder, path, fit="crop")
    assert (cropped[:, 1:7] == GREEN).all()
    stretched = read(folder, path, fit="stretch")
    assert (stretched[:, 0] == RED).all()
    assert (stretched[:, 4] == GREEN).all()


@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (1, 1), (3, 5), (4000, 10)])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_sizes_of_all_kinds(folder: Folder, size: tuple[int, int], fit: str) -> None:
    path = folder.add("a.png", size=size)
    assert read(folder, path, fit=fit, height=6, width=9).shape == (6, 9, 3)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_made_smaller_is_antialiased(folder: Folder, name: str) -> None:
    """As torchvision makes it, but for the filter; a single pixel out of each block would be far off."""
    import torch
    from torchvision.transforms.v2.functional import resize

    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (96, 96, 3)).astype(np.uint8)
    path = folder.pictures / name
    Image.fromarray(pixels).save(path, quality=100, subsampling=0)
    expected = resize(torch.tensor(pixels).movedim(2, 0), [8, 8], antialias=True).movedim(0, 2).numpy()
    assert np.abs(read(folder, path, fit="stretch").astype(int) - expected).mean() < 3
    assert np.abs(pixels[::12, ::12].astype(int) - expected).mean() > 40


# Known data sets


def test_digits_are_scikit_learns(folder: Folder) -> None:
    folder.download(source=str(ROOT / "data/digits.yaml"), height=None, width=None)
    digits = load_digits()
    images = np.concatenate([folder.images("train"), folder.images("test")])
    labels = folder.labels("train") + folder.labels("test")
    assert images.shape == (1797, 8, 8, 1)
    assert len(folder.images("test")) == 359
    ours = sorted(zip(labels, (image.tobytes() for image in images), strict=True))
    theirs = np.rint(digits.images * 255 / 16).astype(np.uint8)
    assert ours == sorted(zip(digits.target.tolist(), (image.tobytes() for image in theirs), strict=True))


def test_a_known_data_set_in_another_form(folder: Folder) -> None:
    folder.download(source=str(ROOT / "data/digits.yaml"), height=16, width=12, color="rgb", fit="stretch")
    images = folder.images("train")
    assert images.shape[1:] == (16, 12, 3)
    assert (images[..., 0] == images[..., 1]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Upper Case"}, "mine.yaml: name: "),
        ({"classes": ["a", "a"]}, "classes: expected distinct names"),
        ({"classes": ["one"]}, "expected labels from 0 to 0 for 1 class names, got 1"),
        ({"scikit-learn": None}, "expected exactly one of the keys torchvision, scikit-learn and synthetic, got 0"),
        ({"scikit-lern": {}}, "unknown key 'scikit-lern'; did you mean 'scikit-learn'?"),
        ({"synthetic": {"train_images": 1, "test_images": 1, "seed": 0}}, "got 2"),
    ],
)
def test_a_description_that_is_wrong(change: dict[str, Any], words: str, folder: Folder) -> None:
    path = folder.root / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((ROOT / "data/digits.yaml").read_text()) | change))
    assert words in folder.refused(source=str(path))


# The whole pipeline


def scenes(folder: Path, classes: list[str], count: int = 12) -> None:
    """Pictures of a few sizes: a ground and a disc, whose colors tell the class."""
    from PIL import ImageDraw

    random = np.random.default_rng(0)
    for label, name in enumerate(classes or [""]):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            size = (int(random.integers(20, 60)), int(random.integers(20, 60)))
            image = Image.new("RGB", size, (40 * label % 256, 120, int(random.integers(256))))
            ImageDraw.Draw(image).ellipse([4, 4, *(side - 4 for side in size)], fill=(255, 40 * label % 256, 0))
            image.save(folder / name / f"{index}.{'png' if index % 2 else 'jpg'}")


CHANGES = {
    "download": {"height": 12, "width": 10},
    "train": {"batch_size": 8},
    "extract": {"count": 20},
    "evaluate": {"neighbors": 1},
    "report": {"examples": 2},
}


@pytest.mark.parametrize(
    "classes", [[], ["only"], [f"$class$ <{label}>" for label in range(40)]], ids=["none", "one", "40"]
)
def test_the_pipeline_over_colored_pictures(classes: list[str], tmp_path: Path) -> None:
    scenes(tmp_path / "pictures", classes, 40 if len(classes) < 2 else 5)
    project = Project.create(tmp_path / "project")
    project.edit(CHANGES | {"download": CHANGES["download"] | {"source": str(tmp_path / "pictures")}})
    project.play(*STAGES)
    metrics = json.loads((project.root / "data/evaluate/metrics.json").read_text())
    assert ("knn_accuracy" in metrics) == (len(classes) > 1)
    with (project.root / "data/extract/latents.csv").open() as file:
        assert ("class" in next(csv.reader(file))) == (len(classes) > 1), "one folder alone is no class"
    for picture in ("render/reconstructions.png", "plot/latents.png", "report/examples.png", "report/confusion.png"):
        with Image.open(project.root / "data" / picture) as image:
            assert min(image.size) > 30
    with Image.open(project.root / "data/render/reconstructions/1.png") as image:
        red, green, _ = (np.asarray(band, int) for band in image.convert("RGB").split())
        assert np.abs(red - green).max() > 100, "in color"


@pytest.mark.parametrize("counts", [{"": 5}, {"common": 40, "rare": 3}], ids=str)
def test_a_small_folder_runs_with_the_params_as_they_stand(
    counts: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in counts.items():
        scenes(tmp_path / "pictures", [name], count)
    project = Project.create(tmp_path / "project", {"download": {"source": str(tmp_path / "pictures")}})
    project.play(*STAGES)
    printed = capsys.readouterr().out
    images = sum(counts.values()) - max(1, round(sum(counts.values()) / 5))
    assert f"extract: {images} train images, fewer than extract.count (200), because there are no others" in printed
    metrics = json.loads((project.root / "data/evaluate/metrics.json").read_text())
    assert metrics["test_mse"] > 0
    assert ("knn_accuracy" in metrics) == (len(counts) > 1)
    assert (metrics["trustworthiness"] is None) == (sum(counts.values()) == 5)
    assert (project.root / "data/explore/explorer.html").exists()


def test_a_changed_picture_or_table_reruns_what_it_should(tmp_path: Path) -> None:
    scenes(tmp_path / "pictures", ["only"], 40)
    project = Project.create(tmp_path / "project")
    project.edit(CHANGES | {"download": CHANGES["download"] | {"source": str(tmp_path / "pictures")}})
    assert project.repro("download") == {"download"}
    assert project.repro("download") == set()
    first = min((tmp_path / "pictures").rglob("*.png"))
    Image.new("RGB", (30, 30), BLUE).save(first)
    assert project.repro("download") == {"download"}
    (tmp_path / "pictures/labels.csv").write_text(
        "file,label\n" + "".join(f"{n}.png,a\n{n}.jpg,b\n" for n in range(40))
    )
    assert project.repro("download") == {"download"}
