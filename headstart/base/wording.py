"""Phrases that several messages share."""

import difflib
from collections.abc import Iterable

from rich.cells import cell_len, chop_cells

from headstart.base.terminal import has_no_shape


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
