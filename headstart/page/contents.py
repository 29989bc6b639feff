"""What the page's template and script are given, as far as it comes from the files of a run."""

import csv
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.metrics import confusion_matrix

from headstart.artifacts import calibration, corrections, dataset, inspection, results
from headstart.artifacts.manifest import MANIFEST, Manifest
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import MODELS, Results
from headstart.base import files, params, wording
from headstart.base.errors import UserError
from headstart.classifier import decision
from headstart.page import charts, notes, words

TITLES = {
    "wrong": ("Wrong", "Test images that the classifier gets wrong, each confusion in turn, the surest first."),
    "unsure": ("Least sure", "Test images of whose class it is least sure."),
    "suspects": ("Labels that may be wrong", "Training and validation images that look like another class to a model "
                 "that was not trained on them. Say what is to be done, and save."),
    "alike": ("Nearly the same", "Pairs that lie in two splits, and copies that were kept together."),
    "outliers": ("Unlike all others", "Images far from all others."),
    "right": ("Right", "Test images that it gets right, each class in turn."),
    "examples": ("Examples", "Training images of each class."),
}  # fmt: skip
STEPS = 1000  # of the threshold's slider, from 0 to 1, as the template has it
LISTED = 500  # files that are left out
LIBRARIES = ("tensorflow", "keras", "scikit-learn", "numpy")


def refuse_others(table: Manifest, measured: Results, found: dict[str, Any], summary: dict[str, Any]) -> None:
    """Raise UserError where what another stage has written is of other classes than the manifest."""
    suspected = {of[name] for of in found["suspects"] for name in ("label", "looks_like")}
    named = {
        (dataset.DATASET, "split"): summary["classes"],
        (inspection.INSPECTION, "inspect"): {*suspected, *table.classes},
        (results.TEST, "evaluate"): {*notes.tested(measured), *table.classes},
    }
    for (path, stage), names in named.items():
        if others := set(names) ^ set(table.classes):
            raise UserError(
                f"{path} is of other classes than {MANIFEST}, such as {min(others)}: run `dvc repro --force "
                f"--single-item {stage}`"
            )


def of_images(
    table: Manifest, answers: Predictions, pictures: dict[int, str], heat: dict[int, str], near: dict[int, list[int]]
) -> dict[int, dict[str, Any]]:
    """What the script knows of each image that is shown, by its row; the five likeliest classes of test images."""
    order = {path: at for at, path in enumerate(answers.paths)}
    probabilities, guesses = (list(of.values())[-1] for of in (answers.probabilities, answers.predicted))
    found = {}
    for row, source in pictures.items():
        path = table.paths[row]
        entry = {
            "path": path,
            "label": int(table.labels[row]),
            "split": str(table.splits[row]),
            "sha256": table.sha256[row],
            "src": source,
        }
        if path in order:
            values = probabilities[order[path]]
            best = sorted(range(len(values)), key=lambda label: -values[label])[:5]
            guess = int(guesses[order[path]])
            shown = best if guess in best else [*best[:4], guess]
            entry |= {"guess": guess, "p": [[label, round(float(values[label]), 4)] for label in shown]}
        if row in heat:
            entry["heat"] = heat[row]
        if row in near:
            entry["near"] = near[row]
        found[row] = entry
    return found


def of_script(
    measured: Results,
    answers: Predictions,
    found: dict[str, Any],
    summary: dict[str, Any],
    images: dict[int, dict[str, Any]],
    galleries: dict[str, list[int]],
    positive: int,
) -> dict[str, Any]:
    """What the page's script reads. galleries: as `shown.galleries`; images that are not in `images` are left out."""
    rows = {image["path"]: row for row, image in images.items()}
    classes, right = answers.classes, list(answers.predicted.values())[-1] == answers.labels
    suspects = {rows[of["path"]]: classes.index(of["looks_like"]) for of in found["suspects"] if of["path"] in rows}
    return {
        "classes": classes,
        "charts": of_charts(measured, answers, summary),
        "images": images,
        "galleries": {name: [row for row in of if row in images] for name, of in galleries.items()},
        "totals": {"wrong": int((~right).sum()), "right": int(right.sum())}
        | {name: found["counts"][name] for name in ("suspects", "outliers")},
        "suspects": suspects,
        "cells": cells(answers),
        "two": threshold(answers, measured, positive),
        "corrections": [correction._asdict() for correction in corrections.read()],
    }


