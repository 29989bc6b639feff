"""`data/range.json`: which values of images with more than 8 bits are black and white, or null where there are none."""

import json
from pathlib import Path
from typing import Any

from headstart.artifacts import NUMBER, of_form, read_json
from headstart.base import files

RANGE = Path("data/range.json")


def write(fields: dict[str, Any] | None, project: Path = Path()) -> None:
    """Write the fields of an `images.ranges.Range`, or None, in the folder `project`, whole or not at all."""
    files.write_text(project / RANGE, json.dumps(fields) + "\n")


def read(project: Path = Path()) -> dict[str, Any] | None:
    """Return what `write` took. Raises UserError where the file is missing or holds anything else."""
    return read_json(project, RANGE, checked, "split")


def checked(fields: Any) -> dict[str, Any] | None:
    """Return `fields`, as read from JSON. Raises ValueError where they are neither those of a range nor None."""
    if fields is not None:
        of_form({"low": NUMBER, "high": NUMBER}, fields)
        if not fields.keys() <= {"low", "high", "windows", "plain"}:
            raise ValueError("a range has two numbers, low and high")
    return fields
