"""From what a network gives to probabilities, and from these to a class."""

import numpy as np

SMALLEST = 1e-7  # probabilities are clipped to it before the logarithm, as Keras does while training


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """What a head or classifier gives, (n, 1) or (n, k), as (n, k) float32 probabilities, one column per class.

    (n, 1) is the probability of class 1 of two.
    """
    outputs = np.asarray(outputs, "float32")
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def predicted(probabilities: np.ndarray) -> np.ndarray:
    """The predicted class of each image, (n,) int64, from (n, k) probabilities.

    Of two classes it is class 1 from a probability of 0.5; of more, the first of the highest.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= 0.5).astype("int64")
    return probabilities.argmax(axis=1)
