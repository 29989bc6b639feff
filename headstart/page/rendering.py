"""The page as one file: the template, its style and script, Plotly, the data, and the pictures."""

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

HERE = Path(__file__).parent
SIDE = 260  # pixels: the longer side of a picture
MOST = 2_900_000  # bytes of all pictures, as text: the page has 8 MB, of which Plotly takes 5


def picture(pixels: np.ndarray) -> str:
    """Return an image, uint8 (h, w, 3), as the text that a page has in the place of an address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=72, method=4)
    return address(file.getvalue(), "image/webp")


def address(content: bytes, kind: str) -> str:
    """Return a file's content as the text that a page has in the place of an address. kind: such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def within(rows: list[int], draw: Callable[[int], str], most: int = MOST) -> dict[int, str]:
    """Return the pictures of as many of the first rows as there is room for, by the row."""
    pictures, left = {}, most
    for row in rows:
        text = draw(row)
        left -= len(text)
        if left < 0:
            break
        pictures[row] = text
    return pictures


def page(**facts: Any) -> str:
    """Return the page. facts: what the template names; `data` is what its script reads, ready for JSON.

    Every text is escaped: a name of a file or class is a text, whatever is in it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["marked"] = marked
    parts = {name: (HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    return environment.get_template("page.html").render(
        facts | parts | {"plotly": plotly.offline.get_plotlyjs(), "data": script(facts["data"])}
    )


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
