"""Images by how near others are: those unlike all others, and pairs that are nearly the same."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors

from headstart.base.progress import track

NEAREST = 10  # neighbours whose mean distance says how alone an image is
# Medians of the deviation from the median distance, on a logarithmic scale, beyond which an image is an outlier.
FAR = 5.0
# A pair nearer than this share of the median distance to the nearest other image is nearly the same picture.
NEAR = 0.25
# Of more images than ALL not each is compared with each, but with those whose nearest leader, of every LEAD-th image,
# is one of its own LEADERS nearest (cluster pruning, as in `labels.near_duplicates`); what then stands out, with all.
# Tried on 40,000 vectors in 300 clusters: pairs that are nearly the same and outliers are those of a comparison of all
# with all, 998 of 998 and 50 of 50, and so are 70 % of the ten nearest; their mean distance is 1.3 % longer.
ALL, LEAD, LEADERS = 20_000, 500, 8
BLOCK = 4096  # images
SMALLEST = 1e-5  # features that are all smaller are lost: they are kept as float16, in steps of 6e-8
MEMORY = 128  # MB for distances, which would grow with the images


class Distances(NamedTuple):
    """The nearest other images of each: their positions, int64 (n, k), and distances, float32 (n, k), ascending."""

    positions: np.ndarray
    distances: np.ndarray


def are_lost(features: np.ndarray) -> bool:
    """Return whether all features, float32 (n, c), are so small that float16 has kept little or nothing of them."""
    starts = range(0, len(features), BLOCK)
    return all(np.abs(features[start : start + BLOCK]).max() < SMALLEST for start in starts)


def nearest(features: np.ndarray, most: int = NEAREST) -> Distances:
    """Return the nearest other images by the angle between features, float32 (n, c); 1 - cosine is the distance.

    Of fewer images than `most` + 1 there are as many neighbours as there are others; n is 2 at least. Of more than
    `ALL` most of them are found, and all of an outlier's.
    """
    count = min(most, len(features) - 1)
    with sklearn.config_context(working_memory=MEMORY):
        if len(features) <= ALL:
            distances, positions = _model(features, count).kneighbors()
            return Distances(positions, np.maximum(distances, 0.0).astype("float32"))
        found = Distances(np.full((len(features), count), -1), np.full((len(features), count), np.inf, "float32"))
        for asking, others in _led(features):
            _compare(features, asking, others, found)
        far = np.sort([position for position, _ in outliers(found)][:ALL]).astype(int)
        found.distances[far] = np.inf
        for start in track(range(0, len(features), ALL), "looking at outliers", unit="batch"):
            _compare(features, far, np.arange(start, min(start + ALL, len(features))), found)
    return found


def _model(features: np.ndarray, count: int) -> NearestNeighbors:
    return NearestNeighbors(n_neighbors=min(count, len(features)), metric="cosine", algorithm="brute").fit(features)


def _led(features: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The positions of the images that a leader is one of the nearest to, and of those that it is the nearest to."""
    model = _model(features[::LEAD], LEADERS)
    starts = track(range(0, len(features), BLOCK), "sorting", unit="batch")
    near = np.concatenate([model.kneighbors(features[at : at + BLOCK], return_distance=False) for at in starts])
    leaders = range(len(features[::LEAD]))
    asking, led = (_sorted(owners, len(leaders)) for owners in (near.ravel(), near[:, 0]))
    for leader in track(leaders, "looking for the nearest", unit="group"):
        # Where all images look alike one may lead them all: then they are compared with some of them.
        yield np.sort(asking[leader] // near.shape[1]), led[leader][:: -(-len(led[leader]) // ALL) or 1]


def _sorted(owners: np.ndarray, count: int) -> list[np.ndarray]:
    """The positions of each number below `count` in `owners`."""
    ends = np.cumsum(np.bincount(owners, minlength=count))[:-1]
    return np.split(np.argsort(owners, kind="stable"), ends)


def _compare(features: np.ndarray, asking: np.ndarray, others: np.ndarray, found: Distances) -> None:
    """Take those of the others into `found` that are nearer to the asking than what is there; both are positions."""
    if not len(asking) or not len(others):
        return
    count = found.positions.shape[1]
    model = _model(features[others], count + 1)
    for start in range(0, len(asking), BLOCK):
        part = asking[start : start + BLOCK]
        distances, positions = model.kneighbors(features[part])
        positions = others[positions]
        distances = np.where(positions == part[:, None], np.inf, np.maximum(distances, 0.0))
        distances = np.concatenate([found.distances[part], distances], axis=1, dtype="float32")
        positions = np.concatenate([found.positions[part], positions], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        found.distances[part] = np.take_along_axis(distances, order, axis=1)
        found.positions[part] = np.take_along_axis(positions, order, axis=1)


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
    """Return pairs of nearly the same image: (first, second, share of the median distance), the nearest first.

    The median is of the distances to the nearest image that is no copy, however many images have copies: one that is
    not much nearer than the last neighbours usually are. Of an image with more than `NEAREST` copies it is not seen.
    """
    far = found.distances > NEAR * np.median(found.distances[:, -1])
    first = found.distances[far.any(axis=1), far[far.any(axis=1)].argmax(axis=1)].astype("float64")
    median = np.median(first) if len(first) else 0.0
    if median <= 0:
        return []
    pairs = {}
    for at, (others, distances) in enumerate(zip(found.positions, found.distances, strict=True)):
        for other, distance in zip(others.tolist(), distances.tolist(), strict=True):
            if distance < NEAR * median:
                pairs[min(at, other), max(at, other)] = distance / median
    return sorted(((*pair, float(share)) for pair, share in pairs.items()), key=lambda pair: (pair[2], pair[:2]))
