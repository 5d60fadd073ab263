"""A stage as a command: its arguments, and what it says where it can't begin or fails under DVC."""

import gzip
import hashlib
import importlib
import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from stages.shared.model.operations import ACTIVATIONS
from stages.shared.runtime import run as process
from stages.shared.runtime import torchrun
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.params import describe
from stages.train import Params
from tests.dry_run import dry_run
from tests.faults.marks import all_but
from tests.project import ALL, ROOT, Project
from tests.versioned import put_in_git


@pytest.mark.parametrize("stage", ALL)
def test_help_says_what_it_does_and_each_param(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"stages.{stage}")
    with (
        patch.object(process, "_NAME", stage),
        patch.dict("sys.modules", __main__=module),
        patch("sys.argv", [stage, "-h" if stage == "plot" else "--help"]),
        pytest.raises(SystemExit) as ended,
    ):
        process.run(module.main)
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (None, "")
    assert said.out.startswith(str(module.__doc__))
    described = [line.split()[0] for line in said.out.split("params.yaml:\n")[1].splitlines()]
    whole = [name.partition(".")[0] for name in described]  # a block's keys stand as block.key
    assert list(dict.fromkeys(whole)) == list(module.Params.model_fields)


def test_help_names_choices_and_bounds() -> None:
    rows = dict(line.split(maxsplit=1) for line in describe(Params).splitlines())
    assert rows["pixels.activation"] == " | ".join(ACTIVATIONS)
    assert rows["pixels.epochs"] == "a whole number >= 1 and <= 100000"
    assert rows["pixels.learning_rate"] == "a number > 0 and <= 1000"
    assert rows["pixels.layers"] == "a list of 0 to 64, each a whole number >= 1 and <= 65536"


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
    assert result.stderr.startswith(f"{stage}: expected no argument but --help, got ")
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
    first, *_ = result.stderr.splitlines()
    assert "Traceback" not in result.stderr
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


EDITS = [("train", {"activation": "tanh"}), ("train", {"batch_size": 0}), ("plot", {"colormap": "x"})]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "refusing" in metafunc.fixturenames:
        edits = EDITS if metafunc.config.getoption("--torture") else EDITS[1:]
        metafunc.parametrize(("refusing", "edit"), all_but(EDITS[-1:], edits))


def test_a_refused_value_says_how_to_get_the_outputs_back(
    refusing: str, edit: dict[str, object], versioned: Project
) -> None:
    before = versioned.contents()
    params = (versioned.root / "params.yaml").read_bytes()
    versioned.edit({refusing: edit})
    result = versioned.dvc("repro", refusing)
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if line.startswith(f"DVC removed data/{refusing}")]
    assert len(said) == 1
    assert f"git restore data/{refusing}" in said[0]
    assert "`dvc repro` restores it" in said[0]
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
    result = clone.dvc("repro", "-s", "-f", "plot")
    assert result.returncode != 0
    assert not picture.exists()
    assert "`git restore data/plot`" in result.stderr
    assert "`dvc repro` restores it" not in result.stderr, "nothing is in this clone's cache"
    clone.run("git", "restore", "data/plot", check=True)
    assert picture.read_bytes() == before


def test_without_dvc_nothing_was_removed_and_nothing_is_said(project: Project) -> None:
    project.edit({"plot": {"colormap": "x"}})
    before = project.contents()
    assert project.stage("plot").stderr.count("\n") == 1
    assert project.contents() == before


def test_where_nothing_was_removed_nothing_is_said(tmp_path: Path) -> None:
    """A stage that never ran here: DVC had nothing to remove."""
    project = Project.create(tmp_path / "project", {"download": {"source": "data/small.yaml", "background": "nocolor"}})
    result = project.dvc("repro", "download")
    assert result.returncode != 0
    assert "download.background" in result.stderr
    assert "DVC removed" not in result.stderr


