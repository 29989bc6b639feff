"""The values of grey images with more than 8 bits: which of them are black and white, for all images of a data set.

Cameras and scanners write 10 or 12 bits into files of 16, computed tomography has negative values, and floating-point
values have no range at all. What is in between black and white is told from training images, or by `image.range`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# Per cent of an image's pixels that may be darker than its low value, or lighter than its high one (dead pixels), and
# per cent of the images whose own values may lie outside (one that was exposed differently).
PIXELS, IMAGES = 0.1, 1.0
SAMPLE = 2**20  # pixels of an image that are looked at, or up to twice as many


class Range(NamedTuple):
    """What is black and white: `low` and what is below it, `high` and what is above.

    windows: whether a DICOM image's own window comes first, where it has one.
    """

    low: float
    high: float
    windows: bool = True


def of_fields(fields: dict[str, Any] | None) -> Range | None:
    """Return the range that has these fields, as `artifacts.value_range` checks them; None for None."""
    return None if fields is None else Range(**fields)


def of_image(values: np.ndarray) -> tuple[float, float]:
    """Return the low and the high value of one image, without the `PIXELS` per cent at either end.

    values: (height, width), of any type. Raises ValueError where none is finite.
    """
    sample = values.ravel()[:: max(1, values.size // SAMPLE)]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise ValueError("no pixel has a finite value")
    low, high = np.percentile(sample, (PIXELS, 100 - PIXELS))
    return float(low), float(high)


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


def to_8_bits(values: np.ndarray, value_range: Range | None) -> np.ndarray:
    """Return deep values (height, width), of any type, as uint8: 0 at the low end of the range, 255 at the high one.

    value_range: None, where nothing is known, takes values of 16 bits as they are meant, from 0 to 65535, and any
        others from the image's own low value to its high one.

    Values that are not a number become black. A range whose ends are equal is taken to be 1 wide.
    """
    if value_range is None:
        fits = values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535
        value_range = Range(0, 65535) if fits else Range(*of_image(values))
    low, high, _ = value_range
    high = high if high > low else low + 1
    grey = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    # In place: a large image is held only once more than it must.
    np.nan_to_num(grey, copy=False, nan=low)
    np.clip(grey, low, high, out=grey)
    grey -= low
    grey *= 255 / (high - low)
    return np.rint(grey, out=grey).astype(np.uint8)
