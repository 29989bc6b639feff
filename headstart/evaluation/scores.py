"""How good are predictions: the numbers that `evaluate` reports. Every number is rounded to 6 decimals."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from headstart.classifier import decision
from headstart.classifier.decision import SMALLEST


def score(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict:
    """The scores of one model on one set of images, ready for JSON.

    Args:
        labels: (n,) int, the true classes as indices into `classes`; n is at least 1.
        probabilities: (n, k) float, rows that sum to 1.
        classes: the k names. Of two, class 1 is the positive one.

    Returns:
        images (n), accuracy with its 95 % Wilson interval (accuracy_low, accuracy_high; Wilson, JASA 22, 1927),
        loss (mean cross-entropy in nats), roc_auc and average_precision (of class 1; of more than two classes the
        mean over each class against the rest), per_class (name: precision, recall, f1, images) and
        confusion_matrix (k rows of k counts: row true, column predicted). What is not defined, such as
        the ROC AUC where no image is of a class, is None.
    """
    guesses = decision.predicted(probabilities)
    right = binomtest(int((guesses == labels).sum()), len(labels))
    interval = right.proportion_ci(confidence_level=0.95, method="wilson")
    indices = np.arange(len(classes))
    clipped = np.clip(probabilities.astype("float64"), SMALLEST, 1 - SMALLEST)
    clipped /= clipped.sum(axis=1, keepdims=True)
    truth, values = _against_rest(labels, probabilities)
    ranked = set(labels.tolist()) == set(indices.tolist())
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, guesses, labels=indices, zero_division=np.nan
    )
    return {
        "images": len(labels),
        "accuracy": _number(right.statistic),
        "accuracy_low": _number(interval.low),
        "accuracy_high": _number(interval.high),
        "loss": _number(log_loss(labels, clipped, labels=indices)),
        "roc_auc": _number(roc_auc_score(truth, values)) if ranked else None,
        "average_precision": _number(average_precision_score(truth, values)) if ranked else None,
        "per_class": {
            name: {
                "precision": _number(precision[i]),
                "recall": _number(recall[i]) if images[i] else None,
                "f1": _number(f1[i]) if images[i] else None,
                "images": int(images[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion_matrix": confusion_matrix(labels, guesses, labels=indices).tolist(),
    }


def mcnemar(labels: np.ndarray, predicted: dict[str, np.ndarray]) -> dict:
    """Do two models err differently? McNemar's test (Psychometrika 12, 1947) in its exact, two-sided form.

    Args:
        labels: (n,) int, the true classes.
        predicted: (n,) int, what each of the two models predicts for the same images, by the model's name.

    Returns:
        only_NAME for each model: images that it alone got right; both, neither: images that both or none got right;
        p: the probability of a difference at least as large, were both equally good (1.0 where they never differ).
    """
    (name_a, a), (name_b, b) = ((name, values == labels) for name, values in predicted.items())
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    differ = only_a + only_b
    return {
        f"only_{name_a}": only_a,
        f"only_{name_b}": only_b,
        "both": int((a & b).sum()),
        "neither": int((~a & ~b).sum()),
        "p": _number(binomtest(only_a, differ).pvalue) if differ else 1.0,
    }


def roc(labels: np.ndarray, probabilities: np.ndarray, points: int = 500) -> list[tuple[float, float]]:
    """At most `points` points (false positive rate, true positive rate) of the ROC curve.

    It is the curve of class 1; of more than two classes, of all pairs of image and class together (micro-average).
    Empty where the images are all of one class.
    """
    truth, values = _against_rest(labels, probabilities)
    if truth.min() == truth.max():
        return []
    false_positive_rate, true_positive_rate, _ = roc_curve(truth.ravel(), values.ravel())
    return _thinned(false_positive_rate, true_positive_rate, points)


def precision_recall(labels: np.ndarray, probabilities: np.ndarray, points: int = 500) -> list[tuple[float, float]]:
    """At most `points` points (recall, precision) of the precision-recall curve; classes as in `roc`."""
    truth, values = _against_rest(labels, probabilities)
    if truth.min() == truth.max():
        return []
    precision, recall, _ = precision_recall_curve(truth.ravel(), values.ravel())
    return _thinned(recall[::-1], precision[::-1], points)


def _against_rest(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if probabilities.shape[1] == 2:
        return labels, probabilities[:, 1]
    return np.eye(probabilities.shape[1], dtype="int64")[labels], probabilities


def _thinned(x: np.ndarray, y: np.ndarray, points: int) -> list[tuple[float, float]]:
    keep = np.unique(np.linspace(0, len(x) - 1, min(points, len(x))).round().astype(int))
    return [(_number(x[i]), _number(y[i])) for i in keep]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
