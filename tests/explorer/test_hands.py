"""The explorer under every hand: what it draws, and what mouse, fingers and keys do, in Chromium and in Firefox."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.explorer.browsers import Explorer
from tests.explorer.fixtures import HOLD, Open, browser_cases, one_browser
from tests.explorer.made import ACTIVATED, NAMES, Made


def inside(place: tuple[float, float], box: dict[str, float], margin: float = 0) -> bool:
    x, y = place
    return bool(box["x"] - margin <= x <= box["right"] + margin and box["y"] - margin <= y <= box["bottom"] + margin)


def places(explorer: Explorer) -> NDArray[np.float64]:
    """Where on the screen the points are, [N, 2]; NaN for those that aren't shown."""
    count = len(explorer.get("JSON.parse(document.getElementById('facts').textContent).indices"))
    found = explorer.get("n => Array.from({length: n}, (_, i) => explorer.plot.screenOf(i) ?? [null, null])", count)
    return np.array(found, dtype=float)


def test_nothing_covers_what_follows_the_plot(visit: Open) -> None:
    explorer = visit()
    sizes = (1366, 768), (1920, 1080), (1100, 560)
    for size, above in itertools.product(sizes, ("0", "innerHeight + 200")):
        explorer.resize(*size)
        explorer.get(f"void scrollTo(0, document.body.scrollHeight - {above})")
        covered = explorer.get(
            """[...document.querySelectorAll('.training h2, #curve, .training dd')].filter(e => {
              const b = e.getBoundingClientRect(), [x, y] = [b.x + b.width / 2, b.y + b.height / 2];
              if (y < 0 || y > innerHeight) return false;
              const top = document.elementFromPoint(x, y);
              return !e.contains(top);
            }).map(e => e.textContent.slice(0, 30))"""
        )
        assert covered == [], size


def test_one_finger_turns_and_two_zoom_and_move(visit: Open) -> None:
    explorer = visit(width=390, height=844, touch=True)
    explorer.show("#plot")
    x, y = explorer.middle("#plot")
    scrolled = explorer.get("scrollY")
    explorer.tab.fingers([(x, y), (x + 20, y), (x + 60, y + 50)])
    turned = explorer.state("view")
    assert turned is not None
    assert turned[2] == 1, "a turn is no zoom"
    # Firefox rounds a fraction of a pixel when it is touched
    assert abs(explorer.get("scrollY") - scrolled) <= 1, "a finger on the plot doesn't scroll the page"
    before = explorer.screen_of(0)
    explorer.tab.fingers([(x - 40, y), (x - 60, y), (x - 80, y)], [(x + 40, y), (x + 60, y), (x + 80, y)])
    zoomed = explorer.state("view")
    assert zoomed[2] == pytest.approx(2, rel=0.1)
    assert zoomed[:2] == turned[:2], "two fingers don't turn"
    explorer.tab.fingers(
        [(x - 40, y), (x - 40, y + 15), (x - 40, y + 50)], [(x + 40, y), (x + 40, y + 15), (x + 40, y + 50)]
    )
    moved = explorer.state("view")
    assert moved[2] == pytest.approx(zoomed[2], rel=0.01)
    assert moved[3:] != zoomed[3:]
    assert explorer.screen_of(0) != before
    explorer.settle()
    again = visit(fragment=explorer.get("location.hash"), width=390, height=844, touch=True)
    np.testing.assert_allclose(again.state("view"), moved, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        np.array(again.screen_of(0)) - again.middle("#plot"),
        np.array(explorer.screen_of(0)) - explorer.middle("#plot"),
        atol=0.5,
    )


def test_a_swipe_beside_the_plot_scrolls(visit: Open) -> None:
    explorer = visit(width=390, height=844, touch=True)
    wanted = "selector => getComputedStyle(document.querySelector(selector)).touchAction"
    assert explorer.get(wanted, "#plot") == "none"
    for selector in ("body", "main", ".space", "#legend", ".panels"):
        assert explorer.get(wanted, selector) == "auto"
    if explorer.name == "firefox":
        return  # whose synthetic fingers don't scroll
    explorer.show("#legend")
    before = explorer.get("scrollY")
    x, y = explorer.middle("#legend")
    explorer.tab.fingers([(x, y - 20 * step) for step in range(10)])
    explorer.wait("before => scrollY > before + 50", before)


