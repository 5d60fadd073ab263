"""What can be taken away from the explorer: pictures, films, tables; and what can color it."""

import base64
import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.explorer.browsers import Explorer
from tests.explorer.fixtures import Open, Tabs, one_browser, text
from tests.explorer.made import NAMED, NAMES, WORDS, Made

# What would be saved is kept by its name instead: a headless browser has no place for downloads.
KEEP = """(() => {
  window.kept = {};
  HTMLAnchorElement.prototype.click = function () {
    kept[this.download] = fetchBlob(this.href);
  };
  const made = new Map(), before = URL.createObjectURL;
  URL.createObjectURL = (blob) => { const url = before(blob); made.set(url, blob); return url; };
  window.fetchBlob = (url) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(',')[1]);
    reader.readAsDataURL(made.get(url));
  });
})()"""


def kept(explorer: Explorer, ending: str) -> tuple[str, bytes]:
    """The name and the bytes of the file that was saved last."""
    explorer.wait("ending => Object.keys(kept).some(name => name.endsWith(ending))", ending)
    name, text = explorer.get(
        "async end => { const name = Object.keys(kept).find(n => n.endsWith(end)); return [name, await kept[name]]; }",
        ending,
    )
    return name, base64.b64decode(text)


# A film's width, and what it shows in a browser's own player at some pace: the mean red of 80 x 60 cells.
PLAY = """async ([text, pace]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const video = document.createElement('video');
  Object.assign(video, {muted: true, src: URL.createObjectURL(new Blob([bytes]))});
  document.body.append(video);
  video.playbackRate = pace;
  await video.play();
  const {videoWidth: width, videoHeight: height} = video;
  const context = Object.assign(document.createElement('canvas'), {width, height}).getContext('2d');
  const cells = Uint16Array.from({length: width * height}, (_, i) =>
    80 * Math.floor((60 * Math.floor(i / width)) / height) + Math.floor((80 * (i % width)) / width));
  const numbers = new Float64Array(80 * 60);
  for (const cell of cells) numbers[cell]++;
  const seen = [];
  while (!video.ended && seen.length < 300) {
    context.drawImage(video, 0, 0);
    const pixels = context.getImageData(0, 0, width, height).data;
    const sums = new Float64Array(80 * 60);
    for (let i = 0; i < width * height; i++) sums[cells[i]] += pixels[4 * i];
    seen.push(Array.from(sums, (sum, cell) => Math.round(100 * sum / numbers[cell]) / 100));
    await new Promise((done) => setTimeout(done, 50));
  }
  return [video.videoWidth, ...seen];
}"""


def table_of(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content)))


def choose(explorer: Explorer, selector: str, value: str) -> None:
    explorer.get(
        "([s, v]) => { const e = document.querySelector(s); e.value = v; e.dispatchEvent(new Event('change')); }",
        [selector, value],
    )
    explorer.settle()


def test_the_plot_is_saved_at_twice_the_resolution_with_its_legend(visit: Open) -> None:
    explorer = visit()
    explorer.get(KEEP)
    explorer.set("{hidden: new Set([3])}")
    box = explorer.box("#plot")
    explorer.click("#save-picture")
    name, content = kept(explorer, ".png")
    assert name == "fashion-mnist_latents.png"
    picture = np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    height, width, _ = picture.shape
    ratio = explorer.get("devicePixelRatio")
    assert width == pytest.approx(2 * ratio * box["width"], abs=2)
    assert height > 2 * ratio * box["height"] + 40, "room for the legend"
    colors = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    legend = picture[round(2 * ratio * box["height"]) :]
    for label, color in enumerate(colors):
        rgb = [int(part) for part in color[4:-1].split(",")]
        found = (np.abs(legend - rgb).max(axis=2) < 6).sum()
        assert (found > 100) == (label != 3), NAMES[label]
    explorer.settle()
    assert explorer.get("document.querySelector('#plot canvas').width") == pytest.approx(ratio * box["width"], abs=1)


@one_browser
def test_a_saved_plot_has_the_key_of_its_colors(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run)
    explorer.get(KEEP)
    height = explorer.box("#plot")["height"]
    for color in ("lost", "column:hue", "column:age"):
        explorer.get("void (kept = {})")
        explorer.set(f"{{color: '{color}'}}")
        marks = explorer.get(
            "[...document.querySelectorAll('#color-key .dot, #color-key .ramp')]"
            ".flatMap(mark => getComputedStyle(mark).background.match(/rgb\\(.*?\\)/g))"
        )
        explorer.click("#save-picture")
        picture = np.array(Image.open(io.BytesIO(kept(explorer, ".png")[1])).convert("RGB")).astype(int)
        legend = picture[round(2 * explorer.get("devicePixelRatio") * height) :]
        for mark in marks:
            rgb = [int(part) for part in mark[4:-1].split(",")]
            assert (np.abs(legend - rgb).max(axis=2) < 6).sum() > 20, (color, mark)
    explorer.set("{color: 'lost'}")
    assert text(explorer, "#color-key").count("%") == 2, "a share, as everywhere"


