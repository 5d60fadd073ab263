"""The explorer at first sight, with names of any length and axes of any numbers."""

import csv
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import yaml

from tests.explorer.fixtures import Open, browser_cases, one_browser, text
from tests.explorer.made import ACTIVATED, NAMES, SECTION, Made, make
from tests.project import ROOT, Project

LONG = tuple(f"{'Donaudampfschifffahrtsgesellschaft' * 2}"[: 33 + 4 * k] + str(k) for k in range(10))


@one_browser
def test_it_says_what_the_points_are_and_has_three_ways_in(visit: Open, run: Made) -> None:
    explorer = visit()
    lead = text(explorer, "#lead")
    assert "Each point is a picture, squeezed to 3 numbers and drawn again from them" in lead
    _, *rows = csv.reader((run.root / "data/evaluate/scores.csv").read_text().splitlines())
    ours, mean_image = (float(row[2]) for row in rows)
    assert f"It keeps {round(100 * (1 - ours / mean_image))} % of what sets the test images apart" in lead
    key = text(explorer, "#key")
    assert "chosen point" in key
    assert "sliders decode" in key
    assert explorer.get("explorer.marked.line") is None, "no line until one is asked for"
    explorer.wait("!document.getElementById('way-pair').hidden")
    said = text(explorer, "#way-pair")
    one, other = (name for name in NAMES if name in said)
    explorer.click("#way-pair")
    explorer.settle()
    classes = {NAMES[run.labels[point]] for point in explorer.state("selected")}
    assert classes == {one, other}
    explorer.click("#way-worst")
    worst = explorer.get("+document.querySelector('#worst button').dataset.point")
    assert explorer.state("point") == worst
    explorer.click("#way-own")
    box = explorer.box("#upload-card")
    assert box["y"] < explorer.get("innerHeight"), "in view"
    explorer.click("#set-to")
    explorer.settle()
    assert explorer.get("explorer.marked.line") is not None
    explorer.click("#show-line")
    explorer.settle()
    assert explorer.get("explorer.marked.line") is None


def test_on_a_phone_the_plot_is_in_the_first_screen_and_stays_in_sight(visit: Open) -> None:
    explorer = visit(width=390, height=844, touch=True)
    plot = explorer.box("#plot")
    assert plot["y"] < 320
    assert plot["bottom"] < 844
    point = explorer.lonely()
    x, y = explorer.screen_of(point)
    explorer.tab.fingers([(x, y), (x, y)])
    explorer.wait("!document.getElementById('hover').hidden")
    card = explorer.box("#hover")
    assert explorer.state("point") == point
    assert card["y"] > plot["bottom"] - 0.25 * plot["height"], "the plot is left in sight"
    assert card["bottom"] <= 844
    assert card["x"] >= 0
    assert card["right"] <= 390


def test_long_names_stay_in_their_cards(visit: Open, made: Callable[..., Made]) -> None:
    run = made(names=list(LONG), files="a_folder_with_a_long_name/IMG_20240101_{:09}_edited_final.jpg", epochs=2)
    explorer = visit(run)
    explorer.wait("document.querySelectorAll('#errors-rows tr').length === 10")
    explorer.set("{selected: [1, 2, 3], color: 'lost'}")
    for width in (1440, 390, 320):
        explorer.resize(width, 844)
        assert explorer.get("document.documentElement.scrollWidth") <= width
        out = explorer.get(
            """[...document.querySelectorAll('.card *, .top *')].filter(e => e.checkVisibility() && !e.closest('svg'))
              .filter(e => { const b = e.getBoundingClientRect(); return b.right > innerWidth + 1 && b.width > 0; })
              .map(e => e.outerHTML.slice(0, 80))"""
        )
        assert out == [], width
        over = explorer.get(
            """[...document.querySelectorAll('#legend .class')].flatMap((a, i, all) => all.slice(i + 1).filter(b => {
              const [p, q] = [a, b].map(e => e.getBoundingClientRect());
              return p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
            }).map(() => a.textContent))"""
        )
        assert over == [], width


# Words of at most nine letters that are broken into lines.
BROKEN = """(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (!parent.closest('.card, .top') || !parent.checkVisibility()) continue;
    for (const { 0: word, index } of node.data.matchAll(/[^\\s_/-]+/g)) {
      if (word.length > 9) continue;
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const tops = [...range.getClientRects()].map(({ top }) => Math.round(top));
      if (new Set(tops).size > 1) found.push(word);
    }
  }
  return found;
})()"""


