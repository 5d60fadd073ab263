"""Known data sets: each description in data/ read by torchvision's own loader, from a tiny copy in the original format.

The copies are made here byte by byte, their hashes put in place of those of the full files, and the network is off.
"""

import bz2
import gzip
import hashlib
import inspect
import io
import json
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from stages.shared.images.dataset_spec import DatasetSpec, mirror_variable
from stages.shared.runtime.errors import InputError
from tests.project import ROOT, Project

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["download"]
KNOWN = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "data").glob("*.yaml"))}
FROM_TORCHVISION = [name for name, known in KNOWN.items() if "torchvision" in known]
RANDOM = np.random.default_rng(0)

Labeled = list[tuple[Any, str]]  # pixels, and the name of the class


@dataclass
class Copy:
    """The files of a tiny data set, and what is in it; under "all" where it has no splits."""

    files: dict[str, bytes]
    splits: dict[str, Labeled]
    size: tuple[int, int, int] = (64, 64, 3)  # height, width, channels that it is brought to
    off: int = 0  # how far a pixel may be from the original's


def gray(count: int, side: int) -> Any:
    return RANDOM.integers(0, 256, (count, side, side)).astype(np.uint8)


def colored(count: int, side: int) -> Any:
    return RANDOM.integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def named(images: Any, labels: Any, names: Sequence[str]) -> Labeled:
    return [(image, names[label]) for image, label in zip(images, labels, strict=True)]


def idx(array: Any) -> bytes:
    """An array as MNIST's files have it: big-endian, the type and the dimensions first."""
    kinds = {"uint8": 0x08, "int32": 0x0C}
    header = bytes([0, 0, kinds[array.dtype.name], array.ndim])
    values: bytes = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return header + np.array(array.shape, ">u4").tobytes() + values


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Mapping[str, bytes], mode: Literal["w", "w:gz"] = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@dataclass
class Files:
    """Pictures of one color each, of many sizes, in files of a kind; what color each has."""

    kind: str = "JPEG"
    colors: list[tuple[int, int, int]] = field(default_factory=list)

    def __call__(self, side: int | None = None) -> bytes:
        count = len(self.colors)
        color = (40 * count % 256, 90 * count % 256, (255 - 20 * count) % 256)
        self.colors.append(color)
        out = io.BytesIO()
        size = (side, side) if side else (20 + 7 * count, 31 + 5 * count)
        Image.new("RGB", size, color).save(out, self.kind, **({"quality": 100} if self.kind == "JPEG" else {}))
        return out.getvalue()

    def of(self, names: Sequence[str], first: int = 0) -> Labeled:
        """The colors from the `first` on, of classes of these names."""
        return [(np.array(color), name) for color, name in zip(self.colors[first:], names, strict=False)]


# The data sets


DIGITS = [str(digit) for digit in range(10)]


def like_mnist(names: Sequence[str]) -> Copy:
    files, splits = {}, {}
    for split, prefix, count in (("train", "train", 4), ("test", "t10k", 3)):
        images, labels = gray(count, 28), np.array([3, 0, 9, 3][:count], np.uint8)
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
        splits[split] = named(images, labels, names)
    return Copy(files, splits, (28, 28, 1))


def mnist() -> Copy:
    return like_mnist(DIGITS)


def kmnist() -> Copy:
    return like_mnist(["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"])


