"""Phrases that several messages share."""

import difflib
from collections.abc import Iterable


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
    return noun + ("es" if noun.endswith("ch") else "s")


def count(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`; `noun` is in the singular."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"
