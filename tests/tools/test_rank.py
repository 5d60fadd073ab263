"""`python -m tools.rank`: any folder of pictures, ranked by the trained model's reconstruction error."""

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stages.shared.images.dataset import DESCRIPTION, DatasetInfo, Range
from stages.shared.images.write import Refusal
from stages.shared.model.autoencoder import MODEL, Autoencoder
from stages.shared.runtime.errors import InputError, explain
from tests.inputs import random_autoencoder
from tests.project import ROOT, Project
from tools import rank

SIZE = 8, 6, 3


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A model that was never trained, and the project's params, whose form is another."""
    root = tmp_path / "project"
    (root / "data/train").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", root)
    random_autoencoder(np.random.default_rng(0), SIZE).write(root / MODEL)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures at any depth, beside a class folder, in odd names; of other sizes; and three that are none."""
    random = np.random.default_rng(1)
    names = ["a.png", "shirts/b.png", "shirts/deep/er/c d, é.png", "train/d.png", "e.bmp"]
    for number, name in enumerate(names):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (8, 6) if number < 4 else (31, 17)
        Image.fromarray(random.integers(256, size=(*size, 3)).astype(np.uint8)).save(path)
    (tmp_path / "pictures/bad.jpg").write_bytes(b"nothing")
    (tmp_path / "pictures/gone.png").symlink_to("nowhere")
    (tmp_path / "pictures/notes.txt").write_text("no picture by its name")
    return tmp_path / "pictures"


def ranked(text: str) -> dict[str, float]:
    return {row["file"]: float(row["error"]) for row in csv.DictReader(io.StringIO(text))}


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("python", "-m", "tools.rank", *arguments)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[str, str]]:
    """Ranks a folder in this process; gives what that said on stdout and on stderr."""

    def rank_folder(folder: Path) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", ["rank", str(folder)])
        rank.main()
        return capsys.readouterr()

    return rank_folder


def test_every_picture_is_ranked_and_what_is_none_is_named(
    project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(project, str(folder))
    assert result.returncode == 0, result.stderr
    found = ranked(result.stdout)
    assert set(found) == {str(path) for path in folder.rglob("*.png") if path.exists()} | {str(folder / "e.bmp")}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    autoencoder = Autoencoder.read()
    for path, error in found.items():
        image = np.asarray(Image.open(path))
        if image.shape == SIZE:
            there = autoencoder.decode(autoencoder.encode(image))
            assert error == pytest.approx(np.square(image / 255 - there).mean(), abs=1e-6)
    lines = result.stderr.splitlines()
    assert sorted(line.split(":")[1].strip() for line in lines) == [str(folder / "bad.jpg"), str(folder / "gone.png")]
    monkeypatch.setattr(rank, "CHUNK", 2)
    bad: list[Refusal] = []
    parts = {str(path): error for error, path in rank.errors(sorted(folder.rglob("*.[pjb][nmp]*")), autoencoder, bad)}
    assert parts == pytest.approx(found, abs=1e-6)


def test_values_are_brought_from_the_range_of_the_training(
    project: Project, tmp_path: Path, said: Callable[[Path], tuple[str, str]]
) -> None:
    """Of 12 bits in 16, as `dataset.json` keeps it; a picture of another type can't be meant, and is named."""
    dataset = DatasetInfo("deep", [], Range(0, 4095, 65535))
    (project.root / DESCRIPTION).parent.mkdir(parents=True)
    (project.root / DESCRIPTION).write_text(json.dumps(dataset.to_json()))
    random_autoencoder(np.random.default_rng(0), (8, 6, 1)).write(project.root / MODEL)
    values = np.random.default_rng(1).integers(0, 4096, (8, 6)).astype(np.uint16)
    folder = tmp_path / "deep"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", values)
    with tifffile.TiffWriter(folder / "b.tif") as file:
        for page in (values, values * 0):
            file.write(page, photometric="minisblack")
    Image.new("L", (6, 8)).save(folder / "c.png")
    out, err = said(folder)
    found = list(ranked(out).values())
    pixels = np.rint(values * (255 / 4095))[..., np.newaxis] / 255
    autoencoder = Autoencoder.read()
    there = autoencoder.decode(autoencoder.encode(pixels))
    assert found == pytest.approx([np.square(pixels - there).mean()] * 2, abs=1e-6)
    assert "c.png: is 8-bit gray with values up to 255, but the range 0 to 4095 is for pictures with" in err
    assert "1 picture with more than one page" in err


def test_pictures_are_fitted_as_those_that_the_model_was_trained_on(
    project: Project, folder: Path, said: Callable[[Path], tuple[str, str]]
) -> None:
    """Whatever params.yaml says by now."""
    padded = ranked(said(folder)[0])
    (project.root / "data/download").mkdir()
    described = {"dataset": "small", "classes": [], "fit": "stretch", "background": [0, 0, 0]}
    (project.root / "data/download/dataset.json").write_text(json.dumps(described))
    stretched = ranked(said(folder)[0])
    assert [path for path in padded if padded[path] != stretched[path]] == [str(folder / "e.bmp")]
    image = Image.open(folder / "e.bmp").resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR)
    autoencoder = Autoencoder.read()
    there = autoencoder.decode(autoencoder.encode(np.asarray(image)))
    error = np.square(np.asarray(image) / 255 - there).mean()
    assert stretched[str(folder / "e.bmp")] == pytest.approx(error, rel=0.02)


def test_with_make_from_the_home_folder_to_a_file(project: Project, folder: Path) -> None:
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, project.root)
    (project.root / ".venv").mkdir()
    (project.root / ".venv/installed").touch()
    result = project.run("make", "rank", "FOLDER=~/pictures", "OUTPUT=ranked.csv", env={"HOME": str(folder.parent)})
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert (project.root / "ranked.csv").read_text() == run(project, str(folder)).stdout


def test_refuses_in_words(project: Project, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(project, "nowhere")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("FOLDER: expected a folder of pictures, got 'nowhere'")
    assert result.stderr.count("\n") == 1

    def refused(given: str) -> str:
        monkeypatch.setattr("sys.argv", ["rank", given])
        with pytest.raises((InputError, FileNotFoundError)) as caught:
            rank.main()
        return explain(caught.value) or ""

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/bad.png").write_text("nothing")
    for given, words in (
        ("", "FOLDER: expected a folder of pictures, got ''"),
        (str(tmp_path / "empty"), "no readable picture"),
    ):
        assert words in refused(given)
    (project.root / MODEL).unlink()
    assert "run `dvc repro`" in refused(str(folder))


def test_who_reads_no_more_than_the_first_line_hears_nothing(project: Project, folder: Path) -> None:
    for number in range(300):
        (folder / f"{'long' * 50}{number}.png").symlink_to("a.png")
    result = project.run("bash", "-c", f"set -o pipefail; python -m tools.rank {folder} | head -n 1")
    assert result.stdout == "error,file\n"
    assert all(line.startswith("rank: ") for line in result.stderr.splitlines())