def emnist() -> Copy:
    files, splits = {}, {}
    for split in ("train", "test"):
        images, labels = gray(4, 28), np.array([26, 1, 2, 26], np.uint8)
        files[f"gzip/emnist-letters-{split}-images-idx3-ubyte.gz"] = gzip.compress(idx(images.transpose(0, 2, 1)))
        files[f"gzip/emnist-letters-{split}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
        files[f"gzip/emnist-digits-{split}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
        splits[split] = named(images, labels, ["", *"abcdefghijklmnopqrstuvwxyz"])
    return Copy({"gzip.zip": zipped(files)}, splits, (28, 28, 1))


def qmnist() -> Copy:
    files, splits = {}, {}
    for split in ("train", "test"):
        images, labels = gray(3, 28), RANDOM.integers(0, 10, (3, 8)).astype(np.int32)
        files[f"qmnist-{split}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        files[f"qmnist-{split}-labels-idx2-int.gz"] = gzip.compress(idx(labels))
        splits[split] = named(images, labels[:, 0].tolist(), DIGITS)
    return Copy(files, splits, (28, 28, 1))


def cifar_batch(images: Any, labels: list[int], key: str) -> bytes:
    return pickle.dumps({"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), key: labels}, protocol=2)


def cifar_10() -> Copy:
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files = {"batches.meta": pickle.dumps({"label_names": names}, protocol=2)}
    splits: dict[str, Labeled] = {"train": [], "test": []}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        images, labels = colored(2, 32), RANDOM.integers(0, 10, 2).tolist()
        files[name] = cifar_batch(images, labels, "labels")
        splits["test" if name == "test_batch" else "train"] += named(images, labels, names)
    return Copy(
        {"cifar-10-python.tar.gz": tarred({f"cifar-10-batches-py/{name}": data for name, data in files.items()})},
        splits,
        (32, 32, 3),
    )


def cifar_100() -> Copy:
    names = [f"fine {number}" for number in range(100)]
    files = {"cifar-100-python/meta": pickle.dumps({"fine_label_names": names}, protocol=2)}
    splits = {}
    for split in ("train", "test"):
        images, labels = colored(3, 32), [99, 4, 0]
        files[f"cifar-100-python/{split}"] = cifar_batch(images, labels, "fine_labels")
        splits[split] = named(images, labels, names)
    return Copy({"cifar-100-python.tar.gz": tarred(files)}, splits, (32, 32, 3))


def svhn() -> Copy:
    files, splits = {}, {}
    for split in ("train", "test"):
        images, labels = colored(4, 32), np.array([[10], [1], [9], [10]], np.uint8)
        out = io.BytesIO()
        scipy.io.savemat(out, {"X": images.transpose(1, 2, 3, 0), "y": labels})
        files[f"{split}_32x32.mat"] = out.getvalue()
        splits[split] = named(images, labels[:, 0].tolist(), ["", *DIGITS[1:], "0"])
    return Copy(files, splits, (32, 32, 3))


STL = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def stl_10() -> Copy:
    files = {"class_names.txt": "\n".join(STL).encode() + b"\n", "fold_indices.txt": b"0 \n"}
    splits = {}
    for split in ("train", "test", "unlabeled"):
        images, labels = colored(2, 96), np.array([10, 1], np.uint8)
        files[f"{split}_X.bin"] = images.transpose(0, 3, 2, 1).tobytes()  # column by column
        if split != "unlabeled":
            files[f"{split}_y.bin"] = labels.tobytes()
            splits[split] = named(images, labels.tolist(), ["", *STL])
    archive = tarred({f"stl10_binary/{name}": data for name, data in files.items()})
    return Copy({"stl10_binary.tar.gz": archive}, splits, (96, 96, 3))


def usps() -> Copy:
    files, splits = {}, {}
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        images, labels = gray(3, 16), [10, 1, 5]
        lines = [
            f"{label} " + " ".join(f"{place}:{value:.6f}" for place, value in enumerate(image.ravel() / 127.5 - 1, 1))
            for image, label in zip(images, labels, strict=True)
        ]
        files[name] = bz2.compress("".join(f"{line} \n" for line in lines).encode())
        splits[split] = named(images, labels, ["", *DIGITS])
    return Copy(files, splits, (16, 16, 1), off=1)


def semeion() -> Copy:
    images, labels = RANDOM.integers(0, 2, (10, 16, 16)), [0, 1] * 5
    rows = [
        " ".join([*(f"{pixel:.4f}" for pixel in image.ravel()), *(str(int(digit == label)) for digit in range(10))])
        for image, label in zip(images, labels, strict=True)
    ]
    data = "".join(f"{row} \n" for row in rows).encode()
    return Copy({"semeion.data": data}, {"all": named((images * 255).astype(np.uint8), labels, DIGITS)}, (16, 16, 1))


def omniglot() -> Copy:
    files, pictures = {}, []
    characters = ["Latin/character02", "Greek/character01", "Latin/character01", "Greek/character02"]
    for character in characters:
        for number in range(5):
            image = RANDOM.integers(0, 2, (105, 105)).astype(bool)
            out = io.BytesIO()
            Image.fromarray(image).save(out, "PNG")
            files[f"images_background/{character}/0001_{number:02}.png"] = out.getvalue()
            pictures.append((image * np.uint8(255), str(sorted(characters).index(character))))
    return Copy({"images_background.zip": zipped(files)}, {"all": pictures}, (105, 105, 1))


def fer2013() -> Copy:
    names = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    images, labels = gray(6, 48), [6, 0, 3, 3, 1, 5]
    usages = ["Training", "Training", "Training", "PublicTest", "PrivateTest", "PrivateTest"]
    lines = ["emotion,pixels,Usage"]
    for image, label, usage in zip(images, labels, usages, strict=True):
        lines.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    splits = {"train": named(images[:3], labels[:3], names), "test": named(images[3:], labels[3:], names)}
    return Copy({"fer2013.csv": "\n".join(lines).encode()}, splits, (48, 48, 1))


def eurosat() -> Copy:
    picture = Files()
    names = [name for name in ("AnnualCrop", "Forest", "SeaLake") for _ in range(5)]
    files = {f"2750/{name}/{name}_{number}.jpg": picture(64) for number, name in enumerate(names)}
    return Copy({"EuroSAT.zip": zipped(files)}, {"all": picture.of(names)}, off=3)


def gtsrb() -> Copy:
    picture = Files("PPM")
    train = {f"GTSRB/Training/{label:05}/00000_{label:05}.ppm": picture() for label in range(43)}
    test = {f"GTSRB/Final_Test/Images/{number:05}.ppm": picture() for number in range(2)}
    table = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    table += "00000.ppm;53;54;6;5;48;49;16\n00001.ppm;42;45;5;5;36;40;1\n"
    return Copy(
        {
            "GTSRB-Training_fixed.zip": zipped(train),
            "GTSRB_Final_Test_Images.zip": zipped(test),
            "GTSRB_Final_Test_GT.zip": zipped({"GT-final_test.csv": table.encode()}),
        },
        {"train": picture.of([str(label) for label in range(43)]), "test": picture.of(["16", "1"], 43)},
        off=3,
    )


def dtd() -> Copy:
    picture = Files()
    names = ["banded", "zigzagged", "banded", "zigzagged"]
    files = {f"dtd/images/{name}/{name}_{number:04}.jpg": picture() for number, name in enumerate(names)}
    listed = [path.removeprefix("dtd/images/") for path in files]
    for split, lines in (("train", listed[:2]), ("test", listed[2:])):
        files[f"dtd/labels/{split}1.txt"] = "".join(f"{line}\n" for line in lines).encode()
    splits = {"train": picture.of(names[:2]), "test": picture.of(names[2:], 2)}
    return Copy({"dtd-r1.0.1.tar.gz": tarred(files)}, splits, off=3)


def matlab(**arrays: Any) -> bytes:
    out = io.BytesIO()
    scipy.io.savemat(out, arrays)
    return out.getvalue()


def flowers_102() -> Copy:
    picture = Files()
    images = {f"jpg/image_{number:05}.jpg": picture() for number in range(1, 7)}
    names = ["pink primrose", "hard-leaved pocket orchid", "blackberry lily"]
    return Copy(
        {
            "102flowers.tgz": tarred(images),
            "imagelabels.mat": matlab(labels=np.array([[1, 2, 102, 1, 2, 102]], np.uint8)),
            "setid.mat": matlab(trnid=[[1, 2, 3]], valid=[[6, 6]], tstid=[[4, 5]]),
        },
        {"train": picture.of(names), "test": picture.of(names[:2], 3)},
        off=3,
    )


def oxford_pets() -> Copy:
    picture = Files()
    pets = [("Abyssinian", 1, 1), ("american_bulldog", 2, 2)]
    images: dict[str, bytes] = {}
    lists: dict[str, bytes] = {}
    for split, number in (("trainval", 100), ("test", 7)):
        lists[f"annotations/{split}.txt"] = "".join(f"{name}_{number} {a} {b} 1\n" for name, a, b in pets).encode()
        images |= {f"images/{name}_{number}.jpg": picture() for name, _, _ in pets}
    names = ["Abyssinian", "American Bulldog"]
    return Copy(
        {"images.tar.gz": tarred(images), "annotations.tar.gz": tarred(lists)},
        {"train": picture.of(names), "test": picture.of(names, 2)},
        off=3,
    )


def imagenette() -> Copy:
    picture = Files()
    files = {
        f"imagenette2-160/{split}/{number}/{number}_1.JPEG": picture()
        for split in ("train", "val")
        for number in ("n01440764", "n02102040")
    }
    names = ["tench", "English springer"]
    return Copy(
        {"imagenette2-160.tgz": tarred(files)}, {"train": picture.of(names), "test": picture.of(names, 2)}, off=3
    )


def caltech_101() -> Copy:
    picture = Files()
    names = [name for name in ("accordion", "yin_yang") for _ in range(5)]
    files = {
        f"101_ObjectCategories/{name}/image_{number % 5 + 1:04}.jpg": picture() for number, name in enumerate(names)
    }
    colors = picture.of(names)
    files["101_ObjectCategories/BACKGROUND_Google/image_0001.jpg"] = picture()
    inner = {
        "caltech-101/101_ObjectCategories.tar.gz": tarred(files),
        "caltech-101/Annotations.tar": tarred({}, "w"),
    }
    return Copy({"caltech-101.zip": zipped(inner)}, {"all": colors}, off=3)


def caltech_256() -> Copy:
    picture = Files()
    names = [name for name in ("001.ak47", "002.american-flag") for _ in range(5)]
    files = {
        f"256_ObjectCategories/{name}/{name[:3]}_{number % 5 + 1:04}.jpg": picture()
        for number, name in enumerate(names)
    }
    return Copy({"256_ObjectCategories.tar": tarred(files, "w")}, {"all": picture.of(names)}, off=3)


def food_101() -> Copy:
    picture = Files()
    files = {f"food-101/images/{name}.jpg": picture() for name in ("apple_pie/1", "waffles/2", "apple_pie/3")}
    files["food-101/meta/train.json"] = json.dumps({"apple_pie": ["apple_pie/1"], "waffles": ["waffles/2"]}).encode()
    files["food-101/meta/test.json"] = json.dumps({"apple_pie": ["apple_pie/3"], "waffles": []}).encode()
    splits = {"train": picture.of(["apple_pie", "waffles"]), "test": picture.of(["apple_pie"], 2)}
    return Copy({"food-101.tar.gz": tarred(files)}, splits, off=3)


def country211() -> Copy:
    picture = Files()
    files = {
        f"country211/{split}/{country}/{split}.jpg": picture()
        for split in ("train", "test", "valid")
        for country in ("AD", "ZW")
    }
    splits = {"train": picture.of(["AD", "ZW"]), "test": picture.of(["AD", "ZW"], 2)}
    return Copy({"country211.tgz": tarred(files)}, splits, off=3)


def rendered_sst2() -> Copy:
    picture = Files("PNG")
    files = {
        f"rendered-sst2/{split}/{name}/1.png": picture(448)
        for split in ("train", "test", "valid")
        for name in ("negative", "positive")
    }
    splits = {"train": picture.of(["negative", "positive"]), "test": picture.of(["negative", "positive"], 2)}
    return Copy({"rendered-sst2.tgz": tarred(files)}, splits, (448, 448, 3))


COPIES: dict[str, Callable[[], Copy]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        mnist, kmnist, emnist, qmnist, cifar_10, cifar_100, svhn, stl_10, usps, semeion, omniglot, fer2013, eurosat,
        gtsrb, dtd, flowers_102, oxford_pets, imagenette, caltech_101, caltech_256, food_101, country211, rendered_sst2,
    )
}  # fmt: skip


# `download` over them


class Offline:
    """`download` of a description and the files that it names, in this process, without a network."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch
        self.out = root / "data/download"

    def download(self, known: Any, files: Mapping[str, bytes], **changes: Any) -> None:
        mirror = self.root / "mirror"
        mirror.mkdir(exist_ok=True)
        for name, data in files.items():
            (mirror / name).write_bytes(data)
        hashes = {
            name: known["torchvision"]["files"].get(name, {}) | {"md5": hashlib.md5(data).hexdigest()}
            for name, data in files.items()
        }
        known = known | {"torchvision": known["torchvision"] | {"files": hashes}}
        (self.root / "known.yaml").write_text(yaml.safe_dump(known, sort_keys=False))
        self.monkeypatch.setenv(mirror_variable(known["name"]), str(mirror))
        params = PARAMS | {"source": "known.yaml"} | changes
        (self.root / "params.yaml").write_text(yaml.safe_dump({"download": params}))
        Project(self.root).play("download")

    def refused(self, known: Any, files: Mapping[str, bytes], **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            self.download(known, files, **changes)
        assert not list(self.out.glob("*")), "nothing is written"
        return str(caught.value)

    def splits(self) -> dict[str, tuple[Any, list[str]]]:
        """The images of each split, and the names of their classes."""
        classes = json.loads((self.out / "dataset.json").read_text())["classes"]
        arrays = {
            split: [np.load(self.out / f"{split}_{what}.npy") for what in ("images", "labels")]
            for split in ("train", "test")
        }
        return {split: (images, [classes[label] for label in labels]) for split, (images, labels) in arrays.items()}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offline]:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network is off")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", refuse)
        yield Offline(tmp_path, patched)


def same(image: Any, original: Any, off: int) -> bool:
    """Whether an image [height, width, channels] is the original, or all of that color."""
    expected = original if original.ndim != 2 else original[..., np.newaxis]
    return bool(np.abs(image.astype(int) - expected).max() <= off)


def found(split: tuple[Any, list[str]], image: Any, name: str, off: int) -> bool:
    return any(label == name and same(other, image, off) for other, label in zip(*split, strict=True))


@pytest.mark.parametrize("name", COPIES)
def test_torchvision_reads_a_copy_in_the_original_format(name: str, offline: Offline) -> None:
    copy = COPIES[name]()
    assert set(copy.files) == set(KNOWN[name]["torchvision"]["files"])
    offline.download(KNOWN[name], copy.files, fit="stretch", test_share=0.2)
    splits = offline.splits()
    assert splits["train"][0].shape[1:] == splits["test"][0].shape[1:] == copy.size
    if "all" in copy.splits:
        (train, test), pictures = (len(splits[split][0]) for split in ("train", "test")), copy.splits["all"]
        assert (train, test) == (round(0.8 * len(pictures)), round(0.2 * len(pictures)))
        both = tuple(np.concatenate([splits[split][part] for split in splits]) for part in (0, 1))
        assert all(found(both, image, label, copy.off) for image, label in pictures)  # type: ignore[arg-type]
        return
    for split, pictures in copy.splits.items():
        assert len(splits[split][0]) == len(pictures)
        assert all(found(splits[split], image, label, copy.off) for image, label in pictures)


def test_every_description_has_a_copy() -> None:
    assert {*COPIES, "fashion-mnist"} == set(FROM_TORCHVISION)


def test_addresses_and_hashes_are_torchvisions_own() -> None:
    from torchvision import datasets

    for name in COPIES:
        described = KNOWN[name]["torchvision"]
        source = inspect.getsource(inspect.getmodule(getattr(datasets, described["class"])))  # type: ignore[arg-type]
        assert DatasetSpec.load(ROOT / f"data/{name}.yaml").name == name
        assert all(pinned["md5"] in source for pinned in described["files"].values()), name
        for mirror in described.get("mirrors", []):
            assert mirror in source or mirror.replace("https://", "http://") in source


def test_images_keep_their_order_where_classes_are_mixed(offline: Offline) -> None:
    copy = mnist()
    offline.download(KNOWN["mnist"], copy.files)
    images, labels = offline.splits()["train"]
    assert labels == ["3", "0", "9", "3"]
    assert all(same(image, original, 0) for image, (original, _) in zip(images, copy.splits["train"], strict=True))


def test_images_that_come_class_by_class_are_shuffled(offline: Offline, capsys: pytest.CaptureFixture[str]) -> None:
    copy = gtsrb()
    for seed in (0, 0, 1):
        offline.download(KNOWN["gtsrb"], copy.files, seed=seed)
        labels = offline.splits()["train"][1]
        assert labels != sorted(labels, key=int)
        assert sorted(labels, key=int) == [str(label) for label in range(43)]
    assert "the train images are sorted by class, so they are shuffled (download.seed)" in capsys.readouterr().out


def test_pictures_of_different_sizes_become_a_folders_size(
    offline: Offline, capsys: pytest.CaptureFixture[str]
) -> None:
    offline.download(KNOWN["dtd"], dtd().files)
    assert "the pictures of dtd differ in size, so they become 64 x 64; set download.height" in capsys.readouterr().out
    offline.download(KNOWN["dtd"], dtd().files, height=10, width=12)
    assert "differ" not in capsys.readouterr().out
    assert offline.splits()["train"][0].shape == (2, 10, 12, 3)


def changed(name: str, **torchvision: Any) -> Any:
    return KNOWN[name] | {"torchvision": KNOWN[name]["torchvision"] | torchvision}


def test_unlabeled_images(offline: Offline) -> None:
    files = stl_10().files
    known = changed("stl-10", train={"split": "train+unlabeled"})
    message = offline.refused(known, files)
    assert "stl-10: expected labels from 0 to 9 for 10 class names, got -1" in message
    assert "`classes: []`" in message
    offline.download(known | {"classes": []}, files)
    assert len(np.load(offline.out / "train_images.npy")) == 4
    assert len(np.load(offline.out / "train_labels.npy")) == 0
    assert json.loads((offline.out / "dataset.json").read_text())["classes"] == []


@pytest.mark.parametrize(
    ("name", "torchvision", "words"),
    [
        ("mnist", {"class": "Mnist"}, "mnist: torchvision.datasets.Mnist(train=True): no such class"),
        ("mnist", {"train": {"split": "train"}}, "unexpected keyword argument 'split'"),
        ("stl-10", {"train": {"split": "training"}}, "Unknown value 'training' for argument split"),
        ("stl-10", {"folder": "elsewhere"}, "needs http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz; add it"),
        ("qmnist", {"train": {"compat": False}}, "expected labels from 0 to 9 for 10 class names, got tensor(["),
    ],
)
def test_what_torchvision_refuses_is_said(name: str, torchvision: Any, words: str, offline: Offline) -> None:
    message = offline.refused(changed(name, **torchvision), COPIES[name]().files)
    assert words in message
    assert len(message.splitlines()) == 1


def test_splits_of_different_classes_are_refused(offline: Offline) -> None:
    """Each numbers its own from 0: a test label would be another class's."""
    picture = Files()
    names = ["train/AD", "train/ZW", "test/AE", "test/ZW"]
    files = {"country211.tgz": tarred({f"country211/{name}/1.jpg": picture() for name in names})}
    assert "train and test have different classes" in offline.refused(KNOWN["country211"], files)


def test_a_hash_is_needed_and_md5_will_do(offline: Offline) -> None:
    (offline.root / "mine.yaml").write_text(yaml.safe_dump(changed("usps", files={"usps.bz2": {"size": 1}})))
    with pytest.raises(InputError, match=r"torchvision.files.usps.bz2: expected its sha256, or its md5"):
        DatasetSpec.load(offline.root / "mine.yaml")
    files = usps().files
    offline.download(KNOWN["usps"], files)
    for path in (offline.root / ".download_cache/usps").iterdir():
        path.write_bytes(b"changed")
    (offline.root / "mirror/usps.bz2").write_bytes(b"wrong")
    with pytest.raises(InputError, match=r"usps\.bz2"):
        Project(offline.root).play("download")


def test_files_that_are_put_there_by_hand(offline: Offline) -> None:
    """A data set without mirrors."""
    copy = fer2013()
    offline.download(KNOWN["fer2013"], copy.files)
    offline.monkeypatch.delenv("FER2013_MIRROR")
    Project(offline.root).play("download")
    (offline.root / ".download_cache/fer2013/fer2013.csv").unlink()
    with pytest.raises(InputError, match=r"set FER2013_MIRROR to a folder or URL that has fer2013\.csv"):
        Project(offline.root).play("download")
