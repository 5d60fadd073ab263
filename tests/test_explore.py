"""The explorer, in real Chromium; its decoder against PyTorch, its neighbors and projections against scikit-learn."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from stages.shared.process.errors import InputError
from tests import browsers
from tests.explorer_run import NAMES, SECTION, Made, edit_json, make
from tests.project import Project

PROBLEM = "#problem:not([hidden])"
READY = f"html[data-ready], {PROBLEM}"
HOSTILE = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "a & b <!-- c", "日本 \u2028 ${x}"]

# One browser for all of these: each worker would start its own.
pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture(scope="module")
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
        return self.get("explorer.plot.lens().axes.map(a => [a.title, ...a.range])")

    def view(self) -> Any:
        return self.get("explorer.plot.lens().view")


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
    if page.locator(PROBLEM).count():
        heard.append(page.locator(PROBLEM).inner_text())
    return Explorer(page, made, heard)


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


def test_the_page_is_one_script_of_its_own(run: Made) -> None:
    text = run.page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].count("sha256-") == 1
    assert "script-src 'sha256-" in policy[1]
    assert len(re.findall(r"<script(?! type=.text/plain| type=.application/json)", text)) == 1


def test_hover_shows_image_reconstruction_class_index_and_error(explorer: Explorer, run: Made) -> None:
    point = explorer.lonely()
    x, y = explorer.screen_of(point)
    explorer.page.mouse.move(x - 40, y - 40)
    explorer.page.mouse.move(x, y, steps=4)
    card = explorer.page.locator("#hover")
    card.wait_for(state="visible")
    reconstruction = run.decode(run.encode()[[point]])[0]
    error = np.mean((reconstruction - run.images[point].reshape(-1) / 255) ** 2)
    text = card.inner_text()
    assert NAMES[run.labels[point]] in text
    assert f"index {run.indices[point]} " in text
    assert float(text.split("error ")[1]) == pytest.approx(error, rel=0.01)
    np.testing.assert_array_equal(explorer.canvas("#hover-image"), run.images[point, ..., 0])
    np.testing.assert_allclose(explorer.canvas("#hover-reconstruction").ravel(), grey(reconstruction), atol=1)
    assert card.locator("canvas").first.bounding_box()["width"] > 100  # type: ignore[index]
    explorer.page.mouse.move(5, 5)
    card.wait_for(state="hidden")


def test_a_click_and_a_tap_choose_a_point(open_page: Open, run: Made) -> None:
    for options in ({}, {"has_touch": True, "viewport": {"width": 390, "height": 844}}):
        explorer = open_page(**options)
        point = explorer.lonely()
        if options:
            explorer.page.locator("#plot").scroll_into_view_if_needed()
            explorer.page.touchscreen.tap(*explorer.screen_of(point))
        else:
            explorer.page.mouse.move(*explorer.screen_of(point), steps=4)
            explorer.page.locator("#hover").wait_for(state="visible")
            explorer.page.mouse.down()
            explorer.page.mouse.up()
        explorer.wait("point => explorer.state.point === point", point)
        facts = explorer.page.locator("#point-facts").inner_text()
        assert NAMES[run.labels[point]] in facts
        assert f"{run.indices[point]} of train" in facts
        np.testing.assert_array_equal(explorer.canvas("#point-image"), run.images[point, ..., 0])
        explorer.settle()
        np.testing.assert_allclose(explorer.marked("chosen"), run.encode()[point], atol=1e-5)
        if options:
            assert explorer.page.locator("#hover").is_visible(), "a finger has no other way to see the card"


def test_dragging_turns_the_plot_and_the_view_can_be_reset(explorer: Explorer) -> None:
    first = explorer.view()
    box = explorer.page.locator("#plot").bounding_box()
    assert box
    explorer.page.mouse.move(box["x"] + 60, box["y"] + 60)
    explorer.page.mouse.down()
    explorer.page.mouse.move(box["x"] + 260, box["y"] + 120, steps=8)
    explorer.page.mouse.up()
    turned = explorer.view()
    assert turned[0] != first[0]
    assert turned[1] > first[1]
    explorer.page.mouse.wheel(0, -300)
    explorer.wait("zoom => explorer.plot.lens().view[2] > zoom", turned[2])
    zoomed = explorer.view()
    for key in ("t", "n", "["):  # none of which may turn the plot back
        explorer.page.keyboard.press(key)
        explorer.settle()
    assert explorer.view() == zoomed
    explorer.page.keyboard.press("]")
    explorer.page.click("#reset-view")
    explorer.settle()
    assert explorer.view() == first


def test_the_legend_hides_isolates_and_shows_all(explorer: Explorer) -> None:
    chip = explorer.page.locator("#legend .class", has_text="Sandal")
    chip.locator(".chip").click()
    explorer.settle()
    assert explorer.visible() == set(range(10)) - {5}
    assert chip.locator(".chip").get_attribute("aria-pressed") == "false"
    chip.locator(".chip").click()
    chip.hover()
    chip.locator(".only").click()
    explorer.settle()
    assert explorer.visible() == {5}
    explorer.page.click("#all-classes")
    explorer.settle()
    assert explorer.visible() == set(range(10))
    explorer.page.locator("#legend .chip", has_text="Bag").click(modifiers=["Shift"])
    explorer.settle()
    assert explorer.visible() == {8}


def test_sliders_and_pad_decode_anywhere(explorer: Explorer, run: Made) -> None:
    before = explorer.state("latent")
    slider = explorer.page.locator("#z2")
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    latent = explorer.state("latent")
    assert latent[1] > before[1]
    assert latent[0::2] == before[0::2]
    check_decoded(explorer, run)

    pad = explorer.page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    explorer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    explorer.page.mouse.down()
    explorer.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.1, steps=5)
    explorer.page.mouse.up()
    moved = explorer.state("latent")
    low, high = np.array(explorer.get("['z1', 'z2'].map(id => [+window[id].min, +window[id].max])")).T
    np.testing.assert_allclose(moved[:2], low + np.array([0.75, 0.9]) * (high - low), atol=0.02 * (high - low).max())
    assert moved[2] == latent[2]
    check_decoded(explorer, run)

    explorer.page.select_option("#pad-across", "1")
    assert explorer.page.input_value("#pad-up") == "0"
    explorer.page.click("#decode-point")
    np.testing.assert_allclose(explorer.state("latent"), run.encode()[0], atol=1e-5)
    check_decoded(explorer, run)


def check_decoded(explorer: Explorer, run: Made) -> None:
    """The image, the marker and the numbers are those of the state's latent."""
    explorer.settle()
    latent = explorer.state("latent")
    np.testing.assert_allclose(explorer.canvas("#decoded").ravel(), grey(run.decode([latent])[0]), atol=1)
    np.testing.assert_allclose(explorer.marked("cursor"), latent, atol=1e-6)
    shown = [float(text.replace("−", "-")) for text in explorer.page.locator("#sliders output").all_inner_texts()]
    np.testing.assert_allclose(shown, latent, atol=0.006)


