"""Changing values in the text of `params.yaml`: comments, order and all other values stay."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.tokens import CommentToken

from headstart.base import credentials, params, yaml12
from headstart.base.errors import UserError


class _Representer(RoundTripRepresenter):
    """Writes new values as params.yaml has them: `null` in full, lists and mappings of one key in one line."""


_Representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
_Representer.add_representer(
    list, lambda to, items: to.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
_Representer.add_representer(
    dict, lambda to, items: to.represent_mapping("tag:yaml.org,2002:map", items, flow_style=len(items) == 1)
)


def merged(text: str, values: dict[str, Any], origin: str) -> tuple[str, list[str]]:
    """Return the text of a params.yaml with `values` merged into it, and what changed: `name: old -> new`.

    text: of the file as it is. values: sections and parameters, nested as in the file; sections are merged, lists and
    other values replaced. origin: where `values` come from, for messages.

    Where nothing changes, the text is returned as it came. The result is checked: raises UserError for a name that the
    file lacks, and for a value that it does not take.
    """
    yaml = YAML()  # unlike yaml12, it keeps the comments
    yaml.Representer = _Representer
    yaml.width = 4096  # no line is wrapped
    yaml.preserve_quotes = True
    current = yaml.load(text)
    changes = list(_merge(current, values, origin, ""))
    if not changes:
        return text, []
    written = io.StringIO()
    yaml.dump(current, written)
    try:
        params.check(yaml12.parse(written.getvalue()))
    except UserError as error:
        raise UserError(f"{origin} does not go into {error}") from None
    return written.getvalue(), changes


def section(path: Path) -> dict[str, Any]:
    """Return what a YAML file of parameters holds. Raises UserError where it is missing, or holds something else."""
    content = yaml12.read(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: got {plain(content)}; takes parameters and their values, like {params.PARAMS}")
    return content


def plain(value: Any) -> str:
    """A value as it is shown: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _merge(current: dict, values: dict, origin: str, prefix: str) -> Iterator[str]:
    for name, value in values.items():
        before = current.get(name, params.default(prefix + name))
        if before is ...:
            raise UserError(f"{origin}: {params.PARAMS} has no parameter {prefix}{name}: add it there first")
        is_section = isinstance(before, dict) and not params.is_mapping(prefix + name)
        if isinstance(value, dict) and is_section:
            yield from _merge(before, value, origin, f"{prefix}{name}.")
        elif before != value:
            yield f"{prefix}{name}: {credentials.hidden(plain(before))} -> {credentials.hidden(plain(value))}"
            following = _comments_after(current, name)
            if isinstance(before, dict) and isinstance(value, dict):
                # Replaced in its place: the keys that stay are written as they were.
                for key in before.keys() - value.keys():
                    del before[key]
                before.update(value)
            else:
                current[name] = CommentedMap(value) if isinstance(value, dict) and len(value) > 1 else value
            _set_comments_after(current, name, following)


# ruamel.yaml keeps the lines of comment before a parameter with what stands above them, at the end of its comment: of a
# list or mapping in lines of its own, which is how DVC writes all of them, with the last entry.


def _last(parent: CommentedMap | CommentedSeq, key: str | int) -> tuple[CommentedMap | CommentedSeq, str | int]:
    """Where the value at `key` of `parent` ends: itself, or its last entry where it is in lines of its own."""
    value = parent[key]
    if isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        return _last(value, next(reversed(value)) if isinstance(value, CommentedMap) else len(value) - 1)
    return parent, key


def _comments_after(parent: CommentedMap, key: str) -> str:
    """The lines of comment between the value at `key` and what follows; empty where it has none, or is not there."""
    if key not in parent:
        return ""
    token = _token(*_last(parent, key))
    return token.value.partition("\n")[2] if token else ""


def _set_comments_after(parent: CommentedMap, key: str, lines: str) -> None:
    own = parent.ca.items.get(key)
    if own:
        own[3] = None  # what ruamel.yaml keeps of a list in lines of its own would end the line of another value
    holder, last = _last(parent, key)
    token = _token(holder, last)
    if token:
        token.value = token.value.partition("\n")[0] + "\n" + lines
    elif lines:
        token = CommentToken("\n" + lines, start_mark=CommentMark(0))
        at = 2 if isinstance(holder, CommentedMap) else 0
        holder.ca.items.setdefault(last, [None] * 4)[at] = token


def _token(holder: CommentedMap | CommentedSeq, key: str | int) -> CommentToken | None:
    comments = holder.ca.items.get(key)
    return comments[2 if isinstance(holder, CommentedMap) else 0] if comments else None
