"""Known data sets: their description files, and readers for torchvision, scikit-learn and synthetic garments."""

import inspect
import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from stages.shared.arrays import Uint8
from stages.shared.images.dataset import SPLITS, Split
from stages.shared.images.preprocessing import Color
from stages.shared.runtime.errors import InputError, one_line, with_path
from stages.shared.runtime.fetch import fetch
from stages.shared.runtime.params import Section, validate
from stages.shared.runtime.yaml_reader import read_document

Pictures = Iterable[tuple[Image.Image, Any]]  # each with its label

FETCHED = Path(".download_cache")  # downloaded files stay here, so that another size needs no network
Url = Annotated[str, Field(pattern="^https://")]


@dataclass(frozen=True)
class Source:
    """Pictures of each split; the key is None if the data set has no splits.

    size: height and width of the pictures, None if they differ.
    color: gray if all pictures are gray.
    classes: class names that the library defines; empty if there are none.
    """

    size: tuple[int, int] | None
    color: Color
    splits: Mapping[Split | None, Pictures]
    classes: Sequence[str] = ()


class File(Section):
    """A file's SHA-256 or MD5, and its size in bytes if known.

    unpack: whether to unpack this archive, because torchvision doesn't if the archive is already there.
    """

    size: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    unpack: bool = False

    @model_validator(mode="after")
    def _one_hash(self) -> "File":
        if not (self.sha256 or self.md5):
            raise ValueError("expected its sha256, or its md5")
        return self

    @property
    def hash(self) -> str:
        """The hash in the format that `fetch` expects."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}"


class Torchvision(Section):
    """A data set of torchvision, read from downloaded files whose hashes are checked.

    class: name in `torchvision.datasets`.
    folder: folder for the files in the data set's root; `.` is the root.
    train, test: arguments for each split; without test, the split is drawn (`download.test_share`).
    transpose: whether to swap rows and columns.
    """

    class_: str = Field(alias="class")
    folder: str
    train: dict[str, Any]
    test: dict[str, Any] | None = None
    transpose: bool = False
    files: dict[str, File]
    mirrors: list[Url] = Field(default_factory=list)

    def open(self, name: str, scratch: Path) -> Source:
        """Download missing files and open the data set with torchvision; raises `InputError` if that fails."""
        from torchvision.datasets.utils import extract_archive

        fetched = FETCHED / name
        self._fetch(name, fetched)
        # torchvision unpacks files next to them, where nothing checks the result: use links in a temporary folder.
        (scratch / self.folder).mkdir(parents=True, exist_ok=True)
        for file, pin in self.files.items():
            (scratch / self.folder / file).symlink_to((fetched / file).absolute())
            if pin.unpack:
                extract_archive(scratch / self.folder / file)
        arguments: dict[Split | None, dict[str, Any]] = {None: self.train}
        if self.test is not None:
            arguments = dict(zip(SPLITS, (self.train, self.test), strict=True))
        with with_path(fetched):
            splits = {split: self._pictures(name, scratch, given) for split, given in arguments.items()}
        train, *others = (pictures.classes for pictures in splits.values())
        if any(names != train for names in others):
            raise InputError(
                f"{name}: torchvision.datasets.{self.class_}: train and test have different classes; remove "
                "torchvision.test to draw the test split (download.test_share)"
            )
        return Source(*_own_form(splits.values()), {split: each.unwrap() for split, each in splits.items()}, train)

    def _fetch(self, name: str, fetched: Path) -> None:
        variable = mirror_variable(name)
        first = os.environ.get(variable)
        # Without mirrors, the user has to provide the files.
        mirrors = [*([first] if first else []), *self.mirrors] or [str(fetched.absolute())]
        advice = (
            f"set {variable} to a folder or URL that has {', '.join(self.files)}, or use a data set that needs no "
            "network: `-S download.source=data/digits.yaml`, or `make demo`"
        )
        for file, pin in self.files.items():
            urls = [f"{mirror.rstrip('/')}/{file}" for mirror in mirrors]
            used = fetch(urls, fetched / file, pin.hash, pin.size, advice)
            mirrors = mirrors[used:]  # without mirrors that failed

    def _pictures(self, name: str, root: Path, arguments: dict[str, Any]) -> "_Pictures":
        from torchvision import datasets

        kind: Any = getattr(datasets, self.class_, None)
        call = f"{name}: torchvision.datasets.{self.class_}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"
        if kind is None:
            raise InputError(f"{call}: no such class")
        kinds = inspect.signature(kind).parameters
        if "download" in kinds or any(each.kind is each.VAR_KEYWORD for each in kinds.values()):
            arguments = {"download": True} | arguments  # finds and unpacks the files
        try:
            with _from_these_files(call):
                return _Pictures(kind(root, **arguments), self.transpose, call)
        except (TypeError, ValueError, RuntimeError, ImportError, FileNotFoundError) as error:
            raise InputError(f"{call}: {one_line(str(error))}") from error


@contextmanager
def _from_these_files(call: str) -> Iterator[None]:
    """Make torchvision use the existing files, download nothing, and number classes reproducibly.

    The hashes of the files have been checked before. torchvision numbers Omniglot's classes in the order of
    `os.listdir`, which depends on the disk.
    """
    from unittest.mock import patch

    from torchvision.datasets import utils

    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise InputError(f"{call}: needs {url}; add it to files, and set folder as torchvision expects it")

    listdir = os.listdir
    with (
        patch.object(utils, "check_md5", lambda *_, **__: True),
        patch.object(utils, "_get_redirect_url", refuse),
        patch.object(os, "listdir", lambda path=".": sorted(listdir(path))),
    ):
        yield


@dataclass(frozen=True)
class _Pictures:
    """Pictures of a torchvision data set; each iteration reads them from the files again."""

    dataset: Any
    transpose: bool
    call: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[Image.Image, Any]]:
        for index in range(len(self)):
            item = self.dataset[index]
            if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Image.Image)):
                raise InputError(f"{self.call}: expected pictures with a label each, got {one_line(repr(item), 80)}")
            with item[0] as image:
                yield image.transpose(Image.Transpose.TRANSPOSE) if self.transpose else image, item[1]

    def unwrap(self) -> Pictures:
        """Return the arrays of MNIST and similar data sets; other data sets are returned unchanged.

        Arrays save 15 µs per image, because torchvision makes a picture of each.
        """
        from torchvision.datasets import MNIST

        if type(self.dataset).__getitem__ is not MNIST.__getitem__:
            return self
        images = self.dataset.data.numpy()
        return Arrays(images.swapaxes(1, 2) if self.transpose else images, self.dataset.targets.numpy())

    @property
    def classes(self) -> list[str]:
        """Class names; if a class has several names, the first one."""
        names = getattr(self.dataset, "classes", getattr(self.dataset, "categories", ()))
        return [name if isinstance(name, str) else name[0] for name in names]

    @property
    def is_array(self) -> bool:
        """Whether all pictures are in one array, and therefore have the same size."""
        return hasattr(getattr(self.dataset, "data", None), "shape")


def _own_form(splits: Iterable[_Pictures]) -> tuple[tuple[int, int] | None, Color]:
    sizes: set[tuple[int, int]] = set()
    color: Color = "gray"
    for pictures in splits:
        for image, _ in islice(pictures, 1 if pictures.is_array else None):
            sizes.add((image.height, image.width))
            if image.mode not in ("1", "L"):
                color = "rgb"
            if len(sizes) > 1 and color == "rgb":
                return None, color
    return (sizes.pop() if len(sizes) == 1 else None), color


class ScikitLearn(Section):
    """A data set that comes with scikit-learn.

    load: name of the function in `sklearn.datasets`. most: the value of white.
    """

    load: str
    most: float = Field(gt=0)

    def open(self, name: str, scratch: Path) -> Source:
        """Load all images; the data set has no split."""
        from sklearn import datasets

        with with_path(Path(str(datasets.__file__))):
            data = getattr(datasets, self.load)()
        images = np.rint(data.images * (255 / self.most)).astype(np.uint8)
        return Source(images.shape[1:3], "gray" if images.ndim == 3 else "rgb", {None: Arrays(images, data.target)})


class Synthetic(Section):
    """Synthetic garments: the number for each split, and the seed."""

    train_images: int = Field(ge=1, le=10_000_000)
    test_images: int = Field(ge=1, le=10_000_000)
    seed: int = Field(ge=0)

    def open(self, name: str, scratch: Path) -> Source:
        """Draw different garments for each split. They are written to files, because they may exceed the memory."""
        from stages.shared.images.synthetic import SIZE, generate_garments

        splits: dict[Split | None, Pictures] = {}
        garments = generate_garments(self.train_images + self.test_images, self.seed)
        for split, count in zip(SPLITS, (self.train_images, self.test_images), strict=True):
            labels, path = np.empty(count, np.uint16), scratch / f"{split}.raw"
            with path.open("wb") as file:
                for index, (image, label) in enumerate(islice(garments, count)):
                    labels[index] = label
                    file.write(image.tobytes())
            splits[split] = Arrays(np.memmap(path, np.uint8, "r", shape=(count, SIZE, SIZE)), labels)
        return Source((SIZE, SIZE), "gray", splits)


@dataclass(frozen=True)
class Arrays:
    """Images, uint8 [N, height, width] or [N, height, width, 3], and labels, [N]."""

    images: Uint8
    labels: NDArray[Any]

    def __iter__(self) -> Iterator[tuple[Image.Image, Any]]:
        for image, label in zip(self.images, self.labels, strict=True):
            yield Image.fromarray(image), label


def _listed(names: object) -> object:
    """Replace a number of classes by the names "0", "1", …"""
    return [str(number) for number in range(names)] if isinstance(names, int) and not isinstance(names, bool) else names


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("expected distinct names")
    if len(names) > 65_535:
        raise ValueError("expected at most 65535")
    return names


Names = Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(_distinct)]


class DatasetSpec(Section):
    """Description of a data set: name, classes, and one source.

    classes: names or their number; None for the library's names, `[]` to ignore labels.
    first_label: the lowest label.
    """

    name: str = Field(pattern="^[a-z0-9-]+$")
    classes: Annotated[Names | None, BeforeValidator(_listed)] = None
    first_label: int = 0
    torchvision: Torchvision | None = None
    scikit_learn: ScikitLearn | None = Field(None, alias="scikit-learn")
    synthetic: Synthetic | None = None

    @classmethod
    def load(cls, path: Path) -> "DatasetSpec":
        """Read the description at `path`; raises `InputError` with one line per error."""
        known = validate(path, "", cls, read_document(path))
        if len(known._readers()) != 1:
            raise InputError(
                f"{path}: expected exactly one of the keys torchvision, scikit-learn and synthetic, got "
                f"{len(known._readers())}"
            )
        return known

    def _readers(self) -> list[Torchvision | ScikitLearn | Synthetic]:
        return [reader for reader in (self.torchvision, self.scikit_learn, self.synthetic) if reader is not None]

    def open(self, scratch: Path) -> Source:
        """Open the pictures; the folder `scratch` must be empty, and must exist until the pictures have been read."""
        source = self._readers()[0].open(self.name, scratch)
        if self.classes is None and not source.classes:
            raise InputError(f"{self.name}: classes: missing; add their names, their number, or [] for no labels")
        return source if self.classes is None else replace(source, classes=self.classes)

    def find_class(self, label: Any, classes: Sequence[str]) -> int:
        """Return the class index of a label; raises `InputError` if no class has this label."""
        last = self.first_label + len(classes) - 1
        try:
            number = operator.index(label)
        except TypeError:
            number = self.first_label - 1
        if not self.first_label <= number <= last:
            raise InputError(
                f"{self.name}: expected labels from {self.first_label} to {last} for {len(classes)} class names, got "
                f"{one_line(str(label), 80)}; list all classes, set first_label to the lowest label, or "
                "ignore the labels with `classes: []`"
            )
        return number - self.first_label


def mirror_variable(name: str) -> str:
    """Name of the environment variable with a mirror that is tried first."""
    return f"{name.upper().replace('-', '_')}_MIRROR"