def test_axis_titles_and_ticks_are_in_view(visit: Open) -> None:
    explorer = visit()
    for width in (1440, 390, 320):
        explorer.resize(width, 844)
        box = explorer.box("#plot")
        texts = explorer.get("explorer.plot.texts()")
        for text in texts:
            assert 0 <= text["left"] < text["right"] <= box["width"], text
            assert 0 <= text["top"] < text["bottom"] <= box["height"], text
        for one, other in itertools.combinations(texts, 2):
            apart = (
                one["right"] <= other["left"]
                or other["right"] <= one["left"]
                or one["bottom"] <= other["top"] + 1
                or other["bottom"] <= one["top"] + 1
            )
            assert apart, (width, one, other)
        said = [text["text"] for text in texts]
        assert {"z1", "z2", "z3"} <= set(said)
        assert len(said) >= 3 + 6, "two ticks an axis, at least"


@pytest.fixture
def timed(visit: Open) -> Iterator[Explorer]:
    """The page with timers that the test ends."""
    explorer = visit()
    explorer.get(HOLD)
    yield explorer
    explorer.get("letGo()")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("#steps button:nth-child(2)", "explorer.state.step === 0.125"),
        ("#neighbors button:nth-child(1)", "explorer.state.point !== 0"),
        ("#decode-point", "true"),
        ("#play-epochs", "document.querySelector('#play-epochs').ariaPressed === 'true'"),
        ("#set-to", "explorer.state.to === 0"),
    ],
)
@one_browser
def test_what_is_pressed_takes_over_from_the_interpolation(
    timed: Explorer, run: Made, selector: str, expected: str
) -> None:
    explorer = timed
    explorer.click("#play-steps")
    explorer.get("later()")
    assert explorer.state("step") != 0.5
    explorer.click(selector)
    assert explorer.get("document.querySelector('#play-steps').ariaPressed") == "false"
    assert explorer.get(expected)
    step, latent = explorer.state("step"), explorer.state("latent")
    explorer.get("later()")
    explorer.get("later()")
    assert explorer.state("step") == step
    if selector == "#decode-point":
        np.testing.assert_allclose(latent, run.encode()[0], atol=0.02)
    if selector != "#play-epochs":
        assert explorer.state("latent") == latent


@one_browser
def test_a_slider_takes_over_from_what_plays(timed: Explorer) -> None:
    explorer = timed
    explorer.click("#play-steps")
    explorer.get("later()")
    assert explorer.state("step") != 0.5
    explorer.get("void z2.focus()")
    explorer.tab.press("ArrowRight")
    latent = explorer.state("latent")
    explorer.get("later()")
    explorer.get("later()")
    assert explorer.state("latent") == latent
    explorer.click("#play-epochs")
    explorer.click("#play-steps")
    assert explorer.get("document.querySelector('#play-epochs').ariaPressed") == "false"


@one_browser
def test_with_less_motion_the_interpolation_plays_in_few_steps(timed: Explorer) -> None:
    explorer = timed
    explorer.click("#play-steps")
    seen = []
    for _ in range(4):
        seen.append(explorer.state("step"))
        explorer.frame()
        assert explorer.state("step") == seen[-1], "no frame moves it"
        assert explorer.get("Math.max(...[...held.values()].map(([_, ms]) => ms))") > 500, "two steps a second, at most"
        explorer.get("later()")
    assert len(set(seen)) == 4
    assert all((8 * step).is_integer() for step in seen)


MARK = """point => {
  const [x, y] = explorer.plot.screenOf(point), canvas = document.querySelector('#plot canvas');
  const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
  const at = [Math.round((x - box.x) * ratio) - 12, Math.round((y - box.y) * ratio) - 12];
  return Array.from(canvas.getContext('2d').getImageData(...at, 25, 25).data);
}"""


def mark(explorer: Explorer, point: int) -> NDArray[np.float64]:
    """By how much the point changes each pixel round it, [25, 25]: 0 to 255, the largest of its channels.

    Its class is hidden then.
    """
    with_it = np.array(explorer.get(MARK, point), dtype=float).reshape(25, 25, 4)
    explorer.get("point => void (explorer.where = explorer.plot.screenOf(point))", point)
    hidden = explorer.get("p => JSON.parse(document.getElementById('facts').textContent).labels[p]", point)
    script = MARK.replace("explorer.plot.screenOf(point)", "explorer.where")
    explorer.set(f"{{hidden: new Set([...explorer.state.hidden, {hidden}])}}")
    without = np.array(explorer.get(script, point), dtype=float).reshape(25, 25, 4)
    changed: NDArray[np.float64] = np.abs(with_it - without).max(axis=2)
    return changed


