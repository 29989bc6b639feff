"""`data/range.json`: which values of images with more than 8 bits are black and white, or null where there are none."""

import json
import math
from pathlib import Path
from typing import Any

from headstart.base import files
from headstart.base.errors import UserError

RANGE = Path("data/range.json")


def write(fields: dict[str, Any] | None, project: Path = Path()) -> None:
    """Write the fields of an `images.ranges.Range`, or None, in the folder `project`, whole or not at all."""
    files.write_text(project / RANGE, json.dumps(fields) + "\n")


def read(project: Path = Path()) -> dict[str, Any] | None:
    """Return what `write` took. Raises UserError where the file is missing or holds anything else."""
    try:
        return checked(json.loads((project / RANGE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"no {RANGE} here: run `dvc repro split` to write it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{RANGE} is damaged ({error}): run `dvc repro --force split`") from None


def checked(fields: Any) -> dict[str, Any] | None:
    """Return `fields`, as read from JSON. Raises ValueError where they are neither those of a range nor None."""
    if fields is not None:
        known = fields if isinstance(fields, dict) else {}
        ends = known.get("low"), known.get("high")
        if not known.keys() <= {"low", "high", "windows"} or not all(
            type(end) in (int, float) and math.isfinite(end) for end in ends
        ):
            raise ValueError("a range has two numbers, low and high")
    return fields
