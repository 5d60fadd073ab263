"""Sweeps, the queue and its killed worker, as docs/experiments.md has them."""

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.project import Project
from tests.versioned import dvc, git, put_in_git


@pytest.fixture
def versioned(project: Project) -> Project:
    return put_in_git(project)


def overrides(said: str) -> list[list[str]]:
    """What `dvc exp run --queue` says that it sets, run by run."""
    return [json.loads(found.replace("'", '"')) for found in re.findall(r"'params.yaml': (\[.*\])}", said)]


def test_a_sweep_takes_choices_ranges_and_lists(versioned: Project) -> None:
    sweep = [
        "plot.elevation=choice(10,20)",
        "plot.azimuth=range(30,90,30)",
        "train.layers=[64,12],[32]",
        "train.seed=1,2",
    ]
    said = dvc(versioned, "exp", "run", "--queue", *(word for param in sweep for word in ("-S", param)))
    assert sorted(overrides(said)) == [
        [f"plot.elevation={elevation}", f"plot.azimuth={azimuth}", f"train.layers={layers}", f"train.seed={seed}"]
        for elevation in (10, 20)
        for azimuth in (30, 60)
        for layers in ("[32]", "[64,12]")
        for seed in (1, 2)
    ]


def test_what_a_killed_worker_was_at_is_freed_and_the_rest_goes_on(versioned: Project) -> None:
    dvc(versioned, "exp", "run", "--queue", "-S", "train.epochs=100000", "--name", "long")
    dvc(versioned, "exp", "run", "--queue", "-S", "plot.elevation=choice(40,50)", "--name", "short")
    try:
        dvc(versioned, "queue", "start")
        wait_for(lambda: "stages.train" in commands(versioned))
        kill_workers(versioned)
        assert states(versioned) == {"long": "Running", "short-1": "Queued", "short-2": "Queued"}
        dvc(versioned, "queue", "kill", "long")
        assert states(versioned)["long"] == "Failed"
        dvc(versioned, "queue", "start")
        wait_for(lambda: set(states(versioned).values()) == {"Failed", "Success"})
    finally:
        kill_workers(versioned)
    assert {name: params["plot"]["elevation"] for name, params in experiments(versioned).items()} == {
        "short-1": 40,
        "short-2": 50,
    }
    dvc(versioned, "queue", "remove", "--failed")
    assert "long" not in states(versioned)


def states(project: Project) -> dict[str, str]:
    """The state of each run of the queue by its name."""
    rows = [line.split() for line in dvc(project, "queue", "status").splitlines()]
    return {row[1]: row[-1] for row in rows if len(row) >= 4 and re.fullmatch("[0-9a-f]{7}", row[0])}


def experiments(project: Project) -> dict[str, Any]:
    """The params of each experiment that is kept, by its name."""
    names = [line.split()[-1].strip("[]") for line in dvc(project, "exp", "list").splitlines() if "[" in line]
    refs = git(project, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    commits = {name: next(ref for ref in refs if ref.endswith(f"/{name}")) for name in names}
    shown = {name: git(project, "show", f"{commit}:params.yaml") for name, commit in commits.items()}
    return {name: yaml.safe_load(text) for name, text in shown.items()}


def workers(project: Project) -> list[psutil.Process]:
    """What runs of the project's queue, its workers first."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "queue-worker" in process.cmdline() and Path(process.cwd()).is_relative_to(project.root):
                found += [process, *process.children(recursive=True)]
    return found


def commands(project: Project) -> str:
    text = ""
    for process in workers(project):
        with suppress(psutil.Error):
            text += " ".join(process.cmdline()) + "\n"
    return text


def kill_workers(project: Project) -> None:
    processes = workers(project)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)


def wait_for(happened: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)