def test_interpolation(explorer: Explorer, run: Made) -> None:
    latents = run.encode()
    explorer.page.fill("#point-number", "8")
    explorer.page.press("#point-number", "Enter")
    explorer.page.click("#set-from")
    explorer.get("explorer.set({point: 21})")
    explorer.page.click("#set-to")
    explorer.settle()
    np.testing.assert_allclose(explorer.marked("line"), latents[[7, 21]], atol=1e-5)
    shares = np.linspace(0, 1, 9)[:, None]
    expected = grey(run.decode(latents[7] + shares * (latents[21] - latents[7])))
    for position in range(9):
        strip = explorer.canvas(f"#steps button:nth-child({position + 1}) canvas")
        np.testing.assert_allclose(strip.ravel(), expected[position], atol=1)
    slider = explorer.page.locator("#step")
    slider.fill("0.25")
    np.testing.assert_allclose(explorer.state("latent"), latents[7] + 0.25 * (latents[21] - latents[7]), atol=1e-5)
    assert (
        explorer.page.locator("#steps [aria-current=true]").evaluate("b => [...b.parentNode.children].indexOf(b)") == 2
    )
    check_decoded(explorer, run)
    explorer.page.locator("#steps button").last.click()
    np.testing.assert_allclose(explorer.state("latent"), latents[21], atol=1e-5)
    explorer.page.click("#play-steps")
    explorer.wait("explorer.state.step > 0.05 && explorer.state.step < 0.95")
    explorer.page.click("#play-steps")
    step = explorer.state("step")
    explorer.page.wait_for_timeout(150)
    assert explorer.state("step") == step
    np.testing.assert_allclose(explorer.state("latent"), latents[7] + step * (latents[21] - latents[7]), atol=1e-5)


