"""Pages in Chromium alone, with all of Playwright at hand: other media, a page without JavaScript, the console."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from tests.explorer import browsers
from tests.explorer.made import Made

PROBLEM = "#problem:not([hidden])"


READY = f"html[data-ready], {PROBLEM}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    browsers.need("chromium")
    with browsers.launched() as browser:
        yield browser


class Explorer(browsers.Explorer):
    """The open page, and shorthand for what tests ask of it."""

    def __init__(self, page: Page, run: Made, heard: list[str]):
        super().__init__(browsers.ChromiumTab(page), "chromium")
        self.page, self.run, self.heard = page, run, heard

    def emulate(self, **media: Any) -> None:
        """Have the page told of other media, which the browser does with its next frame."""
        self.page.emulate_media(**media)
        self.frame()
        self.settle()

    def marked(self, name: str) -> NDArray[np.float64]:
        """Where the plot marks something: chosen, neighbors, line or cursor. None of them is [0]."""
        return np.array(self.get("name => explorer.marked[name] ?? []", name), dtype=np.float64)

    def points(self) -> NDArray[np.float64]:
        """Where the plot has the points, in their order, [N, 3]."""
        script = "n => Array.from({length: n}, (_, i) => explorer.plot.placeOf(i))"
        return np.array(self.get(script, len(self.run.labels)), dtype=np.float64)

    def visible(self) -> set[int]:
        """The classes of the points that the plot shows."""
        script = "n => Array.from({length: n}, (_, i) => explorer.plot.screenOf(i) !== null)"
        return set(self.run.labels[self.get(script, len(self.run.labels))].tolist())

    def canvas(self, selector: str) -> NDArray[np.uint8]:
        """What the canvas shows, [28, 28]."""
        values = self.get(
            "s => { const c = document.querySelector(s);"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
            "return [c.height, c.width, ...d.data.filter((_, i) => i % 4 === 0)]; }",
            selector,
        )
        return np.array(values[2:], dtype=np.uint8).reshape(values[:2])

    def axes(self) -> Any:
        return self.get("explorer.plot.projection().axes.map(a => [a.title, ...a.range])")

    def view(self) -> Any:
        return self.get("explorer.plot.projection().view")


Open = Callable[..., Explorer]


@pytest.fixture
def open_page(browser: Browser, run: Made) -> Iterator[Open]:
    """Opens a page that must stay quiet until the test ends."""
    opened: list[Explorer] = []

    def open_it(made: Made = run, fragment: str = "", until: str = READY, **options: Any) -> Explorer:
        opened.append(open_explorer(browser, made, fragment, until, options))
        return opened[-1]

    yield open_it
    for explorer in opened:
        explorer.page.context.close()
    assert not [line for explorer in opened for line in explorer.heard]


def open_explorer(browser: Browser, made: Made, fragment: str, until: str, options: dict[str, Any]) -> Explorer:
    # Reduced motion: points jump to their epoch; one test looks at them gliding.
    settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options
    page = browser.new_context(**settings).new_page()
    own = made.page.as_uri()
    heard: list[str] = []

    def hear_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(f"console: {message.text}")

    def hear_request(request: Request) -> None:
        if request.url.partition("#")[0] != own and not request.url.startswith(("blob:", "data:")):
            heard.append(f"request: {request.url[:200]}")

    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("console", hear_message)
    page.on("request", hear_request)
    page.goto(own + fragment)
    page.wait_for_selector(until, state="attached", timeout=60_000)
    explorer = Explorer(page, made, heard)
    if page.locator(PROBLEM).count():
        heard.append(page.locator(PROBLEM).inner_text())
    else:
        explorer.settle()
    return explorer


@pytest.fixture(scope="module")
def shared(browser: Browser, run: Made) -> Iterator[Explorer]:
    explorer = open_explorer(browser, run, "", READY, {})
    yield explorer
    explorer.page.context.close()


@pytest.fixture
def explorer(shared: Explorer) -> Iterator[Explorer]:
    """The page as it opens, the same one for many tests, since a load takes its time."""
    shared.fresh()
    yield shared
    assert not shared.heard


def grey(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.rint(pixels.astype(np.float64) * 255)
