"""Class names as a picture can show them: in fonts that this machine has, else in Latin letters.

Matplotlib brings DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew and many signs, but no Chinese, Japanese, Korean,
Hindi or Thai. What it lacks is looked for in the fonts that are installed; a name with a letter that none of them has
is transliterated (划痕: HuaHen), so that no picture has empty boxes where its names should be.
"""

import functools
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from anyascii import anyascii
from matplotlib import font_manager

DEFAULT = "DejaVu Sans"
LEFT = "\u200e"  # what comes after this mark is written from left to right, as long as its letters allow

# It prints which weight it takes where a font has no bold one.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


class Lettering:
    """How a picture shows names.

    names: the classes' names. shown: a text for each of them, all different, each letter of which is in one of the
    fonts; substituted: the names that are shown in Latin letters instead of their own.
    """

    def __init__(self, names: Sequence[str]):
        # Composed: a font has 정 more often than the three letters that it can be written with.
        composed = [unicodedata.normalize("NFC", name) for name in names]
        self.families, there = _families(frozenset("".join(composed)))
        self.substituted = [name for name, text in zip(names, composed, strict=True) if not there.issuperset(text)]
        texts = [
            text if there.issuperset(text) else anyascii(text).strip() or f"class {number}"
            for number, text in enumerate(composed, 1)
        ]
        often = Counter(texts)
        self.shown = [text if often[text] == 1 else f"{text} ({number})" for number, text in enumerate(texts, 1)]

    @contextmanager
    def used(self) -> Iterator[None]:
        """While it lasts, what matplotlib writes is written so, and a dollar sign is a dollar sign."""
        with matplotlib.rc_context({"font.family": self.families, "text.parse_math": False}):
            yield

    def note(self) -> str | None:
        """One line on the names that are not shown as they are; None where there is none."""
        if not self.substituted:
            return None
        names = ", ".join(self.substituted[:3]) + (", …" if len(self.substituted) > 3 else "")
        return (
            f"no font on this machine has all letters of {names}: the pictures show Latin ones instead; "
            "install one that does, such as Noto Sans CJK"
        )


@functools.cache
def _families(letters: frozenset[str]) -> tuple[list[str], set[str]]:
    """The font families that show as many of the letters as can be, and the letters that they show."""
    # What has no shape of its own needs no font.
    there = {letter for letter in letters if letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf")}
    families, left = [DEFAULT], letters - there
    # An upright, regular face: for a family without one matplotlib would print which other one it takes.
    faces = {font.name: font.fname for font in font_manager.fontManager.ttflist if _is_regular(font)}
    left -= _covered(faces.pop(DEFAULT), left)
    covered = {family: _covered(faces[family], left) for family in sorted(faces)} if left else {}
    # Each further family is the one that has most of what is left; of equal ones, the first by its name.
    while left and (best := max(covered, key=lambda family: len(covered[family] & left), default=None)):
        if not covered[best] & left:
            break
        families.append(best)
        left -= covered[best]
    return families, set(letters) - left


def _is_regular(font: font_manager.FontEntry) -> bool:
    # The last resort has a box for every letter.
    regular = font.style == "normal" and font.stretch == "normal" and font.weight in (400, "normal", "regular")
    return regular and not font.name.startswith("Last Resort")


def _covered(file: str, letters: Iterable[str]) -> set[str]:
    try:
        font = font_manager.get_font(file)
        return {letter for letter in letters if font.get_char_index(ord(letter))}
    except (ValueError, OSError, RuntimeError):  # a file that has gone, or that FreeType cannot read
        return set()