@one_browser
def test_markers_shrink_and_fade_as_their_number_grows(visit: Open, made: Callable[..., Made]) -> None:
    few, many = visit(), visit(made(count=4000, epochs=1))
    sizes, strengths = [], []
    for explorer in (few, many):
        point = explorer.lonely()
        changed = mark(explorer, point)
        sizes.append((changed > 20).sum())
        strengths.append(changed.max())
    assert sizes[1] < 0.5 * sizes[0]
    assert strengths[1] < 0.9 * strengths[0]


def test_what_is_chosen_lies_on_top(visit: Open, run: Made) -> None:
    explorer = visit()
    for point in (0, 33, 150):
        explorer.set(f"{{point: {point}}}")
        x, y = explorer.screen_of(point)
        opaque = explorer.get(
            """([x, y]) => {
              const all = [...document.querySelectorAll('#plot canvas')], canvas = all.at(-1);
              const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
              const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
              const at = (px, py) => [px - box.x, py - box.y].map(v => Math.round(v * ratio));
              const alpha = (px, py) => (([c, r]) => d.data[4 * (r * canvas.width + c) + 3])(at(px, py));
              let around = 0;
              for (let k = 0; k < 36; k++) {
                const [dx, dy] = [Math.cos(k / 18 * Math.PI), Math.sin(k / 18 * Math.PI)];
                if ([6, 7, 8, 9, 10, 11, 12].some(r => alpha(x + r * dx, y + r * dy) > 200)) around++;
              }
              return [around, document.elementFromPoint(x, y) === canvas];
            }""",
            [x, y],
        )
        assert opaque == [36, True]


@one_browser
def test_shapes_tell_ten_classes_apart_and_have_one_area(visit: Open) -> None:
    explorer = visit()
    masks = np.array(
        explorer.get(
            """[...document.querySelectorAll('#legend .chip path')].map(path => {
              const context = Object.assign(document.createElement('canvas'), {width: 64, height: 64}).getContext('2d');
              context.scale(4, 4);
              context.fill(new Path2D(path.getAttribute('d')));
              return Array.from(context.getImageData(0, 0, 64, 64).data.filter((_, i) => i % 4 === 3));
            })"""
        )
    )
    filled = masks > 127
    areas = filled.sum(axis=1)
    assert len(areas) == 10
    assert areas.max() < 1.15 * areas.min()
    for one, other in itertools.combinations(filled, 2):
        assert (one ^ other).sum() > 0.15 * areas.min()


def test_markers_of_two_classes_differ_in_shape_on_plot_and_pad(visit: Open, run: Made) -> None:
    explorer = visit()
    low, high = np.array(explorer.get("['z1', 'z2'].map(id => [+window[id].min, +window[id].max])")).T
    shares = (run.encode()[:, :2] - low) / (high - low)
    marks: dict[str, list[NDArray[np.bool_]]] = {"plot": [], "pad": []}
    for label in range(10):
        others = [other for other in range(10) if other != label]
        explorer.set(f"{{hidden: new Set({others})}}")
        point = explorer.lonely()
        members = np.flatnonzero(run.labels == label)
        gaps = np.linalg.norm(shares[members, None] - shares[None, members], axis=-1) + np.eye(len(members))
        x, y = shares[members[gaps.min(axis=1).argmax()]]
        pixels = explorer.get(
            """([x, y]) => {
              const side = window['xy-slider'].width, at = [Math.floor(x * side) - 6, Math.floor((1 - y) * side) - 6];
              return Array.from(window['xy-slider'].getContext('2d').getImageData(...at, 13, 13).data);
            }""",
            [x, y],
        )
        pixel = np.array(pixels, dtype=float).reshape(13, 13, 4)[..., :3]
        marks["pad"].append(np.abs(pixel - pixel[0, 0]).max(axis=2) > 60)
        marks["plot"].append(mark(explorer, point) > 60)
    for masks in marks.values():
        for one, other in itertools.combinations(masks, 2):
            assert (one ^ other).sum() >= 4, "more than their color tells them apart"


