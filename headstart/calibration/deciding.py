"""What it costs to take one class for another, so that a goal is reached: the rule by which a class is chosen."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from headstart.base import params
from headstart.base.errors import UserError


class Deciding(NamedTuple):
    """`costs`: (k, k) float64, as `decision.predicted` takes them; None: the likeliest class.

    `of`: the class that the goal is about, `threshold`: the probability of it from which on it is taken; None where
    there is no such class. `reached`: the recall or precision on the validation images.
    """

    costs: np.ndarray | None = None
    of: str | None = None
    threshold: float | None = None
    reached: float | None = None


def find(
    settings: params.Decision,
    positive: str | None,
    classes: Sequence[str],
    probabilities: np.ndarray,
    labels: np.ndarray,
) -> Deciding:
    """Returns the rule that reaches `settings.goal`.

    positive: `dataset.positive`. probabilities: (n, k), calibrated, of images that the classifier was not trained on,
    and labels, (n,) int. Raises UserError where the goal does not go with the classes.
    """
    params.check_decision(settings, classes)
    match settings.goal:
        case "accuracy":
            return Deciding()
        case "balanced_accuracy":
            # Of calibrated probabilities this is the best there is: no threshold need be searched on few images.
            shares = np.bincount(labels, minlength=len(classes)) / len(labels)
            costs = np.repeat(1 / np.maximum(shares, 1 / (len(labels) + 1))[:, None], len(classes), axis=1)
            return _named(costs * (1 - np.eye(len(classes))), positive, classes)
        case "costs":
            return _named(_listed(settings.costs, classes), positive, classes)
        case goal:
            return _at_threshold(goal, settings, positive, classes, probabilities, labels)


def _named(costs: np.ndarray, positive: str | None, classes: Sequence[str]) -> Deciding:
    if len(classes) > 2:
        return Deciding(costs)
    of = positive or classes[1]
    index = classes.index(of)
    wrongly, missed = costs[1 - index, index], costs[index, 1 - index]
    return Deciding(costs, of, float(wrongly / (wrongly + missed)))


def _listed(costs: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> np.ndarray:
    matrix = 1 - np.eye(len(classes))
    for true, row in costs.items():
        for predicted, cost in row.items():
            matrix[classes.index(true), classes.index(predicted)] = cost
    return matrix


def _at_threshold(goal, settings, positive, classes, probabilities, labels) -> Deciding:
    of = settings.of or positive or classes[1]
    index = classes.index(of)
    truth, values = labels == index, probabilities[:, index].astype("float64")
    if not truth.any() or truth.all():
        raise UserError(f"decision.goal: got {goal} of {of}, but the validation images are all of one class: add some")
    if goal == "recall":
        # Of a new image of the class, as of these: as many of them lie below as leave the recall in expectation.
        below = math.floor((truth.sum() + 1) * (1 - settings.at_least) + 1e-9)
        threshold = float(np.sort(values[truth])[max(below - 1, 0)])
    else:
        threshold = _of_precision(truth, values, settings.at_least)
    threshold = max(threshold - 1e-7, 0.0)  # rounding must not leave the image at the threshold out
    taken = values >= threshold
    reached = truth[taken].mean() if goal == "precision" else taken[truth].mean()
    costs = np.zeros((2, 2))
    costs[index, 1 - index], costs[1 - index, index] = 1 - threshold, threshold
    return Deciding(costs, of, threshold, float(reached))


def _of_precision(truth: np.ndarray, values: np.ndarray, at_least: float) -> float:
    """The lowest threshold that reaches it; where none does, the one of the highest precision."""
    precision, _, thresholds = precision_recall_curve(truth, values)
    enough = np.flatnonzero(precision[:-1] >= at_least)
    return float(thresholds[enough[0] if len(enough) else precision[:-1].argmax()])
