"""plot: the extracted latents as a picture in three dimensions.

Reads  data/extract/latents.csv, selection.json
Writes data/plot/latents.png
"""

from stages.shared.process.run import run

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from stages.shared.arrays import Float64, Int64
from stages.shared.figure import new_figure, write_png
from stages.shared.latents.projection import Projection
from stages.shared.latents.table import Latents
from stages.shared.process import params
from stages.shared.process.errors import InputError
from stages.shared.process.outputs import outputs

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FOLDER = Path("data/plot")
LONGEST = 24  # letters of a class name
MOST_LANES = 30  # names one above the other
ALIKE = 0.02  # of 1, in each of red, green and blue: the difference of two colors that nobody sees
ALIKE_PAPER = 0.06  # the same to white, and to the panes of a 3-D plot
MOST_NAMED = 90  # classes in a legend


class Params(params.Section):
    """How it looks. The view angles are degrees, the size is inches."""

    style: Annotated[str, params.OneOf(lambda: STYLES)]
    colormap: str
    elevation: float = Field(ge=-360, le=360)
    azimuth: float = Field(ge=-360, le=360)
    width: float = Field(ge=2, le=50)
    height: float = Field(ge=2, le=50)
    dpi: int = Field(ge=20, le=1000)


def choose_colormap(name: str) -> "Colormap":
    """Matplotlib's colormap of that name; raises `InputError`, with the nearest names, where there is none."""
    from difflib import get_close_matches

    from matplotlib import colormaps

    if name not in colormaps:
        near = ", ".join(get_close_matches(name, colormaps) or ["rainbow", "viridis", "tab10"])
        raise InputError(f"params.yaml: plot.colormap: expected one of Matplotlib's, such as {near}, got {name!r:.40}")
    return colormaps[name]


def choose_palette(classes: Sequence[str], colormap: "Colormap") -> Float64:
    """Each class's color, evenly spread over the colormap: [classes, RGBA] in [0, 1]; without classes one for all."""
    palette: Float64 = colormap(np.linspace(0, 1, max(len(classes), 1)))
    return palette


def find_confusable(latents: Latents, palette: Float64) -> str | None:
    """Which of the classes that are drawn can't be told apart, or not from the paper, in a line; None where all can."""
    present = np.unique(latents.labels) if latents.labels is not None else np.zeros(1, np.int64)
    names = [latents.classes[label] for label in present] if latents.classes else ["the images"]
    colors = palette[present, :3]  # [classes present, RGB]
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        if color.min() > 1 - ALIKE_PAPER:
            return f"{name}: as white as the paper"
        same = np.flatnonzero(np.abs(colors[:index] - color).max(axis=1) < ALIKE)
        if len(same):
            return f"{names[same[0]]} and {name}: the same color"
    return None


def place(latents: Latents) -> tuple[Float64, list[str]]:
    """Where the points stand, [N, 1 to 3], and what each axis is."""
    projection = Projection.fit(latents.values)
    if projection is None:
        return latents.values, [f"z{dimension}" for dimension in range(1, latents.values.shape[1] + 1)]
    names = [f"principal component {number} ({share:.0%})" for number, share in enumerate(projection.shares, start=1)]
    return projection.place(latents.values), names


def draw(latents: Latents, p: Params, colormap: "Colormap") -> "Figure":
    """The points, each marked by its class: in 3-D, or flat for fewer latent dimensions, a lane a class for one."""
    points, axis_names = place(latents)  # [N, 1 to 3]
    figure = new_figure(p.width, p.height)
    figure.subplots_adjust(0.1, 0.05, 0.95, 0.95)
    axes: Any = figure.add_subplot(projection="3d" if points.shape[1] == 3 else None)
    if points.shape[1] == 3:
        axes.view_init(p.elevation, p.azimuth)
        axes.set_box_aspect(None, zoom=1.1)
    _bound(axes, points, axis_names)
    names = latents.classes or [""]  # of images without classes all are marked alike
    labels = np.zeros(len(points), np.int64) if latents.labels is None else latents.labels
    if points.shape[1] == 1:
        points = np.column_stack([points, labels])
        _lay_lanes(axes, names)
    palette = choose_palette(latents.classes, colormap)
    order = _from_back_to_front(points, p)
    style = STYLES[p.style if latents.classes else "points"]
    style(axes, points[order], [names[label] for label in labels[order]], palette[labels[order]])
    if latents.classes:
        _explain_colors(figure, {names[label]: palette[label] for label in np.unique(labels)})
    figure.suptitle(f"{latents.dataset}: the latents of {len(points)} {latents.split} images")
    return figure