def of_template(
    measured: Results,
    answers: Predictions,
    found: dict[str, Any],
    summary: dict[str, Any],
    data: dict[str, Any],
    by_class: dict[str, dict[str, Any]],
    positive: str,
    wanted: params.Decision,
) -> dict[str, Any]:
    """What the page's template is given but for `data`, which `of_script` returned.

    by_class: as `evaluation.trust.by_class` returns it. positive: of two classes.
    """
    classes, goal = data["classes"], wanted.goal
    if goal in ("recall", "precision"):
        goal = f"{goal}, at_least: {wanted.at_least:g}"
    names = ", ".join(wording.labels(classes[:4], 30)) + (f" and {len(classes) - 4} more" if len(classes) > 4 else "")
    confused = [what for pair, what in data["cells"] if len(set(pair.split(","))) > 1][:3]
    shown = [
        {"name": name, "title": title, "what": what}
        for name, (title, what) in TITLES.items()
        if data["galleries"][name]
    ]
    return {
        "title": names,
        "headline": words.headline(measured, by_class, positive),
        "heading": notes.heading(measured.images, summary, found),
        "warnings": words.of_decision(measured, answers, wanted) + words.warnings(measured, found, summary, by_class),
        "models": models(measured),
        "steps": notes.steps(measured),
        "two": data["two"],
        "confused": ", ".join(confused),
        "goal": None if goal == "accuracy" else goal,
        "relied": notes.relied(measured),
        "fragile": fragile(measured),
        "classes": classes,
        "galleries": shown,
        "facts": facts(summary, found),
        "left_out": summary["left_out"][:LISTED],
        "all_left_out": len(summary["left_out"]),
        "what_next": words.what_next(measured, found, by_class),
        "origin": origin(),
        "parameters": yaml.safe_dump(params.declaration("report").values, sort_keys=False, allow_unicode=True),
    }


def of_charts(measured: Results, answers: Predictions, summary: dict[str, Any]) -> dict[str, charts.Chart]:
    """The page's charts by their names; one whose data are missing is left out."""
    classes = answers.classes
    found = {"confusion": charts.confusion(confusions(answers).tolist(), classes)}
    for stage in ("head", "fine_tune"):
        by_epoch = {split: _losses(stage, split) for split in ("train", "validation")}
        if any(len(values) > 2 for values in by_epoch.values()):
            found[stage] = charts.curves(by_epoch, "loss")
    found["reliability"] = charts.reliability(measured.trust["reliability"])
    found["fragility"] = charts.fragility(measured.trust["fragility"])
    found["counts"] = charts.counts(summary["counts"], classes)
    return found


def threshold(answers: Predictions, measured: Results, positive: int) -> dict[str, Any] | None:
    """What the slider moves over, of two classes: the probability of `of`, and whether an image is one (truth).

    values: the last step of the slider, of `STEPS`, up to which an image is called `of`; so many images (counts) are
    alike in all of it, however many there are. called: whether the classifier calls it one. Until the slider is moved
    the page goes by that: whatever a slider and rounded numbers make of the threshold, the page does not contradict the
    confusion matrix.
    """
    if len(answers.classes) != 2:
        return None
    decided = measured.trust["decision"]
    index = answers.classes.index(decided["of"]) if decided.get("of") else positive
    values, guesses = (list(of.values())[-1] for of in (answers.probabilities, answers.predicted))
    steps = np.round(values[:, index] * 10**6).astype(int) * STEPS // 10**6  # as many digits as predictions.csv has
    rows, counts = np.unique([steps, guesses == index, answers.labels == index], axis=1, return_counts=True)
    own = 0.5 if decided.get("threshold") is None else decided["threshold"]
    return {
        "of": answers.classes[index],
        "other": answers.classes[1 - index],
        "threshold": own,
        "shown": decision.shown(own),
        "values": (rows[0] / STEPS).tolist(),
        "called": rows[1].tolist(),
        "truth": rows[2].tolist(),
        "counts": counts.tolist(),
    }


