"""From what a network gives to probabilities, and from these to a class."""

import math
from collections.abc import Sequence

import numpy as np

from headstart.base import wording
from headstart.base.errors import UserError

SMALLEST = 1e-7  # probabilities are clipped to it before the logarithm, as Keras does while training


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """What a head or classifier gives, (n, 1) or (n, k), as (n, k) float32 probabilities, one column per class.

    (n, 1) is the probability of class 1 of two.
    """
    outputs = np.asarray(outputs, "float32")
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities at a temperature, which divides the logits: above 1 they become more even.

    probabilities: (…, k) float. Returns float64 of the same shape.
    """
    powers = np.clip(probabilities.astype("float64"), SMALLEST, 1) ** (1 / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def predicted(probabilities: np.ndarray, costs: np.ndarray | None = None) -> np.ndarray:
    """The predicted class of each image, (n,) int64, from (n, k) probabilities.

    costs: (k, k) float, what it costs to take an image of the class of the row for one of the column's; the predicted
    class is the one that costs least. Default: all errors cost the same. Of two classes, class 1 is taken where both
    cost the same; of more, the first.
    """
    if costs is not None:
        expected = probabilities.astype("float64") @ costs
        if costs.shape[0] == 2:
            return (expected[:, 1] <= expected[:, 0]).astype("int64")
        return expected.argmin(axis=1)
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= 0.5).astype("int64")
    return probabilities.argmax(axis=1)


def possible(probabilities: np.ndarray, predicted: np.ndarray, at_least: float) -> np.ndarray:
    """Which classes remain possible: bool (n, k), those with a probability of at least `at_least`, and the predicted.

    Source: Sadinle, Lei and Wasserman, Least Ambiguous Set-Valued Classifiers, JASA 114, 2019.
    """
    classes = np.arange(probabilities.shape[1])
    return (probabilities >= at_least) | (classes == predicted[:, None])


def shown(threshold: float) -> str:
    """A threshold in three digits, or as many more as tell it from 0 and from 1: `0.500`, `0.00031`, `0.99987`."""
    apart = min(threshold, 1 - threshold)
    return f"{threshold:.{max(3, 1 - math.floor(math.log10(apart))) if apart > 0 else 3}f}"


def positive_class(classes: Sequence[str], name: str | None) -> int:
    """The index of the class that curves, recall and precision are of: that of the name; where it is None, the last.

    Raises UserError for a name that is not one of two classes.
    """
    if name is None:
        return len(classes) - 1
    if len(classes) > 2:
        raise UserError(
            f"dataset.positive: got {name}, but there are {len(classes)} classes, of which none is the positive one; "
            "takes null here"
        )
    if name not in classes:
        hint = wording.did_you_mean(name, classes)
        raise UserError(f"dataset.positive: got {name}; {hint}takes {' or '.join(classes)}, or null ({classes[-1]})")
    return list(classes).index(name)
