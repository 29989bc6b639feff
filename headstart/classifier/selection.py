"""Which model is delivered: a later candidate replaces a simpler one on paired evidence, not by luck."""

import numpy as np
from scipy.optimize import minimize_scalar

from headstart.classifier import decision
from headstart.classifier.decision import SMALLEST


def costs(probabilities: np.ndarray, labels: np.ndarray, select_by: str) -> np.ndarray:
    """Returns what each image costs, float64 (n,), so that the mean is what `select_by` names, turned to be lowered.

    probabilities: (n, k). labels: (n,) int. select_by: `loss` (cross-entropy in nats, after `tempered`),
        `accuracy` (1 for an error), or `balanced_accuracy` (an error weighs as if all k classes had as many images).
    """
    if select_by == "loss":
        return -np.log(tempered(probabilities, labels)[np.arange(len(labels)), labels])
    wrong = (decision.predicted(probabilities) != labels).astype("float64")
    if select_by == "balanced_accuracy":
        counts = np.bincount(labels, minlength=probabilities.shape[1])
        wrong *= (len(labels) / ((counts > 0).sum() * np.maximum(counts, 1)))[labels]
    return wrong


def tempered(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the probabilities, float64 (n, k), at the temperature from 0.2 to 5 that the labels are likeliest at.

    Without it, a model that was trained on smoothed labels, or for long, would lose for being too modest or too sure,
    however well it tells the classes apart (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
    """
    logits = np.log(np.clip(probabilities.astype("float64"), SMALLEST, 1))

    def at(exponent: float) -> np.ndarray:
        scaled = logits * np.exp(-exponent)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.clip(powers / powers.sum(axis=1, keepdims=True), SMALLEST, 1)

    def loss(exponent: float) -> float:
        return -np.log(at(exponent)[np.arange(len(labels)), labels]).mean()

    return at(minimize_scalar(loss, bounds=(np.log(0.2), np.log(5)), method="bounded").x)


def choose(candidates: dict[str, np.ndarray]) -> str:
    """Returns the name of the candidate to deliver.

    candidates: what each costs, (n,) for the same n images in one order, the simplest first. One replaces those before
        it where its mean is lower than that of the best of them by more than the standard error of the paired
        difference (the one-standard-error rule: Breiman, Friedman, Olshen and Stone, Classification and Regression
        Trees, 1984, section 3.4.3).
    """
    best, *others = candidates
    for name in others:
        gained = candidates[best] - candidates[name]
        if len(gained) > 1 and gained.mean() > gained.std(ddof=1) / len(gained) ** 0.5:
            best = name
    return best
