"""tools/heal.py mends what a killed DVC leaves, and nothing else."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.marks import faults
from tests.project import ROOT, Project, environment
from tests.versioned import put_in_git

# A DVC that is killed for real in the midst of writing dvc.lock, when a part of it is on the disk.
KILLED = """
import io, os, signal, sys
from dvc.utils.serialize import _yaml
dump = _yaml._dump

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def write_a_part_and_die(data, stream):
    text = io.StringIO()
    dump(data, text)
    stream.write(text.getvalue()[: text.getvalue().rindex("- path") + 4])
    stream.flush()
    die()

_yaml._dump = write_a_part_and_die
from dvc.cli import main
sys.exit(main(["repro", "--force", "--single-item", "plot"]))
"""


def heal(project: Project) -> subprocess.CompletedProcess[str]:
    return project.run("python", str(ROOT / "tools" / "heal.py"))


def outputs(project: Project) -> dict[str, bytes]:
    return {path: content for path, content in project.contents("data").items() if ".partial" not in path}


@faults
@pytest.mark.parametrize("git", [True, False])
def test_a_kill_in_the_midst_of_dvc_lock_is_mended(project: Project, git: bool) -> None:
    before = project.contents("data")
    whole = (project.root / "dvc.lock").read_bytes()
    if git:
        put_in_git(project)
    result = project.run("python", "-c", KILLED)
    assert result.returncode == -signal.SIGKILL, result.stderr
    cut = (project.root / "dvc.lock").read_bytes()
    assert 0 < len(cut) < len(whole)
    assert project.run("dvc", "repro").returncode != 0
    result = heal(project)
    assert "dvc.lock is truncated" in result.stderr
    assert (project.root / ".dvc/tmp/dvc.lock.broken").read_bytes() == cut
    assert (project.root / "dvc.lock").exists() == git
    assert project.repro() <= {"plot"}  # the run cache has the others, whatever dvc.lock has forgotten
    assert (project.root / "dvc.lock").read_bytes() == whole
    assert project.contents("data") == before


@pytest.mark.parametrize(("name", "content"), [("rwlock", ""), ("exps/rwlock", '{"write": {"/a')])
def test_a_broken_table_of_paths_is_removed(tmp_path: Path, name: str, content: str) -> None:
    project = Project(tmp_path)
    table = project.root / ".dvc/tmp" / name
    table.parent.mkdir(parents=True)
    table.write_text(content)
    assert name in heal(project).stderr
    assert not table.exists()


def test_whole_files_are_left_as_they_are(project: Project) -> None:
    put_in_git(project)
    with (project.root / "dvc.lock").open("a") as file:
        file.write("# other than git's, and readable\n")
    (project.root / ".dvc/tmp/rwlock").write_text('{"write": {"/a": {"pid": 1, "cmd": "dvc repro"}}}')
    before = project.contents(".dvc/tmp") | project.contents(".")
    result = heal(project)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    assert project.contents(".dvc/tmp") | project.contents(".") == before


@pytest.mark.parametrize("known", ["conflict", "broken in git"])
def test_a_file_that_no_kill_broke_is_left_to_its_owner(project: Project, known: str) -> None:
    path = project.root / "dvc.lock"
    if known == "conflict":
        put_in_git(project)
        text = "<<<<<<< HEAD\n" + path.read_text()
        path.write_text(text)
    else:
        text = path.read_text().replace("schema: '2.0'", "schema: '9.0'")
        path.write_text(text)
        put_in_git(project)
    result = heal(project)
    assert result.returncode == 1
    assert "dvc.lock" in result.stderr
    assert path.read_text() == text


@faults
def test_nothing_is_mended_while_another_dvc_runs_a_stage(project: Project) -> None:
    with (project.root / "stages" / "plot.py").open("a") as file:
        file.write("\nimport pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    with subprocess.Popen(
        ["dvc", "repro", "plot"], cwd=project.root, env=environment(), start_new_session=True
    ) as process:
        try:
            wait_for((project.root / "begun").exists)
            table = project.root / ".dvc/tmp/rwlock"
            table.write_text("")
            result = heal(project)
            assert result.returncode == 1
            assert f"process {process.pid}" in result.stderr
            assert table.read_text() == ""
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert heal(project).returncode == 0
    assert not table.exists()


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
