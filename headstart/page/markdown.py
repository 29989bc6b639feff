"""Text from outside as Markdown (CommonMark with GitHub's tables): none of it acts, whatever a class is called.

In code nothing does: no link, no emphasis, no `@name`, no `:picture:`. Sentences, which may have names in them, are
escaped.
"""

import re

from headstart.base import wording

WIDEST = 60  # columns of a name
PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
ACTS = re.compile(r"[\\`*_\[\]<>|~$#&]")
LINKS = re.compile(r":(?=[\w+-]+:|//)|@(?=\w)|\bwww(?=\.)")  # of themselves: addresses, mentions, pictures
BEGINS = re.compile(r"^(?=[-+=])|^(\d+)(?=[.)])")  # a list, or a heading above


def code(name: str) -> str:
    """Return a name in one line, as code; also inside of a table's cell."""
    return _code(wording.label(name, WIDEST))


def codes(names: list[str], most: int, widest: int = WIDEST) -> str:
    """Return the first `most` names as code, and how many there are more; different ones look different.

    widest: in columns, of a name.
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(_code, wording.labels(names, widest)[:most])) + more


def sentence(text: str) -> str:
    """Return a sentence in one line; what stands between backticks in it is code."""
    parts = wording.label(text, wording.MOST).split("`")
    if len(parts) % 2 == 0:  # a backtick of its own, in a name
        return _escaped("`".join(parts))
    return "".join(_code(part) if at % 2 else _escaped(part) for at, part in enumerate(parts))


def _code(line: str) -> str:
    if not re.search(r"[`|\\]", line):
        return f"`{line}`"
    return f"<code>{PUNCTUATION.sub(lambda found: f'&#{ord(found[0])};', line)}</code>"


def _escaped(text: str) -> str:
    text = LINKS.sub(r"\g<0><!-- -->", ACTS.sub(r"\\\g<0>", text))
    return BEGINS.sub(r"\1\\", text)
