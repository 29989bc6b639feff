"""How good are predictions: the numbers that `evaluate` reports. Every number is rounded to 6 decimals."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from headstart.base.intervals import wilson
from headstart.classifier import decision
from headstart.classifier.decision import SMALLEST
from headstart.evaluation import curves
from headstart.evaluation.curves import Curves, number


def score(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    ranking: Curves | None = None,
    weights: np.ndarray | None = None,
    targets: np.ndarray | None = None,
) -> dict:
    """The scores of one model on one set of images, ready for JSON; those that rare classes weigh in come first.

    Args:
        labels: (n,) int, the true classes as indices into `classes`; n is at least 1.
        probabilities: (n, k) float, rows that sum to 1.
        classes: the k names.
        ranking: what `curves.of` returns for them; default: that of two classes' second.
        weights: (n,) float, what each image counts for; default: all the same.
        targets: (n, k) float, the probabilities of the true class; default: it is certain.

    Returns:
        balanced_accuracy, lowest_recall and macro_f1 (the mean and the lowest of the classes' recalls, and the mean of
        their F1, of those that have images),
        accuracy with its 95 % Wilson interval (accuracy_low, accuracy_high; Wilson, JASA 22, 1927),
        loss (mean cross-entropy in nats), roc_auc and average_precision (as in `Curves`), images (n),
        per_class (name: images, predicted (how often it is), recall, precision, f1, average_precision against the
        rest) and confusion_matrix (k rows of k counts: row true, column predicted). What is not defined, such as
        the ROC AUC where all images are of one class, is None. In all of these images count the same, and are of their
        classes for certain; with `weights` or `targets` there are also weighted_accuracy and weighted_loss.
    """
    guesses, ranking = decision.predicted(probabilities), ranking or curves.of(labels, probabilities)
    right = float((guesses == labels).mean())
    interval = wilson(right, len(labels))
    indices = np.arange(len(classes))
    clipped = _clipped(probabilities)
    by_class = per_class(labels, guesses, ranking.by_class)
    tested = [entry for entry in by_class if entry["images"]]
    return {
        "balanced_accuracy": number(np.mean([entry["recall"] for entry in tested])),
        "lowest_recall": min(entry["recall"] for entry in tested),
        "macro_f1": number(np.mean([entry["f1"] for entry in tested])),
        "accuracy": number(right),
        "accuracy_low": number(interval.low),
        "accuracy_high": number(interval.high),
        "loss": number(log_loss(labels, clipped, labels=indices)),
        "roc_auc": ranking.roc_auc,
        "average_precision": ranking.average_precision,
        **_weighted(labels, guesses, clipped, weights, targets),
        "images": len(labels),
        "per_class": dict(zip(classes, by_class, strict=True)),
        "confusion_matrix": confusion_matrix(labels, guesses, labels=indices).tolist(),
    }


def _clipped(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities.astype("float64"), SMALLEST, 1 - SMALLEST)
    return clipped / clipped.sum(axis=1, keepdims=True)


def _weighted(
    labels: np.ndarray,
    guesses: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None,
    targets: np.ndarray | None,
) -> dict[str, float]:
    if weights is None and targets is None:
        return {}
    targets = np.eye(probabilities.shape[1])[labels] if targets is None else targets
    losses = -(targets * np.log(probabilities)).sum(axis=1)
    return {
        "weighted_accuracy": number(np.average(guesses == labels, weights=weights)),
        "weighted_loss": number(np.average(losses, weights=weights)),
    }


def per_class(labels: np.ndarray, guesses: np.ndarray, averages: Sequence[float | None]) -> list[dict]:
    """The numbers of each class, as `score` has them by name.

    labels, guesses: (n,) int, true and predicted; averages: the average precision of each of the k classes.
    """
    indices = np.arange(len(averages))
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, guesses, labels=indices, zero_division=np.nan
    )
    return [
        {
            "images": int(images[i]),
            "predicted": int((guesses == i).sum()),
            "recall": number(recall[i]) if images[i] else None,
            "precision": number(precision[i]),
            "f1": number(f1[i]) if images[i] else None,
            "average_precision": averages[i],
        }
        for i in indices
    ]


def mcnemar(labels: np.ndarray, predicted: dict[str, np.ndarray], groups: np.ndarray | None = None) -> dict:
    """Do two models err differently? McNemar's test (Psychometrika 12, 1947) in its exact, two-sided form.

    Where images belong together the test is over groups, as in `chance`.

    Args:
        labels: (n,) int, the true classes.
        predicted: (n,) int, what each of the two models predicts for the same images, by the model's name.
        groups: (n,), equal for images that belong together; default: none do.

    Returns:
        only_NAME for each model: images that it alone got right; both, neither: images that both or none got right;
        p: the probability of a difference at least as large, were both equally good (1.0 where they never differ);
        and where images belong together groups, the number of these.
    """
    (name_a, a), (name_b, b) = ((name, values == labels) for name, values in predicted.items())
    count = len(labels) if groups is None else len(np.unique(groups))
    return {
        f"only_{name_a}": int((a & ~b).sum()),
        f"only_{name_b}": int((b & ~a).sum()),
        "both": int((a & b).sum()),
        "neither": int((~a & ~b).sum()),
        "p": number(chance(a, b, groups)),
        **({"groups": count} if count < len(labels) else {}),
    }


def chance(a: np.ndarray, b: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Returns how likely a difference at least as large is, were two models equally good: McNemar's exact p-value.

    a, b: bool (n,), what each gets right of the same images. groups: (n,), equal for images that belong together, which
    are no independent evidence; default: none do. Each group's difference, of how many of its images either model gets
    right, could as well have had the other sign (Fisher, The Design of Experiments, 1935, section 21). Of groups of one
    image that is McNemar's test.
    """
    apart = a.astype(np.int64) - b
    if groups is not None:
        apart = np.bincount(np.unique(groups, return_inverse=True)[1], apart).astype(np.int64)
    return _by_signs(apart)


def _by_signs(differences: np.ndarray) -> float:
    """How likely a sum at least as far from 0 is, were each of these whole numbers as likely of the other sign."""
    chances = np.ones(1)  # of how much of `total` has a plus
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    total = int(sizes @ counts)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, of_size)
    sums = 2 * np.arange(total + 1) - total
    return min(1.0, float(chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))
