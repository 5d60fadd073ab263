"""How the explorer looks: themes, forced colors, widths, any text; what a screen reader finds."""

import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.explorer.chromium import Explorer, Open
from tests.explorer.made import Made
from tests.shared.contrast import contrast, luminance, oklab

# One browser for all of these: each worker would start its own.
pytestmark = pytest.mark.xdist_group("pages")


@pytest.fixture
def emulating(explorer: Explorer) -> Iterator[Explorer]:
    """The shared page, whose media and size the test may change."""
    yield explorer
    explorer.emulate(color_scheme="light", forced_colors="none", media="screen")
    explorer.resize(1280, 900)


HOSTILE = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "a & b <!-- c", "日本 \u2028 ${x}"]


def test_light_and_dark(explorer: Explorer, open_page: Open) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    marks = "[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)"
    light, dark = explorer, open_page(color_scheme="dark")
    assert light.get(paper) != dark.get(paper)
    assert light.get(marks) != dark.get(marks)
    expected = dark.get(marks)
    light.page.click("#theme")
    light.page.click("#theme")
    light.settle()
    assert light.get("document.querySelector('#theme').textContent") == "Theme: dark"
    assert light.get(paper) == dark.get(paper)
    assert light.get(marks) == expected


# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency".
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def rgb(text: str) -> list[float]:
    """Of "rgb(1, 2, 3)", in [0, 1]."""
    return [float(number) / 255 for number in re.findall(r"[\d.]+", text)[:3]]


GROUND = """selector => {
  const canvas = document.querySelector(selector);
  return Array.from(canvas.getContext('2d').getImageData(1, 1, 1, 1).data);
}"""


@pytest.mark.parametrize(
    "options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}], ids=str
)
def test_class_colors_stand_out_from_their_ground(emulating: Explorer, options: dict[str, Any]) -> None:
    explorer = emulating
    explorer.emulate(**options)
    colors = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    card = rgb(explorer.get("getComputedStyle(document.querySelector('.space')).backgroundColor"))
    grounds = [card, *(np.array(explorer.get(GROUND, each)[:3]) / 255 for each in ("#plot canvas", "#xy-slider"))]
    assert len(set(colors)) == 10
    for color in colors:
        for ground in grounds:
            assert contrast(rgb(color), ground) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_color_blind_can_tell_the_classes_apart(emulating: Explorer, scheme: str) -> None:
    explorer = emulating
    explorer.emulate(color_scheme=scheme)
    texts = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    colors = np.array([rgb(text) for text in texts])
    assert len(colors) == 10
    for vision, matrix in VISIONS.items():
        lab = oklab(colors, matrix)
        distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 9 * np.eye(len(lab))
        assert distances.min() > 0.1, vision  # matplotlib's ten (tab10) come to 0.03


def test_text_from_files_is_never_read_as_html(open_page: Open, made: Callable[..., Made]) -> None:
    run = made(names=HOSTILE, dataset="</title><b>x</b>", count=30, epochs=1)
    explorer = open_page(run)
    assert explorer.page.title() == "Latent space explorer: </title><b>x</b>"
    chips = explorer.page.locator("#legend .chip").all_text_contents()
    assert chips == HOSTILE
    assert explorer.page.inner_text("#dataset") == "</title><b>x</b>"
    for point in range(30):
        explorer.get("point => explorer.set({point})", point)
    assert explorer.page.locator("img, main b").count() == 0
    assert explorer.page.locator("#epoch").is_disabled()


def test_synthetic_is_said_plainly(open_page: Open, made: Callable[..., Made]) -> None:
    explorer = open_page(made(dataset="synthetic", count=3, epochs=2, hidden=(16,)))
    badge = explorer.page.locator(".badge.synthetic")
    assert badge.is_visible()
    assert badge.inner_text().lower() == "synthetic"
    assert explorer.page.locator("#neighbors button").count() == 2


