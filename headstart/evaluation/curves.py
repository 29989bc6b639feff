"""ROC and precision-recall curves, and the areas below them: each number is of the curve beside it."""

import math
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import auc, precision_recall_curve, roc_curve

POINTS = 500  # of a curve, at most
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """What a model's ranking of the images is worth.

    Of two classes the curves and areas are of the positive one; of more, the mean over each class against the rest,
    of those that have test images (macro-average).

    roc: points (false positive rate, true positive rate); precision_recall: points (recall, precision); both empty,
    and roc_auc and average_precision None, where the images are all of one class. by_class: the average precision of
    each of the k classes, None where it has no test image or all of them.
    """

    roc: Points
    precision_recall: Points
    roc_auc: float | None
    average_precision: float | None
    by_class: list[float | None]


def of(labels: np.ndarray, probabilities: np.ndarray, positive: int = 1) -> Curves:
    """The curves of one model.

    Args:
        labels: (n,) int, the true classes.
        probabilities: (n, k) float.
        positive: of two classes the positive one's index; of more it has no meaning.
    """
    k = probabilities.shape[1]
    by_class, areas, grid = [None] * k, [], np.linspace(0, 1, POINTS - 1)
    rocs, precisions = [], []
    for index in range(k):  # one by one: the curves of a thousand classes, in full, would be gigabytes
        if not 0 < (labels == index).mean() < 1:
            continue
        roc = roc_curve(labels == index, probabilities[:, index])[:2]
        precision_recall = _by_recall(labels == index, probabilities[:, index])
        average = _average_precision(*precision_recall)
        by_class[index] = number(average)
        if k == 2 and index == positive:
            whole = _thinned(*roc), _thinned(*precision_recall), number(auc(*roc)), by_class[index]
        areas.append((auc(*roc), average))
        rocs.append(np.interp(grid, *roc))
        precisions.append(_at(grid, *precision_recall))
    if not areas:
        return Curves([], [], None, None, by_class)
    if k == 2:
        return Curves(*whole, by_class)
    roc_auc, average_precision = (number(np.mean(of)) for of in zip(*areas, strict=True))
    points = [(0.0, 0.0), *_points(grid, np.mean(rocs, axis=0))]
    return Curves(points, _points(grid, np.mean(precisions, axis=0)), roc_auc, average_precision, by_class)


def number(value: float) -> float | None:
    """A number as it is reported: rounded to 6 decimals, None for nan."""
    return None if math.isnan(value) else round(float(value), 6)


def _by_recall(truth: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall, ascending from 0, and the precision there."""
    precision, recall, _ = precision_recall_curve(truth, values)
    return recall[::-1], precision[::-1]


def _average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    return float(np.sum(np.diff(recall) * precision[1:]))


def _at(grid: np.ndarray, recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """The precision at each recall of the grid. Between two recalls it is that of the higher one, as in the average."""
    return precision[np.searchsorted(recall, grid)]


def _thinned(x: np.ndarray, y: np.ndarray) -> Points:
    keep = np.unique(np.linspace(0, len(x) - 1, min(POINTS, len(x))).round().astype(int))
    return _points(x[keep], y[keep])


def _points(x: np.ndarray, y: np.ndarray) -> Points:
    return [(number(a), number(b)) for a, b in zip(x, y, strict=True)]