@browser_cases("latent_size", both=[(3,)], one=[(2,), (5,)])
def test_the_first_view_holds_the_points_and_is_full_of_them(
    visit: Open, made: Callable[..., Made], latent_size: int
) -> None:
    explorer = visit(made(latent_size=latent_size, activation=ACTIVATED[latent_size]))
    for size in (1440, 900), (1024, 768), (390, 844):
        explorer.resize(*size)
        explorer.show("#plot")
        x, y = explorer.middle("#plot")
        explorer.drag((x, y), (x + 20, y + 20), (x + 90, y + 40))
        explorer.click("#reset-view")
        for epoch in (3, 0):
            explorer.set(f"{{epoch: {epoch}}}")
            box = explorer.box("#plot")
            on_screen = places(explorer)
            assert all(inside(place, box, -10) for place in on_screen), "with their markers"
            filled = np.prod(np.ptp(on_screen, axis=0)) / (box["width"] * box["height"])
            # A flat plot has a frame, and five dimensions are drawn in true proportions.
            assert epoch == 0 or filled > {3: 0.55, 2: 0.5, 5: 0.3}[latent_size], size


@one_browser
def test_up_stays_up(visit: Open) -> None:
    explorer = visit()
    x, y = explorer.middle("#plot")
    random = np.random.default_rng(2)
    for _ in range(6):
        explorer.drag((x, y), *[(x + dx, y + dy) for dx, dy in random.uniform(-220, 220, (4, 2))])
        azimuth, elevation, *_ = explorer.state("view")
        right, up = explorer.get("(l => [l.right[2], l.up[2]])(explorer.plot.projection())")
        assert abs(right) < 1e-9, "z leads neither left nor right"
        assert up > 0, "and never down"
        assert abs(elevation) < np.pi / 2
        assert np.isfinite(azimuth)


def test_a_drag_follows_the_hand(visit: Open) -> None:
    explorer = visit()
    x, y = explorer.middle("#plot")
    explorer.set("{view: [0.9, 0.3, 1, 0, 0, 0]}")
    explorer.drag((x, y), (x + 30, y), (x + 100, y))
    assert explorer.state("view")[0] < 0.9
    explorer.drag((x, y), (x, y + 30), (x, y + 60))
    assert explorer.state("view")[1] > 0.3
    before = explorer.screen_of(0)
    explorer.drag((x, y), (x + 30, y + 20), (x + 60, y + 40), button="right")
    assert np.subtract(explorer.screen_of(0), before) == pytest.approx((60, 40), abs=12)
    view = explorer.state("view")
    for key in "tn[":  # none of which may turn the plot back
        explorer.tab.press(key)
    assert explorer.state("view") == view


def test_zoom_aims_at_the_cursor_and_at_the_chosen_point(visit: Open) -> None:
    explorer = visit()
    point = explorer.lonely()
    before = places(explorer)
    explorer.tab.move(*before[point])
    for _ in range(4):
        explorer.tab.wheel(-240)
    after = places(explorer)
    grown = np.linalg.norm(after - after[point], axis=1) / np.maximum(np.linalg.norm(before - before[point], axis=1), 1)
    assert np.median(grown) > 2
    # The mouse stands on whole pixels: what it is off the point grows as well.
    np.testing.assert_allclose(after[point], before[point], atol=0.71 * np.median(grown) + 0.5)
    explorer.click("#reset-view")
    explorer.set("{point: 77}")
    before = places(explorer)
    for _ in range(3):
        explorer.tab.press("+")
    after = places(explorer)
    np.testing.assert_allclose(after[77], before[77], atol=2)
    assert np.linalg.norm(after[5] - after[77]) > 1.5 * np.linalg.norm(before[5] - before[77])


