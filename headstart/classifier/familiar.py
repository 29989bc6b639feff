"""Which training images a classifier keeps, to tell images that are unlike all of them, and from which distance on."""

from collections.abc import Sequence

import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.base.streams import rng
from headstart.classifier import unlike
from headstart.classifier.unlike import Known

KEPT = 500  # training images: 1 to 2 MB of features
COMPARED = 500  # validation images, at most
# The share of images like those of validation that are within the limit. With 0.99, one of six solar cells passed for a
# cat or a dog.
STAY = 0.96


def rows(table: Manifest, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of training images to keep, and of validation images to compare: ascending, int64."""
    parts = zip(("train", "validation"), (KEPT, COMPARED), strict=True)
    return tuple(_drawn(table.rows(split), most, seed, number) for number, (split, most) in enumerate(parts))


def known(kept: np.ndarray, compared: np.ndarray, widths: Sequence[int] = ()) -> Known:
    """Returns what the classifier keeps. kept, compared: features of the images in `rows`, (m, c) and (n, c) float32.

    widths: of the part of each backbone in them; of one backbone there are none.

    The limit is the distance within which 96 of 100 validation images are; of fewer than a hundred, as much again as
    that lies above their median, since few say little about it.
    """
    features = unlike.unit(kept, widths).astype("float16")
    away = np.sort(unlike.distances(compared, features, widths))
    limit = float(np.quantile(away, STAY, method="higher"))
    if len(away) < 100:
        limit += limit - float(np.median(away))
    return Known(features, limit, tuple(widths))


def _drawn(rows: np.ndarray, most: int, seed: int, number: int) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng(seed, "known images", number).permutation(rows)[:most])
