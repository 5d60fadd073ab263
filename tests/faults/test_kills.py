"""`dvc repro` killed at random moments of every stage."""

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import State
from tests.faults.marks import faults
from tests.project import STAGES, Project, environment

WAYS = ["SIGINT all", "SIGTERM dvc", "SIGTERM stage", "SIGTERM all", "SIGKILL dvc", "SIGKILL stage", "SIGKILL all"]
SHELLS = [shell for shell in ("/bin/bash", "/bin/dash", "/bin/sh") if Path(shell).exists()]
SHOWN = ("data/train/loss.csv", "data/train/metrics.json")  # as they go on; nothing clears them if the stage is killed
TIMEOUT = 60  # seconds in which an orphan must have ended; on an idle machine one is enough


@dataclass(frozen=True)
class Kill:
    """A way to kill `dvc repro` after a share of the time from the stage's begin to the end of `dvc repro`.

    Without a share, `dvc repro` is killed as soon as the stage has a work folder.
    """

    stage: str
    way: str
    share: float | None
    shell: str

    def __str__(self) -> str:
        moment = "as it writes" if self.share is None else f"at {self.share:.0%}"
        return f"{self.stage}, {self.way}, {moment}, {Path(self.shell).name}"


def kills(torture: bool) -> list[Kill]:
    """Every way at three moments of every stage; in the short form, every way once, while the stage writes."""
    chance = random.Random(5)
    pairs = [(stage, way) for way in WAYS for stage in STAGES]
    if not torture:
        pairs = [(STAGES[number % len(STAGES)], way) for number, way in enumerate(WAYS)]
    thirds = (0, 1, 2) if torture else (None,)
    return [
        Kill(stage, way, None if third is None else (third + chance.random()) / 3, SHELLS[n % len(SHELLS)])
        for n, (stage, way) in enumerate(pairs)
        for third in thirds
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    torture = bool(metafunc.config.getoption("--torture"))
    if "kill" in metafunc.fixturenames:
        metafunc.parametrize("kill", kills(torture), ids=str)
    if "shell" in metafunc.fixturenames:  # /bin/sh is one of the others, which the long form tries under both names
        different = {Path(shell).resolve(): shell for shell in reversed(SHELLS)}
        metafunc.parametrize("shell", SHELLS if torture else different.values())


def forget(project: Project, stage: str) -> None:
    """Remove the stage's outs, and what of DVC's cache would bring them back without a run."""
    shutil.rmtree(project.root / "data" / stage)
    shutil.rmtree(project.root / ".dvc" / "cache" / "runs", ignore_errors=True)
    for out in yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]["outs"]:
        (project.root / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def lengths() -> dict[str, float]:
    """Seconds that a stage takes, with DVC's work after it or alone, to be measured when first needed."""
    return {}


def repro_length(stage: str, project: Project, lengths: dict[str, float]) -> float:
    """Seconds from the stage's begin to the end of `dvc repro`, which makes its outs in `project`."""
    key = f"dvc repro {stage}"
    if key not in lengths:
        forget(project, stage)
        with Repro(project, stage, SHELLS[0]) as repro:
            start = time.monotonic()
            repro.process.communicate()
            lengths[key] = time.monotonic() - start
    return lengths[key]


class Repro:
    """A `dvc repro` in a session of its own, from the moment when it runs `stage`."""

    def __init__(self, project: Project, stage: str, shell: str) -> None:
        self.process = subprocess.Popen(
            ["dvc", "repro"],
            cwd=project.root,
            env=environment({"SHELL": shell, "PYTHONUNBUFFERED": "1"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        self.output = ""
        while f"Running stage '{stage}'" not in self.output:
            line = self.process.stdout.readline()
            assert line, self.output
            self.output += line

    def __enter__(self) -> "Repro":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.members():
            process.kill()
        with self.process:  # waits, and closes its pipe
            pass

    def members(self) -> list[psutil.Process]:
        """What lives of the session."""

        def is_member(process: psutil.Process) -> bool:
            try:
                return os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, ProcessLookupError):
                return False

        return [process for process in psutil.process_iter() if is_member(process)]

    def wait_until_it_writes(self, folder: Path) -> None:
        while not (folder / ".partial").exists() and self.process.poll() is None:
            time.sleep(0.001)

    def ends(self) -> bool:
        """Whether the last of them ends in time."""
        deadline = time.monotonic() + TIMEOUT
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.members()

    def kill(self, way: str) -> None:
        name, target = way.split()
        number = signal.Signals[name]
        if self.process.poll() is not None:
            return
        if target == "all":
            os.killpg(self.process.pid, number)
        elif target == "dvc":
            self.process.send_signal(number)
        else:
            others = sorted((p for p in self.members() if p.pid != self.process.pid), key=lambda p: p.pid)
            if others:
                others[-1].send_signal(number)


@faults
def test_no_stage_outlives_its_dvc(shell: str, project: Project) -> None:
    project.edit({"train": {"epochs": 100_000}})
    losses = project.root / "data/train/loss.csv"
    with Repro(project, "train", shell) as repro:
        while not losses.exists():
            assert repro.process.poll() is None
            time.sleep(0.05)
        repro.kill("SIGKILL dvc")
        assert repro.ends()
    assert not project.contents("data/train").keys() - {"data/train/.gitignore"}


def clear(project: Project, lock: bytes) -> bool:
    """Do what the README says where DVC died as it wrote its own files; say whether it had to be done."""
    lock_file, rwlock = project.root / "dvc.lock", project.root / ".dvc" / "tmp" / "rwlock"
    torn = (lock_file.read_bytes() != lock, rwlock.exists() and rwlock.read_bytes() == b"")
    if torn[0]:
        assert lock.startswith(lock_file.read_bytes()), "not cut off, but another"
        lock_file.write_bytes(lock)  # as `git restore` does
    if torn[1]:
        rwlock.unlink()
    return any(torn)


@faults
def test_the_next_repro_makes_good(
    kill: Kill, project: Project, finished: Project, lengths: dict[str, float], state: State
) -> None:
    moment = None if kill.share is None else kill.share * repro_length(kill.stage, project, lengths)
    whole, lock = finished.contents(), (finished.root / "dvc.lock").read_bytes()
    forget(project, kill.stage)
    with Repro(project, kill.stage, kill.shell) as repro:
        if moment is None:
            repro.wait_until_it_writes(project.root / "data" / kill.stage)
        else:
            time.sleep(moment)
        repro.kill(kill.way)
        output = repro.output + repro.process.communicate()[0]
        assert repro.ends(), "a process outlives its dvc"
    if kill.way != "SIGINT all":  # what DVC prints on Ctrl-C outside of a stage is its own
        assert "Traceback" not in output
    elif moment is None or moment > 0.5:  # earlier, Python itself may still be starting
        assert "stages/" not in output.partition("Traceback")[2]
    for path, content in project.contents().items():
        shown = path in SHOWN and kill.way.startswith("SIGKILL")
        assert ".partial" in path or shown or content == whole[path], f"{path} is half-written"
    torn = clear(project, lock)
    assert project.repro() <= {kill.stage}
    assert project.contents() == whole
    assert (project.root / "dvc.lock").read_bytes() == lock
    state("dvc repro killed", made_good=1, after_a_file_of_DVCs_own_was_cleared=int(torn))
