"""The stages on a machine that has too little, or is set up in an unusual way."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.faults.marks import all_but, faults
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
    if "share" in metafunc.fixturenames:
        parts = 10 if metafunc.config.getoption("--torture") else 2
        metafunc.parametrize("share", [part / parts for part in range(parts)], ids="{:.0%}".format)


@mounts
@pytest.mark.parametrize("stage", all_but(["plot"], list(ALL)))
def test_a_full_disk(stage: str, share: float, project: Project) -> None:
    pages = sum(-(-len(content) // PAGE) for content in project.contents(f"data/{stage}").values())
    room = max(1, int(pages * share))
    if room >= pages:
        pytest.skip("all that the stage writes has room in one page")
    result = run_mounted(project, f"mount -t tmpfs -o size={room * PAGE} tmpfs data/{stage}", stage)
    assert_one_line(result, f"data/{stage}")
    assert "No space left" in result.stderr or "full disk" in result.stderr
    assert result.stdout == ""


@mounts
@pytest.mark.parametrize("stage", all_but(["plot"], list(ALL)))
def test_a_read_only_folder(stage: str, project: Project) -> None:
    before = project.contents()
    result = run_mounted(
        project, f"mount --bind data/{stage} data/{stage} && mount -o remount,ro,bind data/{stage}", stage
    )
    assert_one_line(result, f"data/{stage}", "Read-only")
    assert project.contents() == before


@faults
@mounts
@pytest.mark.parametrize("stage", ALL)
def test_no_room_in_shared_memory(stage: str, project: Project) -> None:
    before = project.contents()
    result = run_mounted(project, "mount -t tmpfs -o size=4k,ro tmpfs /dev/shm", stage)
    assert result.returncode == 0, result.stderr
    assert project.contents() == before


@pytest.mark.parametrize("stage", all_but(["plot"], list(ALL)))
@pytest.mark.parametrize("megabytes", [300, 700])
def test_little_memory(stage: str, megabytes: int, project: Project) -> None:
    before = project.contents()
    # With less, OpenBLAS asks for its buffers without end as it is loaded.
    script = f"ulimit -v {megabytes * 1024} && exec python -m stages.{stage}"
    result = project.run("sh", "-c", script, timeout=120)
    if result.returncode != 0 and not result.stderr.startswith("OpenBLAS error: Memory allocation"):
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
    project.edit({"extract": {"count": 30}})
    assert "extract" in project.repro()
    project.edit({"extract": {"count": 40}})
    project.repro()
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
def test_a_path_with_spaces_and_letters_of_all_kinds(finished: Project, tmp_path: Path) -> None:
    project = without_results(finished, tmp_path / "mein Ordner – données 数据 $HOME 'x'" / "project")
    project.repro()
    assert project.contents() == finished.contents()
    (project.root / "params.yaml").write_text("extract: {split: größe}\n")
    result = project.stage("extract", env=C_LOCALE)
    assert "extract.split: expected" in result.stderr
    assert "Traceback" not in result.stderr


@faults
def test_no_locale_and_no_home(project: Project) -> None:
    whole = project.contents()
    forget_results(project)
    for stage in STAGES:
        result = project.stage(stage, env=C_LOCALE | NO_HOME)
        assert result.returncode == 0, result.stderr
    assert project.contents() == whole


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
def test_two_repros_at_once(project: Project) -> None:
    whole = project.contents()
    forget_results(project)
    shutil.rmtree(project.root / ".dvc" / "cache")
    runs = [begin(project, "dvc", "repro"), begin(project, "dvc", "repro")]
    texts = [run.communicate()[0] for run in runs]
    for run, text in zip(runs, texts, strict=True):
        assert run.returncode == 0 or "lock" in text or "is busy" in text, text
        assert "Traceback" not in text
    assert any(run.returncode == 0 for run in runs)
    project.repro()
    assert project.contents() == whole


@pytest.mark.parametrize("stage", all_but(["plot"], list(ALL)))
def test_a_stage_twice_at_once(stage: str, project: Project) -> None:
    whole = project.contents()
    shutil.rmtree(project.root / "data" / stage)
    runs = [begin(project, "python", "-m", f"stages.{stage}") for _ in range(3)]
    texts = [run.communicate()[0] for run in runs]
    for run, text in zip(runs, texts, strict=True):
        assert run.returncode == 0 or f"data/{stage}: another run is writing here" in text, text
    assert any(run.returncode == 0 for run in runs)
    assert project.contents() == whole


@faults
def test_a_stage_that_another_run_is_at_for_long(project: Project) -> None:
    before = project.contents()
    with FileLock(project.root / "data/plot/.partial.lock"):
        result = project.stage("plot")
    assert_one_line(result, "data/plot: another run is writing here")
    assert {path: content for path, content in project.contents().items() if ".partial" not in path} == before


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
def test_windows_line_endings(project: Project) -> None:
    path = project.root / "params.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.repro() == set()
    before = project.contents()
    for stage in STAGES:
        result = project.stage(stage)
        assert result.returncode == 0, result.stderr
    assert project.contents() == before
