"""The explorer on paper: real PDFs of real browsers."""

import base64
import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.explorer.browsers import CHROMIUM, ChromiumTab, Explorer, FirefoxTab, need
from tests.explorer.fixtures import Open, one_browser
from tests.explorer.made import NAMES, Made

# CI has it.
pytestmark = pytest.mark.skipif(
    not shutil.which("pdftoppm") and not os.environ.get("CI"), reason="no pdftoppm found: install poppler-utils"
)


def printed(explorer: Explorer) -> bytes:
    """The page as a PDF on A4, without background graphics."""
    tab = explorer.tab
    if isinstance(tab, ChromiumTab):
        return bytes(tab.page.pdf(format="A4"))
    assert isinstance(tab, FirefoxTab)
    page = {"width": 21.0, "height": 29.7}
    return base64.b64decode(
        tab.bidi.send("browsingContext.print", context=tab.context, background=False, page=page)["data"]
    )


def first_page(pdf: bytes, folder: Path) -> np.ndarray:
    """As RGB, 60 dots an inch."""
    (folder / "page.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", "60", "-png", "-singlefile", "page.pdf", "page"], cwd=folder, check=True)
    return np.array(Image.open(folder / "page.png").convert("RGB"))


def words(folder: Path) -> list[str]:
    """What is written on each page, as text that can be searched and copied."""
    text = subprocess.run(
        ["pdftotext", "-layout", "page.pdf", "-"], cwd=folder, check=True, capture_output=True, text=True
    )
    return text.stdout.split("\f")[:-1]


@dataclass
class Word:
    """A word on paper, in points from the page's left and top."""

    text: str
    page: int
    left: float
    top: float
    right: float
    bottom: float


def placed(folder: Path) -> list[Word]:
    subprocess.run(["pdftotext", "-bbox", "page.pdf", "page.xml"], cwd=folder, check=True)
    return [
        Word(match[5], number, *(float(match[i]) for i in range(1, 5)))
        for number, page in enumerate((folder / "page.xml").read_text().split("<page ")[1:])
        for match in re.finditer(r'xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)<', page)
    ]


def below(words: list[Word], heading: str) -> float:
    """How far below a heading, such as "Best reconstructed", the next word of its column is; infinite for none."""
    first, *_ = (
        one
        for i, one in enumerate(words)
        if unicodedata.normalize("NFKC", " ".join(word.text for word in words[i : i + 2])) == heading
    )
    return min(
        (
            word.top - first.bottom
            for word in words
            if word.page == first.page and word.top > first.bottom and -10 < word.left - first.left < 60
        ),
        default=np.inf,
    )


def listed(text: str) -> int:
    """How many points the grid has."""
    return len(re.findall(r"\d\s%", text.split("All points")[1].partition("Loss")[0]))


def colorful(page: np.ndarray, least: int = 60) -> int:
    return int((np.ptp(page.astype(int), axis=2) > least).sum())


def test_the_plot_is_on_the_first_page_and_nothing_is_cut(visit: Open, run: Made, tmp_path: Path) -> None:
    """Also of a dark page."""
    explorer = visit(fragment="#theme=dark")
    pdf = printed(explorer)
    assert len(pdf) < 2_000_000
    plot = first_page(pdf, tmp_path)[60:400]
    said = words(tmp_path)
    assert len(said) <= 5
    assert "Latent space" in said[0]
    assert colorful(plot) > 300, "markers"
    assert np.mean(plot > 200) > 0.8, "on light paper"
    everything = "\n".join(said)
    for heading in (
        "Chosen point",
        "What it mixes up",
        "Decode anywhere",
        "Interpolate",
        "All points",
        "Loss",
        "Evaluation",
        "Params",
    ):
        assert heading in everything
    assert all(everything.count(name) >= 2 for name in NAMES), "in the legend, and whole in the table"
    curve = next(sheet for sheet in said if re.search(r"^\s*Loss", sheet, re.MULTILINE))
    assert re.search(r"\bepoch\b", curve), "the whole curve with its title on one page"
    if explorer.name == "chromium":
        assert {"z1", "z2", "z3"} <= set(said[0].split()), "the plot's text is text"
        assert explorer.get("explorer.state.printing") is False
    explorer.frame()
    explorer.settle()
    width = explorer.get("devicePixelRatio") * explorer.box("#plot")["width"]
    assert explorer.get("document.querySelector('#plot canvas').width") == pytest.approx(width, abs=1), "as before"
    assert all(name in said[0] for name in NAMES[:3])
    assert listed(everything) == 200, "every point, with what it loses"
    found = placed(tmp_path)
    for heading in ("Nearest in", "Worst reconstructed,", "Best reconstructed", "All points"):
        assert below(found, heading) < 130, f"{heading} stands above its pictures"
    (axis,) = (word for word in found if word.text == "epoch" and word.page == found[-1].page)
    assert axis.bottom - axis.top > 7, "the curve's text is large enough to read"
    assert "…" not in everything, "names are whole"
    assert "200 of 200 points" in everything


@pytest.mark.parametrize(("count", "cloud"), [(4000, False), (200, True)])
@one_browser
def test_many_points_and_a_cloud_make_no_heavy_pdf(
    visit: Open, made: Callable[..., Made], tmp_path: Path, count: int, cloud: bool
) -> None:
    run = made(count=4000, epochs=1) if count == 4000 else made(cloud=True, latent_size=3)
    explorer = visit(run)
    if count == 200:
        explorer.set("{selected: [3, 4, 5, 90, 171]}")
    pdf = printed(explorer)
    assert len(pdf) < 8_000_000  # 1,000 pairs of noise; pictures take less
    assert colorful(first_page(pdf, tmp_path)[60:400]) > 300
    everything = "\n".join(words(tmp_path))
    assert listed(everything) == (1000 if count == 4000 else 5), "a selection is one view of the grid"
    said = re.findall(r"[\d,]+ of [\d,]+ points.{0,40}", unicodedata.normalize("NFKC", " ".join(everything.split())))
    assert any("first 1,000 on paper" in text for text in said) == (count == 4000), said
    if cloud:
        explorer.set("{isolated: true}")
        with_cloud = colorful(first_page(printed(explorer), tmp_path)[60:400], 15)
        explorer.set("{cloud: false}")
        without = colorful(first_page(printed(explorer), tmp_path)[60:400], 15)
        assert with_cloud > without + 200


def test_the_command_line_prints_it_too(run: Made, tmp_path: Path) -> None:
    """Of Chromium: Firefox's has no such option."""
    need("chromium")
    assert CHROMIUM
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    target = tmp_path / "line.pdf"
    subprocess.run(
        [*command, f"--print-to-pdf={target}", run.page.as_uri()], check=True, capture_output=True, timeout=120
    )
    sheet = first_page(target.read_bytes(), tmp_path)
    assert colorful(sheet[60:400]) > 300
    ground = (np.abs(sheet.astype(int) - (245, 244, 241)) < 3).all(axis=2)
    assert ground.mean() < 0.01, "no ground of the page, though the command line prints backgrounds"
    everything = "\n".join(words(tmp_path))
    assert "lies among" in everything, "what it mixes up"
    assert listed(everything) == 200
