"""A picture never costs a run: where it cannot be drawn, what stands in for it is."""

import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from headstart.base import files
from headstart.base.terminal import say


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
        say(f"{path} could not be drawn ({reason}); the numbers and models are not concerned")
        substitute = Image.new("RGB", (800, 60), "white")
        ImageDraw.Draw(substitute).text((20, 20), "This picture could not be drawn.", fill="black")
        with files.whole(path) as part:
            substitute.save(part, format="png")
