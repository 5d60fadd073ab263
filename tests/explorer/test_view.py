"""The explorer's link is its view; its names, its search, and what it says of what is hidden."""

import functools
import re
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.explorer.browsers import Explorer
from tests.explorer.fixtures import Open, Tabs, one_browser, points_in, text
from tests.explorer.made import NAMED, NAMES, Made

DIGITS = [str(digit) for digit in range(10)]


def search(explorer: Explorer, wanted: str) -> list[str]:
    """What is offered for it."""
    explorer.get("text => { const s = document.querySelector('#search'); s.value = text; s.focus(); }", wanted)
    explorer.tab.press("Enter")
    offered: list[str] = explorer.get(
        "[...document.querySelectorAll('#search-result .found')].map(e => e.innerText.trim())"
    )
    return offered


def errors_of(run: Made) -> NDArray[np.float64]:
    images = run.images.reshape(len(run.images), -1) / 255
    return np.asarray(((run.decode(run.encode()) - images) ** 2).mean(axis=1), np.float64)


def lost_of(run: Made) -> NDArray[np.float64]:
    """The share of its variance that each picture loses."""
    variances = (run.images / 255).var(axis=(1, 2)).mean(axis=1)
    return np.where(variances > 0, errors_of(run) / np.maximum(variances, 1e-12), np.nan)


# The link


@one_browser
def test_the_link_is_the_view(visit: Open, made: Callable[..., Made]) -> None:
    run = made(cloud=True, latent_size=3)
    explorer = visit(run)
    explorer.click("#show-cloud")
    explorer.get("void (explorer.set({selected: [3, 4, 5, 90, 171], selectedName: 'a & b', isolated: true}))")
    explorer.set("{group: 4, map: true, mapPoints: false, thumbnails: true, color: 'error'}")
    explorer.get("(s => { s.value = '2'; s.dispatchEvent(new Event('change')); })(document.querySelector('#xy-up'))")
    explorer.click("#set-to")
    explorer.settle()
    keys = [
        "selected",
        "selectedName",
        "isolated",
        "group",
        "cloud",
        "map",
        "mapPoints",
        "thumbnails",
        "color",
        "xy",
        "line",
    ]
    expected = {key: explorer.state(key) for key in keys}
    assert expected["xy"] == [0, 2]
    assert expected["cloud"] is False
    assert expected["line"] is True
    again = visit(run, fragment=explorer.get("location.hash"))
    assert {key: again.state(key) for key in keys} == expected
    assert "z1 across, z3 up" in text(again, "#xy-caption")
    assert again.get("document.querySelector('#xy-up').value") == "2"
    assert "a & b: 5 of 200" in text(again, "#selection-text")
    shown = again.get("Array.from({length: 200}, (_, i) => explorer.plot.screenOf(i) !== null)")
    assert np.flatnonzero(shown).tolist() == expected["selected"]
    assert "Coat" in text(again, "#worst-title")


