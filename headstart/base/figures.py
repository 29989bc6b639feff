"""Figures without a screen: an empty one and its PNG, the same bytes for the same drawing."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headstart.base import files

DPI = 100  # pixels per inch


def empty(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """An empty white figure of `width` times `height` inches.

    layout: which of matplotlib's arranges the axes; None where they are placed by hand.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as a PNG, whole or not at all; the folder is made where it is missing."""
    with files.whole(path) as part:
        # Matplotlib would write its version into the file.
        figure.savefig(part, format="png", metadata={"Software": None})