@one_browser
def test_principal_components_are_drawn_in_true_proportions_which_are_a_choice(
    visit: Open, made: Callable[..., Made]
) -> None:
    run = made(latent_size=5)
    explorer = visit(run)
    spans = explorer.get("explorer.plot.projection().axes.map(a => a.range[1] - a.range[0])")

    def drawn() -> NDArray[np.float64]:
        """How long a unit of each axis is drawn, across the plane of the screen and into it."""
        rows = explorer.get("(l => [l.right, l.up, l.toward].map(r => r.slice(0, 3)))(explorer.plot.projection())")
        return np.asarray(np.linalg.norm(np.array(rows), axis=0))

    assert max(spans) > 1.5 * min(spans)
    np.testing.assert_allclose(drawn(), np.full(3, drawn()[0]), rtol=1e-6)
    explorer.click("#proportions")
    explorer.settle()
    *floor, high = (drawn() * spans).tolist()
    assert max(floor) == pytest.approx(2 * min(floor)), "a side across, and one that leads away"
    assert 0.3 * max(floor) <= high <= 1.3 * max(floor)
    assert "proportions=0" in explorer.get("location.hash")
    assert all(inside((x, y), explorer.box("#plot")) for x, y in places(explorer))


@one_browser
def test_any_three_dimensions_can_be_on_the_axes(visit: Open, made: Callable[..., Made]) -> None:
    run = made(latent_size=5)
    explorer = visit(run)
    for number, name in enumerate(("z5", "z2", "pc1"), start=1):
        explorer.get(
            "([id, value]) => { const s = document.getElementById(id); s.value = value;"
            "s.dispatchEvent(new Event('change')); }",
            [f"axis-{number}", name],
        )
    explorer.settle()
    latents = run.encode()
    found = np.array(explorer.get("n => Array.from({length: n}, (_, i) => explorer.plot.placeOf(i))", len(latents)))
    np.testing.assert_allclose(found[:, :2], latents[:, [4, 1]], atol=1e-4)
    titles = explorer.get("explorer.plot.texts().map(t => t.text)")
    assert {"z5", "z2"} <= set(titles)
    assert any(title.startswith("PC1") for title in titles)
    again = visit(run, fragment=explorer.get("location.hash"))
    assert again.state("axes") == ["z5", "z2", "pc1"]


def test_nothing_in_the_legend_covers_anything(visit: Open) -> None:
    explorer = visit()
    for width in (1440, 1024, 390, 320):
        explorer.resize(width, 844)
        explorer.show("#legend")
        explorer.tab.move(*explorer.middle("#legend .class:nth-child(2)"))
        boxes = explorer.get(
            "[...document.querySelectorAll('#legend button')].filter(e => e.checkVisibility({opacityProperty: true}))"
            ".map(e => [e.getBoundingClientRect(), e.textContent])"
            ".map(([b, text]) => [b.left, b.top, b.right, b.bottom, text])"
        )
        assert len(boxes) >= 20
        for (left, top, right, bottom, one), (left_, top_, right_, bottom_, other) in itertools.combinations(boxes, 2):
            beside = right <= left_ + 0.5 or right_ <= left + 0.5
            assert beside or bottom <= top_ + 0.5 or bottom_ <= top + 0.5, (width, one, other)


@one_browser
def test_a_hidden_class_has_no_ring_lines_or_neighbors(visit: Open, run: Made) -> None:
    explorer = visit()
    empty = (
        "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.every(v => v === 0))"
        "(document.querySelectorAll('#plot canvas')[1])"
    )
    assert not explorer.get(empty)
    explorer.set("{from: 0, to: 1}")
    others = sorted(set(range(10)) - {int(run.labels[0])})
    explorer.set(f"{{hidden: new Set([{run.labels[0]}])}}")
    marked = explorer.get("explorer.marked")
    assert marked["chosen"] is None
    assert marked["neighbors"] is None
    assert marked["line"] is None
    assert marked["cursor"] is not None
    explorer.set(f"{{hidden: new Set({others})}}")
    shown = explorer.get("[...document.querySelectorAll('#neighbors button')].map(b => +b.dataset.point)")
    assert shown
    assert {int(run.labels[point]) for point in shown} == {int(run.labels[0])}
    latents = run.encode()
    members = np.flatnonzero(run.labels == run.labels[0])
    nearest = members[np.argsort(np.linalg.norm(latents[members] - latents[0], axis=1), kind="stable")][1:7]
    assert shown == nearest.tolist()
    assert len(explorer.get("explorer.marked")["neighbors"]) == len(shown)


