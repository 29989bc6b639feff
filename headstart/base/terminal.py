"""What the terminal is given: text that came from outside (names, labels, answers of servers) acts on nothing."""

import sys
import unicodedata
from typing import TextIO

TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # directions of Unicode's bidirectional marks


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print each of `lines` on a line of its own, as `printable` writes it. file: default: standard output."""
    for line in lines:
        print(printable(line), file=file or sys.stdout, flush=True)


def printable(text: str) -> str:
    r"""The text as it can be shown: what has no shape is written out, a line feed as `\n`, an escape as `\x1b`.

    So a file name neither moves the cursor, nor sets the title of the window, nor looks like a line of its own.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter.encode("unicode_escape").decode() if has_no_shape(letter) else letter for letter in text)


def has_no_shape(letter: str) -> bool:
    """Whether a letter controls the terminal, ends a line, turns the direction of what follows, or is half a letter.

    Joiners do not count: Persian and Hindi are spelt with them.
    """
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(letter) in TURNS
