"""plot: every latent at its place, in its class's color, under its class's name."""

import re
from contextlib import chdir
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from mpl_toolkits.mplot3d.axes3d import Axes3D
from sklearn.decomposition import PCA

from stages.plot import Params, choose_colormap, choose_palette, draw_plot, find_confusable
from stages.shared.latents.table import Latents
from stages.shared.runtime.errors import InputError
from tests.project import Project

CLASSES = [f"class {label}" for label in range(10)]
LOOK = Params(style="labels", colormap="rainbow", elevation=20.0, azimuth=-60.0, width=10.0, height=8.0, dpi=120)


def refusal(colormap: str) -> str:
    with pytest.raises(InputError) as caught:
        choose_colormap(colormap)
    return str(caught.value)


def latents(size: int, count: int = 60) -> Latents:
    random = np.random.default_rng(size)
    values, labels = random.normal(size=(count, size)), np.arange(count) % 10
    return Latents(values, labels, np.arange(count), CLASSES, "synthetic", "train")


def drawn(points: Latents, **changes: Any) -> Any:
    look = LOOK.model_copy(update=changes)
    return draw_plot(points, look, choose_palette(points.classes, choose_colormap(look.colormap))).axes[0]


def marked(axes: Any) -> dict[tuple[float, ...], tuple[Any, str]]:
    """What stands where: the color of a dot, or of a label and its text."""
    (dots,) = axes.collections
    places = np.stack([np.ma.getdata(values) for values in dots._offsets3d], axis=1)
    found = {
        tuple(np.round(at, 9)): (color, "")
        for at, color in zip(places, PathCollection.get_facecolor(dots), strict=True)
    }
    for text in axes.texts:
        color = to_rgba(text.get_bbox_patch().get_facecolor())
        found[tuple(np.round(text.get_position_3d(), 9))] = (color, text.get_text())
    return found


def test_each_point_stands_at_its_latent_in_its_color_and_where_there_is_room_under_its_name() -> None:
    points = latents(3)
    axes = drawn(points)
    assert isinstance(axes, Axes3D)
    rainbow = mpl.colormaps["rainbow"](np.linspace(0, 1, 10))
    found = marked(axes)
    assert len(found) == 60
    assert points.labels is not None
    for value, label in zip(points.values, points.labels, strict=True):
        color, text = found[tuple(np.round(value, 9))]
        assert text in (CLASSES[label], "")
        assert color[:3] == pytest.approx(rainbow[label][:3])
    assert len(axes.texts) > 30


@pytest.mark.parametrize("count", [200, 2000])
@pytest.mark.parametrize("size", [2, 3])
def test_no_label_covers_another(size: int, count: int) -> None:
    axes = drawn(latents(size, count))
    figure = axes.figure
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > 40
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_axes_reach_from_minimum_to_maximum() -> None:
    points = latents(3)
    axes = drawn(points)
    for dimension, limits in enumerate((axes.get_xlim(), axes.get_ylim(), axes.get_zlim())):
        assert limits == pytest.approx((points.values[:, dimension].min(), points.values[:, dimension].max()))


def test_the_nearest_is_drawn_last() -> None:
    axes = drawn(latents(3), elevation=90.0)
    heights = [text.get_position_3d()[2] for text in axes.texts]
    assert heights == sorted(heights)


def test_two_dimensions_are_flat_and_one_a_line() -> None:
    assert not isinstance(drawn(latents(2)), Axes3D)
    line = drawn(latents(1))
    assert [tick.get_text() for tick in line.get_yticklabels()] == CLASSES


def test_more_than_three_are_their_principal_components() -> None:
    points = latents(6)
    axes = drawn(points)
    pca = PCA(3, svd_solver="full").fit(points.values)
    assert axes.get_xlabel() == f"principal component 1 ({pca.explained_variance_ratio_[0]:.0%})"
    places = np.array(list(marked(axes)))
    expected = pca.transform(points.values)
    assert np.allclose(places[np.lexsort(places.T)], expected[np.lexsort(expected.T)])


def test_points_style_and_legend() -> None:
    axes = drawn(latents(3), style="points")
    assert not axes.texts
    assert len(axes.collections[0].get_offsets()) == 60
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == CLASSES


def test_the_title_names_the_data_set() -> None:
    assert "synthetic" in drawn(latents(3)).figure.get_suptitle()


def test_an_unknown_colormap_names_the_near_ones_and_else_some_that_are_there() -> None:
    for name in re.findall(r"such as (.*), got", refusal("foo"))[0].split(", "):
        assert name in mpl.colormaps
    with pytest.raises(InputError, match=r"such as .*rainbow"):
        choose_colormap("rainbwo")


@pytest.mark.parametrize(
    ("colormap", "said"),
    [
        ("rainbow", None),
        ("viridis", None),
        ("tab10", None),
        ("tab10_r", None),
        ("Set2", "class 0 and class 1 have the same color"),
        ("twilight", "class 0 and class 9 have the same color"),
        ("Greys", "class 0 is almost white"),
        ("hot", "class 9 is almost white"),
    ],
)
def test_classes_that_look_alike_are_said(colormap: str, said: str | None) -> None:
    assert find_confusable(latents(3), choose_palette(CLASSES, choose_colormap(colormap))) == said


def test_only_what_is_drawn_counts() -> None:
    """Of Greys, the two classes that would be white have no image here."""
    points = replace(latents(3), labels=np.arange(60) % 8 + 2)
    assert find_confusable(points, choose_palette(CLASSES, choose_colormap("Greys"))) is None


def test_images_without_classes_are_not_white_either() -> None:
    points = replace(latents(3), labels=None, classes=[])
    for colormap, said in (("rainbow", None), ("Greys", "the images are almost white")):
        assert find_confusable(points, choose_palette([], choose_colormap(colormap))) == said


def test_the_stage_warns_of_them(project: Project) -> None:
    project.edit({"plot": {"colormap": "Set2"}})
    result = project.stage("plot")
    assert result.returncode == 0
    assert result.stderr.startswith("plot: warning: with the colormap Set2, ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("size", [1, 5])
def test_a_latent_size_comes_through_from_training(size: int, project: Project) -> None:
    project.edit({"train": {"latent_size": size}})
    picture = project.root / "data/plot/latents.png"
    before = picture.read_bytes()
    project.play("train", "extract", "plot")
    with chdir(project.root):
        assert Latents.read().values.shape == (40, size)
    assert picture.read_bytes() != before


def test_the_stage_imports_no_torch(finished: Project) -> None:
    script = (
        "import runpy, sys; runpy.run_module('stages.plot', run_name='__main__'); assert 'torch' not in sys.modules"
    )
    assert finished.run("python", "-c", script).returncode == 0
