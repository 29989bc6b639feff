"""Hypothesis strategies that damage a good file: its bytes, or what its JSON and YAML hold."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

INTERESTING = [
    b"\0",
    b"\xff",
    b"\n",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"-1",
    b"1e999",
    b"\xc3\x28",
]
INTERESTING += [b"[", b'"', b"{}", b"null", b"../../x", b"\x80\0\0\0\0\0\0\0", b"'", b"=", b"\xed\xa0\x80"]
# What a value of JSON or YAML can be replaced by.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [[], {}, [[]], [None], {"": None}, "../x", "/etc/passwd", "a\0b", "x" * 5000, 10**400, -1, 0, [{}]]
    ),
)


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the files, with up to six places cut, doubled, overwritten, or taken from another."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, min(64, len(data) - start)))
        kind = draw(st.sampled_from(["cut", "end", "double", "zero", "bytes", "interesting", "flip", "splice"]))
        piece = bytes(data[start : start + length])
        match kind:
            case "cut":
                del data[start : start + length]
            case "end":
                del data[start:]
            case "double":
                data[start:start] = piece * draw(st.integers(1, 20))
            case "zero":
                data[start : start + length] = bytes(length)
            case "bytes":
                data[start : start + length] = draw(st.binary(max_size=16))
            case "interesting":
                replacement = draw(st.sampled_from(INTERESTING))
                data[start : start + len(replacement)] = replacement
            case "flip" if start < len(data):
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "splice":
                other = draw(st.sampled_from(seeds))
                begin = draw(st.integers(0, len(other)))
                data[start : start + length] = other[begin : begin + 64]
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, seeds: list[Any]) -> Any:
    """One of the documents, of dicts and lists, with up to four values replaced, left out or added."""
    document = {"root": copy.deepcopy(draw(st.sampled_from(seeds)))}
    for _ in range(draw(st.integers(1, 4))):
        holder, key = draw(st.sampled_from(list(_places(document))))
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace" or holder is document:
            holder[key] = copy.deepcopy(draw(VALUES))
        elif action == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=6))] = copy.deepcopy(draw(VALUES))
        else:
            holder.insert(key, copy.deepcopy(draw(VALUES)))
    return document["root"]


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
