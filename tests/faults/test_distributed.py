"""Several processes that train together: they end when one of them ends, or their DVC does."""

import os
import random
import re
import signal
import subprocess
import time

import psutil
import pytest

from tests.conftest import State
from tests.faults.marks import faults
from tests.project import Project


def ranks(process: "subprocess.Popen[str]") -> dict[int, psutil.Process]:
    """The processes that train."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.status() != psutil.STATUS_ZOMBIE and (rank := child.environ().get("RANK")):
            found[int(rank)] = child
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each of the two processes is killed once; in the long form, each one is killed in both tests."""
    if "rank" in metafunc.fixturenames:
        short = [1] if metafunc.function is test_the_process_that_failed_first_is_named else [0]
        metafunc.parametrize("rank", [0, 1] if metafunc.config.getoption("--torture") else short)


def outs(project: Project) -> list[str]:
    return [path for path in project.contents("data/train") if not path.endswith(".gitignore")]


@pytest.fixture
def pair(project: Project) -> Project:
    """A project whose training takes two processes, and some ten seconds."""
    project.edit({"train": {"processes": 2, "epochs": 150, "batch_size": 3}})
    return project


@faults
def test_a_process_that_dies_ends_the_run_and_the_next_goes_on(rank: int, pair: Project) -> None:
    pair.edit({"train": {"epochs": 8}})
    whole = pair.copy(pair.root.parent / "whole")
    whole.repro("train")
    with pair.begun("dvc", "repro", "train", until="epoch ") as process:
        ranks(process)[rank].kill()
        output = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert output.count(f"process {rank} of 2 ended by SIGKILL") == 1
    assert "Traceback" not in output
    assert not outs(pair)
    result = pair.run("dvc", "repro", "train")
    assert "resumes an earlier training" in result.stdout
    assert pair.contents("data/train") == whole.contents("data/train")


@faults
def test_the_process_that_failed_first_is_named(rank: int, pair: Project, torture: bool, state: State) -> None:
    """The launcher then ends the other one, which says the same of itself, often within the same second."""
    chance = random.Random(rank)
    pair.edit({"train": {"epochs": 1000}})
    for _ in range(25 if torture else 1):
        with pair.begun("python", "-m", "stages.train", until="epoch ") as process:
            time.sleep(chance.random() / 2)
            ranks(process)[rank].kill()
            output = process.communicate(timeout=60)[0]
        named = re.findall(r"process (\d) of 2 ended by (\w+)", output)
        state("a process of two killed", named=int(named == [(str(rank), "SIGKILL")]), not_named=int(named == []))
        assert named == [(str(rank), "SIGKILL")], output


@faults
@pytest.mark.parametrize(
    ("command", "env"),
    [
        ("torchrun --standalone --nproc-per-node 2 --max-restarts 1 -m stages.train", {}),
        ("dvc repro train", {"PET_MAX_RESTARTS": "1"}),
    ],
)
def test_torchruns_restarts_go_on_by_themselves(command: str, env: dict[str, str], pair: Project) -> None:
    pair.edit({"train": {"epochs": 8}})
    with pair.begun(*command.split(), until="epoch ", env=env) as process:
        ranks(process)[1].kill()
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert output.count("resumes an earlier training") == 1
    assert output.count("epoch 8/8: ") == 1


@faults
@pytest.mark.parametrize("command", ["dvc repro train", "python -m stages.train"])
def test_ctrl_c_ends_all_of_them_quietly(command: str, pair: Project) -> None:
    with pair.begun(*command.split(), until="epoch ") as process:
        members = [*ranks(process).values()]
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    assert process.returncode not in (0, None)
    assert "Traceback" not in output.partition("Traceback (most recent call last)")[0]
    assert "stages/" not in output.partition("Traceback")[2]
    assert not psutil.wait_procs(members, timeout=5)[1]


@faults
def test_they_end_with_their_dvc(pair: Project) -> None:
    with pair.begun("dvc", "repro", "train", until="epoch ") as process:
        members = [*ranks(process).values()]
        process.kill()
        assert not psutil.wait_procs(members, timeout=10)[1]
        output = process.communicate(timeout=10)[0]
    assert "The process that started this stage has ended" in output
    assert not outs(pair)
