"""Images by how near others are: those unlike all others, and pairs that are nearly the same."""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

NEAREST = 10  # neighbours whose mean distance says how alone an image is
# Medians of the deviation from the median distance, on a logarithmic scale, beyond which an image is an outlier.
FAR = 5.0
# A pair nearer than this share of the median distance to the nearest other image is nearly the same picture.
NEAR = 0.25


class Distances(NamedTuple):
    """The nearest other images of each: their positions, int64 (n, k), and distances, float32 (n, k), ascending."""

    positions: np.ndarray
    distances: np.ndarray


def nearest(features: np.ndarray, most: int = NEAREST) -> Distances:
    """Return the nearest other images by the angle between features, float32 (n, c); 1 - cosine is the distance.

    Of fewer images than `most` + 1 there are as many neighbours as there are others; n is 2 at least.
    """
    count = min(most, len(features) - 1)
    model = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(features)
    distances, positions = model.kneighbors()
    return Distances(positions, np.maximum(distances, 0.0).astype("float32"))


def outliers(found: Distances) -> list[tuple[int, float]]:
    """Return the images that are unlike all others, (position, how many times the median distance), farthest first."""
    means = found.distances.mean(axis=1, dtype="float64")
    median = np.median(means)
    if median <= 0:
        return []
    logs = np.log(np.maximum(means, 1e-6 * median) / median)
    spread = max(np.median(np.abs(logs)), 0.05)
    far = [at for at in np.argsort(-logs, kind="stable") if logs[at] > FAR * spread]
    return [(int(at), float(np.exp(logs[at]))) for at in far]


def alike(found: Distances) -> list[tuple[int, int, float]]:
    """Return pairs of nearly the same image: (first, second, share of the median distance), the nearest first."""
    first = found.distances[:, 0].astype("float64")
    median = np.median(first)
    if median <= 0:
        return []
    pairs = {}
    for at, (others, distances) in enumerate(zip(found.positions, found.distances, strict=True)):
        for other, distance in zip(others.tolist(), distances.tolist(), strict=True):
            if distance < NEAR * median:
                pairs[min(at, other), max(at, other)] = distance / median
    return sorted(((*pair, float(share)) for pair, share in pairs.items()), key=lambda pair: (pair[2], pair[:2]))
