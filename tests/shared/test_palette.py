"""A class has one color in every picture and on the page, and another than its neighbors in the latent space."""

from collections.abc import Callable
from contextlib import chdir
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from stages import detect, report
from stages.plot import choose_colormap, choose_palette
from stages.shared.images.dataset import DatasetInfo
from stages.shared.palette import DARK, LIGHT, MAX_COLORS, class_colors, parse, read_colors
from stages.shared.runtime.errors import InputError
from tests.explorer.fixtures import Open
from tests.explorer.made import NAMES, Made
from tests.shared.contrast import contrast, oklab

MANY = [f"kind {number}" for number in range(26)]
CENTERS = np.random.default_rng(0).normal(size=(26, 3))


@pytest.mark.parametrize("names", [NAMES, MANY], ids=len)
def test_a_class_has_one_color_everywhere(visit: Open, made: Callable[..., Made], names: list[str]) -> None:
    run = made() if names is NAMES else made(names=names, epochs=1, hidden=(16,))
    explorer = visit(run, fragment="#theme=light")
    with chdir(run.root):
        expected = read_colors(len(names))["light"]
        palette = choose_palette(names, choose_colormap("classes"))
    assert len(set(expected)) == len(names)
    shown = explorer.get("[...document.querySelectorAll('#legend .swatch')].map(s => getComputedStyle(s).color)")
    assert ["#" + bytes(map(int, text[4:-1].split(","))).hex() for text in shown] == expected
    assert [mpl.colors.to_hex(color) for color in palette] == expected
    axes = report.draw_confusion(DatasetInfo("x", names), np.eye(len(names), dtype=np.int64) * 5, expected).axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [mpl.colors.to_hex(label.get_color()) for label in labels] == expected
    p: Any = SimpleNamespace(normal="one")
    found: list[Any] = [
        SimpleNamespace(
            task=SimpleNamespace(label=label, abnormal=np.arange(4) > 1),
            scores={detect.AUTOENCODER: np.arange(4.0)},
            figures={detect.AUTOENCODER: SimpleNamespace(auroc=label / 100)},
            autoencoder=SimpleNamespace(latent_size=3),
        )
        for label in (2, 7)
    ]
    curves = detect.draw_roc(DatasetInfo("x", names), p, found, expected).axes[0].lines
    by_name = {str(line.get_label()).split("  ")[-1]: line.get_color() for line in curves}
    assert [by_name[names[label]] for label in (2, 7)] == [expected[2], expected[7]]


def test_as_many_classes_as_labels_can_have_repeat_the_colors() -> None:
    """A distance between any two of them would take 34 GB."""
    centers = np.random.default_rng(0).normal(size=(65_535, 3))
    for colors in class_colors(centers).values():
        assert len(colors) == len(centers)
        assert len(set(colors[:MAX_COLORS])) == MAX_COLORS
        assert colors[MAX_COLORS:300] == colors[: 300 - MAX_COLORS]


@pytest.mark.parametrize(("theme", "ten", "ground"), [("light", LIGHT, "#ffffff"), ("dark", DARK, "#1c1f24")])
def test_beyond_ten_near_classes_have_the_colors_that_differ_most(theme: str, ten: list[str], ground: str) -> None:
    colors = class_colors(CENTERS)[theme]
    apart = np.linalg.norm(oklab(parse(colors))[:, None] - oklab(parse(colors)), axis=2)
    between = np.linalg.norm(CENTERS[:, None] - CENTERS, axis=2) + 99 * np.eye(26)
    assert (apart + 9 * np.eye(26)).min() > 0.1, "no two of 26 are alike"
    nearest = apart[np.arange(26), between.argmin(axis=1)]
    assert nearest.min() > 0.13
    assert nearest.mean() > 1.15 * apart[~np.eye(26, dtype=bool)].mean(), "given by nearness"
    assert all(contrast(color, parse([ground])[0]) >= 2.99 for color in parse(colors))
    assert class_colors(CENTERS[:10])[theme] == class_colors(-CENTERS[:3])[theme] == ten


def test_classes_without_images_have_colors_too() -> None:
    centers = np.where(np.arange(26)[:, None] % 5 == 0, np.nan, CENTERS)
    for some in (centers, np.full((26, 3), np.nan), np.zeros((26, 3))):
        assert len(set(class_colors(some)["light"])) == 26


def test_damaged_colors_are_refused(run: Made) -> None:
    with chdir(run.root), pytest.raises(InputError, match=r"colors\.json: damaged: expected a color for each of 12"):
        read_colors(12)