def _write_names(axes: Any, points: Float64, names: list[str], colors: Float64) -> None:
    for point, name, color in zip(points, names, colors, strict=True):
        luminance = color[:3] @ (0.299, 0.587, 0.114)  # ITU-R BT.601
        ink = "black" if luminance > 0.5 else "white"
        box = {"facecolor": color, "edgecolor": "none", "boxstyle": "round,pad=0.15", "alpha": 0.85}
        text = shorten(name, LONGEST, placeholder="…")
        axes.text(*point, text, fontsize=6.5, color=ink, ha="center", va="center", bbox=box)


def _scatter(axes: Any, points: Float64, names: list[str], colors: Float64) -> None:
    depth = {"depthshade": False} if points.shape[1] == 3 else {}
    axes.scatter(*points.T, c=colors, s=24, **depth)


# How a point is marked: given the axes, the points [N, 2 or 3] from back to front, and each one's class and color.
STYLES: dict[str, Callable[[Any, Float64, list[str], Float64], None]] = {"labels": _write_names, "points": _scatter}


def _lay_lanes(axes: Any, names: list[str]) -> None:
    axes.set_ylim(-0.5, len(names) - 0.5)
    every = -(-len(names) // MOST_LANES)  # of more, not each has its name written
    axes.set_yticks(range(0, len(names), every), names[::every])


def _explain_colors(figure: "Figure", colors: dict[str, Any]) -> None:
    """A legend of the classes that are drawn; of more than anybody can tell apart by color, their number."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=shorten(name, LONGEST, placeholder="…")) for name, color in colors.items()]
    if len(handles) > MOST_NAMED:
        handles = [Patch(color="none", label=f"{len(handles)} classes")]
    columns = -(-len(handles) // MOST_LANES)
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=columns)


def _from_back_to_front(points: Float64, p: Params) -> Int64:
    """The order to draw in: Matplotlib doesn't sort text by its distance."""
    if points.shape[1] < 3:
        return np.arange(len(points))
    elevation, azimuth = np.radians([p.elevation, p.azimuth])
    towards = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    extent = np.ptp(points, axis=0)
    return np.argsort(points / np.where(extent > 0, extent, 1) @ towards, kind="stable")


def _bound(axes: Any, points: Float64, names: list[str]) -> None:
    """Axes from each dimension's minimum to its maximum."""
    for axis, name, values in zip("xyz", names, points.T, strict=False):
        low, high = values.min(), values.max()
        if low == high:  # a collapsed dimension has no extent of its own
            low, high = low - 0.5, high + 0.5
        margin = {"view_margin": 0} if axes.name == "3d" else {}
        getattr(axes, f"set_{axis}lim")(low, high, **margin)
        getattr(axes, f"set_{axis}label")(name)


def main() -> None:
    p = params.read("plot", Params)
    latents = Latents.read()
    colormap = choose_colormap(p.colormap)
    if confusable := find_confusable(latents, choose_palette(latents.classes, colormap)):
        print(f"plot: warning: by the colormap {p.colormap}, {confusable}; try another", file=sys.stderr)
    with outputs(FOLDER) as folder:
        write_png(draw(latents, p, colormap), folder / "latents.png", p.dpi)


if __name__ == "__main__":
    run(main)
