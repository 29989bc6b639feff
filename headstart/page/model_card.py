"""models/MODEL_CARD.md: what the classifier is for, what it was made of, how good it is, and where it fails.

Markdown below a header of Hugging Face's metadata (https://huggingface.co/docs/hub/model-cards), so that a model hub
shows it. The same run gives the same bytes: it has no date, and Git knows the commit.
"""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jinja2
import numpy as np
import yaml

from headstart.artifacts import dataset
from headstart.artifacts.manifest import SPLITS, Manifest
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import CLASSIFIER, PAGE, WRONG, Results
from headstart.base import files, params, wording
from headstart.classifier import decision
from headstart.classifier.details import Details
from headstart.page import CARD, contents, licences, markdown, notes, words

MOST = 10  # classes and confusions that are listed: those that are rarest, or missed most
NAMED = 40  # classes that are named
# Of the delivered model, as Hugging Face's metadata call them.
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "f1": "macro_f1", "roc_auc": "roc_auc"}
FRAGILE = {
    "noise": "noise (grey levels: {})",
    "blur": "blur (radius, of the side: {})",
    "jpeg": "JPEG (quality: {})",
    "brightness": "darkness (brightness times {})",
}


class Run(NamedTuple):
    """All that a card is made of.

    `answers`: of the test images, the delivered model last, as it decides. `by_class`: as `evaluation.trust.by_class`
    returns it. `found`, `summary`: as `artifacts.inspection` and `artifacts.dataset` read them. `settings`: of the
    stage `report`. `positive`: of two classes, the index of the one that matters. `resizing`: how images are.
    """

    table: Manifest
    details: Details
    measured: Results
    answers: Predictions
    by_class: dict[str, dict[str, Any]]
    found: dict[str, Any]
    summary: dict[str, Any]
    settings: params.Params
    positive: int
    resizing: str


def write(run: Run) -> None:
    """Write models/MODEL_CARD.md, whole or not at all."""
    files.write_text(CARD, text(run))


