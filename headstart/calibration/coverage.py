"""From which probability on a class remains possible, so that the true one is among these as often as wanted."""

import math

import numpy as np


def at_least(probabilities: np.ndarray, labels: np.ndarray, coverage: float) -> float:
    """Returns the probability from which on classes remain possible; 0, and all do, where the images are too few.

    probabilities: (n, k) float, of images that the classifier was not trained on. labels: (n,) int. The true class of a
    new image like these then remains possible with a probability of `coverage`, whatever the classifier is worth.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (split conformal prediction), with
    the score of Sadinle, Lei and Wasserman, JASA 114, 2019; as MAPIE's `lac`.
    """
    if len(labels) < needed(coverage):
        return 0.0
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels].astype("float64"))
    place = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return 1 - float(scores[place - 1])


def needed(coverage: float) -> int:
    """Returns how many images it takes to say from where on a class remains possible: 19 for 0.95."""
    return math.ceil(coverage / (1 - coverage) - 1e-6)
