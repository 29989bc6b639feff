"""Phrases that several messages share."""

import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells

from headstart.base.terminal import has_no_shape

MOST = 10**6  # columns: wider than any name


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most `count` of the `known` names that are close to `name`, the closest first.

    cutoff: how close, from 0 (anything) to 1 (equal): the ratio of `difflib.SequenceMatcher`.
    """
    return difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean X? ` with a space at its end, to stand inside a message; empty where no known name is close."""
    names = nearest(name, known, cutoff=cutoff)
    return f"did you mean {names[0]}? " if names else ""


def plural(noun: str) -> str:
    """`images`, `batches`; a unit's symbol, such as MB, has none."""
    if noun.isupper():
        return noun
    return noun + ("es" if noun.endswith(("ch", "ss")) else "s")


def count(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`; `noun` is in the singular."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def duration(seconds: float) -> str:
    """`58 s`, `12 min` from two minutes on, `3 h 5 min` from two hours on."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def label(name: str, cells: int = 40) -> str:
    """A class's name as it stands in a table or a picture: in one line, at most `cells` columns wide.

    A Chinese or Korean letter is two columns wide. Line ends, NUL and marks that turn the direction of what follows
    become a space; of what is too long the middle goes, since long names often differ at their end.
    """
    line = " ".join("".join(" " if has_no_shape(letter) else letter for letter in name).split())
    if cell_len(line) <= cells:
        return line or repr(name)
    start = chop_cells(line, cells // 2)[0]
    end = chop_cells(line[::-1], cells - 1 - cell_len(start))[0][::-1]
    return f"{start}…{end}"


def labels(names: Sequence[str], cells: int = 40) -> list[str]:
    """The same for several names: those that differ stay different, whatever has to go.

    Of names that would look alike goes what they have in common: `Tomato___Early_blight` and `Tomato___Late_blight`
    become `…Early_blight` and `…Late_blight`, or with less room `…Early…` and `…Late…`; where that is not enough, they
    are numbered.
    """
    shown = [label(name, cells) for name in names]
    for text, count in Counter(shown).items():
        alike = [at for at, other in enumerate(shown) if other == text]
        different = len({names[at] for at in alike})
        if count == 1 or different == 1:
            continue
        lines = [label(names[at], MOST) for at in alike]
        start = _shared(lines)
        end = _shared([line[start:][::-1] for line in lines])
        for shorter in (
            [label(f"…{line[start:]}", cells) for line in lines],
            [label(f"…{line[start : len(line) - end]}…", cells) for line in lines],
            [f"{label(line, cells - len(f' ({at + 1})'))} ({at + 1})" for at, line in zip(alike, lines, strict=True)],
        ):
            if len(set(shorter)) == different:
                break
        for at, line in zip(alike, shorter, strict=True):
            shown[at] = line
    return shown


def _shared(lines: Sequence[str]) -> int:
    """How many letters all lines begin with, up to the end of a word."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*lines, strict=False))
    return max((at for at, letters in enumerate(same, 1) if not letters[0].isalnum()), default=0)
