"""How images look as pictures: their size, how bright and how sharp they are, and which of them stand out by that."""

from typing import NamedTuple

import numpy as np

from headstart.images import decoding
from headstart.images.archive import Source

GREY = np.array([0.299, 0.587, 0.114], "float32")  # of red, green and blue
SIDE = 256  # pixels, to which the longer side is brought, so that sharpness means much the same at any size
DARK, BRIGHT = 0.3, 0.85  # of white: the brightness below which, at its brightest, an image is dark; and likewise
BLANK = 2.0  # grey levels of deviation: an image with less shows nothing
# Medians of the deviation from the median, on a logarithmic scale, beyond which an image is blurred or of odd size.
FAR = 6.0


class Look(NamedTuple):
    """An image: (width, height) in pixels; grey levels, from 0 to 1, that 1 % and 99 % are below; their deviation;

    and its sharpness: the deviation of the Laplacian by that of the grey levels.
    """

    size: tuple[int, int]
    low: float
    high: float
    contrast: float
    sharpness: float


def look(source: Source, path: str) -> Look:
    """Return how an image of the source looks. Raises `archive.Unreadable` and `decoding.Broken`."""
    size, small = decoding.preview(source.read(path), SIDE, source.value_range)
    grey = small.astype("float32") @ GREY
    low, high = np.percentile(grey, (1, 99)) / 255
    edges = _laplacian(grey).std() if min(grey.shape) > 2 else 0.0
    return Look(size, float(low), float(high), float(grey.std()), float(edges / max(grey.std(), BLANK)))


def unusual(looks: list[Look]) -> dict[str, list[int]]:
    """Return what stands out: {blank, dark, bright, blurred, odd_size, odd_shape: positions, the oddest first}.

    Dark and bright are so by themselves; blurred and odd is what differs much from most images of the same source, so
    that nothing stands out where all are alike.
    """
    high, low = np.array([look.high for look in looks]), np.array([look.low for look in looks])
    contrast = np.array([look.contrast for look in looks])
    sharp, sizes = np.array([look.sharpness for look in looks]), np.array([look.size for look in looks], float)
    blank = contrast < BLANK
    sharpness = _deviation(np.where(blank, np.median(sharp), sharp))
    area, shape = _deviation(sizes.prod(axis=1)), _deviation(sizes[:, 0] / sizes[:, 1])
    return {
        "blank": _first(contrast, blank),
        "dark": _first(high, (high < DARK) & ~blank),
        "bright": _first(-low, (low > BRIGHT) & ~blank),
        "blurred": _first(sharpness, sharpness < -FAR),
        "odd_size": _first(-np.abs(area), np.abs(area) > FAR),
        "odd_shape": _first(-np.abs(shape), np.abs(shape) > FAR),
    }


def _laplacian(grey: np.ndarray) -> np.ndarray:
    inner = grey[1:-1, 1:-1]
    return grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner


def _deviation(values: np.ndarray) -> np.ndarray:
    """How many times the median deviation each is from the median, on a logarithmic scale; 5 % is the least."""
    logs = np.log(np.maximum(values, 1e-6))
    logs -= np.median(logs)
    return logs / max(np.median(np.abs(logs)), 0.05)


def _first(order: np.ndarray, where: np.ndarray) -> list[int]:
    """The positions where it is so, in ascending order of `order`."""
    return [int(at) for at in np.argsort(order, kind="stable") if where[at]]
