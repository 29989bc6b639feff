"""The values of images with more than 8 bits: which of them are black and white, for all images of a data set.

Cameras and scanners write 10 or 12 bits into files of 16, computed tomography has negative values, and floating-point
values have no range at all. What is in between black and white is told from training images, or by `image.range`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

# Per cent of an image's pixels that may be darker than its low value, or lighter than its high one (dead pixels), and
# per cent of the images whose own values may lie outside (one that was exposed differently).
PIXELS, IMAGES = 0.1, 1.0
SAMPLE = 2**20  # pixels of an image that are looked at, or up to twice as many
# In a Pillow image's info: the lowest and the highest of the values that stand for no data; values that Pillow has no
# mode for, (h, w) or (h, w, 3); how opaque these are, uint8 (h, w); which values the file says are black and white. No
# text, which might be the name of a comment in the file.
PADDING, VALUES, ALPHA, ENDS = ("padding",), ("values",), ("alpha",), ("ends",)


class Range(NamedTuple):
    """What is black and white: `low` and what is below it, `high` and what is above.

    windows: whether a DICOM image's own window comes first, where it has one. plain: whether images of 8 bits, which it
    leaves as they are, were among those that it was found by.
    """

    low: float
    high: float
    windows: bool = True
    plain: bool = False


def of_fields(fields: dict[str, Any] | None) -> Range | None:
    """Return the range that has these fields, as `artifacts.value_range` checks them; None for None."""
    return None if fields is None else Range(**fields)


def of_image(values: np.ndarray, padding: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return the low and the high value of one image, without the `PIXELS` per cent at either end.

    values: (height, width) or, in colour, (height, width, 3), of any type. padding: the lowest and the highest of the
    values that stand for no data and do not count, unless there are no others. So it is with what looks like such a
    value (`_without_no_data`).

    Raises ValueError where none is finite.
    """
    # By whole pixels: a step over values might meet a single colour.
    sample = values.reshape(-1, *values.shape[2:])[:: max(1, values.size // SAMPLE)].ravel()
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise ValueError("no pixel has a finite value")
    if padding is not None:
        rest = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = rest if rest.size else sample
    sample = _without_no_data(_without_no_data(sample, np.min), np.max)
    low, high = np.percentile(sample, (PIXELS, 100 - PIXELS))
    return float(low), float(high)


def _without_no_data(sample: np.ndarray, end: Callable[[np.ndarray], np.generic]) -> np.ndarray:
    """The values without those at one end where they stand for no data, such as 65535 among 12 bits, or -9999.

    That is one value, of more than `PIXELS` per cent, which is farther from all others than these from each other. The
    others are more than one value, since an image may be black and white.
    """
    extreme = end(sample)
    others = sample != extreme
    held = sample.size - np.count_nonzero(others)
    if not max(1, sample.size * PIXELS / 100) < held < sample.size:
        return sample
    rest = sample[others]
    low, high, far = float(rest.min()), float(rest.max()), float(extreme)
    return rest if max(low - far, far - high) > high - low > 0 else sample


def of_images(own: Sequence[tuple[float, float]], whole_numbers: bool) -> Range | None:
    """Return the range of images with these `own` low and high values, without the `IMAGES` per cent at either end.

    whole_numbers: whether all images have such values. None for no images.
    """
    if not own:
        return None
    lows, highs = zip(*own, strict=True)
    low, high = np.percentile(lows, IMAGES), np.percentile(highs, 100 - IMAGES)
    if whole_numbers:
        return Range(math.floor(low), math.ceil(high))
    return Range(*(float(f"{value:.6g}") for value in (low, high)))


def to_8_bits(values: np.ndarray, value_range: Range | None, padding: tuple[float, float] | None = None) -> np.ndarray:
    """Return deep values, of any shape and type, as uint8: 0 at the low end of the range, 255 at the high one.

    value_range: None, where nothing is known, takes values of 16 bits as they are meant, from 0 to 65535, and any
        others from the image's own low value to its high one.
    padding: as `of_image` takes it, for that.

    Values that are not a number become black. A range whose ends are equal is taken to be 1 wide.
    """
    if value_range is None:
        fits = values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535
        value_range = Range(0, 65535) if fits else Range(*of_image(values, padding))
    low, high = value_range[:2]
    high = high if high > low else low + 1
    grey = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    # In place: a large image is held only once more than it must.
    np.nan_to_num(grey, copy=False, nan=low)
    np.clip(grey, low, high, out=grey)
    grey -= low
    grey *= 255 / (high - low)
    return np.rint(grey, out=grey).astype(np.uint8)
