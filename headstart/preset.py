"""`python -m headstart.preset NAME`: set the parameters of a named experiment in `params.yaml`; comments stay."""

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from headstart.base import errors, files, params, wording, yaml12
from headstart.base.errors import UserError

PRESETS = Path("presets")


class _Representer(RoundTripRepresenter):
    """Writes new values as params.yaml has them: `null` in full, and lists in one line."""


_Representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
_Representer.add_representer(
    list, lambda to, items: to.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def names() -> list[str]:
    """Returns the names of the presets there are, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def apply(name: str) -> list[str]:
    """Merge `presets/NAME.yaml` into `params.yaml`; returns what changed, one line per parameter.

    Sections are merged, lists are replaced. The result is checked before it is written; where nothing changes, the
    file is not touched. Raises UserError.
    """
    if name not in names():
        hint = wording.did_you_mean(name, names())
        raise UserError(f"no preset is named {name}; {hint}There are: {', '.join(names()) or f'none in {PRESETS}/'}")
    file = PRESETS / f"{name}.yaml"
    _section(params.PARAMS)
    yaml = YAML()  # unlike yaml12, it keeps the comments
    yaml.Representer = _Representer
    yaml.width = 4096  # no line is wrapped
    yaml.preserve_quotes = True
    current = yaml.load(params.PARAMS.read_text(encoding="utf-8"))
    changes = list(_merge(current, _section(file), file, ""))
    if changes:
        text = io.StringIO()
        yaml.dump(current, text)
        try:
            params.check(yaml12.parse(text.getvalue()))
        except UserError as error:
            raise UserError(f"{file} does not go into {error}") from None
        files.write_text(params.PARAMS, text.getvalue())
    return changes


def _merge(current: dict, preset: dict, file: Path, prefix: str) -> Iterator[str]:
    for name, value in preset.items():
        if name not in current:
            raise UserError(f"{file}: {params.PARAMS} has no parameter {prefix}{name}: add it there first")
        if isinstance(value, dict) and isinstance(current[name], dict):
            yield from _merge(current[name], value, file, f"{prefix}{name}.")
        elif current[name] != value:
            yield f"{prefix}{name}: {_plain(current[name])} -> {_plain(value)}"
            current[name] = value


def _section(path: Path) -> dict:
    content = yaml12.read(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: got {_plain(content)}; takes parameters and their values, like {params.PARAMS}")
    return content


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.preset",
        description="Set the parameters of a named experiment in params.yaml; without NAME, list the presets.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME")
    name = parser.parse_args().name
    if name is None:
        for preset in names():
            first_line = (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8").partition("\n")[0]
            print(f"{preset}: {first_line.removeprefix('#').strip()}")
    else:
        print("\n".join(apply(name)) or "nothing to change")


if __name__ == "__main__":
    errors.run(main)
