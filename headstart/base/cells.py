"""CSV whose cells no spreadsheet program takes for formulas: an apostrophe stands before a text that looks like one.

As OWASP advises (CSV Injection), but reversibly: what `line` writes, `read` gives back letter by letter.
"""

import csv
import io
import re
from collections.abc import Iterable

# What a formula begins with, in letters of both widths; apostrophes before it are counted, so that they come back.
FORMULA = re.compile("'*[ ]*[=+\\-@\t\r\n＝＋－＠]")
NUMBER = re.compile(r"'*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")  # a class may be named -1
# A semicolon or a tab parts cells where the system's language wants it so, and a formula may come after it.
QUOTED = re.compile('[",;\t\r\n]')


def line(cells: Iterable[object]) -> str:
    """A line of CSV with its line feed. Texts are guarded; None is an empty cell, numbers are written as they are."""
    texts = [_guarded(cell) if isinstance(cell, str) else "" if cell is None else str(cell) for cell in cells]
    joined = ",".join(texts)
    if joined.count(",") == len(texts) - 1 and joined and not QUOTED.search(joined.replace(",", "")):
        return joined + "\n"  # as most are: one look at the line is faster than one at each cell
    quoted = ['"' + text.replace('"', '""') + '"' if QUOTED.search(text) or texts == [""] else text for text in texts]
    return ",".join(quoted) + "\n"


def read(text: str) -> list[list[str]]:
    """The rows of a CSV that `line` wrote. Raises ValueError where it is none."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from None
    return [list(map(_bare, row)) for row in rows] if "'" in text else rows


def _looks_like_formula(text: str) -> bool:
    # Most begin with a letter or a digit, which needs no closer look.
    return not text[:1].isalnum() and FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None


def _guarded(text: str) -> str:
    return f"'{text}" if _looks_like_formula(text) else text


def _bare(text: str) -> str:
    return text[1:] if text.startswith("'") and _looks_like_formula(text) else text
