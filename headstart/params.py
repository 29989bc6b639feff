"""`python -m headstart.params`: check params.yaml, and that what it names is there.

DVC itself does not know which names and values there can be, nor does it look at parameters that no stage takes; and at
a link to nothing it stops before a stage could say what to do.
"""

import argparse
import json
import os
from pathlib import Path

from headstart.base import account, errors, files, params
from headstart.base.errors import UserError

SCHEMA = Path("params.schema.json")


def schema_text() -> str:
    """Returns what is in params.schema.json when it is current: the JSON schema by which editors check params.yaml."""
    return json.dumps(params.schema(), indent=2, ensure_ascii=False) + "\n"


def refuse_broken_links(folder: Path) -> None:
    """Raise UserError where a file below `folder` is a symbolic link to nothing, such as to what left DVC's cache."""
    for inner, _, names in os.walk(folder):
        for file in (Path(inner, name) for name in names):
            if file.is_symlink() and not file.exists():
                raise UserError(
                    f"dataset.path: {file} is a link to {file.readlink()}, where nothing is: `dvc pull` brings back "
                    "what DVC has tracked; otherwise put the file itself there, or remove the link"
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.params", description="Check params.yaml: silent where nothing is wrong."
    )
    parser.add_argument("--schema", action="store_true", help=f"write {SCHEMA} instead, for editors")
    if parser.parse_args().schema:
        files.write_text(SCHEMA, schema_text())
    else:
        account.require()  # what checks the parameters is about to run DVC
        refuse_broken_links(Path(params.load().dataset.path))


if __name__ == "__main__":
    errors.run(main)