CUT = """[...document.querySelectorAll('.chip span')].filter(name => name.scrollWidth > name.clientWidth)
  .map(name => name.textContent)"""


def test_short_words_and_numbers_are_not_broken_on_a_phone(visit: Open, made: Callable[..., Made]) -> None:
    names = ["Verkehrsschilder_und_Hinweise", "fruit_and_vegetables", *NAMES[2:]]
    explorer = visit(made(names=names, epochs=2, hidden=(16,), latent_size=2))
    for width in (1440, 390, 320):
        explorer.resize(width, 844)
        assert explorer.get(BROKEN) == [], width
        assert explorer.box("#epoch")["width"] > 100, "room to choose an epoch"
        assert not set(NAMES[2:]) & set(explorer.get(CUT)), f"names in the legend at {width}"
        table = explorer.box(".confusions")
        out = explorer.get(
            "right => [...document.querySelectorAll('.confusions td:last-child')].filter(cell => {"
            "const range = document.createRange(); range.selectNodeContents(cell);"
            "return range.getBoundingClientRect().right > right + 1; }).length",
            table["right"],
        )
        assert out == 0, f"no error is cut at {width}"


def touching(texts: list[dict[str, float]]) -> list[tuple[object, object]]:
    return [
        (one["text"], other["text"])
        for one, other in itertools.combinations(texts, 2)
        if one["left"] < other["right"]
        and other["left"] < one["right"]
        and one["top"] < other["bottom"] - 1
        and other["top"] < one["bottom"] - 1
    ]


@browser_cases("latent_size", both=[(3,)], one=[(2,), (5,)])
def test_no_title_runs_into_numbers_from_wherever_it_is_seen(
    visit: Open, made: Callable[..., Made], latent_size: int
) -> None:
    explorer = visit(made(latent_size=latent_size, activation=ACTIVATED[latent_size]))
    random = np.random.default_rng(3)
    for width in (1440, 390):
        explorer.resize(width, 844)
        for _ in range(12):
            azimuth, elevation = random.uniform((0, -1.2), (6.28, 1.2)).tolist()
            view = (
                f"[{azimuth}, {elevation}, 1, 0, 0, 0]"
                if latent_size > 2
                else f"[{-azimuth}e4, {azimuth}e4, -1e-4, 1e-4]"
            )
            explorer.set(f"{{view: {view}}}")
            assert touching(explorer.get("explorer.plot.texts()")) == []


@one_browser
def test_many_pictures_are_thinned_and_still_quick(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(count=4000, epochs=1))
    explorer.get(
        """(() => {
          window.drawn = 0;
          window.drawImageBefore = CanvasRenderingContext2D.prototype.drawImage;
          CanvasRenderingContext2D.prototype.drawImage = function (...all) {
            drawn++;
            drawImageBefore.apply(this, all);
          };
        })()"""
    )
    explorer.set("{thumbnails: true}")
    explorer.get("void (window.drawn = 0)")
    explorer.set("{view: null, proportions: true}")
    drawn = explorer.get("window.drawn")
    explorer.get("void (CanvasRenderingContext2D.prototype.drawImage = drawImageBefore)")
    assert 20 < drawn < 1200, "of 4,000"


@one_browser
def test_large_numbers_are_grouped(visit: Open, made: Callable[..., Made]) -> None:
    explorer = visit(made(count=4000, epochs=1))
    assert text(explorer, "#point-count") == "of 4,000"
    assert "A random 4,000 training images" in text(explorer, "#about")


def test_the_cloud_is_the_default_and_too_large_a_one_is_left_out_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert yaml.safe_load((ROOT / "params.yaml").read_text())["explore"]["cloud"] is True
    root = tmp_path_factory.mktemp("cloud") / "run"
    run = make(root, hidden=(16,), epochs=1, count=600, latent_size=400, cloud=True)
    for megabytes, fits in ((8, True), (2, False)):
        params = {"explore": SECTION | {"cloud": True, "megabytes": megabytes}}
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        Project(root).play("explore")
        assert ('id="cloud"' in run.page.read_text()) == fits
        assert ("left out the cloud of 600 training latents" in capsys.readouterr().out) != fits
