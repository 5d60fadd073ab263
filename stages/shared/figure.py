"""Matplotlib figures, written so that the same figure is the same bytes."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PIXELS = 60_000  # a side; the Agg renderer takes 2^16, margins included


def write_png(figure: "Figure", path: Path, dpi: int = 120) -> None:
    """Write `figure` with no more margin than its contents need, and without Matplotlib's version in it.

    A figure too large for Matplotlib at `dpi` is written with as many dots an inch as it can have.
    """
    dpi = min(dpi, int(_MOST_PIXELS / max(figure.get_size_inches())))
    figure.savefig(path, dpi=dpi, bbox_inches="tight", metadata={"Software": None})
