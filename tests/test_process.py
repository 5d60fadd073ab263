"""A stage as a command: its arguments, and what it says where it can't begin, can't read, or fails under DVC."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from tests.begin import begin
from tests.project import ROOT, Project
from tests.test_damage import READS, damageable, files
from tests.versioned import put_in_git

__all__ = ["damageable"]  # a fixture

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


@pytest.mark.parametrize("stage", STAGES)
def test_help_says_what_it_does_and_each_param(stage: str, finished: Project) -> None:
    result = finished.run("python", "-m", f"stages.{stage}", "--help")
    module = importlib.import_module(f"stages.{stage}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(str(module.__doc__))
    described = [line.split()[0] for line in result.stdout.split("params.yaml:\n")[1].splitlines()]
    assert described == list(module.Params.model_fields)


def test_help_names_choices_and_bounds(finished: Project) -> None:
    rows = dict(
        line.split(maxsplit=1)
        for line in finished.run("python", "-m", "stages.train", "-h").stdout.splitlines()
        if line.startswith("  ")
    )
    assert rows["activation"] == "relu | silu | gelu"
    assert rows["epochs"] == "a whole number >= 1 and <= 100000"
    assert rows["learning_rate"] == "a number > 0 and <= 1000"
    assert rows["layers"] == "a list of 0 to 64, each a whole number >= 1 and <= 65536"


@pytest.mark.parametrize("arguments", [["--epochs", "1"], ["train"], [""], ["--version"], ["--", "a\nb"], ["--hel"]])
@pytest.mark.parametrize("stage", ["train", "plot"])
def test_other_arguments_are_refused_and_nothing_is_touched(stage: str, arguments: list[str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data" / stage / ".partial").mkdir(parents=True)
    before = sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in str(path))
    result = Project(tmp_path).run("python", "-m", f"stages.{stage}", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{stage}: takes no argument but --help, got ")
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in str(path)) == before


# The packages that a stage may be the first to miss.
@pytest.mark.parametrize("package", ["numpy", "pydantic", "matplotlib", "ruamel"])
def test_a_missing_package_is_said_in_one_line(package: str, project: Project, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    blocker = f"import sys\nsys.modules[{package!r}] = None\n"
    (tmp_path / "without" / "sitecustomize.py").write_text(blocker)
    before = project.contents()
    environment = {"PYTHONPATH": str(tmp_path / "without"), "DVC_STAGE": "plot"}
    result = project.run("python", "-m", "stages.plot", env=environment)
    assert result.returncode == 1
    first, _ = result.stderr.splitlines()
    assert first.startswith(f"{Path(sys.executable).parent / 'python'}: ")
    assert package in first
    assert "activate" in first
    assert project.contents() == before


def test_an_interpreter_without_any_package(tmp_path: Path) -> None:
    """As of somebody's own DVC, with the environment not activated."""
    result = subprocess.run(
        [sys.executable, "-S", "-m", "stages.train"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{sys.executable}: No module named ")


def test_a_bug_keeps_its_traceback(tmp_path: Path, finished: Project) -> None:
    project = finished.copy(tmp_path / "project")
    path = project.root / "stages/plot.py"
    path.write_text(path.read_text().replace("import InputError", "import InputErrror as InputError"))
    result = project.stage("plot")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "InputErrror" in result.stderr


# What fails is named.


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """A link to what opens, and can't be read or mapped: an error of the system's that names no file."""
    kept = path.rename(path.parents[1] / "kept")
    try:
        path.symlink_to("/proc/self/mem")
        yield
    finally:
        path.unlink()
        kept.rename(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
@pytest.mark.parametrize(("stage", "dep"), READS)
def test_an_input_that_fails_as_it_is_read_is_named(stage: str, dep: str, damageable: Path) -> None:
    for name in files(damageable, dep):
        with unreadable(damageable / name):
            message = begin(stage, damageable)
        assert message is not None
        assert message.startswith(f"{name}: "), message
        assert "writing" not in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize(("stage", "dep"), [read for read in READS if read[1].endswith(".npy")])
def test_a_file_system_without_mmap_is_named(stage: str, dep: str, damageable: Path) -> None:
    with patch("mmap.mmap", side_effect=OSError(19, "No such device")):
        message = begin(stage, damageable)
    assert message is not None
    assert message.endswith(".npy: No such device")
    assert any(message.startswith(path) for _, path in READS)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["params.yaml", "data/small.yaml"])
def test_what_a_person_wrote_is_named_too(name: str, damageable: Path) -> None:
    path = damageable / name
    path.unlink()
    path.symlink_to("/proc/self/mem")
    assert begin_whole("download", damageable) == f"{name}: Input/output error"


def begin_whole(stage: str, root: Path) -> str:
    result = subprocess.run(
        ["python", "-m", f"stages.{stage}"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    return result.stderr.rstrip("\n")


# DVC removes a stage's outputs before it runs it.


@pytest.fixture
def versioned(project: Project) -> Project:
    """The finished pipeline in git, with what git keeps committed."""
    return put_in_git(project)


EDITS = [("train", {"activation": "tanh"}), ("train", {"batch_size": 301}), ("plot", {"colormap": "x"})]


@pytest.mark.parametrize(("stage", "edit"), EDITS)
def test_a_refused_value_says_how_to_get_the_outputs_back(
    stage: str, edit: dict[str, object], versioned: Project
) -> None:
    before = versioned.contents()
    params = (versioned.root / "params.yaml").read_bytes()
    versioned.edit({stage: edit})
    result = versioned.run("dvc", "repro", stage)
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if "dvc repro" in line]
    assert len(said) == 1
    assert f"git restore data/{stage}" in said[0]
    assert versioned.contents() != before
    kept = versioned.run("git", "ls-files", f"data/{stage}", check=True).stdout.split()
    versioned.run("git", "restore", f"data/{stage}", check=True)
    assert {name: versioned.contents()[name] for name in kept} == {name: before[name] for name in kept}
    (versioned.root / "params.yaml").write_bytes(params)
    assert versioned.repro() == set()
    assert versioned.contents() == before


def test_so_does_a_stage_alone_in_a_fresh_clone(versioned: Project, tmp_path: Path) -> None:
    versioned.run("git", "clone", "-q", ".", str(tmp_path / "clone"), check=True)
    clone = Project(tmp_path / "clone")
    picture = clone.root / "data/plot/latents.png"
    before = picture.read_bytes()
    result = clone.run("dvc", "repro", "-s", "-f", "plot")
    assert result.returncode != 0
    assert not picture.exists()
    assert "`git restore data/plot`" in result.stderr
    clone.run("git", "restore", "data/plot", check=True)
    assert picture.read_bytes() == before


def test_without_dvc_nothing_was_removed_and_nothing_is_said(project: Project) -> None:
    project.edit({"train": {"activation": "tanh"}})
    before = project.contents()
    assert project.stage("train").stderr.count("\n") == 1
    assert project.contents() == before
