"""plot: plot the extracted latents in three dimensions.

Reads  data/extract/latents.csv, selection.json, colors.json
Writes data/plot/latents.png
"""

from stages.shared.runtime.run import run

import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.shared.arrays import Float64, Int64
from stages.shared.figure import new_figure, write_png
from stages.shared.latents.projection import Projection
from stages.shared.latents.table import Latents
from stages.shared.palette import parse, read_colors
from stages.shared.runtime import params
from stages.shared.runtime.errors import InputError
from stages.shared.runtime.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FOLDER = Path("data/plot")
Bools = NDArray[np.bool_]
MAX_NAME = 24  # characters of a class name
MAX_ROWS = 30  # names in a column
ALIKE = 0.02  # of 1, in each color channel: an invisible difference between two colors
ALIKE_PAPER = 0.06  # likewise between a color and white, or the panes of a 3-D plot
FONT = 6.5  # points
OWN_COLORS = "classes"  # the class colors of the page and the other pictures
MAX_NAMED = 90  # classes in a legend


class Params(params.Section):
    """Style, colors, camera angles in degrees, and size in inches."""

    style: Annotated[str, params.OneOf(lambda: STYLES)]
    colormap: str
    elevation: float = Field(ge=-360, le=360)
    azimuth: float = Field(ge=-360, le=360)
    width: float = Field(ge=2, le=50)
    height: float = Field(ge=2, le=50)
    dpi: int = Field(ge=20, le=1000)


def choose_colormap(name: str) -> "Colormap | None":
    """Return Matplotlib's colormap of that name; None for the class colors. Raises `InputError` if it is unknown."""
    if name == OWN_COLORS:
        return None
    from difflib import get_close_matches

    from matplotlib import colormaps

    if name not in colormaps:
        near = ", ".join(get_close_matches(name, [OWN_COLORS, *colormaps]) or ["rainbow", "viridis", "tab10"])
        raise InputError(
            f"params.yaml: plot.colormap: expected {OWN_COLORS} or one of Matplotlib's, such as {near}, "
            f"got {name!r:.40}"
        )
    return colormaps[name]


def choose_palette(classes: Sequence[str], colormap: "Colormap | None") -> Float64:
    """Return the color of each class, [classes, RGB or RGBA] in [0, 1]; a single color without classes."""
    if colormap is None:
        return parse(read_colors(len(classes))["light"])
    palette: Float64 = colormap(np.linspace(0, 1, max(len(classes), 1)))
    return palette


def find_confusable(latents: Latents, palette: Float64) -> str | None:
    """Describe two plotted classes with the same color, or a class that is almost white, in a line.

    Returns None if all colors are distinct.
    """
    present = np.unique(latents.labels) if latents.labels is not None else np.zeros(1, np.int64)
    names = [latents.classes[label] for label in present] if latents.classes else ["the images"]
    colors = palette[present, :3]  # [classes present, RGB]
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        if color.min() > 1 - ALIKE_PAPER:
            return f"{name} {'is' if latents.classes else 'are'} almost white"
        same = np.flatnonzero(np.abs(colors[:index] - color).max(axis=1) < ALIKE)
        if len(same):
            return f"{names[same[0]]} and {name} have the same color"
    return None


def project(latents: Latents) -> tuple[Float64, list[str]]:
    """Return the coordinates of the points, [N, 1 to 3], and the names of the axes."""
    projection = Projection.fit(latents.values)
    if projection is None:
        return latents.values, [f"z{dimension}" for dimension in range(1, latents.values.shape[1] + 1)]
    names = [f"principal component {number} ({share:.0%})" for number, share in enumerate(projection.shares, start=1)]
    return projection.transform(latents.values), names


def draw_plot(latents: Latents, p: Params, palette: Float64) -> "Figure":
    """Plot the points, colored by class: in 3-D or 2-D. One-dimensional latents get one row of points per class."""
    points, axis_names = project(latents)  # [N, 1 to 3]
    figure = new_figure(p.width, p.height)
    solid = points.shape[1] == 3
    # Matplotlib leaves wide margins around a 3-D box, so the box is enlarged beyond its axes.
    figure.subplots_adjust(*((0.12, 0.12, 0.88, 0.88) if solid else (0.1, 0.05, 0.95, 0.95)))
    axes: Any = figure.add_subplot(projection="3d" if solid else None)
    if solid:
        axes.view_init(p.elevation, p.azimuth)
        axes.set_box_aspect(None, zoom=1.35)
    _bound(axes, points, axis_names)
    names = latents.classes or [""]  # without classes, all points look the same
    labels = np.zeros(len(points), np.int64) if latents.labels is None else latents.labels
    if points.shape[1] == 1:
        points = np.column_stack([points, labels])
        _label_rows(axes, names)
    order = _from_back_to_front(points, p)
    style = STYLES[p.style if latents.classes else "points"]
    style(axes, points[order], [names[label] for label in labels[order]], palette[labels[order]])
    if latents.classes:
        _explain_colors(figure, {names[label]: palette[label] for label in np.unique(labels)})
    middle, top = _hold_box(figure, axes) if solid else (0.5, 0.98)
    figure.suptitle(f"{latents.dataset}: the latents of {len(points)} {latents.split} images", x=middle, y=top)
    return figure