@one_browser
def test_a_selection_of_thousands_fits_a_link(visit: Open, made: Callable[..., Made]) -> None:
    run = made(count=4000, epochs=1)
    explorer = visit(run)
    chosen = np.flatnonzero(np.random.default_rng(0).random(4000) < 0.5).tolist()
    explorer.get("selected => void explorer.set({selected})", chosen)
    explorer.settle()
    link = explorer.get("location.hash")
    assert len(link) < 1000, "not a number for each"
    again = visit(run, fragment=link)
    assert again.state("selected") == chosen
    again.go("selected=~%%%")
    assert again.state("selected") == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def plain_http(run: Made) -> Iterator[str]:
    """The page's address on a host that is not this machine's own name: browsers give it no clipboard."""
    handler = functools.partial(Quiet, directory=str(run.page.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://page.test:{server.server_port}/{run.page.name}"
        server.shutdown()


def test_copy_link_works_on_a_plain_http_host(tabs: Tabs, plain_http: str) -> None:
    explorer = Explorer(tabs.open_tab(plain_http, 1280, 900), tabs.name)
    explorer.wait("document.documentElement.dataset.ready")
    assert explorer.get("[isSecureContext, typeof navigator.clipboard]") == [False, "undefined"]
    explorer.get(
        "void document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })"
    )
    explorer.get("void explorer.set({point: 12})")
    explorer.click("#share")
    explorer.wait("share.textContent === 'Copied'")
    assert explorer.get("copied") == explorer.get("location.href")
    explorer.get("void (document.execCommand = () => false)")
    explorer.click("#share")
    explorer.wait("!document.getElementById('link-shown').hidden")
    assert explorer.get("link.value === location.href && document.activeElement === link")
    explorer.tab.close()


# Names and search


@one_browser
def test_pictures_have_the_names_of_their_files(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run)
    name = f'cats, "dogs"/IMG_{run.indices[7]}.jpg'
    explorer.set("{point: 7, selected: [7, 9]}")
    facts = text(explorer, "#point-facts")
    assert text(explorer, "#point-file") == name
    assert f"{run.indices[7]} of train" in facts
    titles = explorer.get("[...document.querySelectorAll('#selection-pairs button, #worst button')].map(b => b.title)")
    assert any(f"{name} ({run.indices[7]})" in title for title in titles)
    assert all('cats, "dogs"/IMG_' in title for title in titles)
    for strip in ("#selection-pairs", "#worst"):
        captions = explorer.get("s => [...document.querySelectorAll(`${s} button`)].map(b => b.innerText)", strip)
        assert all(re.search(r"\d+ IMG_\d+\.jpg", caption) for caption in captions), "seen without a mouse"
    assert f"{run.indices[7]} IMG_{run.indices[7]}.jpg" in text(explorer, "#selection-pairs")
    x, y = explorer.screen_of(explorer.lonely())
    explorer.tab.move(x, y)
    explorer.wait("!document.getElementById('hover').hidden")
    assert 'cats, "dogs"/IMG_' in text(explorer, "#hover-facts")
    assert text(visit(), "#point-file") == ""


@one_browser
def test_search_offers_all_that_match(visit: Open, made: Callable[..., Made]) -> None:
    run = made(names=DIGITS, files="scans/{:05}.png", ends=(7, 1999), epochs=2, hidden=(16,))
    explorer = visit(run)
    assert int(run.indices[0]) == 7
    offered = search(explorer, "7")
    assert offered[0].startswith("class 7, ")
    assert "scans/00007.png (7)" in offered[1]
    assert len(offered) > 2, "files with a 7 in their names"
    explorer.set("{point: 100}")
    explorer.click("#search-result .found:nth-of-type(2) button, #search-result .found ~ .found button")
    assert explorer.state("point") == 0
    assert search(explorer, "7")[0].startswith("class 7, ")
    explorer.click("#search-result .found button")
    assert run.labels[explorer.state("point")] == 7
    last = search(explorer, "01999.PNG")
    assert len(last) == 1
    assert explorer.state("point") == len(run.indices) - 1
    assert search(explorer, "zebra") == []
    assert "zebra" in text(explorer, "#search-result")


# Hiding


@one_browser
def test_what_is_hidden_is_in_no_list_and_no_sentence(visit: Open, run: Made) -> None:
    explorer = visit()
    hidden = {0, 2, 3, 4, 6}
    explorer.set(f"{{hidden: new Set({sorted(hidden)})}}")
    explorer.wait("document.querySelectorAll('#errors-rows tr').length === 5")
    for selector in ("#worst", "#best", "#neighbors"):
        assert not {int(run.labels[point]) for point in points_in(explorer, selector)} & hidden
    said = text(explorer, "#errors-classes")
    assert not [NAMES[label] for label in hidden if NAMES[label] in said]
    seen = []
    for key in "nnnppp":
        explorer.tab.press(key)
        seen.append(explorer.state("point"))
    assert not {int(run.labels[point]) for point in seen} & hidden
    assert seen[0] == seen[4]
    explorer.set("{selected: [5, 6, 7, 8, 9, 10, 11], hidden: new Set()}")
    explorer.click("#isolate")
    explorer.get("void explorer.set({point: 9})")
    explorer.tab.press("n")
    explorer.tab.press("n")
    explorer.tab.press("n")
    assert explorer.state("point") == 5, "from the last of what is shown alone to the first"
    assert set(points_in(explorer, "#worst")) <= {5, 6, 7, 8, 9, 10, 11}


# What was measured


@one_browser
def test_the_share_of_neighbors_is_called_that(visit: Open) -> None:
    explorer = visit()
    explorer.wait("document.querySelector('#errors-worst button') !== null")
    said = text(explorer, "section:has(#errors-title)")
    assert re.search(r"lies among .* the most: of the 6 nearest neighbors", said)
    assert "taken for" not in said
    assert "confusion.png" in said


@one_browser
def test_best_and_worst_are_by_the_share_of_variance_lost(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run)
    lost = lost_of(run)
    ranked = [int(point) for point in np.argsort(-lost[2:], kind="stable") + 2]
    assert points_in(explorer, "#worst") == ranked[:6]
    assert points_in(explorer, "#best") == ranked[:-7:-1]
    assert ranked[:6] != np.argsort(-errors_of(run))[:6].tolist(), "another order than by the error"
    assert "2 of a single color" in text(explorer, "#plain-note")
    explorer.set("{point: 50}")
    facts = text(explorer, "#point-facts")
    share = np.nanmean(lost[2:] < lost[50])
    assert f"{round(100 * lost[50])} %" in facts
    assert f"worse than {round(100 * share)} %" in facts
    explorer.set("{point: 0}")
    assert "a single color" in text(explorer, "#point-facts")
