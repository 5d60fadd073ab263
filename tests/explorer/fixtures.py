"""What the explorer's tests share: runs of the real stage on made-up inputs, and browsers to open their pages in."""

import hashlib
import inspect
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.explorer.browsers import READY, Explorer, Opener, chromium, firefox, need
from tests.explorer.made import Made, make
from tests.project import Project, made_once

Open = Callable[..., Explorer]

# Timers of the page that end when the test says so: `later()`. Short ones are left to the browser.
HOLD = """(() => {
  const { setTimeout: begin, clearTimeout: end } = window;
  let number = 1e9;
  window.held = new Map();
  setTimeout = (act, ms = 0) => (ms < 100 ? begin(act, ms) : (held.set(++number, [act, ms]), number));
  clearTimeout = (id) => void (held.delete(id) || end(id));
  window.later = () => {
    const due = [...held.values()];
    held.clear();
    for (const [act] of due) act();
  };
  window.letGo = () => {
    later();
    [setTimeout, clearTimeout] = [begin, end];
  };
})()"""


def text(explorer: Explorer, selector: str) -> str:
    found: str = explorer.get("s => document.querySelector(s).innerText", selector)
    return found


def points_in(explorer: Explorer, selector: str) -> list[int]:
    found: list[int] = explorer.get(
        "s => [...document.querySelectorAll(s + ' button')].map(b => +b.dataset.point)", selector
    )
    return found


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[..., Made]:
    """Runs the stage, once for each set of options and all workers."""

    def get(**options: Any) -> Made:
        def build(root: Path) -> None:
            of = make(root, **options)
            Project(root).play("explore")
            (root / "made.pickle").write_bytes(pickle.dumps(of))

        every = inspect.signature(make).bind(None, **options)
        every.apply_defaults()  # an option that is given as it is without is no other run
        name = hashlib.sha256(repr(sorted(every.kwargs.items())).encode()).hexdigest()
        root = made_once(f"explore-{name[:8]}", build, tmp_path_factory, worker_id).root
        found: Made = pickle.loads((root / "made.pickle").read_bytes())
        return replace(found, root=root)

    return get


@pytest.fixture(scope="session")
def run(made: Callable[..., Made]) -> Made:
    """The run that most tests look at: 200 points, 3 dimensions, ReLU, 4 epochs."""
    return made()


KEPT = 6  # tabs


@dataclass
class Tabs:
    """A browser's tabs in one test after the other."""

    name: str
    open_tab: Opener
    opened: list[tuple[Any, Explorer]] = field(default_factory=list)  # by this test
    kept: dict[Any, Explorer] = field(default_factory=dict)  # of the tests before, the last one's at the end

    def visit(self, made: Made, fragment: str = "", width: int = 1280, height: int = 900, **options: Any) -> Explorer:
        """The page of a run. A load takes most of a second: a test's first visit has the tab of a test before."""
        kind = made.page, *options.items()
        if not self.opened and kind in self.kept:
            explorer = self.kept.pop(kind)
            explorer.tab.show()
            if explorer.get("[innerWidth, innerHeight]") != [width, height]:
                explorer.resize(width, height)
            explorer.fresh(fragment)
        else:
            explorer = Explorer(self.open_tab(made.page.as_uri() + fragment, width, height, **options), self.name)
            explorer.wait(READY)
            assert explorer.get("document.getElementById('problem').textContent") == ""
            explorer.settle()
        self.opened.append((kind, explorer))
        return explorer

    def leave(self) -> None:
        """Keep a few tabs for the next tests."""
        for kind, explorer in self.opened:
            if kind in self.kept:
                self.kept.pop(kind).tab.close()
            self.kept[kind] = explorer
        self.opened = []
        while len(self.kept) > KEPT:
            self.kept.pop(next(iter(self.kept))).tab.close()


BROWSERS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("chromium", "firefox")]

# For a test of what the page computes and says, which is the same in each browser
one_browser = pytest.mark.parametrize("tabs", BROWSERS[:1], indirect=True)


def browser_cases(names: str, both: Sequence[tuple[Any, ...]], one: Sequence[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize a test: some cases in both browsers, the others in one of them."""
    cases = [
        pytest.param(*browser.values, *case, marks=browser.marks)
        for browser in BROWSERS
        for case in ([*both, *one] if browser is BROWSERS[0] else both)
    ]
    return pytest.mark.parametrize(f"tabs, {names}", cases, indirect=["tabs"], ids=str)


@pytest.fixture(scope="session", params=BROWSERS)  # in one worker each
def tabs(request: pytest.FixtureRequest) -> Iterator[Tabs]:
    need(request.param)
    if request.param == "chromium":
        yield Tabs(request.param, chromium(request.getfixturevalue("browser")))
    else:
        with firefox() as open_tab:
            yield Tabs(request.param, open_tab)


@pytest.fixture
def visit(tabs: Tabs, run: Made) -> Iterator[Open]:
    """Opens the page of a run (the usual one where none is given)."""
    yield lambda made=run, **options: tabs.visit(made, **options)
    tabs.leave()
