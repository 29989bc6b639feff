"""`python -m headstart.preset NAME`: set the parameters of a named experiment in `params.yaml`; comments stay."""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.base import editing, files, params, wording, yaml12
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import say

PRESETS = Path("presets")


def names() -> list[str]:
    """Returns the names of the presets there are, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def apply(name: str) -> list[str]:
    """Merge `presets/NAME.yaml` into `params.yaml`; returns what changed, one line per parameter.

    Sections are merged, lists are replaced. The result is checked before it is written; where nothing changes, the
    file is not touched. Raises UserError.
    """
    file = _file(name)
    editing.section(params.PARAMS)
    before = params.PARAMS.read_text(encoding="utf-8")
    text, changes = editing.merged(before, editing.section(file), str(file))
    if changes:
        files.write_text(params.PARAMS, text)
    return changes


def left(name: str) -> list[str]:
    """Returns what `presets/NAME.yaml` says nothing about in `params.yaml`: the names of parameters and of sections."""
    return list(_left(yaml12.read(params.PARAMS), editing.section(_file(name)), ""))


def _left(current: dict[str, Any], preset: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in current.items():
        if name not in preset:
            yield prefix + name
        elif isinstance(value, dict) and isinstance(preset[name], dict) and not params.is_mapping(prefix + name):
            yield from _left(value, preset[name], f"{prefix}{name}.")


def _file(name: str) -> Path:
    if name not in names():
        hint = wording.did_you_mean(name, names())
        raise UserError(f"no preset is named {name}; {hint}There are: {', '.join(names()) or f'none in {PRESETS}/'}")
    return PRESETS / f"{name}.yaml"


def main() -> None:
    parser = Parser(
        prog="python -m headstart.preset",
        description="Set the parameters of a named experiment in params.yaml; without NAME, list the presets.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME")
    name = parser.parse_args().name
    if name is None:
        for preset in names():
            text = (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8-sig", errors="replace")
            first_line = text.partition("\n")[0]
            say(f"{preset}: {first_line.removeprefix('#').strip()}")
    else:
        say(*(apply(name) or ["nothing to change"]))
        if kept := left(name):
            say(f"left as in {params.PARAMS}: {', '.join(kept)}")


if __name__ == "__main__":
    errors.run(main)