def test_epochs_move_the_points_and_not_the_axes(explorer: Explorer, run: Made) -> None:
    axes = explorer.axes()
    latents = run.encode()
    for dimension, (_, low, high) in enumerate(axes):
        assert low < latents[:, dimension].min()
        assert high > latents[:, dimension].max()
    for epoch in (1, 3, 4):
        explorer.page.locator("#epoch").fill(str(epoch - 1))
        explorer.settle()
        latents = run.encode(epoch)
        np.testing.assert_allclose(explorer.points(), latents, atol=1e-4)
        assert explorer.axes() == axes
        assert explorer.page.inner_text("#epoch-text") == f"{epoch} of 4"
        reconstruction = run.decode(latents[[0]], epoch)[0]
        # Earlier epochs' pictures are compressed.
        shown = explorer.canvas("#point-reconstruction").ravel()
        np.testing.assert_allclose(shown, grey(reconstruction), atol=2 if epoch == 4 else 10)
        error = np.mean((reconstruction - run.images[0].reshape(-1) / 255) ** 2)
        assert float(explorer.page.locator("#point-facts dd").last.inner_text()) == pytest.approx(error, rel=0.01)
        assert explorer.get("document.getElementById('curve-epoch').dataset.epoch") == str(epoch)
        assert (explorer.marked("cursor").size > 0) == (epoch == 4), "earlier epochs had another decoder"
    explorer.page.click("#play-epochs")
    explorer.wait("explorer.state.epoch === 0")
    explorer.wait("explorer.state.epoch === 3")
    explorer.wait("document.querySelector('#play-epochs').ariaPressed === 'false'")
    explorer.page.locator("#epoch").fill("0")
    explorer.page.locator("#z1").press("ArrowRight")
    assert explorer.state("epoch") == 3, "the sliders' decoder is the last epoch's"


def test_points_glide_between_epochs(open_page: Open, run: Made) -> None:
    explorer = open_page(reduced_motion="no-preference")
    end = run.encode(1)
    explorer.page.locator("#epoch").fill("0")
    explorer.page.wait_for_timeout(50)
    explorer.settle()
    np.testing.assert_allclose(explorer.points(), end, atol=1e-4)


@pytest.mark.parametrize("epoch", [1, 4])
def test_neighbors(explorer: Explorer, run: Made, epoch: int) -> None:
    explorer.page.locator("#epoch").fill(str(epoch - 1))
    latents = run.encode(epoch)
    distances, nearest = NearestNeighbors(n_neighbors=7).fit(latents).kneighbors(latents[[5, 60]])
    for point, expected, lengths in zip((5, 60), nearest, distances, strict=True):
        explorer.get("point => explorer.set({point})", point)
        buttons = explorer.page.locator("#neighbors button")
        assert [int(b.get_attribute("data-point") or -1) for b in buttons.all()] == expected[1:].tolist()
        texts = [float(text) for text in buttons.all_inner_texts()]
        np.testing.assert_allclose(texts, lengths[1:], rtol=0.06)
        np.testing.assert_array_equal(explorer.canvas("#neighbors canvas"), run.images[expected[1], ..., 0])
    explorer.page.locator("#neighbors button").nth(2).click()
    assert explorer.state("point") == nearest[1][3]


