"""What is reported of an image: an entry, a dictionary, and the same as cells of CSV."""

import json
from typing import Any

from headstart.base import credentials
from headstart.base.terminal import has_no_shape
from headstart.delivery.classifier import Prediction

COLUMNS = ["path", "class", "probability", "possible", "unlike", "error"]


def entry(path: str, outcome: Prediction | Exception) -> dict[str, Any]:
    """What is reported of an image: path, class, probability, possible, unlike and probabilities; or path, error.

    outcome: what the classifier makes of it, as `Prediction` says, or why it could not be read.
    """
    if isinstance(outcome, Exception):
        reason = getattr(outcome, "strerror", None) or str(outcome)
        return {"path": path, "error": credentials.hidden(" ".join(reason.split()))}
    return {
        "path": path,
        "class": outcome.label,
        "probability": round(outcome.probability, 6),
        "possible": outcome.possible,
        "unlike": outcome.unlike,
        "probabilities": {name: round(value, 6) for name, value in outcome.probabilities.items()},
    }


def cells_of(entry: dict[str, Any]) -> list[Any]:
    """The cells of an entry, of `COLUMNS`.

    What does not apply is None. possible: a JSON list, where it is more than the class; unlike: 1 or 0.
    """
    names, far = entry.get("possible", []), entry.get("unlike")
    several = json.dumps(names, ensure_ascii=False) if len(names) > 1 else None
    return list(map((entry | {"possible": several, "unlike": None if far is None else int(far)}).get, COLUMNS))


def as_json(entry: dict[str, Any]) -> str:
    """An entry as JSON, in one line; letters without a shape are written as JSON's own escapes."""
    text = json.dumps(entry, ensure_ascii=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{ord(letter):04x}" if has_no_shape(letter) else letter for letter in text)
