"""YAML as DVC reads it: by version 1.2, in which `1e-4` is a number, and `on` and `yes` are texts.

DVC reads by ruamel.yaml. PyYAML is several times faster, but reads by version 1.1; here it follows ruamel.yaml's rules.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from headstart.base.errors import UserError

# What a boolean or a number looks like in ruamel.yaml's version 1.2, and the characters that it can begin with.
SCALARS = {
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "float": (
        r"[-+]?[0-9][0-9_]*(\.[0-9_]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9_]+([eE][-+][0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "int": ("[-+]?(0b[01_]+|0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
}
DEPTH = 100
TAG = "tag:yaml.org,2002:"


class _Rules(yaml.resolver.BaseResolver):
    yaml_implicit_resolvers = {  # noqa: RUF012, the name and the type are PyYAML's
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(TAG) not in SCALARS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # such as the date 2001-13-01
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        digits = node.value.replace("_", "")
        # A leading zero means nothing: 012 is twelve.
        return int(digits, 0 if digits.lstrip("-+")[:2] in ("0b", "0o", "0x") else 10)

    yaml_constructors = yaml.SafeLoader.yaml_constructors | {TAG + "int": construct_yaml_int}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that stands in a mapping twice; then put in what the mapping merges (`<<: *other`)."""
        # A mapping that others merge comes here more than once, the first time with just the keys of its own.
        if not hasattr(node, "checked"):
            node.checked, keys = True, set()
            for key_node, _ in node.value:
                if isinstance(key_node, yaml.ScalarNode):
                    is_value = key_node.tag in self.yaml_constructors  # `<<` and `=` are signs
                    key = self.construct_object(key_node) if is_value else key_node.value
                    if key in keys:
                        problem = f'found duplicate key "{key_node.value}"'
                        raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                    keys.add(key)
        super().flatten_mapping(node)


for _name, (_pattern, _first) in SCALARS.items():
    _Rules.add_implicit_resolver(TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


class _Loader(_Rules, yaml.SafeLoader):
    pass


class _FastLoader(_Rules, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    pass


def read(path: Path) -> Any:
    """Returns what is in the YAML file at `path`; None where it is empty.

    Raises UserError, with the number of the line, where it is not valid YAML: a key that stands in a mapping twice is
    an error too.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no {path} here: run this in the project's folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: {error}; save it as UTF-8") from None
    except UserError as error:
        raise UserError(f"{path} is {error}") from None


def parse(text: str) -> Any:
    """Returns what `text` holds, as `read` does for a file. Raises UserError: `not valid YAML, line 3: …`."""
    try:
        _refuse_depth(text)
        # The fast one would take a tab between values, or before a comment, where DVC refuses the file.
        return yaml.load(text, _Loader if "\t" in text else _FastLoader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"not valid YAML{where}: {problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {' '.join(str(error).split())}") from None


def _refuse_depth(text: str) -> None:
    """Raise UserError for what is nested deeper than `DEPTH`: of some thousands PyYAML's fast loader dies."""
    depth = 0
    for event in yaml.parse(text, _FastLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            line = event.start_mark.line + 1
            raise UserError(f"not valid YAML, line {line}: got lists or mappings more than {DEPTH} deep")
