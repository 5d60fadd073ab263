"""A stage as a command: its arguments, and what it says where it can't begin or fails under DVC."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from stages.shared.model.operations import ACTIVATIONS
from stages.shared.process import run as process
from tests.faults.marks import all_but
from tests.project import ALL, ROOT, Project
from tests.versioned import put_in_git


@pytest.mark.parametrize("stage", ALL)
def test_help_says_what_it_does_and_each_param(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"stages.{stage}")
    with (
        patch.object(process, "_NAME", stage),
        patch.dict("sys.modules", __main__=module),
        patch("sys.argv", [stage, "--help"]),
        patch("sys.excepthook"),
        patch("signal.signal"),
        pytest.raises(SystemExit) as ended,
    ):
        process.run(module.main)
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (None, "")
    assert said.out.startswith(str(module.__doc__))
    described = [line.split()[0] for line in said.out.split("params.yaml:\n")[1].splitlines()]
    assert described == list(module.Params.model_fields)


def test_help_names_choices_and_bounds(finished: Project) -> None:
    result = finished.run("python", "-m", "stages.train", "-h")
    assert (result.returncode, result.stderr) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith("  "))
    assert rows["activation"] == " | ".join(ACTIVATIONS)
    assert rows["epochs"] == "a whole number >= 1 and <= 100000"
    assert rows["learning_rate"] == "a number > 0 and <= 1000"
    assert rows["layers"] == "a list of 0 to 64, each a whole number >= 1 and <= 65536"


@pytest.mark.parametrize(
    ("stage", "arguments"),
    [
        ("train", ["--epochs", "1"]),
        *(("plot", each) for each in (["train"], [""], ["--version"], ["--", "a\nb"], ["--hel"])),
    ],
)
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


# DVC removes a stage's outputs before it runs it.


@pytest.fixture
def versioned(project: Project) -> Project:
    """The finished pipeline in git, with what git keeps committed."""
    return put_in_git(project)


EDITS = [("train", {"activation": "tanh"}), ("train", {"batch_size": 301}), ("plot", {"colormap": "x"})]


@pytest.mark.parametrize(("refusing", "edit"), all_but(EDITS[-1:], EDITS))
def test_a_refused_value_says_how_to_get_the_outputs_back(
    refusing: str, edit: dict[str, object], versioned: Project
) -> None:
    before = versioned.contents()
    params = (versioned.root / "params.yaml").read_bytes()
    versioned.edit({refusing: edit})
    result = versioned.run("dvc", "repro", refusing)
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if "dvc repro" in line]
    assert len(said) == 1
    assert f"git restore data/{refusing}" in said[0]
    assert versioned.contents() != before
    kept = versioned.run("git", "ls-files", f"data/{refusing}", check=True).stdout.split()
    versioned.run("git", "restore", f"data/{refusing}", check=True)
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