def test_curve_figures_and_params(explorer: Explorer, run: Made) -> None:
    rows = [line.split(",") for line in (run.root / "data/train/loss.csv").read_text().split()[1:]]
    # Its lines' corners, back to front: as many as there are rows, lower where the loss is lower.
    for column, name in ((1, "train"), (2, "test")):
        path = explorer.page.locator(f"#curve .line.{name}").first.get_attribute("d") or ""
        corners = np.array([corner.split() for corner in path[1:].split("L")], dtype=float)
        values = np.array(rows, dtype=float)
        assert len(corners) == len(rows)
        np.testing.assert_allclose(np.diff(corners[:, 0]), np.diff(corners[:, 0])[0], atol=0.2)
        share = (corners[:, 1] - corners[0, 1]) / (corners[-1, 1] - corners[0, 1])
        losses = values[:, column]
        np.testing.assert_allclose(share, (losses - losses[0]) / (losses[-1] - losses[0]), atol=0.01)
    figures = explorer.page.locator("#figures dd").all_inner_texts()
    assert figures == ["0.0231", "0.736", "0"]
    params = dict(
        zip(
            explorer.page.locator("#training dt").all_inner_texts(),
            explorer.page.locator("#training dd").all_inner_texts(),
            strict=True,
        )
    )
    assert params == {"Layers": "128, 64, 12", "Latent size": "3", "Activation": "relu", "Epochs": "4"}
    assert explorer.page.inner_text("#dataset") == "fashion-mnist"
    assert "784–128–64–12–3–12–64–128–784" in explorer.page.inner_text("#about")
    explorer.page.locator("#curve").scroll_into_view_if_needed()
    explorer.page.locator("#curve circle.test").nth(1).click(force=True)
    explorer.wait("explorer.state.epoch === 1")


def test_keys(explorer: Explorer, run: Made) -> None:
    press = explorer.page.keyboard.press
    press("n")
    press("n")
    press("p")
    assert explorer.state("point") == 1
    assert "Point 2 of 200" in explorer.page.inner_text("#live")
    press("f")
    press("p")
    press("l")
    assert (explorer.state("from"), explorer.state("to")) == (1, 0)
    press("d")
    np.testing.assert_allclose(explorer.state("latent"), run.encode()[0], atol=1e-5)
    press("[")
    press("[")
    press("]")
    assert explorer.state("epoch") == 2
    press("e")
    assert explorer.page.get_attribute("#play-epochs", "aria-pressed") == "true"
    press("e")
    press("i")
    assert explorer.page.get_attribute("#play-steps", "aria-pressed") == "true"
    press("i")
    press("1")
    press("0")
    assert sorted(explorer.state("hidden")) == [0, 9]
    press("Shift+Digit3")
    assert sorted(explorer.state("hidden")) == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "+", "-"):
        explorer.page.focus("#plot")
        before = explorer.state("view")
        press(key)
        assert explorer.state("view") != before
    press("r")
    assert explorer.state("view") is None
    press("?")
    assert explorer.page.locator("dialog#keys").is_visible()
    press("Escape")
    assert not explorer.page.locator("dialog#keys").is_visible()
    press("t")
    assert explorer.state("theme") == "light"


