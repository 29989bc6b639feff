"""`python -m headstart.params`: check params.yaml.

DVC itself does not know which names and values there can be, nor does it look at parameters that no stage takes.
"""

import argparse
import json
from pathlib import Path

from headstart.base import errors, files, params

SCHEMA = Path("params.schema.json")


def schema_text() -> str:
    """Returns what is in params.schema.json when it is current: the JSON schema by which editors check params.yaml."""
    return json.dumps(params.schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.params", description="Check params.yaml: silent where nothing is wrong."
    )
    parser.add_argument("--schema", action="store_true", help=f"write {SCHEMA} instead, for editors")
    if parser.parse_args().schema:
        files.write_text(SCHEMA, schema_text())
    else:
        params.load()


if __name__ == "__main__":
    errors.run(main)
