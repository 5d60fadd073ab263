"""The explorer shows what was learnt: errors, confusions, selections, a map, pictures from outside; in any color."""

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from stages.shared.model.operations import ACTIVATIONS
from tests.explorer.browsers import Explorer
from tests.explorer.fixtures import Open, one_browser, points_in, text
from tests.explorer.made import NAMES, Made


def facts_of(page: File) -> Any:
    return json.loads(re.search(r'id="facts">(.*?)</script>', page.read_text())[1])  # type: ignore[index]


def canvas(explorer: Explorer, selector: str, box: tuple[float, ...] | None = None) -> NDArray[np.uint8]:
    """What a canvas shows, [height, width, 3], or a box of it (left, top, width, height, in its own pixels)."""
    text = explorer.get(
        """([s, box]) => {
          const c = typeof s === 'string' ? document.querySelector(s) : s;
          const [x, y, w, h] = (box ?? [0, 0, c.width, c.height]).map(Math.round);
          const d = c.getContext('2d').getImageData(x, y, w, h).data;
          return `${h} ${w} ${Array.from(d).join(' ')}`;
        }""",
        [selector, box],
    )
    height, width, *values = map(int, text.split())
    return np.array(values, dtype=np.uint8).reshape(height, width, 4)[..., :3]


def flat_images(run: Made) -> NDArray[np.float32]:
    """[N, pixels], in [0, 1]."""
    return (run.images.reshape(len(run.images), -1) / 255).astype(np.float32)


def errors_of(run: Made, epoch: int | None = None) -> NDArray[np.float32]:
    errors: NDArray[np.float32] = ((run.decode(run.encode(epoch), epoch) - flat_images(run)) ** 2).mean(axis=1)
    return errors


def shown(pixels: NDArray[Any], channels: int) -> NDArray[np.float64]:
    """Pixels in [0, 1], [height * width * channels], as a canvas shows them, [height, width, 3]."""
    return np.broadcast_to(np.rint(pixels.astype(np.float64) * 255).reshape(28, 28, channels), (28, 28, 3))


# The networks


@pytest.mark.parametrize(
    ("activation", "channels", "latent_size"),
    [(activation, *sizes) for activation, sizes in zip(ACTIVATIONS, cycle([(1, 3), (3, 2), (1, 5)]))],
    ids=str,
)
@one_browser
def test_encoder_and_decoder_agree_with_pytorch(
    visit: Open, made: Callable[..., Made], activation: str, channels: int, latent_size: int
) -> None:
    """Within a grey level and a five-hundredth of the latents' span, also between the sliders' ends."""
    run = made(activation=activation, channels=channels, latent_size=latent_size, epochs=2, hidden=(64, 12), count=60)
    explorer = visit(run)
    latents = run.encode()
    span = np.ptp(latents, axis=0)
    encoded = explorer.get("list => list.map(explorer.encode)", flat_images(run)[:40].tolist())
    np.testing.assert_allclose((encoded - latents[:40]) / span, 0, atol=1 / 500)
    scattered = np.random.default_rng(1).uniform(
        latents.min(0) - 0.1 * span, latents.max(0) + 0.1 * span, (60, latent_size)
    )
    every = np.concatenate([latents[:60], scattered])
    decoded = explorer.get("list => list.map(latent => Array.from(explorer.decode(latent)))", every.tolist())
    np.testing.assert_allclose(decoded, run.decode(every), atol=1 / 255, rtol=0)
    assert np.std(decoded) > 0.1, "a decoder that says something"


