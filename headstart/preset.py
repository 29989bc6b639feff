"""`python -m headstart.preset NAME`: set the parameters of a named experiment in `params.yaml`; comments stay."""

import argparse
import difflib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from headstart import errors, files, params
from headstart.errors import UserError

PRESETS = Path("presets")


def names() -> list[str]:
    """The presets there are, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def apply(name: str) -> list[str]:
    """Merge `presets/NAME.yaml` into `params.yaml`, and say what changed, one line a parameter.

    Sections are merged, lists are replaced. The result is checked before it is written; where nothing changes, the
    file is not touched. Raises UserError.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"no preset is named {name}; {hint}There are: {', '.join(names()) or f'none in {PRESETS}/'}")
    yaml = YAML()
    yaml.width = 4096  # no line is wrapped
    yaml.preserve_quotes = True
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    file = PRESETS / f"{name}.yaml"
    current = _read(yaml, params.PARAMS)
    said = list(_merge(current, _read(yaml, file), file, ""))
    if said:
        text = io.StringIO()
        yaml.dump(current, text)
        try:
            params.check(YAML(typ="safe", pure=True).load(text.getvalue()))
        except UserError as error:
            raise UserError(f"{file} does not go into {error}") from None
        files.write_text(params.PARAMS, text.getvalue())
    return said


def _merge(current: CommentedMap, wanted: CommentedMap, file: Path, prefix: str) -> Iterator[str]:
    for name, value in wanted.items():
        if name not in current:
            raise UserError(f"{file}: {params.PARAMS} has no parameter {prefix}{name}: add it there first")
        if isinstance(value, CommentedMap) and isinstance(current[name], CommentedMap):
            yield from _merge(current[name], value, file, f"{prefix}{name}.")
        elif current[name] != value:
            yield f"{prefix}{name}: {_plain(current[name])} -> {_plain(value)}"
            current[name] = value


def _read(yaml: YAML, path: Path) -> CommentedMap:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no {path} here: run this in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, CommentedMap):
        raise UserError(f"{path}: takes parameters and their values, like {params.PARAMS}")
    return document


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.preset",
        description="Set the parameters of a named experiment in params.yaml; without NAME, list the presets.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME")
    name = parser.parse_args().name
    if name is None:
        for known in names():
            first = (PRESETS / f"{known}.yaml").read_text(encoding="utf-8").partition("\n")[0]
            print(f"{known}: {first.removeprefix('#').strip()}")
    else:
        print("\n".join(apply(name)) or "nothing to change")


if __name__ == "__main__":
    errors.run(main)
