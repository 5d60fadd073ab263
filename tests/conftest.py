"""What the tests share: the pipeline run once a worker, and a copy of it for each test."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.project import Project

pytest_plugins = ["tests.explorer_fixtures"]

COUNTS = "counts"  # the key of what `state` hands on, from a worker to the terminal


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true", help="the long form of the tests that break things on purpose")


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether the long form is asked for."""
    return bool(request.config.getoption("--torture"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small synthetic pipeline after a `dvc repro`; not to be changed: see `project`."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "project")
    project.repro()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished pipeline, to change at will."""
    return finished.copy(tmp_path / "project")


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
