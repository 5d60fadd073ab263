"""Matplotlib figures: picture grids, and reproducible PNG files."""

import textwrap
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
_EDGE = "0.75"  # gray, to show the edge of a white picture
_MAX_PIXELS = 60_000  # per side; the limit of the Agg renderer is 2^16 with margins


def new_figure(width: float, height: float, layout: str | None = None) -> "Figure":
    """Make an empty figure; its size is in inches.

    Texts are not parsed as math, because names may contain `$`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False
    return Figure((width, height), layout=layout)  # type: ignore[arg-type]


def show_grid(axes: "Axes", pictures: NDArray[Any], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Show pictures in [0, 1], [rows, columns, height, width, channels], as a grid with row and column labels.

    Each picture has a thin gray edge, so that white pictures are visible.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    _, _, height, width, channels = pictures.shape
    # One image of all pictures is ten times as fast as an axes for each. The gaps stay blank.
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    tiles = np.pad(pictures, gaps, constant_values=np.nan if channels == 1 else 1)
    grid = tiles.transpose(0, 2, 1, 3, 4).reshape(len(rows) * (height + GAP), len(columns) * (width + GAP), channels)
    grid = grid[:-GAP, :-GAP]
    axes.imshow(grid[..., 0] if channels == 1 else grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    corners = np.stack(np.meshgrid(np.arange(len(columns)) * (width + GAP), np.arange(len(rows)) * (height + GAP)), -1)
    edges = [Rectangle(tuple(corner - 0.5), width, height) for corner in corners.reshape(-1, 2)]
    axes.add_collection(PatchCollection(edges, facecolor="none", edgecolor=_EDGE, linewidth=0.5, clip_on=False))
    axes.set_xticks(np.arange(len(columns)) * (width + GAP) + (width - 1) / 2, columns)
    axes.set_yticks(np.arange(len(rows)) * (height + GAP) + (height - 1) / 2, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def frame(axes: "Axes", mask: NDArray[np.bool_], height: int, width: int) -> None:
    """Draw a frame around the pictures of a grid for which `mask`, [rows, columns], is true.

    height, width: size of a picture in pixels.
    """
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(mask):
        corner = column * (width + GAP) - 1, row * (height + GAP) - 1  # in the gap
        axes.add_patch(Rectangle(corner, width + 1, height + 1, fill=False, color=_FRAME, linewidth=1.8, clip_on=False))


def wrap(name: str, width: int = 14) -> str:
    """Wrap a name to at most two lines of `width` characters."""
    return "\n".join(textwrap.wrap(name, width, max_lines=2, placeholder="…")) or name


def text_figure(text: str) -> "Figure":
    """Make a figure with one line of text, used instead of a plot that would show nothing."""
    figure = new_figure(5, 1)
    figure.text(0.5, 0.5, text, ha="center", va="center", color="dimgray")
    return figure


def write_png(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Write `figure` as PNG with tight margins, and without Matplotlib's version in the metadata.

    If the figure is too large for Matplotlib at `dpi`, the largest possible dpi is used.
    """
    dpi = min(dpi, int(_MAX_PIXELS / max(figure.get_size_inches())))
    figure.savefig(path, dpi=dpi, bbox_inches="tight", metadata={"Software": None})
