"""The stages on a machine that has too little, or is set up in an unusual way."""

import os
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from stages.shared.runtime.lock import BusyError, locked
from tests.faults.in_one_process import run_stages
from tests.faults.marks import all_but, faults
from tests.faults.test_kills import forget
from tests.project import ALL, ROOT, STAGES, Project, environment
from tests.unshare import can_mount

PAGE = 4096

mounts = pytest.mark.skipif(not can_mount(), reason="needs Linux and the right to mount")


def run_mounted(project: Project, mount: str, stage: str) -> subprocess.CompletedProcess[str]:
    """Run the stage after `mount`, a command whose effect ends with it; the output is what lies in its folder then."""
    script = f"{mount} && python -m stages.{stage} >/dev/null; code=$?; ls -A data/{stage}; exit $code"
    return project.run("unshare", "--mount", "sh", "-c", script)


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 1, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A stage that writes pictures and a slow one that writes arrays; in the long form, every stage, at every tenth."""
    torture = metafunc.config.getoption("--torture")
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", all_but(["plot"], list(ALL) if torture else ["plot", "train"]))
    if "share" in metafunc.fixturenames:
        parts = 10 if torture else 2
        metafunc.parametrize("share", [part / parts for part in range(parts)], ids="{:.0%}".format)


@mounts
def test_a_full_disk(stage: str, share: float, project: Project) -> None:
    pages = sum(-(-len(content) // PAGE) for content in project.contents(f"data/{stage}").values())
    room = max(1, int(pages * share))
    if room >= pages:
        pytest.skip("all that the stage writes has room in one page")
    result = run_mounted(project, f"mount -t tmpfs -o size={room * PAGE} tmpfs data/{stage}", stage)
    assert_one_line(result, f"data/{stage}")
    assert "No space left" in result.stderr or "the disk may be full" in result.stderr
    assert result.stdout == ""


@mounts
def test_a_read_only_folder(stage: str, project: Project) -> None:
    before = project.contents()
    result = run_mounted(
        project, f"mount --bind data/{stage} data/{stage} && mount -o remount,ro,bind data/{stage}", stage
    )
    assert_one_line(result, f"data/{stage}", "Read-only")
    assert project.contents() == before


@faults
@mounts
def test_no_room_in_shared_memory(stage: str, project: Project) -> None:
    before = project.contents()
    result = run_mounted(project, "mount -t tmpfs -o size=4k,ro tmpfs /dev/shm", stage)
    assert result.returncode == 0, result.stderr
    assert project.contents() == before


def test_little_memory(project: Project) -> None:
    before = project.contents()
    result = project.run("sh", "-c", "ulimit -v 700000 && exec python -m stages.train")
    assert_one_line(result, "not enough memory")
    assert project.contents() == before


@faults
def test_a_network_larger_than_memory(project: Project) -> None:
    before = project.contents()
    project.edit({"train": {"layers": [65536, 65536], "threads": 1}})
    result = project.run("sh", "-c", "ulimit -v 8000000 && exec python -m stages.train")
    assert_one_line(result, "not enough memory", "params.yaml")
    assert project.contents() == before


@faults
def test_a_clock_set_back(project: Project) -> None:
    whole, later = project.contents(), time.time() + 10 * 365 * 24 * 3600
    for path in project.root.rglob("*"):
        os.utime(path, (later, later))
    assert project.repro() == set()
    params = (project.root / "params.yaml").read_bytes()
    project.edit({"plot": {"style": "points"}})
    assert project.repro() == {"plot"}
    (project.root / "params.yaml").write_bytes(params)
    assert project.repro() == set()
    assert project.contents() == whole


def forget_results(project: Project) -> None:
    """Remove what the stages made, and keep the descriptions of the data sets."""
    for folder in (path for path in (project.root / "data").iterdir() if path.is_dir()):
        shutil.rmtree(folder)


def without_results(project: Project, root: Path) -> Project:
    """A copy at `root` with nothing made yet."""
    root.parent.mkdir(exist_ok=True)
    copy = project.copy(root)
    forget_results(copy)
    for name in (".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(copy.root / name)
    (copy.root / "dvc.lock").unlink()
    return copy


C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NO_HOME = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "XDG_CONFIG_HOME": "/dev/null"}


@faults
def test_an_unusual_path_no_locale_and_no_home(finished: Project, tmp_path: Path, torture: bool) -> None:
    """Run the stages; tests/pipeline/test_repeat.py runs `dvc repro` at such a path, and so does the long form."""
    project = without_results(finished, tmp_path / "mein Ordner – données 数据 $HOME 'x'" / "project")
    if torture:
        project.repro()
        assert project.contents() == finished.contents()
        forget_results(project)
    run_stages(partial(project.run, env=C_LOCALE | NO_HOME), STAGES, apart=torture)
    assert project.contents() == finished.contents()
    (project.root / "params.yaml").write_text("extract: {split: größe}\n")
    result = project.stage("extract", env=C_LOCALE)
    assert "extract.split: expected" in result.stderr
    assert "Traceback" not in result.stderr


@faults
@mounts
def test_dvc_with_a_home_that_cannot_be_written(project: Project, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    project.edit({"plot": {"style": "points"}})
    script = "mount -t tmpfs -o ro tmpfs ../home && HOME=$PWD/../home dvc repro"
    result = project.run("unshare", "--mount", "sh", "-c", script, env=C_LOCALE)
    assert result.returncode == 0, result.stderr


def begin(project: Project, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@faults
def test_two_repros_at_once(project: Project, torture: bool) -> None:
    """Two stages run; in the long form, the whole pipeline."""
    whole = project.contents()
    for stage in STAGES if torture else ("plot", "report"):
        forget(project, stage)
    runs = [begin(project, "dvc", "repro"), begin(project, "dvc", "repro")]
    texts = [run.communicate()[0] for run in runs]
    for run, text in zip(runs, texts, strict=True):
        assert run.returncode == 0 or "lock" in text or "is busy" in text, text
        assert "Traceback" not in text
    assert any(run.returncode == 0 for run in runs)
    project.repro()
    assert project.contents() == whole


def test_a_stage_twice_at_once(stage: str, project: Project) -> None:
    whole = project.contents()
    shutil.rmtree(project.root / "data" / stage)
    runs = [begin(project, "python", "-m", f"stages.{stage}") for _ in range(3)]
    texts = [run.communicate()[0] for run in runs]
    for run, text in zip(runs, texts, strict=True):
        assert run.returncode == 0 or "is writing here; wait for it to end" in text, text
    assert any(run.returncode == 0 for run in runs)
    assert project.contents() == whole


@faults
def test_a_second_run_names_the_process_that_holds_the_lock(project: Project) -> None:
    before = project.contents()
    with locked(project.root / "data/plot/.partial.lock"):
        result = project.stage("plot")
        assert_one_line(result, f"data/plot: process {os.getpid()} (", "python", ") is writing here")
    assert project.contents() == before


def test_a_lock_of_another_machine_says_so(tmp_path: Path) -> None:
    path = tmp_path / ".partial.lock"
    with locked(path):
        path.write_text('["elsewhere", 7, "python -m stages.plot"]')
        with pytest.raises(BusyError, match=r"process 7 on the machine elsewhere \(python -m stages.plot\)"):
            locked(path).__enter__()


# As a network file system or FUSE may answer.
NO_FLOCK = """
import errno, fcntl, os
def refuse(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = refuse
"""


@faults
def test_without_locks_a_stage_works_and_says_so_once(project: Project, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(NO_FLOCK)
    before = project.contents()
    result = project.stage("train", env={"PYTHONPATH": str(tmp_path / "without")})
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("data/train: this file system has no locks") == 1
    assert result.stdout.count(".dvc/tmp/train: this file system has no locks") == 1
    assert project.contents() == before


@faults
@mounts
def test_a_full_disk_of_the_kept_states_is_named(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/tmp/train", ignore_errors=True)
    (project.root / ".dvc/tmp/train").mkdir(parents=True)
    result = run_mounted(project, "mount -t tmpfs -o size=64k tmpfs .dvc/tmp/train", "train")
    assert_one_line(result, ".dvc/tmp/train/", "No space left")
    assert "data/train" not in result.stderr


@mounts
def test_a_read_only_checkout_is_said_in_one_line(project: Project) -> None:
    shutil.rmtree(project.root / ".matplotlib_cache", ignore_errors=True)
    assert_one_line(
        run_mounted(project, "mount --bind . . && mount -o remount,ro,bind . && cd $PWD", "plot"), "Read-only"
    )


@faults
def test_an_archive_without_git(finished: Project, tmp_path: Path) -> None:
    archive = Project(tmp_path / "archive")
    shutil.copytree(finished.root, archive.root)
    shutil.copy(ROOT / ".dvc" / "config", archive.root / ".dvc")  # in place of one that knows of no git
    assert "not a git repository" in archive.run("dvc", "repro").stderr
    archive.run("dvc", "config", "--local", "core.no_scm", "true", check=True)
    assert archive.repro() == set()
    archive.edit({"plot": {"style": "points"}})
    assert archive.repro() == {"plot"}


@faults
def test_windows_line_endings(project: Project, torture: bool) -> None:
    path = project.root / "params.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.repro() == set()
    before = project.contents()
    run_stages(project.run, STAGES, apart=torture)
    assert project.contents() == before