def text(run: Run) -> str:
    """Return the card. It names the sha256 of models/classifier.keras, which lies there."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"sentence": markdown.sentence, "counted": wording.count, "number": "{:,}".format}
    facts = {"header": header(run), "run": run, "origin": contents.origin(), "classifier": CLASSIFIER.name}
    facts |= _what(run) | _data(run) | _licences(run.settings) | _results(run) | _decision(run)
    return environment.get_template("model_card.md").render(facts)


def header(run: Run) -> str:
    """Return the metadata as YAML, without the lines around them."""
    trust, score = run.measured.trust, run.measured.scores[run.measured.delivered]
    values = {kind: score[name] for kind, name in METRICS.items()}
    if run.measured.by_rule:
        values |= _by_rule(run)
    if "calibration" in trust:
        values["ece"] = trust["calibration"]["after"]["ece"]
    metrics = [{"type": kind, "value": value} for kind, value in values.items() if value is not None]
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"type": "imagefolder", "name": _data_name(run.settings.dataset), "split": "test"},
        "metrics": metrics,
    }
    known = _licences(run.settings)["licences"]
    said = {"license": known["data"].id} if known["stated"] else {}  # the data's binds more than the weights'
    said |= {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["headstart", "image-classification"],
        "metrics": [metric["type"] for metric in metrics],
        "model-index": [{"name": "classifier", "results": [results]}],
    }
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=10**6).rstrip("\n")


def _by_rule(run: Run) -> dict[str, float]:
    """Of `METRICS` those that go by the classes that the rule names, of the classes that have test images."""
    tested = [of for of in run.by_class.values() if of["images"]]
    f1 = [2 * of["recall"] * of["images"] / (of["images"] + of["predicted"]) for of in tested]
    values = {"balanced_accuracy": np.mean([of["recall"] for of in tested]), "f1": np.mean(f1)}
    accuracy = run.measured.trust["decision"]["accuracy"]
    return {"accuracy": accuracy} | {name: round(float(value), 6) for name, value in values.items()}


def _what(run: Run) -> dict[str, Any]:
    """What it is, what it takes, and what to expect of it."""
    classes, settings, details = run.table.classes, run.settings, run.details
    names = " and ".join(backbone.name for backbone in settings.backbone)
    pretrained = "" if all(backbone.weights == "random" for backbone in settings.backbone) else "pretrained "
    return {
        "title": markdown.codes(classes, 4, 30),
        "names": markdown.codes(classes, NAMED),
        "classes": wording.count(len(classes), "class"),
        "network": f"A {pretrained}{names} with a head of its own",
        "expected": _expected(run),
        "size": details.size,
        "resizing": run.resizing,
        "value_range": details.value_range,
        "page": PAGE,
        "galleries": WRONG,
    }


def _expected(run: Run) -> list[str]:
    """What the result means for 100 images; of two classes, for those of the one that the page speaks of first."""
    classes, said = run.table.classes, []
    decided, score = run.measured.trust.get("decision", {}), run.measured.scores[run.measured.delivered]
    if len(classes) == 2:
        spoken_of = words.subject(run.measured, classes[run.positive])
        of = run.by_class[spoken_of]
        name, part = markdown.code(spoken_of), round(100 * of["images"] / run.measured.images)
        if of["recall"] is not None:
            said.append(f"Of 100 images of {name}, it finds {words.between(of['recall_low'], of['recall_high'])}.")
        if of["precision"] is not None and of["images"]:
            between = words.between(of["precision_low"], of["precision_high"])
            said.append(f"Of 100 images that it calls {name}, {between} are, if {part} of 100 images are.")
    right = decided if "accuracy" in decided else score
    between = words.between(right["accuracy_low"], right["accuracy_high"])
    return [*said, f"Of 100 new images like the test images, it gets {between} right."]


def _data_name(settings: params.Dataset) -> str:
    return wording.label(settings.source or PurePosixPath(settings.path).name or settings.path, markdown.WIDEST)


def _data(run: Run) -> dict[str, Any]:
    """The images: how many of each class and split, and what is known of them."""
    counts, summary = dataset.counts(run.summary, run.settings.fold), run.summary
    by_name = {name: [counts[split].get(name, 0) for split in SPLITS] for name in run.table.classes}
    shown = list(by_name) if len(by_name) <= MOST else sorted(by_name, key=by_name.get)[:MOST]
    labels = _labels(run.table.classes)
    rows = [(labels[name], [*by_name[name], sum(by_name[name])]) for name in shown]
    sums = [sum(column) for column in zip(*by_name.values(), strict=True)]
    facts = contents.facts(summary, run.found)
    if drawn := run.settings.train_images:
        facts.append(f"Of the training images {drawn:,} of each class were drawn (train_images).")
    if summary.get("groups") is None:
        facts.append(
            "Nothing says which images belong together: if several are of one subject (a patient, a part), on both "
            "sides of the split, the scores are too high and the intervals too narrow."
        )
    if sets := len(summary.get("near_duplicates", ())):
        kept = {"group": "each is kept in one split"}.get(run.settings.dataset.near_duplicates, "not kept in one split")
        facts.append(f"{wording.count(sets, 'set')} of near copies (encoded anew, resized, slightly cropped): {kept}.")
    if left_out := len(summary["left_out"]):
        facts.append(f"{wording.count(left_out, 'file')} left out: `metrics/dataset.json` says which, and why.")
    return {
        "source": markdown.code(_data_name(run.settings.dataset)),
        "sha256": run.settings.dataset.sha256,
        "counts": rows,
        "sums": [*sums, sum(sums)],
        "facts": facts,
    }


def _licences(settings: params.Params) -> dict[str, Any]:
    """Where the weights are from; and the licences, `stated` where both are known."""
    named = {"imagenet": "`imagenet`, as Keras publishes them", "random": "none: they were random"}
    weights = [
        {
            "name": f" of {backbone.name}" if settings.backbone[1:] else "",
            "source": named.get(backbone.weights) or markdown.code(backbone.weights),
            "licence": licences.of(backbone.weights),
            "random": backbone.weights == "random",
        }
        for backbone in settings.backbone
    ]
    data = licences.of(settings.dataset.source)
    stated = data is not None and all(of["random"] or of["licence"] for of in weights)
    return {"weights": weights, "licences": {"data": data, "stated": stated}}


def _results(run: Run) -> dict[str, Any]:
    """The scores, class by class, and what is taken for what."""
    answers, measured, by_class = run.answers, run.measured, run.by_class
    tested = [name for name, numbers in by_class.items() if numbers["images"]]
    lowest = sorted(tested, key=lambda name: (by_class[name]["recall"], by_class[name]["images"]))
    shown = list(by_class) if len(by_class) <= MOST else lowest[:MOST]
    counts = contents.confusions(answers)
    pairs = [(int(true), int(guess)) for true, guess in np.argwhere(counts) if true != guess]
    pairs.sort(key=lambda pair: (-counts[pair], pair))
    labels = _labels(answers.classes)
    names = list(labels.values())
    return {
        "warnings": words.of_decision(measured, answers, run.settings.decision)
        + words.warnings(measured, run.found, run.summary, by_class),
        "heading": notes.heading(measured.images, run.summary, run.found),
        "models": contents.models(measured),
        "steps": notes.steps(measured),
        "by_class": [(labels[name], by_class[name]) for name in shown],
        "confused": [
            (names[true], names[guess], int(counts[true, guess]), int(counts[true].sum()))
            for true, guess in pairs[:MOST]
        ],
        "confusions": len(pairs),
        "wrong": sum(int(counts[pair]) for pair in pairs),
        "positive": names[run.positive] if len(names) == 2 else None,
        "negative": names[1 - run.positive] if len(names) == 2 else None,
    }


def _decision(run: Run) -> dict[str, Any]:
    """The rule, how sure it is, and how fragile."""
    trust, rule, known = run.measured.trust, run.details.rule, run.details.known
    if rule.threshold is not None:
        least = decision.shown(rule.threshold)
        said = f"An image is called {markdown.code(rule.of)} from a probability of {least} on"
    elif rule.costs is not None:
        said = "It takes the class by which it expects to lose least"
    else:
        said = "It takes the likeliest class"
    worse = {kind: of for kind, of in trust.get("fragility", {}).items() if kind != "none"}
    return {
        "rule": f"{said} (`decision.goal: {rule.goal}`).",
        "decided": [line for line in notes.relied(run.measured) if line.startswith("As it decides")],
        "trust": {name: trust.get(name) for name in ("calibration", "possible", "unlike")},
        "temperature": rule.temperature or 1.0,
        "at_least": None if rule.at_least is None else decision.shown(rule.at_least),
        "kept": 0 if known is None else len(known.features),
        "limit": None if known is None else known.limit,
        "undisturbed": trust["fragility"]["none"][0]["accuracy"] if worse else None,
        "fragility": [
            (
                FRAGILE[kind].format(", ".join(f"{level['strength']:g}" for level in levels)),
                [f"{level['accuracy']:.2f}" for level in levels],
            )
            for kind, levels in worse.items()
        ],
    }


def _labels(classes: list[str]) -> dict[str, str]:
    """How each class is called on the card, by its name: differently from all others."""
    return dict(zip(classes, map(markdown.code, wording.labels(classes, markdown.WIDEST)), strict=True))
