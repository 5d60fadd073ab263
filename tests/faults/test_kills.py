"""`dvc repro` killed at random moments of every stage, and Ctrl-C on a stage alone."""

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
from tests.faults.marks import all_but, faults
from tests.project import ALL, STAGES, Project, environment

WAYS = ["SIGINT all", "SIGTERM dvc", "SIGTERM stage", "SIGTERM all", "SIGKILL dvc", "SIGKILL stage", "SIGKILL all"]
SHELLS = [shell for shell in ("/bin/bash", "/bin/dash", "/bin/sh") if Path(shell).exists()]
SHOWN = ("data/train/loss.csv", "data/train/metrics.json")  # as they go on; nothing clears them if the stage is killed
TIMEOUT = 60  # seconds in which an orphan must have ended; on an idle machine one is enough


@dataclass(frozen=True)
class Kill:
    """A way to kill `dvc repro` after a share of the time from the stage's begin to the end of `dvc repro`."""

    stage: str
    way: str
    share: float
    shell: str

    def __str__(self) -> str:
        return f"{self.stage}, {self.way}, at {self.share:.0%}, {Path(self.shell).name}"


def kills(torture: bool) -> list[Kill]:
    """Every way at three moments of every stage, or ten of all these."""
    chance = random.Random(5)
    pairs = [(stage, way) for way in WAYS for stage in STAGES]
    if not torture:
        pairs = [(STAGES[number % len(STAGES)], WAYS[number % len(WAYS)]) for number in range(10)]
    thirds = (0, 1, 2) if torture else (None,)
    return [
        Kill(stage, way, chance.random() if third is None else (third + chance.random()) / 3, SHELLS[n % len(SHELLS)])
        for n, (stage, way) in enumerate(pairs)
        for third in thirds
    ]


def interrupts(torture: bool) -> list[tuple[str, float]]:
    """Stages, and moments as shares of a stage's time."""
    chance = random.Random(6)
    moments = 12 if torture else 1
    return [(stage, (moment + chance.random()) / moments) for stage in ALL for moment in range(moments)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    torture = bool(metafunc.config.getoption("--torture"))
    if "kill" in metafunc.fixturenames:
        cases = kills(torture)
        kept = [next(kill for kill in cases if kill.way == "SIGKILL all")]
        metafunc.parametrize("kill", all_but(kept, cases), ids=str)
    if "share" in metafunc.fixturenames:
        moments = interrupts(torture)
        names = [f"{stage} at {share:.0%}" for stage, share in moments]
        metafunc.parametrize(("stage", "share"), moments, ids=names)


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


def stage_length(stage: str, project: Project, lengths: dict[str, float]) -> float:
    """Seconds from the import of NumPy to the end of the stage alone."""
    if stage not in lengths:
        process = begin(project, stage)
        wait_for(process, "numpy")
        start = time.monotonic()
        process.communicate()
        lengths[stage] = time.monotonic() - start
    return lengths[stage]


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
@pytest.mark.parametrize("epochs", [0, 2], ids=["as it begins", "as it trains"])
@pytest.mark.parametrize("shell", SHELLS)
def test_no_stage_outlives_its_dvc(shell: str, epochs: int, project: Project) -> None:
    project.edit({"train": {"epochs": 100_000}})
    checkpoints = project.root / "data/train/.partial/checkpoints"
    with Repro(project, "train", shell) as repro:
        while epochs and not (checkpoints / f"{epochs}.safetensors").exists():
            assert repro.process.poll() is None
            time.sleep(0.05)
        repro.kill("SIGKILL dvc")
        assert repro.ends()
    assert not [path for path in project.contents("data/train") if ".partial" not in path]


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


def test_the_next_repro_makes_good(
    kill: Kill, project: Project, finished: Project, lengths: dict[str, float], state: State
) -> None:
    length = repro_length(kill.stage, project, lengths)
    whole, lock = finished.contents(), (finished.root / "dvc.lock").read_bytes()
    forget(project, kill.stage)
    with Repro(project, kill.stage, kill.shell) as repro:
        time.sleep(kill.share * length)
        repro.kill(kill.way)
        output = repro.output + repro.process.communicate()[0]
        assert repro.ends(), "a process outlives its dvc"
    if kill.way != "SIGINT all":  # what DVC prints on Ctrl-C outside of a stage is its own
        assert "Traceback" not in output
    elif kill.share * length > 0.5:  # earlier, Python itself may still be starting
        assert "stages/" not in output.partition("Traceback")[2]
    for path, content in project.contents().items():
        shown = path in SHOWN and kill.way.startswith("SIGKILL")
        assert ".partial" in path or shown or content == whole[path], f"{path} is half-written"
    torn = clear(project, lock)
    assert project.repro() <= {kill.stage}
    assert project.contents() == whole
    assert (project.root / "dvc.lock").read_bytes() == lock
    state("dvc repro killed", made_good=1, after_a_file_of_DVCs_own_was_cleared=int(torn))


def begin(project: Project, stage: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["python", "-m", f"stages.{stage}"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], library: str) -> None:
    """Until the process has the library's file open; after the first of its own modules NumPy is what it imports."""
    while process.poll() is None and library not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.005)


@faults
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_ctrl_c_on_a_stage_alone_is_quiet(
    stage: str, share: float, project: Project, lengths: dict[str, float], state: State
) -> None:
    length = stage_length(stage, project, lengths)
    whole = project.contents(f"data/{stage}")
    shutil.rmtree(project.root / "data" / stage)
    process = begin(project, stage)
    wait_for(process, "numpy")
    time.sleep(share * length)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    # It may have been quicker this time. As Python shuts down it puts the system's own SIGINT back: a shell says 130.
    assert process.returncode in (130, 0, -signal.SIGINT)
    assert "Traceback" not in errors
    assert "KeyboardInterrupt" not in errors
    left = project.contents(f"data/{stage}")
    assert left == whole or (left == {} and process.returncode == 130), "all is written, or nothing"
    state("Ctrl-C on a stage alone", quiet=1)


def test_a_second_ctrl_c_is_quiet_too(project: Project) -> None:
    process = begin(project, "train")
    wait_for(process, "torch")
    for _ in range(50):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.001)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")


@faults
@pytest.mark.parametrize(("path", "remedy"), [(".dvc/tmp/rwlock", "rm"), ("dvc.lock", "restore")])
def test_what_a_killed_dvc_may_leave_is_cleared_as_the_readme_says(path: str, remedy: str, project: Project) -> None:
    """DVC writes these two in place: killed in that instant, it leaves them empty."""
    whole, file = project.contents(), project.root / path
    before = file.read_bytes()
    file.write_bytes(b"")
    project.edit({"plot": {"style": "points"}})
    assert project.run("dvc", "repro").returncode != 0
    file.unlink() if remedy == "rm" else file.write_bytes(before)  # the latter by `git checkout`
    assert project.repro() == {"plot"}
    project.edit({"plot": {"style": "labels"}})
    project.repro()
    assert project.contents() == whole