def test_forced_colors_leave_nothing_out(open_page: Open) -> None:
    explorer = open_page(forced_colors="active", color_scheme="dark")
    ground = rgb(explorer.get("getComputedStyle(document.body).backgroundColor"))
    icon = explorer.get(
        "(b => [getComputedStyle(b).backgroundColor, getComputedStyle(b.querySelector('svg')).fill])"
        "(document.getElementById('play-epochs'))"
    )
    assert contrast(rgb(icon[0]), rgb(icon[1])) > 4.5
    for selector in ("h2", ".muted", ".chip", "#curve text", "#figures dt"):
        style = explorer.get(
            "s => (c => getComputedStyle(c)[c.closest('svg') ? 'fill' : 'color'])(document.querySelector(s))",
            selector,
        )
        assert contrast(rgb(style), ground) > 4.5, selector
    assert contrast(rgb(explorer.get("getComputedStyle(document.querySelector('#curve .line')).stroke")), ground) > 3
    drawn = explorer.get(
        """() => {
          const canvas = document.querySelector('#plot canvas');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert drawn > 50


def test_dark_print_is_on_light_paper(emulating: Explorer) -> None:
    explorer = emulating
    explorer.emulate(color_scheme="dark")
    swatches = "[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)"
    dark = explorer.get(swatches)
    explorer.emulate(media="print")
    assert luminance(rgb(explorer.get("getComputedStyle(document.querySelector('.card')).backgroundColor"))) > 0.8
    for canvas in ("#plot canvas", "#xy-slider"):
        assert luminance(np.array(explorer.get(GROUND, canvas)[:3]) / 255) > 0.8
    light = explorer.get(swatches)
    assert all(contrast(rgb(color), [1, 1, 1]) >= 3 for color in light)
    box = explorer.get("(b => [b.width, b.height])(document.querySelector('#plot').getBoundingClientRect())")
    assert min(box) > 200
    explorer.emulate(media="screen")
    assert explorer.get(swatches) == dark


def test_without_javascript_a_line_says_so_and_no_control_is_dead(browser: Browser, run: Made) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(run.page.as_uri())
    assert "JavaScript" in page.locator(".problem").first.inner_text()
    for selector in ("button", "input", "select", "a", "#plot"):
        assert not any(each.is_visible() for each in page.locator(selector).all()), selector
    context.close()


def test_an_index_of_five_digits_stays_whole_and_nothing_jumps(open_page: Open, made: Callable[..., Made]) -> None:
    run = made(ends=(3, 59_999))
    heights, explorer = [], open_page(run)
    for width in (1440, 1024, 390, 320):
        explorer.resize(width, 800)
        for point in (0, len(run.indices) - 1):
            explorer.get("point => void explorer.set({point})", point)
            broken = explorer.get(
                """() => [...document.querySelectorAll('#point-facts dd, #neighbors span, #point-count')].flatMap(e => {
                  const walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), bad = [];
                  for (let n; (n = walk.nextNode());) for (const m of n.data.matchAll(/[\\d.]+/g)) {
                    const range = document.createRange();
                    range.setStart(n, m.index);
                    range.setEnd(n, m.index + m[0].length);
                    if (range.getClientRects().length > 1) bad.push(m[0]);
                  }
                  return bad;
                })"""
            )
            assert broken == [], width
            heights.append(explorer.get("document.querySelector('#point-facts').getBoundingClientRect().height"))
        assert heights[-1] == pytest.approx(heights[-2], abs=1), width


AXE = resources.files("axe_playwright_python") / "axe.min.js"


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")], ids=["light", "dark", "390 px"]
)
def test_axe_finds_nothing(emulating: Explorer, width: int, scheme: str) -> None:
    explorer = emulating
    explorer.resize(width, 900)
    explorer.emulate(color_scheme=scheme)
    explorer.page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    for script in ("0", "document.getElementById('show-keys').click()"):
        explorer.get(f"void {script}")
        found = explorer.get(
            "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]))"
        )
        assert found == []


def test_no_width_needs_sideways_scrolling(emulating: Explorer) -> None:
    explorer = emulating
    for width in (320, 360, 390, 820, 1024, 1440):
        explorer.resize(width, 800)
        assert explorer.get("document.documentElement.scrollWidth") <= width
        cut = explorer.get(
            "[...document.querySelectorAll('main button, main input, main select')].filter(e => e.checkVisibility()"
            " && e.className !== 'only').filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id)"
        )
        assert cut == [], width
