"""download: the data set arrives whole and right, or not at all."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from stages.shared.images.synthetic import GARMENTS, draw_garments
from tests.project import ROOT, Project

ORIGINALS = Path(os.environ.get("FASHION_MNIST_MIRROR", ROOT / "../shared/fashion-mnist"))
with_originals = pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no Fashion-MNIST in {ORIGINALS}")
FILES = {"dataset.json", "pictures.csv", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"}
FILES |= {"unreadable.csv"}


def downloaded(project: Project) -> set[str]:
    return {path.name for path in (project.root / "data/download").glob("*") if path.name != ".gitignore"}


@with_originals
def test_fashion_mnist_from_a_relative_mirror_is_what_torchvision_reads(tmp_path: Path) -> None:
    """A relative path counts from the root; tests/shared/runtime/test_run.py has an absolute one."""
    from torchvision.datasets import FashionMNIST

    project = Project.create(tmp_path / "project", {})
    (tmp_path / "mirror").symlink_to(ORIGINALS.resolve())
    result = project.stage("download", env={"FASHION_MNIST_MIRROR": "../mirror"})
    assert result.returncode == 0, result.stderr
    assert downloaded(project) == FILES
    folder = project.root / "data/download"
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in ORIGINALS.glob("*.gz"):
        (raw / path.name).symlink_to(path)
    for split, count in (("train", 60_000), ("test", 10_000)):
        original = FashionMNIST(tmp_path, train=split == "train", download=True)
        images, labels = np.load(folder / f"{split}_images.npy"), np.load(folder / f"{split}_labels.npy")
        assert images.shape == (count, 28, 28, 1)
        assert (images.dtype, labels.dtype) == (np.uint8, np.uint16)
        assert np.array_equal(images[..., 0], original.data.numpy())
        assert np.array_equal(labels, original.targets.numpy())
    described = json.loads((folder / "dataset.json").read_text())
    assert (described["dataset"], described["classes"]) == ("fashion-mnist", FashionMNIST.classes)
    assert (described["fit"], described["background"]) == ("pad", [255, 255, 255])


def test_synthetic_repeats_and_grows_with_its_params(finished: Project, tmp_path: Path) -> None:
    again = Project.create(tmp_path / "project")
    again.play("download")
    assert {k: v for k, v in finished.contents("data/download").items() if ".gitignore" not in k} == again.contents(
        "data/download"
    )
    again.draw({"train_images": 7, "test_images": 3, "seed": 5})
    again.play("download")
    images = np.load(again.root / "data/download/train_images.npy")
    assert images.shape == (7, 28, 28, 1)
    assert images.dtype == np.uint8
    assert np.load(again.root / "data/download/test_labels.npy").shape == (3,)


def test_each_garment_is_told_from_the_others() -> None:
    images, labels = draw_garments(1500, seed=3)
    flat = images.reshape(len(images), -1) / 255
    assert set(labels) == set(range(len(GARMENTS)))
    neighbors = KNeighborsClassifier(5).fit(flat[:1000], labels[:1000])
    assert neighbors.score(flat[1000:], labels[1000:]) > 0.9
    assert len(np.unique(images, axis=0)) == len(images), "no two are the same"


def test_a_smaller_draw_is_the_beginning_of_a_larger() -> None:
    few, many = draw_garments(5, seed=1), draw_garments(9, seed=1)
    assert np.array_equal(few[0], many[0][:5])
    assert np.array_equal(few[1], many[1][:5])
