"""A page as one file: the template, its style and scripts, Plotly, the data, and the pictures."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np
import plotly.offline
from PIL import Image

from headstart.base.threads import in_order

HERE = Path(__file__).parent
SIDE = 260  # pixels: the longer side of a picture
MOST = 8_000_000  # bytes of the page, of which Plotly takes 5 MB
REST = 300_000  # of these, for its template, style and scripts, with the names and sentences in them
LEAST = 1_000_000  # of pictures, even where there is no room


def picture(pixels: np.ndarray) -> str:
    """Return an image, uint8 (h, w, 3), as the text that a page has in the place of an address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=72, method=4)
    return address(file.getvalue(), "image/webp")


def address(content: bytes, kind: str) -> str:
    """Return a file's content as the text that a page has in the place of an address. kind: such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def room(data: Any) -> int:
    """Return how many bytes the pictures may have, as text. data: of the page, with nothing in their place."""
    plotly_and_data = len(plotly.offline.get_plotlyjs().encode()) + len(script(data).encode())
    return max(LEAST, MOST - REST - plotly_and_data)


def within(rows: list[int], draw: Callable[[int], str], most: int) -> dict[int, str]:
    """Return the pictures of as many of the first rows as there is room for, by the row. most: bytes of all."""
    pictures, left = {}, most
    for row, text in zip(rows, in_order(draw, rows), strict=False):
        left -= len(text)
        if left < 0:
            break
        pictures[row] = text
    return pictures


def page(name: str, **facts: Any) -> str:
    """Return the page `report` or `comparison`, with every text escaped: a name of a file or class is a text.

    facts: what its template names, and `data`, ready for JSON: its scripts draw the `charts` in that.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["marked"] = marked
    own = [file for file in ("charts.js", f"{name}.js") if (HERE / file).exists()]
    parts = {"css": (HERE / "page.css").read_text(encoding="utf-8"), "data": script(facts["data"])}
    scripts = [plotly.offline.get_plotlyjs(), *((HERE / file).read_text(encoding="utf-8") for file in own)]
    return environment.get_template(f"{name}.html").render(facts | parts | {"scripts": scripts})


def marked(text: str) -> markupsafe.Markup:
    """Return a sentence with what stands between backticks as code."""
    parts = [markupsafe.escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick of its own, in a name
        return markupsafe.escape(text)
    return markupsafe.Markup("").join(
        markupsafe.Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts)
    )


def script(data: Any) -> str:
    """Return data as JSON that can stand in a script of a page: no text in it can end the script."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
