"""`make repro SOURCE=…`: the path stands in params.yaml, whatever it is, and nothing else there changes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT


def choose(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/source.py"), source]
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
    assert choose(folder, f"./{name}").returncode == 0
    after = (folder / "params.yaml").read_text().splitlines()
    assert yaml.safe_load("\n".join(after))["download"]["source"] == name
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    choose(folder, "data/fashion-mnist.yaml")
    assert (folder / "params.yaml").read_text().splitlines() == before


def test_home_and_what_is_not_there(folder: Path) -> None:
    (folder / "pictures").mkdir()
    assert choose(folder, "~/pictures").returncode == 0
    refused = choose(folder, "~/nowhere")
    assert refused.returncode == 1
    assert refused.stderr.startswith("SOURCE: expected a folder of pictures")
    assert len(refused.stderr.splitlines()) == 1
