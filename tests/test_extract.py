"""extract: the latents are the network's own, of the images asked for."""

import csv
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stages.extract import select
from tests.project import Project

LABELS = np.random.default_rng(0).integers(0, 10, 1000).astype(np.uint16)


def test_latents_are_those_of_pytorch(finished: Project) -> None:
    tensors = load_file(finished.root / "data/train/autoencoder.safetensors")
    images = torch.from_numpy(np.load(finished.root / "data/download/train_images.npy")[:40])
    x = images.flatten(1).float() / 255
    for index in (0, 2, 4, 6):
        x = torch.nn.functional.linear(x, tensors[f"encoder.{index}.weight"], tensors[f"encoder.{index}.bias"])
        x = x.relu() if index < 6 else x
    with (finished.root / "data/extract/latents.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "label", "class", "z1", "z2", "z3"]
    values = [[float(row[f"z{dimension}"]) for dimension in (1, 2, 3)] for row in rows]
    assert np.allclose(values, x, atol=1e-5)
    labels = np.load(finished.root / "data/download/train_labels.npy")[:40]
    assert [int(row["label"]) for row in rows] == labels.tolist()
    assert [int(row["index"]) for row in rows] == list(range(40))


def test_first() -> None:
    assert select(LABELS, 1000, 200, "first", 0).tolist() == list(range(200))


def test_random_is_seeded_and_without_repeats() -> None:
    one, two, other = (
        select(LABELS, 1000, 200, "random", 0),
        select(LABELS, 1000, 200, "random", 0),
        select(LABELS, 1000, 200, "random", 1),
    )
    assert one.tolist() == two.tolist() != other.tolist()
    assert len(set(one)) == 200


def test_balanced_has_as_many_of_each_class() -> None:
    assert np.bincount(LABELS[select(LABELS, 1000, 203, "balanced", 0)]).tolist() == [21, 21, 21, *[20] * 7]


def test_of_fewer_images_than_asked_for_all_are_taken() -> None:
    for selection in ("first", "random", "balanced"):
        assert select(LABELS, 1000, 20_000, selection, 0).tolist() == list(range(1000))
    rare = np.repeat([0, 1], [100, 3]).astype(np.uint16)
    assert np.bincount(rare[select(rare, 103, 40, "balanced", 0)]).tolist() == [20, 3]


def test_fewer_images_than_asked_for_are_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.edit({"extract": {"count": 1000}})
    project.play("extract", "plot")  # which finds as many rows as it was told
    said = "extract: 300 train images, fewer than extract.count (1000), because there are no others"
    assert said in capsys.readouterr().out.splitlines()
    project.edit({"extract": {"count": 290, "selection": "balanced"}})
    project.play("extract")
    assert re.search(
        r"extract: 2[0-8]\d train images, fewer than extract.count \(290\), because some classes have too few",
        capsys.readouterr().out,
    )
