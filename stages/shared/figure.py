"""Matplotlib figures: grids of pictures, and files whose bytes repeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 2  # pixels between the pictures of a grid
_FRAME = "crimson"
_MOST_PIXELS = 60_000  # a side; the Agg renderer takes 2^16, margins included


def new_figure(width: float, height: float, layout: str | None = None) -> "Figure":
    """An empty figure of so many inches, on which text is plain: the name of a class or a folder may hold two $."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False
    return Figure((width, height), layout=layout)  # type: ignore[arg-type]


def show_grid(axes: "Axes", pictures: NDArray[Any], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Show pictures in [0, 1], [rows, columns, height, width, channels], as a grid with labels at both sides."""
    _, _, height, width, channels = pictures.shape
    # One image of them all: an axes for each takes ten times as long. The gaps are left blank.
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    tiles = np.pad(pictures, gaps, constant_values=np.nan if channels == 1 else 1)
    grid = tiles.transpose(0, 2, 1, 3, 4).reshape(len(rows) * (height + GAP), len(columns) * (width + GAP), channels)
    grid = grid[:-GAP, :-GAP]
    axes.imshow(grid[..., 0] if channels == 1 else grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(np.arange(len(columns)) * (width + GAP) + (width - 1) / 2, columns)
    axes.set_yticks(np.arange(len(rows)) * (height + GAP) + (height - 1) / 2, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def frame(axes: "Axes", places: NDArray[np.bool_], height: int, width: int) -> None:
    """Frame the pictures of a grid, each of so many pixels, at `places`, bool [rows, columns]."""
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(places):
        corner = column * (width + GAP) - 1, row * (height + GAP) - 1  # the gap is the frame's
        axes.add_patch(Rectangle(corner, width + 1, height + 1, fill=False, color=_FRAME, linewidth=1.8, clip_on=False))


def draw_nothing(text: str) -> "Figure":
    """A line in the place of a picture that would mean nothing."""
    figure = new_figure(5, 1)
    figure.text(0.5, 0.5, text, ha="center", va="center", color="dimgray")
    return figure


def write_png(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Write `figure` with no more margin than its contents need, and without Matplotlib's version in it.

    A figure too large for Matplotlib at `dpi` is written with as many dots an inch as it can have.
    """
    dpi = min(dpi, int(_MOST_PIXELS / max(figure.get_size_inches())))
    figure.savefig(path, dpi=dpi, bbox_inches="tight", metadata={"Software": None})
