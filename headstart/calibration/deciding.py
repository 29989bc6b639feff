"""What it costs to take one class for another, so that a goal is reached: the rule by which a class is chosen."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from headstart.base import params
from headstart.base.errors import UserError
from headstart.calibration import prior


class Deciding(NamedTuple):
    """`costs`: (k, k) float64, as `decision.predicted` takes them; None: the likeliest class.

    `of`: the class that the goal is about, `threshold`: the probability of it from which on it is taken; None where
    there is no such class. `reached`: the recall or precision on the validation images; `images`: how many of these it
    is a share of, `groups`: of how many groups they are.
    """

    costs: np.ndarray | None = None
    of: str | None = None
    threshold: float | None = None
    reached: float | None = None
    images: int | None = None
    groups: int | None = None


def find(
    settings: params.Decision,
    positive: str | None,
    classes: Sequence[str],
    probabilities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Deciding:
    """Returns the rule that reaches `settings.goal`.

    positive: `dataset.positive`. probabilities: (n, k), after the temperature, of images that the classifier was not
    trained on, and labels, (n,) int. weights: (n,), what an image counts for; default: all the same. groups: (n,),
    equal for images that belong together; default: none do. Raises UserError where the goal does not go with the
    classes.

    Balanced accuracy and costs go by the formula for probabilities that fit the shares of these images. Those of a
    classifier that was trained with class weights do not, whatever the temperature: they weigh the rare class up
    already, and the formula would do so twice. `prior.factors` are what they lack, and the costs of a class are
    multiplied by its factor. A threshold of recall or precision is searched, and needs none.
    """
    params.check_decision(settings, classes)
    weights = np.ones(len(labels)) if weights is None else weights / weights.mean(dtype="float64")
    match settings.goal:
        case "accuracy":
            return Deciding()
        case "balanced_accuracy":
            # Of calibrated probabilities this is the best there is: no threshold need be searched on few images.
            shares = np.bincount(labels, weights, minlength=len(classes)) / len(labels)
            costs = np.repeat(1 / np.maximum(shares, 1 / (len(labels) + 1))[:, None], len(classes), axis=1)
            costs *= 1 - np.eye(len(classes))
        case "costs":
            costs = _listed(settings.costs, classes)
        case goal:
            groups = np.arange(len(labels)) if groups is None else groups
            return _at_threshold(goal, settings, positive, classes, probabilities, labels, groups)
    return _named(costs * prior.factors(probabilities, labels, weights)[:, None], positive, classes)


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


def _at_threshold(goal, settings, positive, classes, probabilities, labels, groups) -> Deciding:
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
    counted, right = (taken, truth) if goal == "precision" else (truth, taken)
    costs = np.zeros((2, 2))
    costs[index, 1 - index], costs[1 - index, index] = 1 - threshold, threshold
    return Deciding(
        costs, of, threshold, right[counted].mean().item(), counted.sum().item(), len(np.unique(groups[counted]))
    )


def _of_precision(truth: np.ndarray, values: np.ndarray, at_least: float) -> float:
    """The lowest threshold that reaches it; where none does, the one of the highest precision."""
    precision, _, thresholds = precision_recall_curve(truth, values)
    enough = np.flatnonzero(precision[:-1] >= at_least)
    return float(thresholds[enough[0] if len(enough) else precision[:-1].argmax()])
