"""`python -m headstart.preset NAME`: set the knobs of a named experiment in `params.yaml`; without NAME: list them.

The values are replaced in the text itself, so that comments, order and layout stay as they are.
"""

import argparse
import difflib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headstart import errors, params
from headstart.errors import UserError

PRESETS = Path("presets")
# A mapping that is one value: its keys are not parameters.
WHOLE = "dataset.table.values"


class _Text(NamedTuple):
    text: str
    node: Node
    values: Any


class _Change(NamedTuple):
    key: Node
    old: Node
    new: Node
    said: str


def names() -> list[str]:
    """The presets there are, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def apply(name: str) -> list[str]:
    """Merge `presets/NAME.yaml` into `params.yaml`, and say what changed, one line a parameter.

    Sections are merged; lists and `dataset.table.values` are replaced whole. The result is checked before it is
    written; where nothing changes the file is not touched. Raises UserError.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"no preset is named {name}; {hint}There are: {', '.join(names()) or f'none in {PRESETS}/'}")
    source = PRESETS / f"{name}.yaml"
    preset, current = _read(source), _read(params.PARAMS)
    merged, changes = _merge(preset, current, source)
    try:
        params.check(merged)
    except UserError as error:
        raise UserError(f"{source} does not go into {error}") from None
    if not changes:
        return []
    text = _replace(current.text, preset.text, changes)
    if YAML(typ="safe", pure=True).load(text) != merged:
        raise UserError(f"{source}: write each value plainly, on one line of its own")
    part = params.PARAMS.with_name(params.PARAMS.name + ".part")
    part.write_bytes(text.encode())
    part.replace(params.PARAMS)
    return [change.said for change in changes]


def _read(path: Path) -> _Text:
    try:
        text = path.read_bytes().decode()
        yaml = YAML(typ="safe", pure=True)
        values = yaml.load(text)
        node = YAML(typ="safe", pure=True).compose(text)
    except FileNotFoundError:
        raise UserError(f"no {path} here: run this in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no parameters; takes sections and values as in {params.PARAMS}")
    return _Text(text, node, values)


def _merge(preset: _Text, current: _Text, source: Path) -> tuple[dict, list[_Change]]:
    changes = []

    def merge(new: dict, old: dict, new_node: MappingNode, old_node: MappingNode, section: str) -> dict:
        merged, keys = dict(old), _keys(old_node)
        for name, (_, new_value) in _keys(new_node).items():
            path, value = f"{section}{name}", new[name]
            if name not in old:
                # No parameter is left out of params.yaml, so this is an unknown one: the check names it.
                merged[name] = value
                continue
            key, old_value = keys[name]
            if isinstance(old[name], dict) and path != WHOLE:
                if not isinstance(value, dict):
                    raise UserError(f"{source}: {path} is a section; got {_show(value)}: list its parameters")
                merged[name] = merge(value, old[name], new_value, old_value, f"{path}.")
            elif json.dumps(value, sort_keys=True) != json.dumps(old[name], sort_keys=True):
                # As JSON, since Python takes 1, 1.0 and true for the same.
                merged[name] = value
                changes.append(_Change(key, old_value, new_value, f"{path}: {_show(old[name])} -> {_show(value)}"))
        return merged

    return merge(preset.values, current.values, preset.node, current.node, ""), changes


def _keys(section: MappingNode) -> dict[str, tuple[Node, Node]]:
    return {key.value: (key, value) for key, value in section.value}


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _replace(text: str, preset: str, changes: list[_Change]) -> str:
    column = _comment_column(text)
    # From the end, so that the places before stay where they are.
    for key, old, new, _ in sorted(changes, key=lambda change: change.key.start_mark.index, reverse=True):
        line_start = text.rfind("\n", 0, key.start_mark.index) + 1
        colon = text.index(":", key.end_mark.index) + 1
        end = max(colon, _end(old))
        # A block begins below its key, whose line stays, with its comment.
        rest = text[colon if _is_block(old) else end :].partition("\n")[0].strip(" ")
        value, below = _render(new, preset, " " * (key.start_mark.column + 2))
        line = f"{text[line_start:colon]} {value}".rstrip(" ")
        line = f"{line.ljust(column - 1)} {rest}" if rest.startswith("#") else line + rest
        after = text.find("\n", end)
        text = text[:line_start] + line + below + (text[after:] if after >= 0 else "")
    return text


def _is_block(node: Node) -> bool:
    return not isinstance(node, ScalarNode) and not node.flow_style


def _end(node: Node) -> int:
    """Where the text of a value ends; a block's own mark is where the next key begins."""
    if isinstance(node, ScalarNode):
        return node.end_mark.index if node.value or node.style else 0
    if not _is_block(node):
        return node.end_mark.index
    return _end(node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1])


def _render(node: Node, text: str, indent: str) -> tuple[str, str]:
    """A value as the preset writes it: what goes on its key's line, and what goes below."""
    if not _is_block(node):
        return text[node.start_mark.index : _end(node)] or "null", ""
    if isinstance(node, SequenceNode):
        return "[" + ", ".join(_render(item, text, "")[0] for item in node.value) + "]", ""
    below = ""
    for key, value in node.value:
        name = text[key.start_mark.index : key.end_mark.index]
        here, deeper = _render(value, text, indent + "  ")
        below += f"\n{indent}{name}: {here}".rstrip(" ") + deeper
    return "", below


def _comment_column(text: str) -> int:
    """Where most comments behind values stand, so that going back to a preset gives the same file again."""
    columns = [found.end() - 1 for found in re.finditer(r"^ *[^#\s][^#\n]* #", text, re.MULTILINE)]
    lines = [text.rfind("\n", 0, at) + 1 for at in columns]
    counted = Counter(at - line for at, line in zip(columns, lines, strict=True))
    return max(counted, key=lambda at: (counted[at], -at), default=0)


def _list() -> None:
    for name in names():
        first = (PRESETS / f"{name}.yaml").read_text().partition("\n")[0]
        print(f"{name:20} {first.lstrip('# ') if first.startswith('#') else ''}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m headstart.preset", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", help=f"a file of {PRESETS}/; without it they are listed")
    name = parser.parse_args().name
    if name is None:
        _list()
    else:
        print("\n".join(apply(name) or ["nothing to change"]))


if __name__ == "__main__":
    errors.run(main)
