"""From what a network gives to probabilities, and from these to a class."""

import numpy as np

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
