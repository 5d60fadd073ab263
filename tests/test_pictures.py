"""download from a folder: anybody's pictures, of any kind, whole or named as what they are."""

import csv
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from stages.shared.images.folder import divide
from stages.shared.images.form import Form
from stages.shared.process.errors import InputError
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


# Which pictures, of which class, in which split


def test_subfolders_are_classes_at_any_depth(folder: Folder) -> None:
    for name in ("cat/a.png", "cat/deep/er/b.png", "dog/c.png", "dog/d.png"):
        folder.add(name, RED if name[0] == "c" else BLUE)
    folder.download(test_share=0.5)
    assert folder.classes() == ["cat", "dog"]
    for split in ("train", "test"):
        images, labels, files = folder.images(split), folder.labels(split), folder.files(split)
        assert images.shape == (2, 8, 8, 3)
        assert images.dtype == np.uint8
        assert sorted(labels) == [0, 1], "a share of each class"
        assert [file[:3] for file in files] == [["cat", "dog"][label] for label in labels]
        for image, label in zip(images, labels, strict=True):
            assert (image == [RED, BLUE][label]).all()


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


def test_train_and_test_on_top_are_the_splits(folder: Folder) -> None:
    for name in ("train/cat/a.png", "train/dog/b.png", "train/dog/c.png", "test/dog/d.png"):
        folder.add(name)
    folder.download()
    assert folder.classes() == ["cat", "dog"]
    assert sorted(folder.labels("train")) == [0, 1, 1]
    assert folder.labels("test") == [1]
    assert sorted(folder.files("train")) == ["train/cat/a.png", "train/dog/b.png", "train/dog/c.png"]


def test_train_alone_is_split(folder: Folder) -> None:
    for index in range(5):
        folder.add(f"train/cat/{index}.png")
        folder.add(f"train/dog/{index}.png")
    folder.download()
    assert folder.classes() == ["cat", "dog"]
    assert len(folder.images("test")) == 2


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
    train, test = divide(labels, share, 0)
    assert sorted([*train, *test]) == list(range(1000))
    assert abs(len(test) - 1000 * share) <= 1
    for label, count in Counter(labels.tolist()).items():
        assert abs((labels[test] == label).sum() - count * share) <= 1


def test_a_class_of_one_picture_stays_in_the_training() -> None:
    labels = np.arange(300)  # and where all classes are so small, so do all of them
    for share in (0.2, 0.5, 0.9):
        train, test = divide(labels, share, 0)
        assert len(train) == 300
        assert len(test) == 0
    train, test = divide(np.repeat(labels, 2), 0.2, 0)
    assert len(test) == 120
    assert max(Counter(np.repeat(labels, 2)[test].tolist()).values()) == 1


def test_as_many_classes_as_16_bits_count(folder: Folder) -> None:
    labels = np.arange(65_535).repeat(2)
    _, test = divide(labels, 0.5, 0)
    assert len(test) == 65_535
    for index in range(300):
        folder.add(f"class {index}/a.png")
        folder.add(f"class {index}/b.png")
    folder.download()
    assert len(folder.classes()) == 300
    assert max(folder.labels("train")) == 299


def test_hidden_files_and_clutter_are_passed_over(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(5):
        folder.add(f"cat/{index}.png")
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "cat/.hidden.png",
        "cat/._0.png",
        "cat/desktop.ini",
        ".git/x.png",
        "__MACOSX/x.png",
    ):
        path = folder.pictures / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture")
    (folder.pictures / "cat/notes.txt").write_text("no picture")
    folder.download()
    assert folder.classes() == ["cat"]
    assert len(folder.images("train")) == 4
    assert "1 files are no pictures by their names" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ["no picture in it"]),
        (["train/cat/a.png"], ["no image for the test split"]),
        (["a.png", "cat/b.png"], ["a.png: stands beside class folders such as cat/"]),
        (["train/a.png", "test/b.png", "c.png"], ["c.png: stands beside train/ and test/"]),
        (["train/cat/a.png", "test/dog/b.png"], ["test/dog: a class without a picture in train/"]),
        (["train/a.png", "test/dog/b.png"], ["stands beside class folders"]),
        (["cafe\u0301/a.png", "caf\u00e9/b.png"], ["two class folders are called 'café'", "rename one"]),
    ],
)
def test_what_is_laid_out_otherwise_is_refused(names: list[str], words: list[str], folder: Folder) -> None:
    for name in names:
        folder.add(name)
    message = folder.refused()
    assert len(message.splitlines()) == 1
    assert all(word in message for word in words), message


def test_a_source_that_is_not_there(folder: Folder) -> None:
    assert "params.yaml: download.source: expected a file or folder that is there" in folder.refused(source="nowhere")


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


