"""What the stages hand to each other and to the commands, as files: written whole, compared when read."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.base.errors import UserError

# Forms of numbers, as `difference` takes them: any, of which some can be added up; a share; an amount; a count.
NUMBER = frozenset({int, float, (-1e300, 1e300)})
SHARE = frozenset({int, float, (0, 1)})
AMOUNT = frozenset({int, float, (0, 1e300)})
COUNT = frozenset({int, (0, 2**53)})
ANY = ""  # in the place of the keys of a dictionary that may have any


def read_json(project: Path, file: Path, checked: Callable[[Any], Any], stage: str) -> Any:
    """Return what `checked` makes of the JSON in a file of `project`, which `stage` has written.

    checked: raises ValueError where the stage has not written that. Raises UserError then, and where the file is
    missing or is not JSON.
    """
    try:
        return checked(parsed((project / file).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"no {file} here: run `dvc repro {stage}` to write it") from None
    except (ValueError, RecursionError) as error:
        again = f"run `dvc repro --force --single-item {stage}`"
        raise UserError(f"{file} is damaged ({error}): {again}") from None


def parsed(text: str) -> Any:
    """Return what JSON says. Raises ValueError, also for NaN, Infinity and 1e999, which Python takes for numbers."""
    return json.loads(text, parse_constant=_refused, parse_float=_finite)


def difference(found: Any, form: Any, where: str = "") -> str | None:
    """Return in words where `found`, as read from JSON, has another form; None where it has none.

    form: a set of types, with None for null, of which a value has one, and, where it is a number, the lowest and the
    highest that it can be; a list of the form of all its entries; a tuple of that of each; a dictionary of those of its
    keys, of which one that ends with a question mark may be missing, and others may be there. `ANY` is every key.
    where: the name of `found`; default: of all that was read.
    """
    kinds = form if isinstance(form, set | frozenset) else {dict if isinstance(form, dict) else list}
    inside = f"{where}." if where else ""
    if type(found) not in kinds and not (found is None and None in kinds):
        return f"{where or 'it'} is {_shown(found)}"
    for low, high in (kind for kind in kinds if isinstance(kind, tuple) and found is not None):
        if not low <= found <= high:
            return f"{where or 'it'} is {_shown(found)}, which is not from {low:g} to {high:g}"
    if isinstance(form, tuple) and len(found) != len(form):
        return f"{where or 'it'} has {len(found):,} entries, not {len(form)}"
    if isinstance(form, list | tuple):
        parts = [(f"{where}[{at}]", value, form[at % len(form)]) for at, value in enumerate(found)]
    elif isinstance(form, dict):
        if missing := [inside + key for key in form if not (key == ANY or key.endswith("?") or key in found)]:
            return f"it lacks {', '.join(missing)}"
        forms = {key.removesuffix("?"): of for key, of in form.items()}
        parts = [(inside + key, value, forms.get(key, forms.get(ANY))) for key, value in found.items()]
    else:
        parts = []
    wrong = (difference(value, of, name) for name, value, of in parts if of is not None)
    return next(filter(None, wrong), None)


def of_form(form: Any, found: Any) -> Any:
    """Return `found`, as read from JSON. Raises ValueError where it has another form (`difference`)."""
    if where := difference(found, form):
        raise ValueError(where)
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 30 else f"{text[:29]}…"


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refused(text)


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number")
