"""metrics/test.json, the scores of each model on the test images, and where the pictures of the same result lie.

The numbers of each class are lists there, one line a class: DVC, whose metrics are the numbers in dictionaries, would
otherwise print hundreds of lines of them.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.artifacts import AMOUNT, ANY, COUNT, NUMBER, SHARE, of_form, parsed
from headstart.base import files
from headstart.base.errors import UserError

TEST = Path("metrics/test.json")
PICTURE = Path("metrics/result.png")
PAGE = Path("metrics/report.html")
PLOTS = Path("metrics/plots")
# They show the images, which are not ours to publish: DVC keeps them, not Git.
WRONG, RIGHT = Path("metrics/galleries/wrong.png"), Path("metrics/galleries/right.png")

CLASSIFIER = Path("models/classifier.keras")
# All models that are scored, the simplest first. The last one that a run has is what CLASSIFIER delivers.
MODELS = {
    "head": "head alone",
    "head_averaged": "head averaged over flips",
    "fine_tuned": "fine-tuned",
    "averaged": "averaged over flips",
}
# What a model is called when its answers are averaged over flips.
AVERAGED = {"head": "head_averaged", "fine_tuned": "averaged"}
# What is tested with McNemar's test: a model, and what one more step made of it.
COMPARISONS = {
    "fine_tuning": ("head", "fine_tuned"),
    "averaging": ("fine_tuned", "averaged"),
    "head_averaging": ("head", "head_averaged"),
}
# What is measured of how far the delivered model can be relied on:
# calibration  {before, after: the temperature, as `evaluation.trust.calibration` returns it}
# reliability  `evaluation.trust.bins`, after
# decision     `evaluation.trust.decided`
# possible     `evaluation.trust.coverage`; missing where one class is always named
# unlike       {share: of the test images, that are unlike the training images}
# fragility    `evaluation.fragility.measure`
# corrected    how many test images data/corrections.csv changed; missing where none
TRUST = ("calibration", "reliability", "decision", "possible", "unlike", "fragility", "corrected")
# The scores that every model has; one that is not defined is None.
SCORES = ("accuracy", "accuracy_low", "accuracy_high", "loss", "roc_auc", "average_precision")
SHARE_OR_NONE = SHARE | {None}
WEIGHED = {f"{name}?": SHARE_OR_NONE for name in ("balanced_accuracy", "macro_f1", "weighted_accuracy")}
OF_CLASS = {"class": {str}, "images": COUNT, "predicted": COUNT}
OF_CLASS |= dict.fromkeys(("recall", "precision", "average_precision"), SHARE_OR_NONE)
SCORE = {name: SHARE if name in SCORES[:3] else SHARE_OR_NONE for name in SCORES} | {"loss": AMOUNT}
SCORE |= WEIGHED


def _interval(name: str, kind: frozenset = SHARE, missing: str = "") -> dict[str, Any]:
    return {f"{name}{end}{missing}": kind for end in ("", "_low", "_high")}


DECISION = {"goal": {str}, "of?": {str, None}, "threshold?": SHARE_OR_NONE} | _interval("accuracy")
DECISION |= _interval("balanced_accuracy", SHARE_OR_NONE, "?")
DECISION |= _interval("recall", SHARE_OR_NONE, "?") | _interval("precision", SHARE_OR_NONE, "?")
POINT = {"images": COUNT, "confidence": SHARE, "accuracy": SHARE}
LEVEL = {"strength": NUMBER, "accuracy": SHARE, "unlike": SHARE_OR_NONE}
# What `parse` compares with: of an earlier version a file may lack some of what there is in `TRUST`.
FORM = {
    "images": COUNT,
    "mcnemar": {f"{name}?": {f"only_{of}": COUNT for of in pair} | {"p": SHARE} for name, pair in COMPARISONS.items()},
    **{f"{model}?": SCORE for model in MODELS},
    "calibration?": {"before": {"ece": SHARE}, "after": {"ece": SHARE, "ece_by_chance?": SHARE}},
    "reliability?": [POINT],
    "decision?": DECISION,
    "possible?": {"wanted": SHARE, "one_class": SHARE} | _interval("coverage"),
    "unlike?": _interval("share"),
    "fragility?": {ANY: [LEVEL]},
    "corrected?": COUNT,
}
# What the page and the model card show beside that, which no experiment's metrics have as a whole.
WHOLE = FORM | {
    **{f"{model}?": SCORE | {"balanced_accuracy": SHARE, "macro_f1": SHARE} for model in MODELS},
    "calibration": {
        "before": {"ece": SHARE},
        "after": {"ece": SHARE, "ece_by_chance": SHARE} | _interval("ece", AMOUNT) | _interval("brier", AMOUNT),
    },
    "reliability": [POINT],
    "decision": DECISION,
    "fragility": {"none": (LEVEL,)} | dict.fromkeys(("noise", "blur", "jpeg", "brightness"), (LEVEL,) * 5),
}


@dataclass(frozen=True)
class Results:
    """What `evaluate` measured.

    `images`: how many test images; `scores`: of each model by its name, in the order of `MODELS`, as
    `evaluation.scores.score` returns them (in what DVC hands on of an experiment, without the lists, which are
    per_class and confusion_matrix); `mcnemar`: of each comparison in `COMPARISONS` whose models were scored, as
    `evaluation.scores.mcnemar` returns it; `trust`: of the delivered model, by the names in `TRUST`.
    """

    images: int
    scores: dict[str, dict[str, Any]]
    mcnemar: dict[str, dict[str, Any]]
    trust: dict[str, Any] = field(default_factory=dict)

    @property
    def delivered(self) -> str:
        """The name of the model that models/classifier.keras is."""
        return list(self.scores)[-1]

    @property
    def by_rule(self) -> bool:
        """Whether the classifier decides by a rule of its own, not for the likeliest class."""
        return self.trust.get("decision", {}).get("goal", "accuracy") != "accuracy"


def write(results: Results, project: Path = Path()) -> None:
    """Write metrics/test.json in the folder `project`, whole or not at all."""
    scores = {model: _listed(score) for model, score in results.scores.items()}
    content = {"images": results.images, **scores, "mcnemar": results.mcnemar, **results.trust}
    files.write_text(project / TEST, _json(content) + "\n")


def read(project: Path = Path(), whole: bool = False) -> Results:
    """Read metrics/test.json in the folder `project`. Raises UserError where it is missing, damaged or out of date.

    whole: with all that the page shows.
    """
    try:
        content = parsed((project / TEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no {TEST} here: run `dvc repro` to write it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{TEST} is not valid JSON ({error}): run `dvc repro`") from None
    try:
        return parse(content, WHOLE if whole else FORM)
    except ValueError as error:
        raise UserError(f"{error}: run `dvc repro`") from None


def parse(content: Any, form: dict[str, Any] = FORM) -> Results:
    """The results in `content`, what a JSON reader made of a metrics/test.json.

    Raises ValueError where the stage evaluate, as it is now, would not have written it.
    """
    try:
        of_form({"mcnemar": {}}, content)
        if "only_head" in content["mcnemar"]:
            raise ValueError("it is in the form of an earlier version of Headstart")
        of_form(form, content)
        scores = {name: _by_name(content[name]) for name in MODELS if name in content}
        if "head" not in scores:
            raise ValueError("it lacks head")
        if len({tuple(score.get("per_class", ())) for score in scores.values()}) > 1:
            raise ValueError("its models are of different classes")
        if content["images"] < 1:
            raise ValueError("it is of no images")
        of_form(
            {"decision?": _decided(content.get("decision", {}), list(scores["head"].get("per_class", ())))}, content
        )
        compared = {name: content["mcnemar"][name] for name, pair in COMPARISONS.items() if scores.keys() >= set(pair)}
    except (KeyError, ValueError) as error:
        why = f"it lacks mcnemar.{error.args[0]}" if isinstance(error, KeyError) else error
        raise ValueError(f"{TEST} is not what the stage evaluate writes ({why})") from None
    return Results(content["images"], scores, compared, {name: content[name] for name in TRUST if name in content})


def _decided(decision: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """The form of a decision that has these parts: each with its interval, and a threshold with its class."""
    form = {"of": {str}} if decision.get("threshold") is not None else {}
    for name in ("balanced_accuracy", "recall", "precision"):
        form |= _interval(name) if decision.get(name) is not None else {}
    if classes and decision.get("of") not in (None, *classes):
        raise ValueError("decision.of is none of its classes")
    return form


def _listed(score: dict[str, Any]) -> dict[str, Any]:
    if "per_class" not in score:
        return score
    return score | {"per_class": [{"class": name, **numbers} for name, numbers in score["per_class"].items()]}


def _by_name(score: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(score.get("per_class"), list):  # a dictionary is of an earlier version, which knew less
        return {name: value for name, value in score.items() if name != "per_class"}
    of_form([OF_CLASS], score["per_class"])
    return score | {
        "per_class": {
            entry["class"]: {key: value for key, value in entry.items() if key != "class"}
            for entry in score["per_class"]
        }
    }


def _json(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry of a dictionary or a list, but an entry of a list in one line as a whole."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {_json(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(inner + entry for entry in entries) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        entries = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in value]
        return "[\n" + ",\n".join(inner + entry for entry in entries) + "\n" + indent + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
