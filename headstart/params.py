"""`params.yaml`, checked and typed; a stage gets just the parameters that `dvc.yaml` declares for it."""

import difflib
import operator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headstart.errors import UserError

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")


class UndeclaredParameter(UserError):
    """A stage touched a parameter that `dvc.yaml` does not list for it."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("takes a number")
    return value


def _sha256(value: str) -> str:
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise ValueError("takes the 64 hexadecimal digits (lower case) of a sha256, or null")
    return value


def _share(value: int | float) -> int | float:
    if not (value > 0 and (isinstance(value, int) or value < 1)):
        raise ValueError("takes a count of images a class (1, 2, …), or a fraction between 0 and 1")
    return value


Share = Annotated[StrictInt | Annotated[float, Field(strict=True)], AfterValidator(_share)]
Sha256 = Annotated[StrictStr, AfterValidator(_sha256)]
Optimizer = Literal["sgd", "rmsprop", "adam", "adamw"]
Positive = Annotated[float, Field(gt=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, lt=1, strict=True)]
Count = Annotated[StrictInt, Field(ge=1)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**31)]


class Table(_Section):
    """Where a table in the source keeps images and labels; columns by name, or by number where it has no header."""

    file: StrictStr
    delimiter: StrictStr
    header: StrictBool
    image: StrictStr | StrictInt
    label: StrictStr | StrictInt
    values: dict[StrictStr, StrictStr] | None


class Dataset(_Section):
    source: StrictStr | None
    sha256: Sha256 | None
    path: StrictStr
    labels: Literal["folders", "prefix", "table"]
    classes: Annotated[list[StrictStr], Field(min_length=2)] | None
    table: Table | None

    @model_validator(mode="after")
    def _table_is_described(self) -> "Dataset":
        if self.labels == "table" and self.table is None:
            raise ValueError("labels: table needs dataset.table (file, delimiter, header, image, label, values)")
        return self


class Split(_Section):
    train: Share | None
    validation: Share
    test: Share
    when_short: Literal["error", "share"]
    seed: Seed


class Image(_Section):
    size: Annotated[StrictInt, Field(ge=16, le=2048)]


class Backbone(_Section):
    name: StrictStr
    weights: StrictStr
    sha256: Sha256 | None
    scaling: Literal["native", "unit"]


class Extract(_Section):
    batch_size: Count


class _Training(_Section):
    optimizer: Optimizer
    learning_rate: Positive
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0, strict=True)]
    epochs: Annotated[StrictInt, Field(ge=0)]
    batch_size: Count
    class_weights: Literal["none", "balanced"]
    early_stopping: Count | None


class Head(_Training):
    pooling: Literal["average", "flatten"]
    hidden: list[Count]
    dropout: Fraction
    epochs: Count


class FineTune(_Training):
    views: Literal["live"] | Count
    cut: StrictStr | Annotated[StrictInt, Field(ge=0)]
    schedule: Literal["constant", "cosine"]


class Augment(_Section):
    shear: Annotated[float, Field(ge=0, lt=90, strict=True)]
    zoom: Fraction
    shift: Fraction
    rotation: Annotated[float, Field(ge=0, le=180, strict=True)]
    flip_horizontal: StrictBool
    flip_vertical: StrictBool


class Params(_Section):
    """All of `params.yaml`. What each knob does, and its unit, stands there."""

    seed: Seed
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
    except YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None


def _explain(error: ValidationError, values: Any) -> str:
    # An unknown name comes first: the right one is then missing too, and "did you mean" says both.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    # Pydantic adds the branch of a union to the place; only names that stand in the file are of use.
    place, node = [], values
    for key in first["loc"]:
        if isinstance(node, dict) and (key in node or first["type"] in ("missing", "extra_forbidden")):
            place.append(str(key))
            node = node.get(key)
        elif isinstance(node, list) and isinstance(key, int):
            place.append(str(key))
            node = node[key]
    name = ".".join(place) or "the file"
    if first["type"] == "extra_forbidden":
        known = _names(Params)
        parent = name.rpartition(".")[0]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(_children(known, parent))}"
        return f"no parameter is named {name}; {hint}"
    if first["type"] == "missing":
        return f"{name} is missing; add it (`git diff {PARAMS}` shows what was changed)"
    wanted = sorted({_wanted(e) for e in error.errors() if e["loc"][: len(place)] == first["loc"][: len(place)]})
    return f"{name}: got {node!r}; {' or '.join(wanted)}"


def _wanted(error: dict) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            return "takes " + context["expected"].replace("'", "")
        case "value_error":
            return str(context["error"])
        case "int_type" | "int_from_float":
            return "takes a whole number"
        case "float_type":
            return "takes a number"
        case "string_type":
            return "takes a text"
        case "none_required":
            return "takes null"
        case "bool_type":
            return "takes true or false"
        case _:
            return error["msg"].replace("Input should be", "takes a value").replace("Value error, ", "")


def _names(section: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in section.model_fields.items():
        names.append(prefix + name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += _names(kind, prefix + name + ".")
    return names + ([f"dataset.table.{name}" for name in Table.model_fields] if section is Params else [])


def _children(names: list[str], parent: str) -> list[str]:
    return [name for name in names if name.rpartition(".")[0] == parent]