def test_the_project_comes_first_whatever_the_environment_says(project: Project, tmp_path: Path) -> None:
    """Python's safe path leaves the current folder out, and another package may be called `stages`, too."""
    (tmp_path / "other/stages").mkdir(parents=True)
    (tmp_path / "other/stages/plot.py").write_text("raise SystemExit('the wrong package')")
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(tmp_path / "other")}
    result = project.run("dvc", "repro", "--force", "--single-item", "plot", env=env)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"RANK": "0", "WORLD_SIZE": "1"}, "MASTER_ADDR: not set"),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "", "MASTER_PORT": "1"}, "MASTER_ADDR: not set"),
        ({"RANK": "zero", "WORLD_SIZE": "1", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "RANK: expected a whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "RANK: expected less than"),
    ],
)
def test_half_an_environment_of_torchrun_is_refused(
    env: dict[str, str], said: str, damageable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    message = dry_run("train", damageable)
    assert message is not None
    assert message.startswith(said)
    assert "\n" not in message


def test_a_wrong_number_of_hosts_is_said_in_one_line(damageable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_NNODES", "two")
    monkeypatch.setenv("PET_NPROC_PER_NODE", "1")  # to be unset after the test
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(InputError, match=r"^torchrun's variables, PET_…: .*two.*$"):
        Project(damageable).play("train")
    logging.disable(logging.NOTSET)


MESSAGE = {"message": {"message": "its own", "extraInfo": {"timestamp": "7", "kind": 0, "at": 7.5}}}
LOST = {"message": {"message": "lost", "extraInfo": {"timestamp": "7", "kind": 3, "at": 7.1}}}


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({0: (143, None), 1: (-9, None)}, "process 1 of 2 ended by SIGKILL"),
        ({0: (-15, None), 1: (-9, None)}, "process 1 of 2 ended by SIGKILL"),
        ({0: (1, LOST), 1: (-9, None)}, "process 1 of 2 ended by SIGKILL"),
        ({0: (1, LOST), 1: (1, MESSAGE)}, "its own"),
        ({0: (3, None), 1: (143, None)}, "process 0 of 2 ended by exit code 3"),
    ],
)
def test_the_process_that_failed_first_is_named(
    ends: dict[int, tuple[int, object]], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the others end in consequence; all in the same second, as a launcher sees it."""
    monkeypatch.setenv("PET_NPROC_PER_NODE", "2")
    failures = {}
    for rank, (code, record) in ends.items():
        path = tmp_path / f"{rank}.json"
        if record:
            path.write_text(json.dumps(record))
        failures[rank] = ProcessFailure(rank, 1, code, str(path))
        failures[rank].timestamp = 7
    with (
        patch("torch.distributed.run.run", side_effect=ChildFailedError("stages.train", failures)),
        pytest.raises(InputError, match=f"^{said}"),
    ):
        torchrun.launch("stages.train", 2)
    logging.disable(logging.NOTSET)


def test_the_default_training_says_nothing_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor do the other stages, as processes, in the run of `finished`, where their params are the default ones.

    The files are of Fashion-MNIST's kind, which torchvision reads: images whose lit rows tell the class.
    """
    project = Project.create(tmp_path / "project", {"download": {"source": "data/fashion-mnist.yaml"}})
    project.edit({"train": {"device": "cpu", "threads": 1}})
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    random, described = np.random.default_rng(0), (project.root / "data/fashion-mnist.yaml").read_text()
    for split, count in (("train", 1000), ("t10k", 200)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = random.integers(20, size=(count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 8] += np.uint8(random.integers(100, 235))
        for name, array, magic in (
            (f"{split}-images-idx3-ubyte", images, 2051),
            (f"{split}-labels-idx1-ubyte", labels, 2049),
        ):
            header = np.array([magic, *array.shape], ">i4").tobytes()
            content = gzip.compress(header + array.tobytes(), mtime=0)
            (mirror / f"{name}.gz").write_bytes(content)
            described = re.sub(
                rf"({name}.gz:\s+size: )\d+(\s+sha256: )\w+",
                rf"\g<1>{len(content)}\g<2>{hashlib.sha256(content).hexdigest()}",
                described,
            )
    (project.root / "data/fashion-mnist.yaml").write_text(described)
    monkeypatch.setenv("FASHION_MNIST_MIRROR", str(mirror))
    project.play("download", "train")
    assert capfd.readouterr().err == ""
    assert (project.root / "data/train/autoencoder.safetensors").exists()
