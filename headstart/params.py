"""`params.yaml`, checked and typed; a stage gets just the parameters that `dvc.yaml` declares for it.

`python -m headstart.params` checks the file alone: DVC itself neither knows the names nor looks at what no stage takes.
"""

import difflib
import json
import math
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headstart import errors
from headstart.errors import UserError

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")


class UndeclaredParameter(UserError):
    """A stage touched a parameter that `dvc.yaml` does not list for it."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _takes(what: str, kind: Any, fits: Callable[[Any], bool]) -> BeforeValidator:
    """Admit values of `kind` that fit; `what` tells the user which these are."""

    def check(value: Any) -> Any:
        # To Python, true and false are whole numbers.
        if isinstance(value, bool) or not isinstance(value, kind) or not fits(value):
            raise ValueError(what)
        return value

    return BeforeValidator(check)


def _names(values: list) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _number(what: str, fits: Callable[[float], bool]) -> Any:
    return Annotated[float, _takes(what, int | float, lambda value: math.isfinite(value) and fits(value))]


def _whole(least: int, most: int | None = None) -> Any:
    what = f"a whole number from {least}" + (f" to {most}" if most else "")
    return Annotated[int, _takes(what, int, lambda value: least <= value <= (most or value))]


Text = Annotated[str, _takes("a text", str, bool)]
Sha256 = Annotated[
    str, _takes("the 64 hexadecimal digits (lower case) of a sha256", str, re.compile("[0-9a-f]{64}").fullmatch)
]
Column = (
    Annotated[str, _takes("a column's name", str, bool)]
    | Annotated[int, _takes("a column's number from 0", int, lambda value: value >= 0)]
)
Classes = Annotated[
    list[str],
    _takes(
        "a list of two or more different names",
        list,
        lambda value: _names(value) and len(set(value)) == len(value) >= 2,
    ),
]
Values = Annotated[
    dict[str, str],
    _takes('VALUE: CLASS lines, both texts ("0": cats)', dict, lambda value: _names([*value, *value.values()])),
]
Share = Annotated[
    int | float,
    _takes(
        "a count of images a class (1, 2, …), or a fraction between 0 and 1",
        int | float,
        lambda value: value >= 1 if isinstance(value, int) else 0 < value < 1,
    ),
]
Hidden = Annotated[
    list[int],
    _takes(
        "a list of whole numbers from 1, such as [64, 32], or []",
        list,
        lambda value: all(type(units) is int and units >= 1 for units in value),
    ),
]
Optimizer = Literal["sgd", "rmsprop", "adam", "adamw"]
Positive = _number("a number above 0", lambda value: value > 0)
NotNegative = _number("a number from 0", lambda value: value >= 0)
Fraction = _number("a number from 0 to below 1", lambda value: 0 <= value < 1)
Count = _whole(1)
Batch = _whole(1, 2**31 - 1)
Seed = _whole(0, 2**31 - 1)


class Table(_Section):
    """Where a table in the source keeps images and labels; columns by name, or by number where it has no header."""

    file: Text
    delimiter: Text
    header: StrictBool
    image: Column
    label: Column
    values: Values | None


class Dataset(_Section):
    source: Text | None
    sha256: Sha256 | None
    path: Text
    labels: Literal["folders", "prefix", "table"]
    classes: Classes | None
    table: Table | None

    @field_validator("table")
    @classmethod
    def _is_described(cls, value: Table | None, info: ValidationInfo) -> Table | None:
        if value is None and info.data.get("labels") == "table":
            raise ValueError(f"{', '.join(Table.model_fields)} where dataset.labels is table")
        return value


class Split(_Section):
    train: Share | None
    validation: Share
    test: Share
    when_short: Literal["error", "share"]
    seed: Seed


class Image(_Section):
    size: _whole(16, 2048)


class Backbone(_Section):
    name: Text
    weights: Text
    sha256: Sha256 | None
    scaling: Literal["native", "unit"]


class Extract(_Section):
    engine: Literal["tensorflow", "openvino"]
    precision: Literal["float32", "bfloat16"]
    batch_size: Batch


class _Training(_Section):
    optimizer: Optimizer
    learning_rate: Positive
    momentum: Fraction
    weight_decay: NotNegative
    epochs: _whole(0, 10_000)
    batch_size: Batch
    class_weights: Literal["none", "balanced"]
    early_stopping: Count | None


class Head(_Training):
    pooling: Literal["average", "flatten"]
    hidden: Hidden
    dropout: Fraction
    epochs: Count


class FineTune(_Training):
    views: Literal["live"] | Count
    cut: Annotated[str, _takes("a layer's name", str, bool)] | _whole(0)
    schedule: Literal["constant", "cosine"]
    warmup: _number("a number from 0 to 10000", lambda value: 0 <= value <= 10_000)
    label_smoothing: Fraction
    average_flips: StrictBool


class Augment(_Section):
    shear: _number("a number from 0 to below 90", lambda value: 0 <= value < 90)
    zoom: Fraction
    shift: Fraction
    rotation: _number("a number from 0 to 180", lambda value: 0 <= value <= 180)
    flip_horizontal: StrictBool
    flip_vertical: StrictBool


class Params(_Section):
    """All of `params.yaml`. What each knob does, and its unit, stands there."""

    seed: Seed
    train_images: Count | None
    dataset: Dataset
    split: Split
    image: Image
    backbone: Backbone
    extract: Extract
    head: Head
    augment: Augment
    fine_tune: FineTune


class View:
    """The declared part of a section; touching anything else raises `UndeclaredParameter`."""

    def __init__(self, section: BaseModel, path: str, declared: frozenset[str], stage: str):
        self._section, self._path, self._declared, self._stage = section, path, declared, stage

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._section, name)
        path = f"{self._path}.{name}".lstrip(".")
        if any(path == entry or path.startswith(entry + ".") for entry in self._declared):
            return value
        if any(entry.startswith(path + ".") for entry in self._declared):
            return View(value, path, self._declared, self._stage)
        raise UndeclaredParameter(
            f"stage {self._stage} touches {path}, which {PIPELINE} does not declare for it: "
            f"add it to the stage's params (declared: {', '.join(sorted(self._declared))})"
        )


def load() -> Params:
    """All parameters, checked. Raises `UserError` in one line for each way `params.yaml` can be wrong."""
    return check(_read(PARAMS))


def load_stage(stage: str) -> View:
    """The parameters that `dvc.yaml` declares for `stage`; everything in `params.yaml` is checked all the same."""
    return View(load(), "", frozenset(_read(PIPELINE)["stages"][stage].get("params", [])), stage)


class Declaration(NamedTuple):
    """What `dvc.yaml` says a stage depends on: parameters by their dotted names, and paths of files and folders."""

    values: dict[str, Any]
    deps: list[str]


def declaration(stage: str) -> Declaration:
    """The parameters of `stage` with their values, and its dependencies with `${dataset.path}` filled in."""
    declared, everything = _read(PIPELINE)["stages"][stage], load()
    values = {name: operator.attrgetter(name)(everything) for name in declared.get("params", [])}
    values = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in values.items()}
    return Declaration(values, [dep.replace("${dataset.path}", everything.dataset.path) for dep in declared["deps"]])


def check(values: Any) -> Params:
    """`values` (what a YAML reader gave) as `Params`. Raises `UserError`, naming the first thing that is wrong."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{PARAMS}: {_explain(error, values)}") from None


