"""What the tests share: the pipeline run once a worker, and a copy of it for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Project

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


@pytest.fixture
def state(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with what was tried, how often, and what came of it: a line at the end of the run."""
    return lambda line: record_property(COUNTS, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    lines = sorted({line for report in reports for key, line in report.user_properties if key == COUNTS})
    if lines:
        terminalreporter.section("tried")
        for line in lines:
            terminalreporter.write_line(line)
