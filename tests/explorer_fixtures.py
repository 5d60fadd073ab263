"""What the explorer's tests share: runs of the real stage on made-up inputs, and browsers to open their pages in."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browsers import READY, Explorer, Opener, opener
from tests.explorer_run import Made, make
from tests.project import Project

Open = Callable[..., Explorer]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Runs the stage, once for each set of options."""
    known: dict[str, Made] = {}

    def get(**options: Any) -> Made:
        key = repr(sorted(options.items()))
        if key not in known:
            known[key] = make(tmp_path_factory.mktemp("explore") / "run", **options)
            Project(known[key].root).play("explore")
        return known[key]

    return get


@pytest.fixture(scope="session")
def run(made: Callable[..., Made]) -> Made:
    """The run that most tests look at: 200 points, 3 dimensions, ReLU, 4 epochs."""
    return made()


@pytest.fixture(
    scope="module",  # in one worker each
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("chromium", "firefox")],
)
def tabs(request: pytest.FixtureRequest) -> Iterator[tuple[str, Opener]]:
    with opener(request.param) as open_tab:
        yield request.param, open_tab


@pytest.fixture
def visit(tabs: tuple[str, Opener], run: Made) -> Iterator[Open]:
    """Opens the page of a run (the usual one where none is given)."""
    name, open_tab = tabs
    opened: list[Explorer] = []

    def go(made: Made = run, fragment: str = "", width: int = 1280, height: int = 900, **options: Any) -> Explorer:
        explorer = Explorer(open_tab(made.page.as_uri() + fragment, width, height, **options), name)
        opened.append(explorer)
        explorer.wait(READY)
        assert explorer.get("document.getElementById('problem').textContent") == ""
        explorer.settle()
        return explorer

    yield go
    for explorer in opened:
        explorer.tab.close()
