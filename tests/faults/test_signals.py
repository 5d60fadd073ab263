"""Ctrl-C and SIGTERM at any moment: quiet, 130 or 143, and nothing half-made left."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import State
from tests.faults.marks import all_but, faults
from tests.project import ALL, ROOT, USES, Project, environment

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143}
WITHIN = 2.0  # seconds, looked at in the long form alone
MOMENTS = ["as it imports", "as it works"]
DELAYS = (0.0, 0.03, 0.06, 0.1, 0.2)  # seconds after each moment, in the long form: ten moments
TRIES = 20

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")


def begin(project: Project, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def project(request: pytest.FixtureRequest, finished: Project, tmp_path: Path, torture: bool) -> Project:
    """A copy of the finished pipeline; in the long form with its uses, whose outputs a late signal leaves."""
    stage = request.node.callspec.params.get("stage") if hasattr(request.node, "callspec") else None
    whole: Project = request.getfixturevalue("used") if torture and stage in USES else finished
    return whole.copy(tmp_path / "project")


def wait_until(happens: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not happens():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def check_end(process: subprocess.Popen[str], signum: signal.Signals, torture: bool) -> None:
    """Send the signal to all that the command has started, and see it end as it should."""
    start = time.monotonic()
    os.killpg(process.pid, signum)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (ENDS[signum], "")
    assert not torture or time.monotonic() - start < WITHIN


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each stage once; in the long form at both moments and after delays, by both signals."""
    if metafunc.function is test_a_wait_for_the_other_process_ends:  # by SIGINT: tests/faults/test_distributed.py
        metafunc.parametrize("signum", ENDS if metafunc.config.getoption("--torture") else [signal.SIGTERM])
    if "moment" in metafunc.fixturenames:
        ways = [(moment, signum) for moment in MOMENTS for signum in ENDS]
        cases = [(stage, *way) for stage in ALL for way in ways]
        if not metafunc.config.getoption("--torture"):
            cases = [(stage, *ways[number % len(ways)]) for number, stage in enumerate(ALL)]
        kept = [next(case for case in cases if case[1] == moment) for moment in MOMENTS]
        metafunc.parametrize(("stage", "moment", "signum"), all_but(kept, cases))


def test_a_stage_ends(
    stage: str, moment: str, signum: signal.Signals, project: Project, torture: bool, state: State
) -> None:
    whole = project.contents(f"data/{stage}")
    for delay in DELAYS if torture else DELAYS[:1]:
        took = meet(stage, moment, delay, signum, project)
        assert project.contents(f"data/{stage}") in ({}, whole), "all is written, or nothing"
        assert not torture or took < WITHIN
        state("a stage ended by a signal", moments=1)


def meet(stage: str, moment: str, delay: float, signum: signal.Signals, project: Project) -> float:
    """End the stage by a signal; return how many seconds that took.

    A quick stage may be through before the signal comes: it is begun again, until one meets it.
    """
    partial = project.root / "data" / stage / ".partial"
    for _ in range(TRIES):
        shutil.rmtree(project.root / "data" / stage, ignore_errors=True)
        process = begin(project, "python", "-m", f"stages.{stage}")
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and not (
            "numpy" in maps.read_text() if moment == MOMENTS[0] else partial.exists()
        ):
            time.sleep(0.0005)
        time.sleep(delay)
        if process.poll() is None:
            start = time.monotonic()
            os.killpg(process.pid, signum)
        _, errors = process.communicate(timeout=60)
        errors = re.sub(f"^{stage}: warning: .*\n", "", errors, flags=re.MULTILINE)  # of the stage, before the signal
        if process.returncode == -signum:  # as Python itself ends, after the stage: for a shell that's 130 or 143, too
            assert errors == ""
            assert not partial.exists()
            return time.monotonic() - start
        if process.returncode != 0:
            assert (process.returncode, errors) == (ENDS[signum], "")
            return time.monotonic() - start
        delay /= 2
    raise AssertionError(f"no signal met {stage} at work")


def test_a_second_ctrl_c_is_quiet_too(project: Project) -> None:
    process = begin(project, "python", "-m", "stages.train")
    wait_until(lambda: "torch" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    for _ in range(50):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.001)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize("signum", ENDS)
def test_one_long_call_of_c_does_not_hold_it_up(signum: signal.Signals, tmp_path: Path, torture: bool) -> None:
    """And what is half-made is removed, though the main thread never gets to it."""
    (tmp_path / "stages").symlink_to(ROOT / "stages")
    (tmp_path / "long.py").write_text("""
import hashlib, pathlib
from stages.shared.runtime import signals
from stages.shared.runtime.outputs import outputs
signals.install_handlers()
with outputs(pathlib.Path("data/long")) as folder:
    (folder / "half").touch()
    pathlib.Path("begun").touch()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000_000_000)  # minutes, without a look at Python
""")
    process = begin(Project(tmp_path), sys.executable, "long.py")
    wait_until((tmp_path / "begun").exists, process)
    check_end(process, signum, torture)
    assert not list((tmp_path / "data/long").iterdir())


@faults
def test_a_stage_whose_dvc_was_killed_before_it_began_ends(project: Project) -> None:
    text = (project.root / "dvc.yaml").read_text()
    wait = "touch waits; until [ -e begin ]; do sleep 0.1; done"
    waits = text.replace("cmd: PYTHONSAFEPATH= python -m stages.train", f"cmd: {wait}; python -m stages.train")
    assert waits != text
    (project.root / "dvc.yaml").write_text(waits)
    project.edit({"train": {"epochs": 10_000}})
    process = begin(project, "dvc", "repro", "--single-item", "train")
    wait_until((project.root / "waits").exists, process)
    process.kill()
    process.wait()
    (project.root / "begin").touch()
    _, errors = process.communicate(timeout=60)
    assert "The process that started this stage has ended" in errors
    assert "epoch 10000" not in errors


@pytest.mark.parametrize(
    "env",
    [
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "{}"},
        {
            "PET_NNODES": "2",
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": "127.0.0.1:{}",
            "PET_RDZV_CONF": "is_host=0",
        },
    ],
    ids=["of a worker", "of a launcher"],
)
@pytest.mark.parametrize("signum", ENDS)
def test_a_wait_for_another_host_ends(
    env: dict[str, str], signum: signal.Signals, project: Project, torture: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # which takes calls, and never answers
        port = silent.getsockname()[1]
        process = begin(project, "python", "-m", "stages.train", env={k: v.format(port) for k, v in env.items()})
        connection, _ = silent.accept()
        with connection:
            check_end(process, signum, torture)


@faults
def test_a_wait_for_the_other_process_ends(signum: signal.Signals, project: Project, torture: bool) -> None:
    """Of two that train together the other one is stopped, so that the first waits for it in PyTorch."""
    project.edit({"train": {"processes": 2, "epochs": 10_000}})
    before = project.contents("data/train")
    with project.begun("python", "-m", "stages.train", until="epoch ") as process:
        children = psutil.Process(process.pid).children(recursive=True)
        other = next(child for child in children if child.environ().get("RANK") == "1")
        other.suspend()
        time.sleep(1)
        start = time.monotonic()
        os.killpg(process.pid, signum)
        process.wait(60)
        other.resume()
        assert process.returncode == ENDS[signum]
        assert not torture or time.monotonic() - start < WITHIN
        assert not psutil.wait_procs(children, timeout=10)[1]
    assert project.contents("data/train") == before
