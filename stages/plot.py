"""plot: the extracted latents as a picture in three dimensions.

Reads  data/extract/latents.csv, selection.json
Writes data/plot/latents.png
"""

from stages.shared.command import run

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.shared import params
from stages.shared.errors import InputError
from stages.shared.figure import write_png
from stages.shared.files import outputs
from stages.shared.latents import Latents
from stages.shared.projection import Projection

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

EXTRACT = Path("data/extract")
FOLDER = Path("data/plot")


class Params(params.Section):
    """How it looks. The view angles are degrees, the size is inches."""

    style: Literal["labels", "points"]
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
        near = ", ".join(get_close_matches(name, colormaps, cutoff=0))
        raise InputError(f"params.yaml: plot.colormap: expected one of Matplotlib's, such as {near}, got {name!r:.40}")
    return colormaps[name]


def place(latents: Latents) -> tuple[NDArray[np.float64], list[str]]:
    """Where the points stand, [N, 1 to 3], and what each axis is."""
    projection = Projection.fit(latents.values)
    if projection is None:
        return latents.values, [f"z{dimension}" for dimension in range(1, latents.values.shape[1] + 1)]
    names = [f"principal component {number} ({share:.0%})" for number, share in enumerate(projection.shares, start=1)]
    return projection.place(latents.values), names


def draw(latents: Latents, p: Params, colormap: "Colormap") -> "Figure":
    """The points, each marked by its class: in 3-D, or flat for fewer latent dimensions, a lane a class for one."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    points, axis_names = place(latents)  # [N, 1 to 3]
    figure = Figure((p.width, p.height))
    figure.subplots_adjust(0.1, 0.05, 0.95, 0.95)
    axes: Any = figure.add_subplot(projection="3d" if points.shape[1] == 3 else None)
    if points.shape[1] == 3:
        axes.view_init(p.elevation, p.azimuth)
        axes.set_box_aspect(None, zoom=1.1)
    _bound(axes, points, axis_names)
    if points.shape[1] == 1:
        points = np.column_stack([points, latents.labels])
        axes.set_ylim(-0.5, len(latents.classes) - 0.5)
        axes.set_yticks(range(len(latents.classes)), latents.classes)
    palette = colormap(np.linspace(0, 1, len(latents.classes)))  # [classes, RGBA]
    order = _from_back_to_front(points, p)
    if p.style == "points":
        depth = {"depthshade": False} if points.shape[1] == 3 else {}
        axes.scatter(*points[order].T, c=palette[latents.labels[order]], s=24, **depth)
    else:
        for index in order:
            label = latents.labels[index]
            _write_name(axes, points[index], latents.classes[label], palette[label])
    handles = [Patch(color=palette[label], label=latents.classes[label]) for label in np.unique(latents.labels)]
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.suptitle(f"{latents.dataset}: the latents of {len(points)} {latents.split} images")
    return figure


def _from_back_to_front(points: NDArray[np.float64], p: Params) -> NDArray[np.int64]:
    """The order to draw in: Matplotlib doesn't sort text by its distance."""
    if points.shape[1] < 3:
        return np.arange(len(points))
    elevation, azimuth = np.radians([p.elevation, p.azimuth])
    towards = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    extent = np.ptp(points, axis=0)
    return np.argsort(points / np.where(extent > 0, extent, 1) @ towards, kind="stable")


def _bound(axes: Any, points: NDArray[np.float64], names: list[str]) -> None:
    """Axes from each dimension's minimum to its maximum."""
    for axis, name, values in zip("xyz", names, points.T, strict=False):
        low, high = values.min(), values.max()
        if low == high:  # a collapsed dimension has no extent of its own
            low, high = low - 0.5, high + 0.5
        margin = {"view_margin": 0} if axes.name == "3d" else {}
        getattr(axes, f"set_{axis}lim")(low, high, **margin)
        getattr(axes, f"set_{axis}label")(name)


def _write_name(axes: Any, point: NDArray[np.float64], name: str, colour: NDArray[np.float64]) -> None:
    luminance = colour[:3] @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    ink = "black" if luminance > 0.5 else "white"
    box = {"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.15", "alpha": 0.85}
    axes.text(*point, name, fontsize=6.5, color=ink, ha="center", va="center", bbox=box)


def main() -> None:
    p = params.read("plot", Params)
    latents = Latents.read(EXTRACT)
    colormap = choose_colormap(p.colormap)
    with outputs(FOLDER) as folder:
        write_png(draw(latents, p, colormap), folder / "latents.png", p.dpi)


if __name__ == "__main__":
    run(main)
