"""Compare explorer pages in headless Chromium: `python -m benchmarks.explorer PAGE [PAGE ...]`.

Each round opens every page anew, in an order that alternates, and goes on it by real mouse: medians over the rounds are
printed as a table, and written to the file that --output names. A frame is the time between two calls of
requestAnimationFrame while the mouse moves. A cloud of training latents is shown where the page has one.
"""

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.measure import table

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
WINDOW = {"width": 1440, "height": 900}
MOVES = 60  # of the mouse, in one drag, at most
SECONDS = 20  # of a drag, at most
Figures = dict[str, float]

START = """() => {
  window.frames_ = [];
  let before = performance.now();
  const tick = (now) => { frames_.push(now - before); before = now; window.ticking = requestAnimationFrame(tick); };
  window.ticking = requestAnimationFrame((now) => { before = now; window.ticking = requestAnimationFrame(tick); });
}"""
STOP = "() => { cancelAnimationFrame(ticking); return frames_; }"
FACTS = (
    "() => { const f = JSON.parse(document.getElementById('facts').textContent); return [f.indices.length, f.epochs]; }"
)


def drag(page: Page, selector: str, path: Sequence[tuple[float, float]]) -> float:
    """The 95th percentile of the frames, in ms, while the mouse is dragged along shares of the element's box."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    assert box, selector
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1])
    page.wait_for_timeout(300)
    page.evaluate(START)
    end = time.monotonic() + SECONDS
    for place in places[2:]:
        page.mouse.move(*place)
        if time.monotonic() > end:
            break
    frames = page.evaluate(STOP)
    page.mouse.up()
    page.wait_for_timeout(300)
    return float(np.percentile(frames, 95)) if frames else float("nan")


def measure(browser: Browser, path: Path) -> Figures:
    """One visit."""
    context = browser.new_context(viewport=WINDOW)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    interactive = page.evaluate("performance.getEntriesByName('interactive')[0].startTime")
    page.wait_for_timeout(1500)
    if page.locator("#show-cloud").is_visible():
        page.check("#show-cloud")
        page.wait_for_timeout(500)
    turn = [(0.1 + 0.8 * k / MOVES, 0.3 + 0.3 * k / MOVES) for k in range(MOVES)]
    slide = [(0.3 + 0.4 * k / MOVES, 0.5) for k in range(MOVES)]
    figures = {"interactive": interactive, "turn": drag(page, "#plot", turn), "slide": drag(page, "#z1", slide)}
    context.close()
    return figures


def look(browser: Browser, path: Path) -> tuple[int, list[int]]:
    """How many points and which epochs the page has."""
    page = browser.new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    points, epochs = page.evaluate(FACTS)
    page.close()
    return points, epochs


def compare(paths: Sequence[Path], rounds: int) -> str:
    """A table: a row for each page."""
    known: dict[Path, list[Figures]] = {path: [] for path in paths}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        facts = {path: look(browser, path) for path in paths}
        for number in range(rounds):
            for path in paths if number % 2 == 0 else reversed(paths):
                known[path].append(measure(browser, path))
        version = browser.version
        browser.close()
    rows: list[list[Any]] = []
    for path in paths:
        points, epochs = facts[path]
        middle = {key: statistics.median(each[key] for each in known[path]) for key in known[path][0]}
        rows.append(
            [
                f"`{path.name}`",
                f"{points:,}",
                len(epochs),
                f"{path.stat().st_size / 1e6:.2f} MB",
                *(f"{middle[key]:,.0f} ms" for key in ("interactive", "turn", "slide")),
            ]
        )
    header = ["page", "points", "epochs held", "size", "interactive", "turning, frame p95", "slider, frame p95"]
    return f"Chromium {version}, headless; medians of {rounds} alternating rounds.\n\n{table(header, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer", description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="an explorer.html, of any version")
    parser.add_argument("--rounds", type=int, default=5, help="visits to each page (default 5)")
    parser.add_argument("--output", type=Path, help="a file to write the table to as well")
    arguments = parser.parse_args()
    text = compare(arguments.pages, arguments.rounds)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