@one_browser
def test_an_earlier_epoch_decodes_by_its_own_decoder_where_the_page_has_it(
    visit: Open, made: Callable[..., Made]
) -> None:
    run = made(hidden=(16,), epochs=3)
    assert all(facts_of(run.page)["weightBytes"]["decoders"]), "200 pictures are larger than so small a decoder"
    explorer = visit(run)
    for epoch in (0, 1):
        explorer.set(f"{{epoch: {epoch}}}")
        latents = run.encode(epoch + 1)
        explorer.click("#decode-point")
        np.testing.assert_allclose(explorer.state("latent"), latents[0], atol=1e-4)
        explorer.get("void document.querySelector('#z1').focus()")
        explorer.tab.press("ArrowRight")
        latent = explorer.state("latent")
        assert latent[0] > latents[0, 0]
        assert explorer.state("epoch") == epoch
        np.testing.assert_allclose(canvas(explorer, "#decoded"), shown(run.decode([latent], epoch + 1)[0], 1), atol=1.6)
        np.testing.assert_allclose(
            canvas(explorer, "#point-reconstruction"), shown(run.decode(latents[[0]], epoch + 1)[0], 1), atol=1.6
        )
        assert not np.allclose(run.decode([latent]), run.decode([latent], epoch + 1), atol=0.05), "the epochs differ"
    explorer.click("#steps button:nth-child(9)")
    np.testing.assert_allclose(explorer.state("latent"), run.encode(2)[explorer.state("to")], atol=1e-3)
    assert explorer.state("epoch") == 1
    latent = explorer.state("latent")
    explorer.set("{epoch: 2}")
    np.testing.assert_allclose(canvas(explorer, "#decoded"), shown(run.decode([latent])[0], 1), atol=1.6)


@one_browser
def test_an_epoch_without_its_decoder_says_so_and_gives_way(visit: Open, run: Made) -> None:
    decoders = facts_of(run.page)["weightBytes"]["decoders"]
    assert decoders[0] is None
    assert decoders[1] is None
    explorer = visit()
    said = "(e => e.checkVisibility() ? e.textContent : '')(document.getElementById('decode-epoch'))"
    assert explorer.get(said) == ""
    explorer.set("{epoch: 1}")
    assert "no decoder of epoch 2" in text(explorer, "section:has(#decode-title)")
    assert "epoch 2" in explorer.get(said)
    assert "goes to epoch 4" in explorer.get(said)
    picture = canvas(explorer, "#point-reconstruction").astype(float)
    off = picture - shown(run.decode(run.encode(2)[[0]], 2)[0], 1)
    assert np.sqrt((off**2).mean()) < 12, "a lossy picture of noise"
    explorer.get("void document.querySelector('#z1').focus()")
    explorer.tab.press("ArrowRight")
    assert explorer.state("epoch") == 3
    assert "no decoder" not in text(explorer, "section:has(#decode-title)")
    assert explorer.get(said) == ""


def test_2000_points_hold_all_ten_epochs(made: Callable[..., Made]) -> None:
    run = made(count=2000, epochs=10)
    facts = facts_of(run.page)
    assert facts["epochs"] == list(range(1, 11))
    assert all(facts["weightBytes"]["decoders"]), "2,000 pictures are larger than a decoder"
    assert run.page.stat().st_size <= 8_000_000


def test_the_policy_lets_nothing_out(visit: Open, run: Made) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', run.page.read_text())[1]  # type: ignore[index]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules.pop("script-src"))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    explorer = visit()
    assert explorer.get("fetch('data:,x').then(() => 'let through', () => 'refused')") == "refused"


# The cloud


@one_browser
def test_the_cloud_of_training_latents_decodes_under_the_mouse(visit: Open, made: Callable[..., Made]) -> None:
    run = made(cloud=True, latent_size=2, hidden=(16,), epochs=2)
    explorer = visit(run)
    assert text(explorer, "#about").startswith("All 200 training images, ")
    latents = run.encode()  # the made-up training images are the points themselves
    # A dot whose point is hidden can be reached: all classes are hidden but one, whose points are as few as its dots.
    find = "([x, y]) => explorer.plot.cloudAt(x, y, 4)"
    point = explorer.lonely()
    place = explorer.screen_of(point)
    index = explorer.get(find, place)
    assert index is not None
    explorer.get("([i, x, y]) => { explorer.plot.cloudHovered(i, x, y); }", [index, *place])
    np.testing.assert_allclose(
        canvas(explorer, "#hover-reconstruction"), shown(run.decode(latents[[point]])[0], 1), atol=4
    )
    assert explorer.get("document.querySelector('#hover-image').checkVisibility()") is False
    explorer.get("([i, x, y]) => { explorer.plot.cloudPressed(i, x, y); }", [index, *place])
    np.testing.assert_allclose(explorer.state("latent"), latents[point], atol=0.002 * float(np.ptp(latents)))
    label = int(run.labels[point])
    explorer.set(f"{{hidden: new Set([{label}])}}")
    hidden = explorer.get("n => Array.from({length: n}, (_, i) => explorer.plot.screenOf(i) === null)", len(latents))
    assert hidden == (run.labels == label).tolist()
    assert explorer.get(find, place) != index
    explorer.set("{hidden: new Set(), epoch: 0}")
    assert explorer.get(find.replace("4", "2000"), place) is None, "the latents are the last epoch's"


