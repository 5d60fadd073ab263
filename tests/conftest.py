"""What the tests share: the pipeline run once, and a copy of it for each test."""

import tests.held  # noqa: F401 (before NumPy and PyTorch)

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from threadpoolctl import threadpool_limits

from tests.project import USES, Project, made_once

pytest_plugins = ["tests.explorer.chromium", "tests.explorer.fixtures"]

COUNTS = "counts"  # the key of what `state` hands on, from a worker to the terminal


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true", help="the long form of the tests that break things on purpose")


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a third of the time of a worker goes into waits."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each `xdist_group` run in one worker, which finds the group's name at the end of a test's id.

    pytest-xdist 3.8 can't set the ids of pytest 9.2, and then ignores all groups without a word: its issue 1386.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark and not item.nodeid.endswith(suffix := f"@{mark.args[0]}"):
            item._id = type(item.id).parse(item.nodeid + suffix)
            assert item.nodeid.endswith(suffix)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """In this process: there is a worker for each core, and threads that wait for each other would wait for cores."""
    import torch  # not at the top: the process that only distributes the tests would wait for it

    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether the long form is asked for."""
    return bool(request.config.getoption("--torture"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """The small synthetic pipeline after a `dvc repro` with one line on stderr; not to be changed: see `project`."""

    def make(root: Path) -> None:
        result = Project.create(root).run("dvc", "repro")
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.fullmatch("train: warning: the test loss .*\n", result.stderr), "so few epochs train too little"

    return made_once("finished", make, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def used(finished: Project, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """The same with its uses, too; not to be changed. They run in this process, then `dvc commit` records them."""

    def make(root: Path) -> None:
        project = finished.copy(root)
        project.play(*USES)
        project.dvc("commit", "--force", "uses/dvc.yaml", check=True)

    return made_once("used", make, tmp_path_factory, worker_id)


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A copy of the finished pipeline, to change at will; with its uses run where the test's `stage` is one of them."""
    stage = request.node.callspec.params.get("stage") if hasattr(request.node, "callspec") else None
    finished: Project = request.getfixturevalue("used" if stage in USES else "finished")
    return finished.copy(tmp_path / "project")


@pytest.fixture
def damageable(finished: Project, tmp_path: Path) -> Path:
    """The finished pipeline's data and params without what DVC keeps, to change at will: enough to begin a stage."""
    shutil.copytree(finished.root / "data", tmp_path / "data")
    shutil.copy(finished.root / "params.yaml", tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def numbers_next_to_zero() -> Iterator[None]:
    """Denormal numbers as they were, after each test: a Trainer has them flushed."""
    import torch

    yield
    torch.set_flush_denormal(False)


class State(Protocol):
    """Says what was tried and how often each thing came of it: a line at the end of the run, with all tests' sums."""

    def __call__(self, tried: str, **results: int) -> None: ...


@pytest.fixture
def state(record_property: Callable[[str, object], None]) -> State:
    def record(tried: str, **results: int) -> None:
        record_property(COUNTS, [tried, results])

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    sums: dict[str, Counter[str]] = {}
    for tried, results in (value for report in reports for key, value in report.user_properties if key == COUNTS):
        sums.setdefault(tried, Counter()).update(results)
    if sums:
        terminalreporter.section("tried")
    for tried, results in sorted(sums.items()):
        counts = ", ".join(f"{count} {result.replace('_', ' ')}" for result, count in sorted(results.items()))
        terminalreporter.write_line(f"{tried}: {counts}")
