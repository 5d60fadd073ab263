"""explore: one page that repeats to the byte, fits, and is refused where its inputs are damaged."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.shared.runtime.errors import InputError
from tests.explorer.made import SECTION, Made, make
from tests.project import Project


def test_the_page_is_one_script_of_its_own(run: Made) -> None:
    text = run.page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].count("sha256-") == 1
    assert "script-src 'sha256-" in policy[1]
    assert len(re.findall(r"<script(?! type=.text/plain| type=.application/json)", text)) == 1


# From here on no browser is needed.


def test_the_same_inputs_give_the_same_bytes(run: Made, tmp_path: Path) -> None:
    """In another folder and in another process."""
    again = replace(run, root=Project(run.root).copy(tmp_path / "other").root)
    again.page.unlink()
    assert again.explore().returncode == 0
    assert again.page.read_bytes() == run.page.read_bytes()
    assert b"/tmp" not in run.page.read_bytes()


def test_a_wide_network_and_many_epochs_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(tmp_path / "run", hidden=(1024, 512, 256), epochs=21, activation="silu")
    Project(run.root).play("explore")
    assert run.page.stat().st_size <= 8_000_000
    text = run.page.read_text()
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', text)[1])  # type: ignore[index]
    assert facts["epochs"][0] == 1
    assert facts["epochs"][-1] == 21
    assert len(facts["epochs"]) >= 5
    assert ", ".join(map(str, facts["epochs"])) in capsys.readouterr().out


def test_what_cannot_fit_is_refused(tmp_path: Path) -> None:
    run = make(tmp_path / "run", hidden=(800,), epochs=1, count=5)
    (run.root / "params.yaml").write_text(yaml.safe_dump({"explore": SECTION | {"megabytes": 1}}))
    refuse(run, "params.yaml: explore.megabytes: the page exceeds 1 MB; its largest part, the ")


def refuse(run: Made, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Project(run.root).play("explore")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not run.page.exists()


@pytest.fixture
def small(tmp_path: Path) -> Made:
    return make(tmp_path / "run", hidden=(16,), epochs=2, count=6)


def test_few_epochs_are_shown_where_few_are_asked_for(small: Made, capsys: pytest.CaptureFixture[str]) -> None:
    (small.root / "params.yaml").write_text(yaml.safe_dump({"explore": SECTION | {"epochs": 1}}))
    Project(small.root).play("explore")
    assert "the page shows the epochs 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", 0), ("epochs", 101), ("neighbors", 0), ("neighbors", 25), ("steps", 2), ("steps", 26)]
)
def test_params_out_of_range(small: Made, key: str, value: int) -> None:
    section = SECTION | {key: value}
    (small.root / "params.yaml").write_text(yaml.safe_dump({"explore": section}))
    refuse(small, f"params.yaml: explore.{key}: expected")


def break_curve(small: Made) -> None:
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,test_loss\n1,0.1,0.1\n3,0.1,0.1\n")


def break_loss(small: Made) -> None:
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,test_loss\n1,0.1,low\n2,0.1,0.1\n")


def break_images(small: Made) -> None:
    np.save(small.root / "data/extract/images.npy", small.images[:5])


def break_figures(small: Made) -> None:
    path = small.root / "data/evaluate/scores.csv"
    path.write_text(path.read_text().replace("fashion-mnist", "synthetic"))


def break_latents(small: Made) -> None:
    path = small.root / "data/extract/latents.csv"
    path.write_text(re.sub(r",[^,\n]*$", "", path.read_text(), flags=re.MULTILINE))


def break_checkpoint(small: Made) -> None:
    (small.root / "data/train/checkpoints/1.safetensors").write_bytes(b"half")


def lose_checkpoint(small: Made) -> None:
    (small.root / "data/train/checkpoints/1.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_curve, "data/train/loss.csv: damaged: expected epochs from 1 on, and finite losses"),
        (break_loss, "data/train/loss.csv: damaged: expected numbers"),
        (break_images, "data/extract/images.npy: damaged: expected 6 images"),
        (break_figures, "data/evaluate/scores.csv: damaged: expected scores of the data set fashion-mnist"),
        (break_latents, "data/extract/latents.csv: damaged: expected 3 latent dimensions, as in the model, got 2"),
        (break_checkpoint, "data/train/checkpoints/1.safetensors: damaged"),
        (lose_checkpoint, "data/train/checkpoints: damaged: expected"),
    ],
)
def test_damaged_inputs(small: Made, damage: Callable[[Made], None], message: str) -> None:
    damage(small)
    refuse(small, message)
