"""What each image counts for in training and validation."""

import numpy as np


def of(labels: np.ndarray, weights: np.ndarray | None = None, class_weights: str = "none") -> np.ndarray:
    """Returns the weight of each image: float64 (n,), of mean 1.

    labels: (n,) int. weights: (n,), as the manifest has them; None: all 1.
    class_weights: `none`, or `balanced`: as if the images of each class weighed as much together.
    """
    own = np.ones(len(labels)) if weights is None else weights / weights.mean(dtype="float64")
    if class_weights == "balanced":
        sums = np.bincount(labels, own)
        own = own * (own.sum() / ((sums > 0).sum() * np.where(sums > 0, sums, 1)))[labels]
    return own
