"""render: the pictures show the images asked for, and what each epoch's autoencoder makes of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.render import Params, choose_indices, draw_rows
from stages.shared.figure import GAP
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.runtime.errors import InputError
from tests.project import Project

DEFAULTS: dict[str, Any] = {"split": "train", "count": 5, "indices": None}


def test_a_picture_an_epoch_and_one_of_them_all(finished: Project) -> None:
    folder = finished.root / "data/render"
    assert {path.name for path in (folder / "reconstructions").iterdir()} == {"1.png", "2.png"}
    sheet, first = folder / "reconstructions.png", folder / "reconstructions" / "1.png"
    with Image.open(sheet) as many, Image.open(first) as one:
        assert many.height > one.height
        assert "Software" not in many.info


@pytest.mark.parametrize("channels", [1, 3])
def test_the_rows_are_the_pictures_given(channels: int) -> None:
    random = np.random.default_rng(0)
    rows = [(name, random.random((3, 6, 4, channels), dtype=np.float32)) for name in ("original", "epoch 1", "epoch 2")]
    axes = draw_rows(rows, [7, 8, 9], "title").axes[0]
    mosaic = np.asarray(axes.images[0].get_array())
    for row, (_, pictures) in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * (6 + GAP), column * (4 + GAP)
            assert np.array_equal(mosaic[top : top + 6, left : left + 4], picture.squeeze())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["original", "epoch 1", "epoch 2"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["#7", "#8", "#9"]


def test_an_epoch_shows_its_own_reconstructions(finished: Project, project: Project) -> None:
    """The file of epoch 1 changes with epoch 1's model, and no other does."""
    model = project.root / "data/train/checkpoints/1.safetensors"
    autoencoder = Autoencoder.read(model)
    weight, bias = autoencoder.decoder[-2].tensors
    autoencoder.decoder[-2] = replace(autoencoder.decoder[-2], tensors=(weight, bias + 1))
    model.unlink()
    autoencoder.write(model)
    assert project.stage("render").returncode == 0
    before, after = finished.contents("data/render"), project.contents("data/render")
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed == {"1.png", "reconstructions.png"}


def test_indices_take_the_place_of_the_first() -> None:
    assert choose_indices(Params(**DEFAULTS), 100) == [0, 1, 2, 3, 4]
    assert choose_indices(Params(**DEFAULTS | {"indices": [42, 7]}), 100) == [42, 7]


def test_an_index_beyond_the_images() -> None:
    with pytest.raises(InputError, match=r"render\.indices: expected indices below 8, got 8"):
        choose_indices(Params(**DEFAULTS | {"indices": [8]}), 8)


def test_of_fewer_images_than_asked_for_all_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_indices(Params(**DEFAULTS), 5) == [0, 1, 2, 3, 4]
    assert not capsys.readouterr().out
    assert choose_indices(Params(**DEFAULTS), 3) == [0, 1, 2]
    assert capsys.readouterr().out == "render: shows all images of the train split (3), fewer than render.count (5)\n"
