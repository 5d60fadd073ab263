"""Sweeps, the queue and its killed worker, as docs/experiments.md has them."""

import hashlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from stages.shared.runtime.fetch import fetch
from tests.faults.marks import faults
from tests.project import ROOT, Project, environment
from tests.versioned import IDENTITY, dvc, git, put_in_git


@pytest.fixture
def versioned(project: Project) -> Project:
    return put_in_git(project)


def overrides(said: str) -> list[list[str]]:
    """What `dvc exp run --queue` says that it sets, run by run."""
    return [json.loads(found.replace("'", '"')) for found in re.findall(r"'params.yaml': (\[.*\])}", said)]


def test_the_sweeps_of_the_guide_queue_what_it_says(versioned: Project) -> None:
    guide = (ROOT / "docs" / "experiments.md").read_text().partition("## A sweep")[2].partition("## ")[0]
    sweeps = [line.partition("#")[0] for line in guide.splitlines() if line.startswith("dvc exp run --queue")]
    queued = [overrides(dvc(versioned, *shlex.split(sweep)[1:])) for sweep in sweeps]
    seeds = [["train.threads=1", f"train.seed={seed}"] for seed in range(3)]
    pairs = [(layers, size) for layers in ("[128,64]", "[256]") for size in (2, 3)]
    assert queued == [
        seeds,
        seeds,
        [["extract.selection=random", f"extract.seed={seed}"] for seed in range(5)],
        [["train.threads=1", f"train.pixels.layers={layers}", f"train.latent_size={size}"] for layers, size in pairs],
    ]


@faults
@pytest.mark.timeout(900)  # some twenty starts of DVC, one beside another
@pytest.mark.parametrize("alone", [True, False], ids=["the worker alone", "and its run"])
def test_what_a_killed_worker_was_at_is_freed_and_the_rest_goes_on(
    versioned: Project, alone: bool, torture: bool
) -> None:
    """The queue continues in the same way after both kills, so the short form tests that once."""
    dvc(versioned, "exp", "run", "--queue", "-S", "train.pixels.epochs=100000", "--name", "long")
    dvc(versioned, "exp", "run", "--queue", "-S", "plot.elevation=40", "--name", "short")
    try:
        start(versioned)
        wait_for(lambda: bool(running(versioned, "stages.train")))
        kill(running(versioned, "queue-worker") if alone else running(versioned))
        assert states(versioned) == {"long": "Running", "short": "Queued"}
        dvc(versioned, "queue", "kill", "long")
        wait_for(lambda: not running(versioned))
        if alone:  # the run is ended, and known to be so when it is said once more
            wait_for(lambda: known_to_have_ended(versioned, "long"))
        assert states(versioned)["long"] == "Failed"
        if not alone and not torture:
            return
        start(versioned)
        wait_for(lambda: "/short" in git(versioned, "for-each-ref", "refs/exps"))  # quicker than DVC's answer
        wait_for(lambda: states(versioned)["short"] == "Success")
    finally:
        kill(running(versioned))
    assert elevation(versioned, "short") == 40
    dvc(versioned, "queue", "remove", "--failed")
    assert "long" not in states(versioned)


def known_to_have_ended(project: Project, name: str) -> bool:
    dvc(project, "queue", "kill", name)
    return states(project)[name] == "Failed"


def start(project: Project) -> None:
    """Start a worker, which lives on and would keep a pipe open."""
    silent = subprocess.DEVNULL
    subprocess.run(
        ["dvc", "queue", "start"], cwd=project.root, env=environment(IDENTITY), stdout=silent, stderr=silent, check=True
    )


def states(project: Project) -> dict[str, str]:
    """The state of each run of the queue by its name."""
    rows = [line.split() for line in dvc(project, "queue", "status").splitlines()]
    return {row[1]: row[-1] for row in rows if len(row) >= 4 and re.fullmatch("[0-9a-f]{7}", row[0])}


def elevation(project: Project, name: str) -> int:
    """The plot's elevation in the experiment of that name, as git keeps it."""
    refs = git(project, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (kept,) = [ref for ref in refs if ref.endswith(f"/{name}")]
    return int(yaml.safe_load(git(project, "show", f"{kept}:params.yaml"))["plot"]["elevation"])


def running(project: Project, word: str = "") -> list[psutil.Process]:
    """The processes in the project's folder or below it, those with `word` in their command."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            inside = Path(process.cwd()).is_relative_to(project.root)
            if inside and process.status() != psutil.STATUS_ZOMBIE and word in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)


def wait_for(happened: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_relative_mirror_counts_from_the_project_in_an_experiment_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` runs a stage in a folder of its own and names the project in DVC_ROOT."""
    project, elsewhere = tmp_path / "project", tmp_path / "project" / ".dvc" / "tmp" / "exps" / "a"
    (project / "mirror").mkdir(parents=True)
    elsewhere.mkdir(parents=True)
    (project / "mirror" / "file").write_bytes(b"pictures")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("DVC_ROOT", str(project))
    fetch(["mirror/file"], Path("fetched/file"), f"sha256:{hashlib.sha256(b'pictures').hexdigest()}")
    assert (elsewhere / "fetched" / "file").read_bytes() == b"pictures"