def _hold_box(figure: "Figure", axes: Any) -> tuple[float, float]:
    """Keep tight margins from cutting the 3-D box; return the position of a title above it, in figure coordinates."""
    from matplotlib.patches import Rectangle

    corners = np.array(list(product(axes.get_xlim(), axes.get_ylim(), axes.get_zlim())))
    corners = figure.transFigure.inverted().transform(_on_paper(axes, corners))
    low, high = corners.min(axis=0), corners.max(axis=0)
    figure.add_artist(Rectangle(tuple(low), *(high - low), fill=False, edgecolor="none"))
    return float((low[0] + high[0]) / 2), float(high[1] + 0.06)


def _write_names(axes: Any, points: Float64, names: list[str], colors: Float64) -> None:
    """Write class names at the points, front ones first; a point whose name has no room gets a dot."""
    texts = [shorten(name, MAX_NAME, placeholder="…") for name in names]
    fits = _find_room(axes, points, texts)
    _scatter(axes, points[~fits], names, colors[~fits], size=7)
    for index in np.flatnonzero(fits):
        color = colors[index]
        luminance = color[:3] @ (0.299, 0.587, 0.114)  # ITU-R BT.601
        ink = "black" if luminance > 0.5 else "white"
        box = {"facecolor": color, "edgecolor": "none", "boxstyle": "round,pad=0.15", "alpha": 0.85}
        axes.text(*points[index], texts[index], fontsize=FONT, color=ink, ha="center", va="center", bbox=box)


def _find_room(axes: Any, points: Float64, texts: list[str]) -> Bools:
    """Find the texts that can be shown without overlap, bool [N]; later texts take precedence."""
    from matplotlib.textpath import TextPath

    centers = _on_paper(axes, points) * 72 / axes.figure.dpi  # [N, 2], in points
    widths = {text: TextPath((0, 0), text, size=FONT).get_extents().width + 0.5 * FONT for text in set(texts)}
    half = np.array([[widths[text] / 2, 0.75 * FONT] for text in texts])  # [N, 2]
    fits = np.zeros(len(texts), np.bool_)
    for index in reversed(range(len(texts))):
        is_apart = np.abs(centers[fits] - centers[index]) >= half[fits] + half[index]
        fits[index] = is_apart.any(axis=1).all()
    return fits


def _on_paper(axes: Any, points: Float64) -> Float64:
    """Convert points in data coordinates, [N, 2 or 3], to positions in the figure in dots, [N, 2]."""
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    axes.apply_aspect()
    flat = np.column_stack(proj_transform(*points.T, axes.get_proj())[:2]) if points.shape[1] == 3 else points
    return np.asarray(axes.transData.transform(flat))


def _scatter(axes: Any, points: Float64, names: list[str], colors: Float64, size: float = 24) -> None:
    depth = {"depthshade": False} if points.shape[1] == 3 else {}
    axes.scatter(*points.T, c=colors, s=size, clip_on=False, **depth)


# Styles of points: given the axes, the points [N, 2 or 3] from back to front, and the class and color of each
STYLES: dict[str, Callable[[Any, Float64, list[str], Float64], None]] = {"labels": _write_names, "points": _scatter}


def _label_rows(axes: Any, names: list[str]) -> None:
    axes.set_ylim(-0.5, len(names) - 0.5)
    every = -(-len(names) // MAX_ROWS)  # if there are more, only some have a name
    axes.set_yticks(range(0, len(names), every), names[::every])


def _explain_colors(figure: "Figure", colors: dict[str, Any]) -> None:
    """Draw the legend of the plotted classes. If there are too many, write only their number."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=shorten(name, MAX_NAME, placeholder="…")) for name, color in colors.items()]
    if len(handles) > MAX_NAMED:
        handles = [Patch(color="none", label=f"{len(handles)} classes")]
    columns = -(-len(handles) // MAX_ROWS)
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=columns)


def _from_back_to_front(points: Float64, p: Params) -> Int64:
    """Return the drawing order of the points, from back to front, because Matplotlib doesn't sort texts by distance."""
    if points.shape[1] < 3:
        return np.arange(len(points))
    elevation, azimuth = np.radians([p.elevation, p.azimuth])
    towards = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    extent = np.ptp(points, axis=0)
    return np.argsort(points / np.where(extent > 0, extent, 1) @ towards, kind="stable")


def _bound(axes: Any, points: Float64, names: list[str]) -> None:
    """Set the limits of the axes to the range of each dimension."""
    for axis, name, values in zip("xyz", names, points.T, strict=False):
        low, high = values.min(), values.max()
        if low == high:  # a collapsed dimension
            low, high = low - 0.5, high + 0.5
        margin = {"view_margin": 0} if axes.name == "3d" else {}
        getattr(axes, f"set_{axis}lim")(low, high, **margin)
        getattr(axes, f"set_{axis}label")(name)


def main() -> None:
    p = params.read("plot", Params)
    latents = Latents.read()
    palette = choose_palette(latents.classes, choose_colormap(p.colormap))
    if confusable := find_confusable(latents, palette):
        print(f"plot: warning: with the colormap {p.colormap}, {confusable}; try another", file=sys.stderr)
    with outputs(FOLDER) as folder:
        write_png(draw_plot(latents, p, palette), folder / "latents.png", p.dpi)
    print(f"plot: {FOLDER / 'latents.png'}, {len(latents.values)} {latents.split} images")


if __name__ == "__main__":
    run(main)
