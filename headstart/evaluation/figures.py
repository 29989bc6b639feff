"""Figures without a screen: an empty one, its PNG, the same bytes for the same drawing, and what stands in for one."""

import warnings
from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

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


def attempt(path: Path, draw: Callable[[Path], None]) -> None:
    """Call `draw` with `path`, where it draws a picture, without its warnings. A picture never costs a run.

    Where it raises an exception, of whatever kind, one line is printed, and an almost empty PNG takes the picture's
    place, since DVC expects one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            draw(path)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{path} could not be drawn ({reason}); the numbers and models are not concerned")
        substitute = Image.new("RGB", (800, 60), "white")
        ImageDraw.Draw(substitute).text((20, 20), "This picture could not be drawn.", fill="black")
        with files.whole(path) as part:
            substitute.save(part, format="png")