def test_tab_reaches_every_control_and_shows_where_it_is(explorer: Explorer) -> None:
    wanted = set(
        explorer.get(
            "[...document.querySelectorAll('main button, main input, main select, header button, #plot')]"
            ".filter(e => !e.disabled && e.checkVisibility()).map((e, i) => (e.dataset.stop = i) + '')"
        )
    )
    reached = set()
    for _ in range(len(wanted) + 30):
        explorer.page.keyboard.press("Tab")
        stop, outline = explorer.get(
            "[document.activeElement.dataset.stop ?? null, getComputedStyle(document.activeElement).outlineStyle]"
        )
        if stop is not None:
            reached.add(stop)
            assert outline == "solid"
    assert reached == wanted
    unnamed = explorer.get(
        "[...document.querySelectorAll('button, input, select')].filter(e => !(e.ariaLabel || e.textContent.trim()"
        " || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_the_fragment_brings_the_view_back(open_page: Open, run: Made) -> None:
    explorer = open_page(permissions=["clipboard-read", "clipboard-write"])
    page = explorer.page
    explorer.get("explorer.set({point: 17, from: 3, to: 9, hidden: new Set([2, 5]), theme: 'dark'})")
    page.locator("#step").fill("0.75")
    page.locator("#z3").press("ArrowLeft")
    page.locator("#epoch").fill("1")
    page.focus("#plot")
    page.keyboard.press("ArrowLeft")
    explorer.settle()
    page.click("#share")
    explorer.wait("share.textContent === 'Copied'")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert f"point={run.indices[17]}" in link
    assert "epoch=2" in link
    again = open_page(fragment="#" + link.partition("#")[2])
    again.settle()
    for key in ("point", "epoch", "from", "to", "step", "hidden", "theme"):
        assert again.state(key) == explorer.state(key), key
    np.testing.assert_allclose(again.state("latent"), explorer.state("latent"), rtol=1e-4)
    np.testing.assert_allclose(again.view(), explorer.view(), rtol=1e-3, atol=1e-4)
    assert again.visible() == set(range(10)) - {2, 5}

    plain = open_page(fragment="#point=abc&epoch=99&latent=1,x&hidden=77,,a&view=1,2&theme=pink&step=9&from=-1")
    assert (plain.state("point"), plain.state("epoch"), plain.state("step")) == (0, 3, 1)
    assert plain.state("hidden") == []
    plain.go(f"point={run.indices[40]}")
    assert plain.state("point") == 40


@pytest.mark.parametrize("latent_size", [1, 2, 5])
def test_other_latent_sizes(open_page: Open, made: Callable[..., Made], latent_size: int) -> None:
    activation = {1: "relu", 2: "silu", 5: "gelu"}[latent_size]
    run = made(activation=activation, latent_size=latent_size)
    explorer = open_page(run)
    latents = run.encode()
    assert explorer.page.locator("#sliders input").count() == latent_size
    titles = [title for title, *_ in explorer.axes()]
    if latent_size == 5:
        pca = PCA(3).fit(latents)
        assert titles == [f"PC{i + 1} ({share:.0%})" for i, share in enumerate(pca.explained_variance_ratio_)]
        expected = pca.transform(latents)
        signs = np.sign((explorer.points() * expected).sum(axis=0))
        np.testing.assert_allclose(explorer.points() * signs, expected, atol=1e-3)
        explorer.page.locator("#epoch").fill("0")
        explorer.settle()
        np.testing.assert_allclose(explorer.points() * signs, pca.transform(run.encode(1)), atol=1e-3)
        explorer.page.locator("#epoch").fill("3")
        explorer.settle()
    else:
        assert titles[:latent_size] == ["z1", "z2"][:latent_size]
        np.testing.assert_allclose(explorer.points()[:, :latent_size], latents, atol=1e-5)
    before = explorer.marked("cursor")
    explorer.page.locator(f"#z{latent_size}").press("Home")
    explorer.settle()
    assert not np.allclose(explorer.marked("cursor"), before, equal_nan=True)
    decoded = grey(run.decode([explorer.state("latent")])[0])
    np.testing.assert_allclose(explorer.canvas("#decoded").ravel(), decoded, atol=1)
    if latent_size < 3:
        left, right, *_ = explorer.view()
        explorer.page.mouse.move(*explorer.screen_of(explorer.lonely()))
        explorer.page.locator("#hover").wait_for(state="visible")
        explorer.page.focus("#plot")
        explorer.page.keyboard.press("+")
        explorer.settle()
        zoomed = explorer.view()
        assert zoomed[1] - zoomed[0] < 0.9 * (right - left)


def test_light_and_dark(open_page: Open) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    marks = "[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)"
    light, dark = open_page(color_scheme="light"), open_page(color_scheme="dark")
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
# Ottosson 2020, "A perceptual color space for image processing" (OKLab).
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def rgb(text: str) -> list[float]:
    """Of "rgb(1, 2, 3)", in [0, 1]."""
    return [float(number) / 255 for number in re.findall(r"[\d.]+", text)[:3]]


def luminance(color: Any) -> float:
    """WCAG 2's relative luminance of an sRGB color in [0, 1]."""
    values = np.asarray(color)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: Any, other: Any) -> float:
    """WCAG 2's contrast ratio, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


GROUND = """selector => {
  const canvas = document.querySelector(selector);
  return Array.from(canvas.getContext('2d').getImageData(1, 1, 1, 1).data);
}"""


@pytest.mark.parametrize(
    "options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}], ids=str
)
def test_class_colors_stand_out_from_their_ground(open_page: Open, options: dict[str, Any]) -> None:
    explorer = open_page(**options)
    colors = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    card = rgb(explorer.get("getComputedStyle(document.querySelector('.space')).backgroundColor"))
    grounds = [card, *(np.array(explorer.get(GROUND, each)[:3]) / 255 for each in ("#plot canvas", "#pad"))]
    assert len(set(colors)) == 10
    for color in colors:
        for ground in grounds:
            assert contrast(rgb(color), ground) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_color_blind_can_tell_the_classes_apart(open_page: Open, scheme: str) -> None:
    explorer = open_page(color_scheme=scheme)
    texts = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    colors = np.array([rgb(text) for text in texts])
    assert len(colors) == 10
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    for vision, matrix in VISIONS.items():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        lab = np.cbrt(seen @ np.array(TO_CONES).T) @ np.array(TO_LAB).T
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


def test_dark_print_is_on_light_paper(open_page: Open) -> None:
    explorer = open_page(color_scheme="dark")
    swatches = "[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)"
    dark = explorer.get(swatches)
    explorer.emulate(media="print")
    assert luminance(rgb(explorer.get("getComputedStyle(document.querySelector('.card')).backgroundColor"))) > 0.8
    for canvas in ("#plot canvas", "#pad"):
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
    heights = []
    for width in (1440, 1024, 390, 320):
        explorer = open_page(run, viewport={"width": width, "height": 800})
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
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}],
    ids=["light", "dark", "390 px"],
)
def test_axe_finds_nothing(open_page: Open, options: dict[str, Any]) -> None:
    explorer = open_page(**options)
    explorer.get(AXE.read_text(encoding="utf-8") + ";0")
    for script in ("0", "document.getElementById('show-keys').click()"):
        explorer.get(f"void {script}")
        found = explorer.get(
            "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]))"
        )
        assert found == []


def test_no_width_needs_sideways_scrolling(open_page: Open) -> None:
    explorer = open_page()
    for width in (320, 360, 390, 820, 1024, 1440):
        explorer.resize(width, 800)
        assert explorer.get("document.documentElement.scrollWidth") <= width
        cut = explorer.get(
            "[...document.querySelectorAll('main button, main input, main select')].filter(e => e.checkVisibility()"
            " && e.className !== 'only').filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id)"
        )
        assert cut == [], width


# From here on no browser is needed.


def test_the_same_inputs_give_the_same_bytes(run: Made, tmp_path: Path) -> None:
    before = run.page.read_bytes()
    again = replace(run, root=Project(run.root).copy(tmp_path / "again").root)
    again.page.unlink()
    assert again.explore().returncode == 0
    assert again.page.read_bytes() == before
    assert b"/tmp" not in before


def test_a_wide_network_and_many_epochs_fit(tmp_path: Path) -> None:
    run = make(tmp_path / "run", hidden=(1024, 512, 256), epochs=21, activation="silu")
    result = run.explore()
    assert result.returncode == 0, result.stderr
    assert run.page.stat().st_size <= 8_000_000
    text = run.page.read_text()
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', text)[1])  # type: ignore[index]
    assert facts["epochs"][0] == 1
    assert facts["epochs"][-1] == 21
    assert len(facts["epochs"]) >= 5
    assert ", ".join(map(str, facts["epochs"])) in result.stdout


def test_what_cannot_fit_is_refused(tmp_path: Path) -> None:
    run = make(tmp_path / "run", hidden=(4000,), epochs=1, count=5)
    refuse(run, "params.yaml: explore.megabytes: expected an explorer of at most 8 MB, got more, ")


def refuse(run: Made, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Project(run.root).play("explore")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not run.page.exists()


@pytest.fixture
def small(tmp_path: Path) -> Made:
    return make(tmp_path / "run", hidden=(16,), epochs=2, count=6)


def test_few_epochs_are_shown_where_few_are_asked_for(small: Made) -> None:
    (small.root / "params.yaml").write_text(yaml.safe_dump({"explore": SECTION | {"epochs": 1}}))
    result = small.explore()
    assert "of 2 epochs the page shows 2" in result.stdout


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", 0), ("epochs", 101), ("neighbors", 0), ("neighbors", 25), ("steps", 2), ("steps", 26)]
)
def test_params_out_of_range(small: Made, key: str, value: int) -> None:
    section = SECTION | {key: value}
    (small.root / "params.yaml").write_text(yaml.safe_dump({"explore": section}))
    refuse(small, f"params.yaml: explore.{key}: expected")


def test_losses_on_images_held_out_are_called_so(small: Made, open_page: Open) -> None:
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,validation_loss\n1,0.3,0.4\n2,0.1,0.2\n")
    small.explore()
    explorer = open_page(small)
    assert explorer.page.locator("#curve .line.validation").count() == 2
    texts = explorer.page.locator("#curve text.name").all_text_contents()
    assert texts == ["train", "validation"]
    boxes = "[...document.querySelectorAll('#curve {}')].slice(-2).map(each => each.getBoundingClientRect().{})"
    dashes, names = (explorer.get(boxes.format(*each)) for each in ((".line", "right"), ("text.name", "left")))
    assert all(dash < name for dash, name in zip(dashes, names, strict=True))
    assert "a validation loss of 0.2" in (explorer.page.locator("#curve").get_attribute("aria-label") or "")


def break_curve(small: Made) -> None:
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,test_loss\n1,0.1,0.1\n3,0.1,0.1\n")


def break_loss(small: Made) -> None:
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,test_loss\n1,0.1,low\n2,0.1,0.1\n")


def break_images(small: Made) -> None:
    np.save(small.root / "data/extract/images.npy", small.images[:5])


def break_figures(small: Made) -> None:
    edit_json(small.root / "data/evaluate/metrics.json", dataset="synthetic")


def break_latents(small: Made) -> None:
    path = small.root / "data/extract/latents.csv"
    path.write_text(re.sub(r",[^,\n]*$", "", path.read_text(), flags=re.MULTILINE))


def break_checkpoint(small: Made) -> None:
    (small.root / "data/train/checkpoints/1.safetensors").write_bytes(b"half")


def lose_checkpoint(small: Made) -> None:
    (small.root / "data/train/checkpoints/1.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_curve, "data/train/loss.csv: damaged: expected epochs from 1 on, and finite losses"),
        (break_loss, "data/train/loss.csv: damaged: expected numbers"),
        (break_images, "data/extract/images.npy: damaged: expected 6 images"),
        (break_figures, "data/evaluate/metrics.json: damaged: expected the figures of fashion-mnist"),
        (break_latents, "data/extract/latents.csv: damaged: expected 3 latent dimensions, as the model's, got 2"),
        (break_checkpoint, "data/train/checkpoints/1.safetensors: damaged"),
        (lose_checkpoint, "data/train/checkpoints: damaged: expected"),
    ],
)
def test_damaged_inputs(small: Made, damage: Callable[[Made], None], message: str) -> None:
    damage(small)
    refuse(small, message)
