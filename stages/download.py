"""download: bring in the data set, checked.

Reads  the mirrors of Fashion-MNIST, the one that the environment variable FASHION_MNIST_MIRROR names first;
       for the data set `synthetic`, nothing
Writes data/download/train_images.npy, train_labels.npy, test_images.npy, test_labels.npy, classes.json
"""

from stages.shared.command import run

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from pydantic import Field

from stages.shared import params
from stages.shared.files import Uint8, outputs, write_json
from stages.shared.garments import GARMENTS, draw
from stages.shared.mirrors import Pinned, fetch

FOLDER = Path("data/download")
MIRROR_VARIABLE = "FASHION_MNIST_MIRROR"
MIRRORS = [
    # The bucket's REST endpoint: the website endpoint, which torchvision names, has no TLS.
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
]
# Sizes and hashes of the release, https://github.com/zalandoresearch/fashion-mnist
FILES = {
    "train-images-idx3-ubyte.gz": Pinned(
        26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": Pinned(29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    "t10k-images-idx3-ubyte.gz": Pinned(4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte.gz": Pinned(5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
}
ADVICE = f"set {MIRROR_VARIABLE} to a folder or URL that has these files, or draw garments offline with `make demo`"

Split = tuple[str, Uint8, Uint8]  # its name, images [N, 28, 28], labels [N]


class Synthetic(params.Section):
    """How many garments to draw."""

    train_images: int = Field(ge=1, le=10_000_000)
    test_images: int = Field(ge=1, le=10_000_000)
    seed: int = Field(ge=0)


class Params(params.Section):
    """Which data set."""

    dataset: Literal["fashion-mnist", "synthetic"]
    synthetic: Synthetic


def fetch_fashion_mnist(folder: Path) -> tuple[list[str], Iterator[Split]]:
    """Download Fashion-MNIST into `folder`; give its class names and its splits, read by torchvision.

    Raises `InputError` when no mirror has the files.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    raw = folder / "FashionMNIST" / "raw"  # where torchvision looks for them
    fetch(FILES, [named, *MIRRORS] if named else MIRRORS, raw, ADVICE)
    from torchvision.datasets import FashionMNIST

    def splits() -> Iterator[Split]:
        for name, train in (("train", True), ("test", False)):
            split = FashionMNIST(folder, train=train, download=True)  # finds the files, and unpacks them
            yield name, split.data.numpy(), split.targets.numpy().astype(np.uint8)

    return FashionMNIST.classes, splits()


def draw_synthetic(p: Synthetic) -> tuple[list[str], Iterator[Split]]:
    """Garments drawn by the project: class names and splits, with no image in both."""
    images, labels = draw(p.train_images + p.test_images, p.seed)
    parts = (("train", slice(p.train_images)), ("test", slice(p.train_images, None)))
    return list(GARMENTS), ((name, images[part], labels[part]) for name, part in parts)


def main() -> None:
    p = params.read("download", Params)
    with outputs(FOLDER) as folder, TemporaryDirectory(dir=folder) as scratch:
        if p.dataset == "fashion-mnist":
            classes, splits = fetch_fashion_mnist(Path(scratch))
        else:
            classes, splits = draw_synthetic(p.synthetic)
        for split, images, labels in splits:
            np.save(folder / f"{split}_images.npy", images)
            np.save(folder / f"{split}_labels.npy", labels)
            print(f"download: {p.dataset}, {len(images)} {split} images")
        write_json(folder / "classes.json", {"dataset": p.dataset, "classes": classes})


if __name__ == "__main__":
    run(main)
