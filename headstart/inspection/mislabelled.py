"""Images whose labels are likely to be wrong."""

from typing import NamedTuple

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_self_confidence_for_each_label

from headstart.artifacts.manifest import Manifest
from headstart.base import wording
from headstart.base.terminal import say
from headstart.training import logistic


class Suspect(NamedTuple):
    """An image by its row in the manifest; the class that it looks like, and the probabilities of that and its own."""

    row: int
    looks_like: int
    probability: float
    own_probability: float


def find(features: np.ndarray, table: Manifest, seed: int) -> list[Suspect]:
    """Return the images of training and validation that look mislabelled, the likeliest first.

    features: float32 (n, c), pooled, in the order of the manifest. Each image is judged by a logistic regression that
    was fitted without it and its group. Test images are left out: their labels are nobody's to doubt before the end.
    Of the classes that are `too_small` nothing can be said, and of no image that it is of one of these.

    Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, 2021,
    in cleanlab's form.
    """
    rows = _rows(table)
    rows = rows[~np.isin(table.labels[rows], too_small(table))]
    labels = table.labels[rows]
    present, positions = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return []
    probabilities = logistic.out_of_fold(features, rows, positions, table.groups[rows], seed)
    if probabilities is None:
        say("labels are not looked at: the groups of images cannot be dealt so that no fold takes a class with it")
        return []
    flagged = find_label_issues(positions, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    own = get_self_confidence_for_each_label(positions, probabilities)
    guesses = probabilities.argmax(axis=1)
    # By the paths where two are equally likely, so that the list is the same wherever it is made.
    order = [at for at in np.argsort(own, kind="stable") if flagged[at] and guesses[at] != positions[at]]
    best = probabilities.max(axis=1)
    return [Suspect(int(rows[at]), int(present[guesses[at]]), float(best[at]), float(own[at])) for at in order]


def too_small(table: Manifest) -> list[int]:
    """Return the classes with one image, or one group, in training and validation: without it none is left."""
    rows = _rows(table)
    _, groups = np.unique(table.groups[rows], return_inverse=True)
    pairs = np.unique(np.stack([table.labels[rows], groups]), axis=1)
    return np.flatnonzero(np.bincount(pairs[0], minlength=len(table.classes)) == 1).tolist()


def note(table: Manifest) -> str | None:
    """Return in one line which classes `find` leaves out; None where there are none."""
    if not (small := too_small(table)):
        return None
    names = ", ".join(wording.labels([table.classes[label] for label in small[:5]], 30))
    more = f" and {len(small) - 5:,} more" if len(small) > 5 else ""
    return (
        f"labels are not looked at of {wording.count(len(small), 'class')} with one image, or one group, outside of "
        f"the test split: {names}{more}"
    )


def _rows(table: Manifest) -> np.ndarray:
    return np.flatnonzero(np.isin(table.splits, ("train", "validation")))
