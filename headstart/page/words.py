"""The page's sentences: the headline, the warnings, and what to do next."""

from typing import Any

import numpy as np

from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import Results
from headstart.base import params, wording
from headstart.page import notes

SMALL = 0.9  # the recall below which more images of a class are advised
STRANGE = 0.1  # the share of test images unlike the training images that is worth a warning; some 0.04 are usual


def subject(measured: Results, positive: str) -> str:
    """The class of two that is spoken of first: the one that the rule is about, else the `positive` one."""
    return measured.trust.get("decision", {}).get("of") or positive


def headline(measured: Results, by_class: dict[str, dict[str, Any]], positive: str) -> list[str]:
    """What the result means for 100 new images like these; of two classes, for those of its `subject` first.

    As the classifier decides: by its threshold, where its goal sets one. by_class: as `evaluation.trust.by_class`
    returns it, whose intervals know of groups; the model card has the same.
    """
    score, decided, said = measured.scores[measured.delivered], measured.trust.get("decision", {}), []
    name, shares = decided.get("of"), decided
    if name is None and len(by_class) == 2 and by_class[positive]["images"]:
        name, shares = positive, by_class[positive]
    if name is not None and shares["recall_low"] is not None:
        said.append(f"Of 100 images of {name}, it finds {between(shares['recall_low'], shares['recall_high'])}.")
    if name is not None and shares["precision_low"] is not None:
        right = between(shares["precision_low"], shares["precision_high"])
        said.append(f"Of 100 images that it calls {name}, {right} are.")
    right = decided if measured.by_rule else score
    low, high = (right[f"accuracy_{end}"] for end in ("low", "high"))
    said.append(f"Of 100 new images like the test images, it gets {between(low, high)} right.")
    return said


def warnings(
    measured: Results, found: dict[str, Any], summary: dict[str, Any], by_class: dict[str, dict[str, Any]]
) -> list[str]:
    """What a reader should know before believing the numbers: the gravest first.

    summary: as `notes.of_fold` returns it. by_class: as `evaluation.trust.by_class` does.
    """
    said = notes.inspected(found)
    if "fold" in summary:  # inspect knows of no fold
        said = [f"Of the splits of `fold: null`: {warning}" for warning in said]
    said += notes.warnings(measured, by_class if measured.by_rule else None)
    if copies := summary.get("test_copies"):
        said.append(f"{wording.count(copies, 'test image')} with a near copy in training: the scores are too high.")
    if measured.trust.get("unlike", {}).get("share_low", 0) > STRANGE:
        share = measured.trust["unlike"]["share"]
        said.append(f"{share:.0%} of the test images are unlike the training images: are they of another source?")
    left_out = len(summary["left_out"])
    if left_out > 0.1 * summary["found"]:
        said.append(f"{wording.count(left_out, 'file')} of {summary['found']:,} left out: see below.")
    return said


def of_decision(measured: Results, answers: Predictions, wanted: params.Decision) -> list[str]:
    """Where the rule by which it decides misses what was asked for; nothing where it takes the likeliest class.

    answers: as the rule calls the test images, the delivered model last.
    """
    said, decided, goal = [], measured.trust.get("decision", {}), wanted.goal
    called = np.unique(list(answers.predicted.values())[-1])
    if goal != "accuracy" and len(called) == 1:
        name = wording.label(answers.classes[called[0]], 30)
        said.append(f"By decision.goal: {goal}, every test image is called {name}.")
    if goal in ("recall", "precision") and (high := decided.get(f"{goal}_high")) is not None and high < wanted.at_least:
        of, low = wording.label(decided["of"], 30), decided[f"{goal}_low"]
        said.append(
            f"A {goal} of {wanted.at_least:g} or more of {of} is asked for, and it is {decided[goal]:.3f} on the test "
            f"images ({low:.3f} – {high:.3f})."
        )
    return said


def what_next(measured: Results, found: dict[str, Any], by_class: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """What is likeliest to help, in the order in which to try it.

    by_class: as `evaluation.trust.by_class` returns it; default: what the likeliest class gives.
    """
    said, tested = [], notes.tested(measured)
    if by_class is not None:
        tested = {name: by_class[name] for name in tested}
    counts = found["counts"]
    if suspects := counts["suspects"]:
        said.append(
            f"Look at the labels that may be wrong ({suspects:,}; the likeliest are shown above), save what you "
            "decide, and run `dvc repro`: `dvc metrics diff` then says what it brought."
        )
    low = sorted((numbers["recall"], name) for name, numbers in tested.items() if numbers["recall"] < SMALL)
    if low:
        names = ", ".join(wording.label(name, 30) for _, name in low[:3])
        most = f" of {names}: there it misses most" if len(low) < len(tested) else ": it misses some of every class"
        said.append(f"Add images{most}. `make learning-curve` says what more images would bring.")
    if len(tested) == 2 and measured.trust.get("decision", {}).get("goal") == "accuracy":
        said.append(
            "If one kind of mistake is worse than the other, choose the threshold: `decision.goal` in params.yaml "
            "(recall, precision or costs) takes seconds to change."
        )
    odd = {"alike": "the near-duplicates", "outliers": "the images unlike all others"}
    if shown := [what for name, what in odd.items() if counts[name]]:
        said.append(f"Look at {' and at '.join(shown)}: are they meant to be there?")
    return said


def between(low: float, high: float) -> str:
    """Two shares as counts of a hundred: `67 to 83`, or `about 67`."""
    low, high = round(100 * low), round(100 * high)
    return f"{low} to {high}" if low < high else f"about {low}"
