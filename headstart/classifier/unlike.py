"""How far an image is from those that a classifier was trained on.

Source: Sun, Ming, Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstart.artifacts import parts

NEAREST = 5  # the distance to the fifth nearest one counts: a single training image may be odd itself
BLOCK = 256  # images that are compared at a time


class Known(NamedTuple):
    """What a classifier keeps of its training images.

    `features`: float16 (m, c), each of length 1; `limit`: the distance beyond which an image is unlike all of them;
    `widths`: of the part of each backbone in the features, which count the same; of one backbone there are none.
    """

    features: np.ndarray
    limit: float
    widths: tuple[int, ...] = ()


def unit(features: np.ndarray, widths: Sequence[int] = ()) -> np.ndarray:
    """Features, (n, c), brought to length 1, of which each part, of these widths, has the same share: float32."""
    return parts.unit(parts.even(features, widths))


def distances(features: np.ndarray, known: np.ndarray, widths: Sequence[int] = ()) -> np.ndarray:
    """Returns how far images are from the known ones, float64 (n,): 0 for the same direction, 2 for the opposite one.

    features: (n, c). known: (m, c), as `unit` makes them; with fewer than `NEAREST`, the farthest of them counts.
    widths: as of `Known`.
    """
    known, found = known.astype("float32"), []
    place = min(NEAREST, len(known)) - 1
    for start in range(0, len(features), BLOCK):
        away = 1 - unit(features[start : start + BLOCK], widths) @ known.T
        found.append(np.partition(away, place, axis=1)[:, place])
    return np.concatenate(found).astype("float64") if found else np.zeros(0)


def is_unlike(features: np.ndarray, known: Known) -> np.ndarray:
    """Returns which images are unlike all known ones: bool (n,). features: (n, c)."""
    return distances(features, known.features, known.widths) > known.limit