def play(tabs: Tabs, content: bytes, pace: float) -> tuple[int, NDArray[np.float64]]:
    """A film's width, and its frames, [N, 60, 80]."""
    player = Explorer(tabs.open_tab("about:blank", 400, 300), tabs.name)  # the page's own policy plays nothing
    width, *frames = player.get(PLAY, [base64.b64encode(content).decode(), pace])
    player.tab.close()
    return width, np.reshape(frames, (-1, 60, 80))


def film(explorer: Explorer, button: str, name: str) -> bytes:
    """What a press of the button records."""
    before = {key: explorer.state(key) for key in ("epoch", "latent", "step", "line")}
    explorer.click(button)
    explorer.wait("Object.keys(kept).length > 0")
    saved, content = kept(explorer, "")
    assert saved.startswith(f"fashion-mnist_{name}.")
    if saved.endswith(".mp4"):
        assert content[4:8] == b"ftyp"
    else:
        assert saved.endswith(".webm")
        assert content[:4] == b"\x1a\x45\xdf\xa3"
    explorer.settle()
    assert {key: explorer.state(key) for key in before} == before, "the view is as before"
    return content


@one_browser
def test_a_film_of_the_interpolation_is_recorded(visit: Open, tabs: Tabs) -> None:
    """The film of the training is recorded in both browsers."""
    explorer = visit(width=640, height=600)  # fewer pixels to compress
    explorer.get(KEEP)
    explorer.get("void (window.patient = setTimeout, setTimeout = (act, ms) => patient(act, ms / 2))")
    content = film(explorer, "#save-walk", "interpolation")
    explorer.get("void (setTimeout = patient)")
    assert len(content) > 20_000
    width, frames = play(tabs, content, 2)
    assert width > 500
    moved = (np.abs(frames[1:] - frames[0]) > 40).sum(axis=(1, 2))
    assert (moved >= 3).sum() >= 5, "it shows more than its first frame"


def test_a_training_film_goes_from_the_first_epoch_to_the_last_and_holds_it(
    visit: Open, tabs: Tabs, made: Callable[..., Made]
) -> None:
    run = made(**NAMED)  # two epochs: 2.5 s of film
    explorer = visit(run, width=390, height=600)
    explorer.get(KEEP)
    stills = []
    for epoch in (0, 1):
        explorer.get("void (kept = {})")
        explorer.set(f"{{epoch: {epoch}}}")
        explorer.click("#save-picture")
        still = Image.open(io.BytesIO(kept(explorer, ".png")[1])).getchannel(0)
        stills.append(np.array(still.resize((80, 60), Image.Resampling.BOX), dtype=float))
    explorer.get("void (kept = {})")
    content = film(explorer, "#save-training", "training")
    _, frames = play(tabs, content, 2)
    assert len(frames) < 290, "its player came to its end"
    shown = frames[frames.any(axis=(1, 2))]

    def far(frame: np.ndarray, epoch: int) -> float:
        return float(np.abs(frame - stills[epoch]).mean())

    assert 2 * far(shown[0], 0) < far(shown[0], 1)
    assert 2 * far(shown[-1], 1) < far(shown[-1], 0)
    changes = np.abs(np.diff(shown, axis=0)).mean(axis=(1, 2)) > 0.2
    assert changes.sum() >= 3, "from one to the other it moves"
    assert not changes[-2:].any(), "and it ends with a still"


@one_browser
def test_without_a_recorder_a_film_is_a_still(visit: Open) -> None:
    explorer = visit()
    explorer.get(KEEP)
    explorer.get("void (window.before = MediaRecorder, MediaRecorder = undefined)")
    explorer.click("#save-training")
    assert Image.open(io.BytesIO(kept(explorer, ".png")[1])).width > 500
    explorer.get("void (MediaRecorder = before)")


def check_rows(rows: list[dict[str, str]], run: Made, points: list[int]) -> None:
    latents, images = run.encode(), run.images.reshape(len(run.images), -1) / 255
    errors = ((run.decode(latents) - images) ** 2).mean(axis=1)
    assert [int(row["index"]) for row in rows] == run.indices[points].tolist()
    assert [row["class"] for row in rows] == [NAMES[run.labels[point]] for point in points]
    np.testing.assert_allclose([float(row["error"]) for row in rows], errors[points], rtol=1e-3)
    found = [[float(row[f"z{k + 1}"]) for k in range(latents.shape[1])] for row in rows]
    np.testing.assert_allclose(found, latents[points], rtol=1e-5, atol=1e-6)


