"""Images whose labels are likely to be wrong."""

from typing import NamedTuple

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_self_confidence_for_each_label

from headstart.artifacts.manifest import Manifest
from headstart.training import logistic

MOST = 500  # suspects: more than anybody looks at


class Suspect(NamedTuple):
    """An image by its row in the manifest; the class that it looks like, and the probabilities of that and its own."""

    row: int
    looks_like: int
    probability: float
    own_probability: float


def find(features: np.ndarray, table: Manifest, seed: int) -> list[Suspect]:
    """Return the images of training and validation that look mislabelled, the likeliest first, `MOST` at most.

    features: float32 (n, c), pooled, in the order of the manifest. Each image is judged by a logistic regression that
    was fitted without it and its group. Test images are left out: their labels are nobody's to doubt before the end.
    Of a class with one image, or one group, nothing can be said; then there are no suspects at all.

    Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, 2021,
    in cleanlab's form.
    """
    rows = np.flatnonzero(np.isin(table.splits, ("train", "validation")))
    labels = table.labels[rows]
    present, positions = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return []
    probabilities = logistic.out_of_fold(features, rows, positions, table.groups[rows], seed)
    if probabilities is None:
        return []
    flagged = find_label_issues(positions, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    own = get_self_confidence_for_each_label(positions, probabilities)
    guesses = probabilities.argmax(axis=1)
    # By the paths where two are equally likely, so that the list is the same wherever it is made.
    order = [at for at in np.argsort(own, kind="stable") if flagged[at] and guesses[at] != positions[at]][:MOST]
    best = probabilities.max(axis=1)
    return [Suspect(int(rows[at]), int(present[guesses[at]]), float(best[at]), float(own[at])) for at in order]