def confusions(answers: Predictions) -> np.ndarray:
    """How many test images of each class (rows) the delivered model calls which: int64 (k, k)."""
    guesses = list(answers.predicted.values())[-1]
    return confusion_matrix(answers.labels, guesses, labels=np.arange(len(answers.classes)))


def cells(answers: Predictions) -> list[tuple[str, str]]:
    """The confusions that occur, the most frequent first: the value of the choice, and its words."""
    classes, rows = answers.classes, confusions(answers).tolist()
    pairs = [(true, predicted, count) for true, row in enumerate(rows) for predicted, count in enumerate(row) if count]
    pairs.sort(key=lambda pair: (pair[0] == pair[1], -pair[2]))
    return [(f"{true},{guess}", f"{classes[true]} called {classes[guess]} ({count:,})") for true, guess, count in pairs]


def models(measured: Results) -> list[dict[str, Any]]:
    """The rows of the table of scores."""

    def four(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    return [
        {
            "name": MODELS[name],
            "cells": [
                four(score["accuracy"]),
                f"{four(score['accuracy_low'])} – {four(score['accuracy_high'])}",
                four(score.get("balanced_accuracy")),
                four(score["roc_auc"]),
                four(score["loss"]),
            ],
        }
        for name, score in measured.scores.items()
    ]


def fragile(measured: Results) -> str:
    """The chart of fragility in a sentence."""
    levels = measured.trust["fragility"]
    base, looks = levels["none"][0]["accuracy"], "By one look at each of at most 100 test images."
    lost = {kind: base - of[2]["accuracy"] for kind, of in levels.items() if kind != "none"}
    kind = max(lost, key=lost.get)
    name = {"jpeg": "strong compression", "noise": "noise", "blur": "blur", "brightness": "darkness"}[kind]
    if lost[kind] <= 0.02:
        return f"At medium strength none of these costs more than 2 points of accuracy. {looks}"
    return f"At medium strength {name} costs most: {100 * lost[kind]:.0f} points of accuracy. {looks}"


def facts(summary: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The data in sentences. summary: as `notes.of_fold` returns it."""
    total = sum(sum(by_class.values()) for by_class in summary["counts"].values())
    said = [f"{wording.count(total, 'image')} of {summary['found']:,} found are used."]
    if "fold" in summary:
        said.append(
            f"This is the run of fold {summary['fold']}. Labels that may be wrong, and images that are nearly the "
            "same in two splits, were looked for in the splits of `fold: null`."
        )
    if summary.get("groups") is not None:
        said.append(f"They are of {wording.count(summary['groups'], 'group')}, none of which lies in two splits.")
    for name in inspection.LOOKS:
        if what := found["looks"].get(name):
            said.append(f"{inspection.in_words(found['counts'][name], name)}, such as {', '.join(what[:3])}.")
    corrected = summary.get("corrections", {})
    changed = sum(sum(counts.values()) for counts in corrected.values())
    if changed:
        tests = 0 if "fold" in summary else sum(counts.get("test", 0) for counts in corrected.values())
        of_test = f", {tests:,} of them of the test split (dataset.correct_test)" if tests else ""
        said.append(f"{wording.count(changed, 'image')} changed by {corrections.CORRECTIONS}{of_test}.")
    return said


def origin() -> list[tuple[str, str]]:
    """What the result was made of: hashes of files, and versions."""
    hashed = (MANIFEST, results.CLASSIFIER, results.TEST, calibration.CALIBRATION)
    versions = [(name, metadata.version(name)) for name in LIBRARIES]
    return [(f"sha256 of {path}", files.sha256(path)) for path in hashed] + [
        ("Python", platform.python_version()),
        *versions,
    ]


def _losses(stage: str, split: str) -> dict[int, float]:
    """The loss by the number of epochs, of training from 1 on, of validation from 0; empty where there is none."""
    path = Path("metrics", stage, "plots/metrics", split, "loss.tsv")
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file, delimiter="\t")}