@one_browser
def test_a_page_without_the_cloud_says_nothing_of_it(visit: Open, run: Made) -> None:
    assert 'id="cloud"' not in run.page.read_text()
    assert visit().get("document.querySelector('#cloud-label').checkVisibility()") is False


# Color, and classes of any number


@one_browser
def test_color_pictures_are_in_color_everywhere(visit: Open, made: Callable[..., Made]) -> None:
    run = made(channels=3, hidden=(16,), latent_size=2, epochs=2)
    explorer = visit(run)
    np.testing.assert_array_equal(canvas(explorer, "#point-image"), run.images[0])
    np.testing.assert_allclose(
        canvas(explorer, "#point-reconstruction"), shown(run.decode(run.encode()[[0]])[0], 3), atol=1.6
    )
    nearest = points_in(explorer, "#neighbors")[0]
    np.testing.assert_array_equal(canvas(explorer, "#neighbors canvas"), run.images[nearest])
    decoded = shown(run.decode([explorer.state("latent")])[0], 3)
    np.testing.assert_allclose(canvas(explorer, "#decoded"), decoded, atol=1.6)
    assert np.ptp(decoded, axis=2).mean() > 10, "these pictures have colors"
    assert explorer.get("document.querySelector('#upload-color').checkVisibility()") is True


@one_browser
def test_without_labels_nothing_is_said_of_classes(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(names=[], hidden=(16,), epochs=2))
    visible = "s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility()).length"
    for selector in (".swatch", "#legend", "#errors-classes", "#search-classes option", "#selection-classes svg"):
        assert explorer.get(visible, selector) == 0, selector
    assert "Class" not in text(explorer, ".work")
    assert "undefined" not in explorer.get("document.documentElement.outerHTML.replace(/<script[^]*?<\\/script>/g, '')")
    explorer.set("{selected: [1, 2, 3]}")
    assert len(points_in(explorer, "#selection-pairs")) == 3
    assert explorer.get("document.querySelector('#search').placeholder") == "Find: index"
    assert len(points_in(explorer, "#worst")) == 6


@one_browser
def test_one_class_has_no_confusions(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(names=["<b>only</b>"], hidden=(16,), epochs=2))
    assert explorer.get("document.querySelector('#errors-classes').checkVisibility()") is False
    assert "<b>only</b>" in text(explorer, "#point-facts")


def test_300_classes_stay_in_their_boxes(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(names=[f"class {i}" for i in range(300)], count=900, hidden=(16,), epochs=2))
    explorer.wait("document.querySelectorAll('#errors-rows tr').length > 250")
    for selector, most in ((".space", 900), ("section:has(#errors-title)", 900)):
        assert explorer.box(selector)["height"] < most
    assert explorer.get("document.documentElement.scrollWidth") <= 1280


# What it gets wrong


@one_browser
def test_confusions_and_errors_are_those_of_an_oracle(visit: Open, run: Made) -> None:
    explorer = visit()
    explorer.wait("document.querySelectorAll('#errors-rows tr').length === 10")
    _, found = NearestNeighbors(n_neighbors=6).fit(run.encode()).kneighbors()
    errors = errors_of(run)
    shares = {}
    for row in explorer.get(
        "[...document.querySelectorAll('#errors-rows tr')].map(r => [r.querySelector('th').innerText.trim(),"
        " r.cells[1].firstChild.ariaLabel, r.cells[2].innerText.trim(), r.cells[3].innerText])"
    ):
        name, mix, other, error = row
        members = np.flatnonzero(run.labels == NAMES.index(name))
        counts = Counter(NAMES[label] for label in run.labels[found[members]].ravel())
        own = counts.pop(name, 0)
        total = 6 * len(members)
        shares[name] = own / total
        assert int(mix.split(" %")[0]) == pytest.approx(100 * own / total, abs=0.51)
        most = max(counts.values())
        confused, share = re.fullmatch(r"(.+?)\s+(\d+) %", other).groups()  # type: ignore[union-attr]
        assert counts[confused] == most
        assert int(share) == pytest.approx(100 * most / total, abs=0.51)
        assert float(error) == pytest.approx(errors[members].mean(), rel=0.06)
    assert list(shares.values()) == sorted(shares.values()), "the most confused stand first"


