"""Known data sets: the small files that describe them, and how each kind is read."""

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from stages.shared.arrays import Uint8, Uint16
from stages.shared.images.dataset import SPLITS, Split
from stages.shared.process.document import read_document
from stages.shared.process.errors import InputError, named
from stages.shared.process.mirrors import Pinned, fetch
from stages.shared.process.params import Section, validate

Arrays = tuple[Uint8, Uint16]  # images [N, height, width, channels], labels [N]
Splits = Mapping[Split | None, Arrays]  # under None what is not split yet

FETCHED = Path(".download_cache")  # checked files stay here, so that another form of the same images needs no network
Url = Annotated[str, Field(pattern="^https://")]


class File(Section):
    """What a file must be: its size in bytes and its SHA-256."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Torchvision(Section):
    """A data set of torchvision's, from files that are fetched here and checked against their hashes.

    class: its name in `torchvision.datasets`; folder: where in its root it looks for the files; train, test: the
    arguments that name a split.
    """

    class_: str = Field(alias="class")
    folder: str
    train: dict[str, Any]
    test: dict[str, Any]
    files: dict[str, File]
    mirrors: list[Url]

    def read(self, name: str, scratch: Path) -> Splits:
        """Fetch what is missing, and have torchvision read it. Raises `InputError` where no mirror has the files."""
        fetched = FETCHED / name
        variable = mirror_variable(name)
        first = os.environ.get(variable)
        fetch(
            {file: Pinned(pin.size, pin.sha256) for file, pin in self.files.items()},
            [first, *self.mirrors] if first else self.mirrors,
            fetched,
            f"set {variable} to a folder or URL that has these files, or take a data set that needs no network: "
            "`-S download.source=data/digits.yaml`, or `make demo`",
        )
        # torchvision unpacks them beside themselves, where nobody would check them again: that is for this run alone.
        (scratch / self.folder).mkdir(parents=True)
        for file in self.files:
            (scratch / self.folder / file).symlink_to((fetched / file).absolute())
        from torchvision import datasets

        splits: dict[Split | None, Arrays] = {}
        for split, arguments in zip(SPLITS, (self.train, self.test), strict=True):
            with named(fetched):
                data = getattr(datasets, self.class_)(scratch, download=True, **arguments)  # finds the files
            labels = data.targets if hasattr(data, "targets") else data.labels
            images = np.asarray(data.data)
            images = images.reshape(*images.shape[:3], -1)  # [N, height, width, channels]
            if images.shape[1] == 3:  # as SVHN and STL10 are kept
                images = np.moveaxis(images, 1, 3)
            splits[split] = images, np.asarray(labels).astype(np.uint16)
        return splits


class ScikitLearn(Section):
    """A data set that scikit-learn ships.

    load: the function of `sklearn.datasets`; most: the value that is white.
    """

    load: str
    most: float = Field(gt=0)

    def read(self, name: str, scratch: Path) -> Splits:
        """All of its images, not split."""
        from sklearn import datasets

        with named(Path(str(datasets.__file__))):
            data = getattr(datasets, self.load)()
        images = np.rint(data.images * (255 / self.most)).astype(np.uint8)
        return {None: (images.reshape(*images.shape[:3], -1), data.target.astype(np.uint16))}


class Drawn(Section):
    """Garments that the project draws: how many, and the seed."""

    train_images: int = Field(ge=1, le=10_000_000)
    test_images: int = Field(ge=1, le=10_000_000)
    seed: int = Field(ge=0)

    def read(self, name: str, scratch: Path) -> Splits:
        """Draw them, none in both splits, into a file, since they may be more than the memory holds."""
        from stages.shared.images.garments import SIZE, drawn

        splits: dict[Split | None, Arrays] = {}
        garments = drawn(self.train_images + self.test_images, self.seed)
        for split, count in zip(SPLITS, (self.train_images, self.test_images), strict=True):
            labels, path = np.empty(count, np.uint16), scratch / f"{split}.raw"
            with path.open("wb") as file:
                for index, (image, label) in enumerate(islice(garments, count)):
                    labels[index] = label
                    file.write(image.tobytes())
            splits[split] = np.memmap(path, np.uint8, "r", shape=(count, SIZE, SIZE, 1)), labels
        return splits


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("expected distinct names")
    return names


class Known(Section):
    """A file that describes a data set: its name, its classes, and one of the ways to read it."""

    name: str = Field(pattern="^[a-z0-9-]+$")
    classes: Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(_distinct)]
    torchvision: Torchvision | None = None
    scikit_learn: ScikitLearn | None = Field(None, alias="scikit-learn")
    drawn: Drawn | None = None

    @classmethod
    def load(cls, path: Path) -> "Known":
        """Read the description at `path`; raises `InputError`, a line for each thing that is wrong."""
        known = validate(path, "", cls, read_document(path))
        if len(known._readers()) != 1:
            raise InputError(
                f"{path}: expected one of torchvision, scikit-learn and drawn, got {len(known._readers())}"
            )
        return known

    def _readers(self) -> list[Torchvision | ScikitLearn | Drawn]:
        return [reader for reader in (self.torchvision, self.scikit_learn, self.drawn) if reader is not None]

    def read(self, scratch: Path) -> Splits:
        """Its images and labels; `scratch` is an empty folder to unpack in."""
        splits = self._readers()[0].read(self.name, scratch)
        for images, labels in splits.values():
            if labels.max() >= len(self.classes):
                raise InputError(
                    f"{self.name}: expected {labels.max() + 1} class names or more, got {len(self.classes)}"
                )
            assert images.dtype == np.uint8
        return splits


def mirror_variable(name: str) -> str:
    """The environment variable that names a mirror of the data set's files to try first."""
    return f"{name.upper().replace('-', '_')}_MIRROR"
