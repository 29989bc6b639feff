"""From which probability on a class remains possible, so that the true one is among these as often as wanted."""

import math

import numpy as np


def at_least(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, coverage: float) -> float:
    """Returns the probability from which on classes remain possible; 0, and all do, where the images are too few.

    probabilities: (n, k) float, of images that the classifier was not trained on. labels: (n,) int. groups: (n,), equal
    for images that belong together. The true class of a new image like these, of a new group, then remains possible
    with a probability of `coverage`, whatever the classifier is worth. Of fewer groups than are `needed` each image
    counts for itself, and nothing is promised.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (split conformal prediction), with
    the score of Sadinle, Lei and Wasserman, JASA 114, 2019; as MAPIE's `lac`. Where images belong together all groups
    count the same, each image its part of one (Lee, Barber and Willett, arXiv:2306.06342, 2023).
    """
    if len(labels) < needed(coverage):
        return 0.0
    _, names, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < needed(coverage):
        names, sizes = np.arange(len(labels)), np.ones(len(labels))
    scores = 1 - probabilities[np.arange(len(labels)), labels].astype("float64")
    order = np.argsort(scores, kind="stable")
    covered = np.cumsum(1 / sizes[names[order]])  # groups, of as many and the new one
    return 1 - float(scores[order][np.searchsorted(covered, (len(sizes) + 1) * coverage - 1e-9)])


def needed(coverage: float) -> int:
    """Returns how many images it takes to say from where on a class remains possible: 19 for 0.95."""
    return math.ceil(coverage / (1 - coverage) - 1e-6)