@one_browser
def test_the_most_confused_can_be_looked_at(visit: Open, run: Made) -> None:
    explorer = visit()
    explorer.wait("document.querySelector('#errors-worst button') !== null")
    said = re.match(r"(.+) lies among (.+) the most", text(explorer, "#errors-worst"))
    assert said
    one, other = (NAMES.index(name) for name in said.groups())
    explorer.click("#errors-worst button")
    selected = explorer.state("selected")
    _, found = NearestNeighbors(n_neighbors=6).fit(run.encode()).kneighbors()
    pairs = [(a, b) for a in np.flatnonzero(run.labels == one) for b in found[a] if run.labels[b] == other]
    assert sorted(selected) == sorted({point for pair in pairs for point in pair})
    assert f"{said[1]} among {said[2]}" in text(explorer, "#selection-text")


@pytest.mark.parametrize("epoch", [1, 4])
@one_browser
def test_worst_and_best_of_all_and_of_a_class(visit: Open, run: Made, epoch: int) -> None:
    explorer = visit()
    explorer.set(f"{{epoch: {epoch - 1}}}")
    variances = (run.images / 255).var(axis=(1, 2)).mean(axis=1)
    order = np.argsort(-errors_of(run, epoch) / variances)
    assert points_in(explorer, "#worst") == order[:6].tolist()
    assert points_in(explorer, "#best") == order[:-7:-1].tolist()
    explorer.wait("document.querySelectorAll('#errors-rows tr').length === 10")
    explorer.click("#errors-rows th button[data-label='3']")
    explorer.settle()
    members = [point for point in order if run.labels[point] == 3]
    assert points_in(explorer, "#worst") == members[: min(6, -(-len(members) // 2))]
    assert "Dress" in text(explorer, "#worst-title")
    np.testing.assert_array_equal(canvas(explorer, "#worst canvas"), shown(flat_images(run)[members[0]], 1))
    explorer.click("#worst button")
    assert explorer.state("point") == members[0]


def marker(explorer: Explorer, point: int) -> NDArray[np.uint8]:
    """The color of a point's marker, with nothing else near."""
    explorer.set(f"{{selected: [{point}], isolated: true}}")
    x, y = explorer.screen_of(point)
    box = explorer.box("#plot")
    ratio = explorer.get("devicePixelRatio")
    found: NDArray[np.uint8] = canvas(explorer, "#plot canvas", ((x - box["x"]) * ratio, (y - box["y"]) * ratio, 1, 1))[
        0, 0
    ]
    return found


def choose_color(explorer: Explorer, value: str) -> None:
    explorer.get(
        "v => { const s = document.getElementById('color'); s.value = v; s.dispatchEvent(new Event('change')); }", value
    )
    explorer.settle()


@one_browser
def test_color_by_error(visit: Open, run: Made) -> None:
    explorer = visit(fragment="#theme=light")
    errors = errors_of(run)
    worst, best = int(errors.argmax()), int(errors.argmin())
    by_class = marker(explorer, worst).tolist()
    choose_color(explorer, "error")
    dark, pale = marker(explorer, worst), marker(explorer, best)
    assert dark.tolist() != by_class
    assert dark.sum() < pale.sum() - 100
    scale = text(explorer, "#color-key")
    low, high = (float(number) for number in re.findall(r"\d[\d.e-]*", scale))
    assert errors.min() <= low * 1.5
    assert low < high
    assert errors.max() >= high * 0.5
    assert "color=error" in explorer.get("location.hash")
    choose_color(explorer, "class")
    assert marker(explorer, worst).tolist() == by_class


# Selections


def check_selection(explorer: Explorer, run: Made, expected: list[int]) -> None:
    assert sorted(explorer.state("selected")) == expected
    errors = errors_of(run)[expected]
    said = text(explorer, "#selection-text")
    assert f"{len(expected)} of 200 points" in said
    assert float(re.search(r"mean error ([\d.e-]+)", said)[1]) == pytest.approx(errors.mean(), rel=0.01)  # type: ignore[index]
    counts = dict(re.findall(r"(\S.*?) (\d+)(?:\n|$)", text(explorer, "#selection-classes")))
    assert counts == {NAMES[k]: str(n) for k, n in Counter(run.labels[expected].tolist()).items()}
    assert set(points_in(explorer, "#selection-pairs")) <= set(expected)
    assert len(points_in(explorer, "#selection-pairs")) == min(24, len(expected))


def test_a_box_selects_pairs_which_can_be_isolated(visit: Open, run: Made) -> None:
    explorer = visit()
    places = np.array([explorer.screen_of(point) for point in range(200)])
    (left, top), (right, bottom) = np.quantile(places, 0.25, axis=0), np.quantile(places, 0.7, axis=0)
    explorer.get("void document.querySelector('#box').click()")
    view = explorer.state("view")
    left, top, right, bottom = (round(float(value)) for value in (left, top, right, bottom))
    explorer.drag((left, top), (left + 20, top + 20), (right, bottom))
    inside = (places > [left, top]).all(axis=1) & (places < [right, bottom]).all(axis=1)
    assert inside.sum() > 10
    check_selection(explorer, run, np.flatnonzero(inside).tolist())
    assert explorer.state("view") == view, "a selection turns nothing"
    explorer.click("#isolate")
    explorer.settle()
    alone = explorer.get("Array.from({length: 200}, (_, i) => explorer.plot.screenOf(i) !== null)")
    assert alone == inside.tolist()
    explorer.click("#clear-selection")
    explorer.settle()
    assert explorer.get("Array.from({length: 200}, (_, i) => explorer.plot.screenOf(i) !== null)") == [True] * 200
    assert explorer.get("document.querySelector('#selection-card').checkVisibility()") is False


def test_a_lasso_selects(visit: Open, run: Made) -> None:
    explorer = visit()
    places = np.array([explorer.screen_of(point) for point in range(200)])
    x, y = np.median(places, axis=0)
    outline = [
        (round(x), round(y) - 90),
        (round(x) + 130, round(y) + 70),
        (round(x), round(y) + 10),
        (round(x) - 120, round(y) + 80),
    ]
    explorer.get("void document.querySelector('#lasso').click()")
    explorer.drag(*outline)
    inside = Path([*outline, outline[0]]).contains_points(places)
    assert inside.sum() > 3
    check_selection(explorer, run, np.flatnonzero(inside).tolist())
    explorer.get("void document.querySelector('#lasso').click()")
    explorer.tab.press("Escape")
    assert explorer.state("tool") is None


def test_a_box_on_the_pad_selects(visit: Open, run: Made) -> None:
    explorer = visit()
    explorer.show("#xy-slider")
    explorer.get("void document.querySelector('#box').click()")
    box, before = explorer.box("#xy-slider"), explorer.state("latent")
    start, end = (round(box["x"] + 20), round(box["y"] + 20)), (round(box["x"] + 90), round(box["y"] + 110))
    explorer.drag(start, (start[0] + 9, start[1] + 9), end)
    low, high = np.array(facts_of(run.page)["sliders"]).T
    share = (run.encode() - low) / (high - low)
    border, side = explorer.get("(s => [s.clientLeft, s.clientWidth])(window['xy-slider'])")
    places = np.array([box["x"], box["y"]]) + border + np.stack([share[:, 0], 1 - share[:, 1]], axis=1) * side
    inside = (places > start).all(axis=1) & (places < end).all(axis=1)
    assert inside.any()
    check_selection(explorer, run, np.flatnonzero(inside).tolist())
    assert explorer.state("latent") == before, "a selection moves nothing"


def test_pictures_stand_for_points(visit: Open, run: Made) -> None:
    explorer = visit()
    point = 7
    explorer.set(f"{{selected: [{point}], isolated: true, thumbnails: true}}")
    x, y = explorer.screen_of(point)
    box = explorer.box("#plot")
    drawn = canvas(explorer, "#plot canvas", (x - box["x"] - 14, y - box["y"] - 14, 28, 28)).mean(axis=2)
    image = run.images[point, ..., 0].astype(float)
    assert np.corrcoef(drawn.ravel(), image.ravel())[0, 1] > 0.6
    explorer.click("#thumbnails")
    explorer.settle()
    after = canvas(explorer, "#plot canvas", (x - box["x"] - 14, y - box["y"] - 14, 28, 28)).mean(axis=2)
    assert np.corrcoef(after.ravel(), image.ravel())[0, 1] < 0.3


# The map


@one_browser
def test_the_map_is_decoded_over_two_dimensions_with_the_others_as_they_are(visit: Open, run: Made) -> None:
    explorer = visit()
    explorer.set("{map: true, mapPoints: false}")
    low, high = np.array(facts_of(run.page)["sliders"]).T
    for slider in ("", "z3"):
        if slider:
            explorer.get("void document.querySelector('#z3').focus()")
            explorer.tab.press("End")
        latent = np.array(explorer.state("latent"))
        grid = np.tile(latent, (144, 1))
        grid[:, 0] = np.tile(low[0] + (np.arange(12) + 0.5) / 12 * (high - low)[0], 12)
        grid[:, 1] = np.repeat(high[1] - (np.arange(12) + 0.5) / 12 * (high - low)[1], 12)
        expected = run.decode(grid).reshape(144, 784).mean(axis=1) * 255

        def means() -> NDArray[np.float64]:
            pixels = canvas(explorer, "#xy-slider").mean(axis=2)
            side = len(pixels) / 12
            cells = [(round(r * side), round((r + 1) * side)) for r in range(12)]
            return np.array([pixels[a + 2 : b - 2, c + 2 : d - 2].mean() for a, b in cells for c, d in cells])

        column, row = ((latent[:2] - low[:2]) / (high - low)[:2] * 12).astype(int)
        clear = [
            i
            for i in range(144)
            if i % 12 not in (column, column - 1, column + 1) and i // 12 not in range(10 - row, 13 - row)
        ]
        for _ in range(200):  # a few pictures are decoded in each frame
            explorer.frame()
            if np.abs(means()[clear] - expected[clear]).max() <= 6:
                break
        np.testing.assert_allclose(means()[clear], expected[clear], atol=6)
    assert "map=1" in explorer.get("location.hash")


# Pictures from outside


def png(image: NDArray[np.uint8], scale: int = 1) -> str:
    pixels = image.squeeze().repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


GIVE = """([text, type, event]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], "picture", {type}));
  const made = new Event(event, {bubbles: true, cancelable: true}); // Firefox fills no ClipboardEvent
  made[event === "drop" ? "dataTransfer" : "clipboardData"] = data;
  document.body.dispatchEvent(made);
}"""


@pytest.mark.parametrize(("event", "channels"), [("drop", 1), ("paste", 3)])
def test_a_picture_from_outside_is_encoded_as_pytorch_does(
    visit: Open, made: Callable[..., Made], run: Made, event: str, channels: int
) -> None:
    run = run if channels == 1 else made(channels=3, hidden=(16,), latent_size=2, epochs=2)
    explorer = visit(run)
    explorer.set("{epoch: 0}")
    explorer.get(GIVE, [png(run.images[33]), "image/png", event])
    explorer.wait("explorer.state.upload !== null")
    latents = run.encode()
    own = explorer.state("upload")
    np.testing.assert_allclose(own["latent"], latents[33], atol=0.01 * float(np.ptp(latents)))
    assert own["error"] == pytest.approx(errors_of(run)[33], rel=0.02)
    np.testing.assert_allclose(canvas(explorer, "#upload-seen"), shown(flat_images(run)[33], channels), atol=2)
    np.testing.assert_allclose(
        canvas(explorer, "#upload-reconstruction"), shown(run.decode(latents[[33]])[0], channels), atol=5
    )
    assert points_in(explorer, "#upload-neighbors")[0] == 33
    assert explorer.state("epoch") == run.epochs - 1, "the encoder is the last epoch's"
    explorer.click("#upload-decode")
    np.testing.assert_allclose(explorer.state("latent"), own["latent"], atol=1e-5)
    explorer.click("#upload-clear")
    assert explorer.state("upload") is None


@one_browser
def test_a_picture_on_another_ground_is_taken_as_it_is_and_can_be_inverted(visit: Open, run: Made) -> None:
    explorer = visit()
    explorer.get(GIVE, [png(255 - run.images[33]), "image/png", "drop"])
    explorer.wait("explorer.state.upload !== null")
    np.testing.assert_allclose(canvas(explorer, "#upload-seen"), shown(1 - flat_images(run)[33], 1), atol=2)
    assert "Invert may help" in text(explorer, "#upload-note")
    explorer.click("#upload-invert")
    np.testing.assert_allclose(canvas(explorer, "#upload-seen"), shown(flat_images(run)[33], 1), atol=2)
    assert text(explorer, "#upload-note") == ""


def test_what_is_no_picture_is_said(visit: Open) -> None:
    explorer = visit()
    explorer.get(GIVE, [base64.b64encode(b"no picture").decode(), "image/png", "drop"])
    explorer.wait("document.querySelector('#upload-note').textContent !== ''")
    assert explorer.state("upload") is None


def test_a_drawing_is_encoded_as_it_grows(visit: Open) -> None:
    explorer = visit()
    explorer.show("#upload")
    box = explorer.box("#upload")
    x, y = box["x"] + box["width"] / 2, box["y"]
    explorer.drag((x, y + 20), (x, y + 60), (x, y + 90))
    explorer.wait("explorer.state.upload?.pixels[28 * 15 + 14] > 0.5")
    first = explorer.state("upload")
    seen = canvas(explorer, "#upload-seen")[..., 0].astype(float)
    assert seen[8:16, 14].min() > 128, "the stroke"
    assert seen[:, :4].max() == 0, "the ground"
    explorer.drag((x - 40, y + 60), (x + 40, y + 60))
    explorer.wait("first => explorer.state.upload.latent.some((z, i) => z !== first[i])", first["latent"])


# Search


@one_browser
def test_search_finds_an_index_and_a_class(visit: Open, run: Made) -> None:
    explorer = visit()

    def search(wanted: str) -> str:
        explorer.get("text => { document.querySelector('#search').value = text; }", wanted)
        explorer.get("void document.querySelector('#search').focus()")
        explorer.tab.press("Enter")
        return text(explorer, "#search-result")

    search(str(run.indices[41]))
    assert explorer.state("point") == 41
    missing = next(i for i in range(3000) if i not in run.indices)
    assert str(missing) in search(str(missing))
    assert explorer.state("point") == 41, "what isn't there changes nothing"
    bags = np.flatnonzero(run.labels == NAMES.index("Bag")).tolist()
    search("bag")
    first = explorer.state("point")
    assert first == next((point for point in bags if point > 41), bags[0])
    search("bag")
    assert explorer.state("point") == bags[(bags.index(first) + 1) % len(bags)]
    assert "hat" in search("hat")
    search("bag")
    explorer.click("#search-result > button")
    assert explorer.state("selected") == bags


@one_browser
def test_a_link_followed_in_an_open_tab_leaves_nothing_of_before(visit: Open) -> None:
    explorer = visit()
    explorer.show("#upload")
    x, y = explorer.middle("#upload")
    explorer.drag((x - 20, y), (x, y + 10), (x + 20, y))
    explorer.wait("explorer.state.upload !== null")
    explorer.set("{selected: [1, 2, 3], isolated: true, tool: 'lasso', group: 1}")
    blank = "(c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)"
    assert explorer.get(f"{blank}(document.getElementById('upload'))") > 1
    explorer.go("epoch=2")
    assert explorer.state("epoch") == 1
    kept = {key: explorer.state(key) for key in ("selected", "isolated", "tool", "group", "upload")}
    assert kept == {"selected": [], "isolated": False, "tool": None, "group": None, "upload": None}
    assert explorer.get(
        "document.getElementById('selection-card').hidden && document.getElementById('upload-result').hidden"
    )
    assert explorer.get(f"{blank}(document.getElementById('upload'))") == 1
    assert np.isfinite(explorer.screen_of(7)).all(), "points that were not selected are shown again"