def _read(path: Path) -> Any:
    try:
        # YAML 1.2, as DVC reads it: in PyYAML's 1.1 the number 1e-4 is a text.
        return YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"no {path} here: run this in the project's folder") from None
    except MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path} is not valid YAML{where}: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _explain(error: ValidationError, values: Any) -> str:
    # An unknown name comes first: the right one is then missing too, and "did you mean" says both.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    # Pydantic adds the branch of a union to the place; only names that stand in the file are of use.
    place, node = [], values
    for key in first["loc"]:
        if isinstance(node, dict) and (key in node or first["type"] in ("missing", "extra_forbidden")):
            place.append(str(key))
            node = node.get(key)
    name, fields = ".".join(place), _fields(Params)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, fields, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"known here: {_children(name.rpartition('.')[0])}"
        return f"no parameter is named {name}; {hint}"
    if first["type"] == "missing":
        return f"{name} is missing; add it (`git diff {PARAMS}` shows what was changed)"
    if first["type"] == "model_type":
        return f"{name or 'the file'}: got {_show(node)}; takes a section with {_children(name)}"
    wanted = {_wanted(e) for e in error.errors() if e["loc"][: len(place)] == first["loc"][: len(place)]}
    if node is not None and type(None) in get_args(fields[name].annotation):
        wanted.add("null")
    return f"{name}: got {_show(node)}; takes {' or '.join(sorted(wanted, key=lambda what: (what == 'null', what)))}"


def _wanted(error: dict) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error":
            return error["ctx"]["expected"].replace("'", "")
        case "bool_type":
            return "true or false"
        case _:
            return error["msg"]


def _show(value: Any) -> str:
    # As YAML writes it, but for mappings: JSON would put quotes around keys that are no texts.
    return str(value) if isinstance(value, dict) else json.dumps(value, ensure_ascii=False, default=str)


def _fields(section: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Every section and every parameter by its dotted name."""
    found = {}
    for name, field in section.model_fields.items():
        found[prefix + name] = field
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _fields(kind, f"{prefix}{name}.")
    return found


def _children(section: str) -> str:
    return ", ".join(name for name in _fields(Params) if name.rpartition(".")[0] == section)


def main() -> None:
    load()


if __name__ == "__main__":
    errors.run(main)
