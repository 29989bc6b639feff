"""Which model is delivered: a later candidate replaces a simpler one on paired evidence, not by luck."""

import numpy as np
from scipy.optimize import minimize_scalar

from headstart.classifier import decision
from headstart.classifier.decision import SMALLEST

TEMPERATURES = (0.5, 4.0)
USUAL = 0.5  # the standard deviation of a temperature's logarithm, before an image was seen: most lie from 0.4 to 2.7


def temperature(
    probabilities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    targets: np.ndarray | None = None,
) -> float:
    """Returns the temperature, one of `TEMPERATURES` or between them, at which the labels are likeliest.

    A model that was trained on mixed or smoothed labels is too modest, one that was trained for long too sure, however
    well they tell the classes apart (Guo et al., On Calibration of Modern Neural Networks, ICML 2017). Few images say
    little about it, above all where none is an error: then it stays near 1 (the maximum of the posterior, of a
    temperature that is log-normal around 1 with `USUAL`).

    probabilities: (n, k). labels: (n,) int. weights, targets: as `costs` takes them.
    """
    count, classes = probabilities.shape
    targets = np.eye(classes)[labels] if targets is None else targets
    targets = targets * _relative(weights, count)[:, None]

    def loss(exponent: float) -> float:
        likelihood = targets * np.log(np.clip(decision.tempered(probabilities, np.exp(exponent)), SMALLEST, 1))
        return (exponent / USUAL) ** 2 / 2 - likelihood.sum()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def costs(
    probabilities: np.ndarray,
    labels: np.ndarray,
    select_by: str,
    weights: np.ndarray | None = None,
    targets: np.ndarray | None = None,
) -> np.ndarray:
    """Returns what each image costs, float64 (n,), so that the mean is what `select_by` names, turned to be lowered.

    probabilities: (n, k). labels: (n,) int. select_by: `loss` (cross-entropy in nats), `accuracy` (1 for an error), or
        `balanced_accuracy` (an error weighs as if all k classes had as many images).
    weights: (n,), what an image counts for; default: all the same. targets: (n, k), the probabilities that the loss is
        measured against; default: the labels are certain.
    """
    weights = _relative(weights, len(labels))
    if select_by == "loss":
        if targets is None:
            return weights * -np.log(np.clip(probabilities[np.arange(len(labels)), labels], SMALLEST, 1))
        return weights * -(targets * np.log(np.clip(probabilities, SMALLEST, 1))).sum(axis=1)
    wrong = weights * (decision.predicted(probabilities) != labels)
    if select_by == "balanced_accuracy":
        sums = np.bincount(labels, weights, minlength=probabilities.shape[1])
        wrong *= (len(labels) / ((sums > 0).sum() * np.where(sums > 0, sums, 1)))[labels]
    return wrong


def _relative(weights: np.ndarray | None, count: int) -> np.ndarray:
    """The weights, of mean 1: float64 (n,)."""
    return np.ones(count) if weights is None else weights / weights.mean(dtype="float64")


def choose(candidates: dict[str, np.ndarray], groups: np.ndarray | None = None) -> str:
    """Returns the name of the candidate to deliver.

    candidates: what each costs, (n,) for the same n images in one order, the simplest first. One replaces those before
        it where its mean is lower than that of the best of them by more than the standard error of the paired
        difference (the one-standard-error rule: Breiman, Friedman, Olshen and Stone, Classification and Regression
        Trees, 1984, section 3.4.3).
    groups: as `evidence` takes them.
    """
    best, *others = candidates
    for name in others:
        if evidence(candidates[best], candidates[name], groups) > 1:
            best = name
    return best


def evidence(one: np.ndarray, other: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Returns by how many standard errors of the paired difference the other's mean is lower; 0 of a single image.

    one, other: what two models cost, (n,) for the same n images in one order.
    groups: (n,), equal for images that belong together, which are no evidence of their own; default: none do. Then
        it is the standard error that the sum of the groups' sums has if each could as well have the other sign.
    """
    gained = one - other
    gained = gained if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], gained)
    # Of images that are each alone: the mean over the deviation from 0 over the root of their number.
    error = np.linalg.norm(gained)
    return float(gained.sum() / error) if error and len(gained) > 1 else 0.0
