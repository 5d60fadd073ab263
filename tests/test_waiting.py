"""How the threads of a training wait for each other, by what else the cores do; and that no byte depends on it."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest

from stages.shared.process import waiting
from tests.project import ROOT, Project, environment

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")
BOUND, ASLEEP = {"OMP_PROC_BIND": "true"}, {"OMP_WAIT_POLICY": "passive"}


@pytest.fixture(autouse=True)
def nothing_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")  # so that what is chosen goes again after the test
        monkeypatch.delenv(name)


def use(monkeypatch: pytest.MonkeyPatch, used: list[float]) -> None:
    """Have others use so many hundredths of each core, of so many that there are; none is another training."""
    clocks = np.zeros(2)

    def read(_: object) -> tuple[float, float]:
        clocks[:] += 1, sum(1 - each / 100 for each in used)
        return clocks[0], clocks[1]

    monkeypatch.setattr(waiting.Choice, "_read_clocks", read)
    monkeypatch.setattr(waiting, "_cores", lambda: set(range(len(used))))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "no other process"])


@pytest.mark.parametrize(
    ("used", "threads", "processes", "given", "chosen"),
    [
        ([0, 0], 2, 1, {}, BOUND),
        ([5, 5], 2, 1, {}, BOUND),
        ([0, 0, 0, 0], 2, 1, {}, {}),
        ([0, 0], 2, 2, {}, {}),
        ([0, 0], 2, 1, {"RANK": "0", "WORLD_SIZE": "2"}, {}),
        ([0, 0], 2, 1, {"PET_NPROC_PER_NODE": "2"}, {}),
        ([100, 0], 2, 1, {}, ASLEEP),
        ([100, 0, 0, 0], 2, 1, {}, {}),
        ([100, 100, 100, 0], 2, 1, {}, ASLEEP),
        ([0], 2, 1, {}, ASLEEP),
        ([100, 100], 1, 1, {}, {}),
        ([100, 100], None, 1, {}, {}),
        ([100, 100], "two", [], {}, {}),
        ([0, 0], 2, 1, {"OMP_WAIT_POLICY": "active"}, {}),
        ([100, 100], 2, 1, {"GOMP_SPINCOUNT": "1000"}, {}),
    ],
    ids=str,
)
def test_threads_are_bound_to_free_cores_and_sleep_on_busy_ones(
    used: list[float],
    threads: object,
    processes: object,
    given: dict[str, str],
    chosen: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, used)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    choice = waiting.choose(threads, processes)
    assert bool(choice and choice.asleep) == (chosen == ASLEEP)
    assert {name: os.environ[name] for name in VARIABLES if name in os.environ and name not in given} == chosen


@pytest.mark.parametrize(("cores", "asleep"), [(2, True), (3, True), (4, False)])
def test_they_sleep_beside_another_training_that_has_just_begun_unless_there_are_cores_for_both(
    cores: int, asleep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "input()"]
    use(monkeypatch, [0] * cores)
    monkeypatch.setattr(sys, "orig_argv", command)
    assert not waiting.Choice(2).asleep
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        assert waiting.Choice(2).asleep == asleep


def test_they_sleep_where_every_core_is_in_use() -> None:
    script = "from stages.shared.process.waiting import choose; print(choose(2, 1).asleep)"
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            loop = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
            )
            stack.callback(loop.kill)
            assert loop.stdout
            loop.stdout.readline()
        result = subprocess.run(
            [sys.executable, "-c", script], check=False, cwd=ROOT, env=environment(), capture_output=True, text=True
        )
    assert result.stdout == "True\n", result.stderr


@pytest.mark.parametrize(
    ("before", "after", "suits"),
    [
        ([100, 0], [100, 0], True),
        ([100, 0], [20, 0], True),
        ([100, 0], [10, 0], False),
        ([0, 0], [0, 0], True),
        ([0, 0], [20, 0], True),
        ([0, 0], [40, 0], False),
        ([0, 0, 0, 0], [100, 100, 0, 0], True),
        ([0, 0, 0, 0], [100, 100, 100, 0], False),
    ],
    ids=str,
)
def test_a_choice_suits_until_the_cores_are_clearly_otherwise(
    before: list[float], after: list[float], suits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_WORTH", 0)
    used = [*before]
    use(monkeypatch, used)
    choice = waiting.Choice(2)
    used[:] = after
    assert choice.suits()  # nobody looks before the training begins
    choice.begin()
    assert choice.suits() == suits


def test_a_training_begins_anew_to_wait_otherwise_and_ends_in_the_same_bytes(project: Project) -> None:
    """Where others use the cores until after epoch 2."""
    project.edit({"train": {"threads": 2, "epochs": 5}})
    assert project.stage("train", env=ASLEEP).returncode == 0
    whole = project.contents("data/train")
    shutil.rmtree(project.root / ".dvc/tmp/train")
    script = """
import os, runpy
from pathlib import Path
from stages.shared.process import waiting

def others_use(choice, much, wait=0):
    looks = Path("looks")
    looks.write_text(looks.read_text() + os.environ.get("OMP_WAIT_POLICY", "spinning") + "\\n")
    return looks.read_text().count("\\n") < 5

waiting._WORTH = 0
waiting.Choice._others_use = others_use
runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
"""
    (project.root / "looks").write_text("")
    result = project.run("python", "-c", script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("others use the cores, so ") == 1
    assert "the cores are free again" in result.stdout
    assert "from epoch 3\n" in result.stdout
    assert result.stdout.count("test loss") == 5
    assert (project.root / "looks").read_text().split() == [*["spinning"] * 3, *["passive"] * 2, *["spinning"] * 3]
    assert project.contents("data/train") == whole


def test_the_stage_chooses_before_pytorch_reads_what_is_chosen(project: Project) -> None:
    script = """
import runpy, sys
from stages.shared.process import waiting
waiting.choose = lambda *given: print("torch" in sys.modules, *given)
runpy.run_module("stages.train", run_name="__main__")
"""
    project.edit({"train": {"threads": 2}})
    result = project.run("python", "-c", script)
    assert result.stdout.startswith("False 2 1\n"), result.stderr


def test_no_byte_depends_on_how_they_wait(project: Project) -> None:
    project.edit({"train": {"threads": 2}})
    confined = ["taskset", "--cpu-list", "0"] if shutil.which("taskset") else []
    runs = []
    for command, given in ([], ASLEEP), ([], BOUND), (confined, ASLEEP):
        result = project.run(*command, "python", "-m", "stages.train", env=given)
        assert result.returncode == 0, result.stderr
        runs.append(project.contents("data/train"))
    assert runs[0] == runs[1] == runs[2]