def test_a_link_in_the_folder_is_followed_and_no_further(folder: Folder, tmp_path: Path) -> None:
    outside, further = Folder.__new__(Folder), tmp_path / "further"
    outside.pictures = tmp_path / "outside"
    outside.add("a.png")
    outside.add("b.png")
    further.mkdir()
    Image.new("RGB", (8, 8)).save(further / "secret.png")
    (outside.pictures / "leads on.png").symlink_to(further / "secret.png")
    (outside.pictures / "on").symlink_to(further)
    (outside.pictures / "itself.png").symlink_to("a.png")
    (folder.pictures / "linked").symlink_to(outside.pictures)
    folder.add("own/c.png")
    (folder.pictures / "own/d.png").symlink_to(outside.pictures / "a.png")
    folder.download(unreadable="skip", test_share=0.3)
    files = sorted(folder.files("train") + folder.files("test"))
    assert files == ["linked/a.png", "linked/b.png", "linked/itself.png", "own/c.png", "own/d.png"]
    reasons = {row["file"]: row["reason"] for row in folder.rows("unreadable.csv")}
    assert set(reasons) == {"linked/leads on.png", "linked/on"}
    assert set(reasons.values()) == {"a link that leads on from outside the folder"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.png", "a link to what is not there"),
        ("link.png", "a link in a circle"),
        (".", "a link to a folder around it"),
        ("..", "a link to a folder around it"),
        ("../..", "a link to a folder around it"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(target: str, reason: str, folder: Folder) -> None:
    for index in range(5):
        folder.add(f"cat/{index}.png")
    (folder.pictures / "cat/link.png").symlink_to(target)
    message = folder.refused()
    assert "cat/link.png: " + reason in message
    folder.download(unreadable="skip")
    assert [row["file"] for row in folder.rows("unreadable.csv")] == ["cat/link.png"]


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
        "text.png": "no picture of a kind",
        "empty.gif": "no picture of a kind",
        "bomb.png": "exceeds limit",
        "zeros.bmp": "no picture of a kind",
        "pipe.png": "is no file",
    }


def test_bad_pictures_are_all_named_and_nothing_is_written(folder: Folder) -> None:
    bad = spoil(folder)
    message = folder.refused()
    assert f"{len(bad)} can't be read" in message
    for name, reason in bad.items():
        assert any(name in line and reason in line for line in message.splitlines()), message
    assert "download.unreadable: skip" in message


def test_bad_pictures_are_skipped_counted_and_listed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    bad = spoil(folder)
    for index in range(9):
        folder.add(f"cat/{index}.png")
    folder.download(unreadable="skip")
    assert len(folder.images("train")) + len(folder.images("test")) == 10
    assert len(folder.labels("train")) == len(folder.images("train"))
    assert {row["file"] for row in folder.rows("unreadable.csv")} == {f"cat/{name}" for name in bad}
    assert f"{len(bad)} could not be read" in capsys.readouterr().err


def test_of_many_bad_pictures_twenty_are_named(folder: Folder) -> None:
    for index in range(30):
        (folder.pictures / f"{index:02}.png").write_text("no picture")
    folder.add("good.png")
    message = folder.refused()
    assert "30 can't be read" in message
    assert sum("no picture of a kind" in line for line in message.splitlines()) == 20
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
    return Form(**(form | changes)).read(path)


QUALITY = {"quality": 100, "subsampling": 0}
KINDS: dict[str, dict[str, Any]] = {"a.png": {}, "a.webp": {"lossless": True}, "a.tiff": {}, "a.bmp": {}, "a.ppm": {}}
KINDS |= {"a.jpg": QUALITY, "a.JPEG": QUALITY}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_kinds_of_files(folder: Folder, name: str, color: str) -> None:
    path = folder.add(name, (200, 100, 50), **KINDS[name])
    pixels = read(folder, path, color=color)
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)  # ITU-R BT.601
    expected = [200, 100, 50] if color == "rgb" else [grey]
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
        pixels = read(folder, folder.pictures / name, color="grey")
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
        ({"classes": ["one"]}, "expected 10 class names or more, got 1"),
        ({"scikit-learn": None}, "expected one of torchvision, scikit-learn and drawn, got 0"),
        ({"scikit-lern": {}}, "unknown key 'scikit-lern'; did you mean 'scikit-learn'?"),
        ({"drawn": {"train_images": 1, "test_images": 1, "seed": 0}}, "got 2"),
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
        assert ("class" in next(csv.reader(file))) == bool(classes)
    for picture in ("render/reconstructions.png", "plot/latents.png", "report/examples.png", "report/confusion.png"):
        with Image.open(project.root / "data" / picture) as image:
            assert min(image.size) > 30
    with Image.open(project.root / "data/render/reconstructions/1.png") as image:
        red, green, _ = (np.asarray(band, int) for band in image.convert("RGB").split())
        assert np.abs(red - green).max() > 100, "in color"


def test_a_changed_picture_reruns_what_it_should(tmp_path: Path) -> None:
    scenes(tmp_path / "pictures", ["only"], 40)
    project = Project.create(tmp_path / "project")
    project.edit(CHANGES | {"download": CHANGES["download"] | {"source": str(tmp_path / "pictures")}})
    assert project.repro("download") == {"download"}
    assert project.repro("download") == set()
    first = min((tmp_path / "pictures").rglob("*.png"))
    Image.new("RGB", (30, 30), BLUE).save(first)
    assert project.repro("download") == {"download"}
