"""The explorer's panels; its decoder against PyTorch, its neighbors and projections against scikit-learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from tests.explorer.chromium import Explorer, Open, grey
from tests.explorer.fixtures import HOLD
from tests.explorer.made import ACTIVATED, NAMES, Made, make
from tests.project import Project

# One browser for all of these: each worker would start its own.
pytestmark = pytest.mark.xdist_group("pages")


def test_hover_and_press_show_image_reconstruction_class_index_and_error(explorer: Explorer, run: Made) -> None:
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
    assert f"image {run.indices[point]} " in text
    assert float(text.split("error ")[1]) == pytest.approx(error, rel=0.01)
    np.testing.assert_array_equal(explorer.canvas("#hover-image"), run.images[point, ..., 0])
    np.testing.assert_allclose(explorer.canvas("#hover-reconstruction").ravel(), grey(reconstruction), atol=1)
    assert card.locator("canvas").first.bounding_box()["width"] > 100  # type: ignore[index]
    explorer.page.mouse.down()
    explorer.page.mouse.up()
    assert explorer.state("point") == point
    facts = explorer.page.locator("#point-facts").inner_text()
    assert NAMES[run.labels[point]] in facts
    assert f"{run.indices[point]} of train" in facts
    np.testing.assert_array_equal(explorer.canvas("#point-image"), run.images[point, ..., 0])
    explorer.settle()
    np.testing.assert_allclose(explorer.marked("chosen"), run.encode()[point], atol=1e-5)
    explorer.page.mouse.move(5, 5)
    card.wait_for(state="hidden")


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

    pad = explorer.page.locator("#xy-slider")
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

    explorer.page.select_option("#xy-across", "1")
    assert explorer.page.input_value("#xy-up") == "0"
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
    explorer.get(HOLD)
    explorer.page.click("#play-steps")
    explorer.get("later()")
    explorer.get("later()")
    step = explorer.state("step")
    assert 0.05 < step < 0.95
    explorer.page.click("#play-steps")
    explorer.get("letGo()")
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
    explorer.get(HOLD)
    explorer.page.click("#play-epochs")
    for epoch in range(4):
        assert explorer.state("epoch") == epoch
        explorer.get("later()")
    assert explorer.page.get_attribute("#play-epochs", "aria-pressed") == "false"
    explorer.get("letGo()")
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
    assert figures == ["0.0231", "0.736", "0", "0.0866", "0.1"]
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


def test_losses_on_images_held_out_are_called_so(tmp_path: Path, open_page: Open) -> None:
    small = make(tmp_path / "run", hidden=(16,), epochs=2, count=6)
    (small.root / "data/train/loss.csv").write_text("epoch,train_loss,validation_loss\n1,0.3,0.4\n2,0.1,0.2\n")
    Project(small.root).play("explore")
    explorer = open_page(small)
    assert explorer.page.locator("#curve .line.validation").count() == 2
    texts = explorer.page.locator("#curve text.name").all_text_contents()
    assert texts == ["train", "validation"]
    boxes = "[...document.querySelectorAll('#curve {}')].slice(-2).map(each => each.getBoundingClientRect().{})"
    dashes, names = (explorer.get(boxes.format(*each)) for each in ((".line", "right"), ("text.name", "left")))
    assert all(dash < name for dash, name in zip(dashes, names, strict=True))
    assert "a validation loss of 0.2" in (explorer.page.locator("#curve").get_attribute("aria-label") or "")


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
    explorer.show_grid()
    assert explorer.get("document.querySelectorAll('#grid button').length") == 60
    explorer.get("void scrollTo(0, 0)")
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

    again.go("point=abc&epoch=99&latent=1,x&hidden=77,,a&view=1,2&theme=pink&step=9&from=-1")
    assert (again.state("point"), again.state("epoch"), again.state("step")) == (0, 3, 1)
    assert again.state("hidden") == []
    again.go(f"point={run.indices[40]}")
    assert again.state("point") == 40


@pytest.mark.parametrize("latent_size", [1, 2, 5])
def test_other_latent_sizes(open_page: Open, made: Callable[..., Made], latent_size: int) -> None:
    run = made(latent_size=latent_size, activation=ACTIVATED[latent_size])
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