def test_a_selection_is_taken_away_as_csv(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run)
    explorer.get(KEEP)
    explorer.set("{selected: [4, 9, 77]}")
    explorer.click("#save-selection")
    name, content = kept(explorer, ".csv")
    assert name == "fashion-mnist_points.csv"
    rows = table_of(content.decode())
    assert list(rows[0]) == ["index", "file", "class", "error", "z1", "z2", "hue", "age"]
    check_rows(rows, run, [4, 9, 77])
    assert [row["file"] for row in rows] == [f'cats, "dogs"/IMG_{run.indices[k]}.jpg' for k in (4, 9, 77)]
    assert [row["hue"] for row in rows] == [WORDS[k % 4] for k in (4, 9, 77)]
    explorer.get(
        "void (navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError')),"
        "document.addEventListener('copy', () => { window.copied = document.activeElement.value; }, {once: true}))"
    )
    explorer.click("#copy-selection")
    explorer.wait("window.copied !== undefined")
    assert table_of(explorer.get("copied")) == rows


@one_browser
def test_the_grid_has_all_points_in_any_order(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run)
    explorer.get(KEEP)

    def points(number: int = 60) -> list[int]:
        explorer.show("#grid-card")
        explorer.wait("n => document.querySelectorAll('#grid button').length === n", number)
        listed: list[int] = explorer.get("[...document.querySelectorAll('#grid button')].map(b => +b.dataset.point)")
        return listed

    images = run.images.reshape(200, -1) / 255
    errors = ((run.decode(run.encode()) - images) ** 2).mean(axis=1)
    assert points() == list(range(60))
    for order, expected in (
        ("error", np.argsort(-errors, kind="stable")),
        ("class", np.argsort(run.labels, kind="stable")),
        ("file", np.argsort(run.indices)),
    ):
        choose(explorer, "#grid-order", order)
        explorer.wait("point => +document.querySelector('#grid button')?.dataset.point === point", int(expected[0]))
        assert points() == expected[:60].tolist(), order
    explorer.click("#grid-more")
    assert points(120) == list(range(120))
    explorer.set("{selected: [7, 3, 150], gridOrder: 'index'}")
    assert points(3) == [3, 7, 150]
    explorer.click("#save-grid")
    rows = table_of(kept(explorer, ".csv")[1].decode())
    check_rows(rows, run, [3, 7, 150])
    assert "gridOrder" not in explorer.get("location.hash")
    explorer.get("void document.querySelector('#grid-selected').click()")
    assert len(points()) == 60
    explorer.settle()
    again = visit(run, fragment=explorer.get("location.hash"))
    assert again.state("gridSelected") is False


def color_at(explorer: Explorer, point: int) -> list[int]:
    """The color of a point's marker, with nothing else near."""
    explorer.set(f"{{selected: [{point}], isolated: true}}")
    found: list[int] = explorer.get(
        """point => {
          const [x, y] = explorer.plot.screenOf(point), canvas = document.querySelector('#plot canvas');
          const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
          const at = [(x - box.x) * ratio, (y - box.y) * ratio, 1, 1];
          return [...canvas.getContext('2d').getImageData(...at).data].slice(0, 3);
        }""",
        point,
    )
    return found


@one_browser
def test_points_are_colored_by_a_column(visit: Open, made: Callable[..., Made]) -> None:
    run = made(**NAMED)
    explorer = visit(run, fragment="#theme=light")
    offered = explorer.get("[...document.querySelectorAll('#color option')].map(o => o.textContent)")
    assert offered == ["class", "error", "variance lost", "hue", "age"]

    def key() -> str:
        said: Any = explorer.get("document.querySelector('#color-key').innerText")
        return " ".join(said.split())

    choose(explorer, "#color", "column:hue")
    assert key() == "hue green blue, dark red" or key() == "hue green red blue, dark"
    by_word = {word: color_at(explorer, point) for point, word in enumerate(WORDS)}
    assert len({tuple(color) for color in by_word.values()}) == 3
    assert color_at(explorer, 5) == by_word["green"], "as another point of the word"
    choose(explorer, "#color", "column:age")
    assert key() == "age 1.5 or less 10 or more"
    dark, pale, unknown = (color_at(explorer, point) for point in (3, 0, 2))
    assert sum(dark) < sum(pale) - 100
    assert max(unknown) - min(unknown) < 8, "gray, where nothing is said"
    again = visit(run, fragment=explorer.get("location.hash"))
    assert again.state("color") == "column:age"
    assert again.get("document.querySelector('#color').value") == "column:age"
