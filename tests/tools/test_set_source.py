"""`make repro SOURCE=…`: the path stands in params.yaml, whatever it is, and nothing else there changes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT


def choose(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/set_source.py"), source]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"HOME": str(folder)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "data", tmp_path / "data", ignore=lambda _, names: [n for n in names if "." not in n])
    return tmp_path


@pytest.mark.parametrize("name", ["pictures", 'it\'s: 100 % #1 & "more" \\ bilder – 数据', "true", "~"])
def test_any_path(name: str, folder: Path) -> None:
    before = (folder / "params.yaml").read_text().splitlines()
    (folder / name).mkdir()
    said = choose(folder, f"./{name}")
    assert said.returncode == 0
    after = (folder / "params.yaml").read_text().splitlines()
    assert yaml.safe_load("\n".join(after))["download"]["source"] == name, "no git: all of the folder travels"
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    (line,) = [line for line in after if line not in before]
    told = "params.yaml: download.source is now"
    value = line.removeprefix("  source: ")
    assert said.stdout.splitlines() == [f"{told} {value} (before: data/fashion-mnist.yaml)"]
    assert choose(folder, f"./{name}").stdout == "", "nothing has changed"
    assert choose(folder, "data/fashion-mnist.yaml").stdout == f"{told} data/fashion-mnist.yaml (before: {value})\n"
    assert (folder / "params.yaml").read_text().splitlines() == before


def test_home_and_what_is_not_there(folder: Path) -> None:
    (folder / "pictures").mkdir()
    assert choose(folder, "~/pictures").returncode == 0
    refused = choose(folder, "~/nowhere")
    assert refused.returncode == 1
    assert refused.stderr.startswith("SOURCE: expected a folder of pictures")
    assert len(refused.stderr.splitlines()) == 1


def test_a_folder_that_no_copy_of_the_project_has_is_written_out(folder: Path) -> None:
    """`dvc exp run --temp` and the queue work on a copy of what git and DVC have."""
    for name in ("theirs", "ours", "known"):
        (folder / name).mkdir()
        (folder / name / "a.png").touch()
    (folder / "ours.dvc").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "known", "data"], cwd=folder, check=True)
    for name, expected in {"theirs": str(folder / "theirs"), "ours": "ours", "known": "known"}.items():
        assert choose(folder, name).returncode == 0
        assert yaml.safe_load((folder / "params.yaml").read_text())["download"]["source"] == expected


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "source: data/fashion-mnist.yaml",
            "source: ~/pictures",
            "download.source: DVC does not expand ~; write /",
        ),
        ("source: data/fashion-mnist.yaml", "source: /nowhere", "download.source: /nowhere does not exist"),
        ("  # train or test\n  split: train", "  split: tests", "render.split: expected train or test, got 'tests'"),
        ("", "", ""),
    ],
)
def test_values_that_dvc_puts_into_paths_get_a_line(old: str, new: str, words: str, folder: Path) -> None:
    path = folder / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    result = choose(folder, "")
    assert (result.returncode, len(result.stderr.splitlines())) == ((1, 1) if words else (0, 0))
    assert words in result.stderr