def test_a_press_chooses_what_is_under_it_after_a_fast_move(visit: Open) -> None:
    explorer = visit()
    first = explorer.lonely()
    explorer.tab.move(*explorer.screen_of(first))
    explorer.wait("!document.getElementById('hover').hidden")
    label = explorer.get("p => JSON.parse(document.getElementById('facts').textContent).labels[p]", first)
    explorer.get("label => void (explorer.set({hidden: new Set([label])}))", label)
    second = explorer.lonely()
    explorer.set("{hidden: new Set()}")
    place = explorer.screen_of(second)
    explorer.tab.move(*explorer.screen_of(first))
    explorer.press_at(*place)
    chosen = explorer.state("point")
    assert np.hypot(*np.subtract(explorer.screen_of(chosen), place)) < 6


def test_a_press_after_a_turn_means_what_is_there_now(visit: Open) -> None:
    explorer = visit()
    x, y = explorer.middle("#plot")
    explorer.drag((x, y), (x + 40, y), (x + 140, y + 30))
    point = explorer.lonely()
    explorer.press_at(*explorer.screen_of(point))
    assert explorer.state("point") == point


@one_browser
def test_one_dimension_has_a_lane_for_each_class(visit: Open, made: Callable[..., Made]) -> None:
    run = made(latent_size=1)
    explorer = visit(run)
    on_screen = places(explorer)
    heights = np.array([on_screen[run.labels == label, 1].mean() for label in range(10)])
    for label in range(10):
        assert np.ptp(on_screen[run.labels == label, 1]) < 0.5
    gaps = -np.diff(heights)
    assert gaps.min() > 12, "from below, as `plot` draws them"
    np.testing.assert_allclose(gaps, gaps.mean(), atol=1)
    texts = {text["text"]: (text["top"] + text["bottom"]) / 2 for text in explorer.get("explorer.plot.texts()")}
    top = explorer.box("#plot")["y"]
    for name, height in zip(NAMES, heights, strict=True):
        assert texts[name] + top == pytest.approx(height, abs=2)
    latents = run.encode()[:, 0]
    order = np.argsort(latents)
    assert (np.diff(on_screen[order, 0]) > -1e-3).all()
    # The sliders' cursor crosses all lanes.
    explorer.set(f"{{latent: [{latents[7]}], hidden: new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])}}")
    columns = explorer.get(
        """() => {
          const canvas = document.querySelectorAll('#plot canvas')[1], box = canvas.getBoundingClientRect();
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const filled = Array(canvas.width).fill(0);
          for (let i = 3; i < data.length; i += 4) if (data[i] > 200) filled[((i - 3) / 4) % canvas.width]++;
          return filled.map((n, x) => [n, box.x + x * box.width / canvas.width]).filter(([n]) => n > canvas.height / 2);
        }"""
    )
    assert np.mean([x for _, x in columns]) == pytest.approx(on_screen[7, 0], abs=2)


def test_single_keys_can_be_switched_off(visit: Open) -> None:
    explorer = visit()
    explorer.tab.press("n")
    assert explorer.state("point") == 1
    explorer.click("#show-keys")
    explorer.click("#shortcuts")
    explorer.click("#close-keys")
    for key in ("n", "e", "1", "t", "d", "]", "?"):
        explorer.tab.press(key)
    assert explorer.state("point") == 1
    assert explorer.state("hidden") == []
    assert explorer.state("theme") == "auto"
    assert not explorer.get("document.getElementById('keys').open")
    explorer.get("void document.getElementById('plot').focus()")
    explorer.tab.press("ArrowLeft")
    assert explorer.state("view") is not None, "keys of what has the focus are no shortcuts"
    explorer.settle()
    again = visit(fragment=explorer.get("location.hash"))
    again.tab.press("n")
    assert again.state("point") == 1


@one_browser
def test_ten_thousand_points_and_a_cloud_are_drawn(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(count=4000, epochs=1))
    explorer.get(
        """void explorer.plot.setCloud({
          latents: Float32Array.from({length: 180000}, (_, i) => explorer.plot.placeOf(i % 4000)[i % 3]),
          labels: Uint16Array.from({length: 60000}, (_, i) => i % 10),
        })"""
    )
    explorer.settle()
    assert explorer.get("explorer.plot.cloudAt(...explorer.plot.screenOf(3), 400) !== null")
    x, y = explorer.middle("#plot")
    explorer.drag((x, y), (x + 40, y), (x + 140, y + 30))
    explorer.settle()
    assert explorer.state("view") is not None
