"""Images with other values than those that the classifier was trained on."""

import threading
from collections import Counter

import numpy as np

from headstart.base import wording
from headstart.images import ranges
from headstart.images.ranges import IMAGES, Range

PLAIN, DEEP, STRANGE = 8, 16, "strange"  # of the deep ones, those whose values are others than the classifier takes
# Of the values from an image's darkest to its lightest, the share that lies within the classifier's range, below which
# most is white or black to it; and of that range the share that holds all of an image, below which it is one grey.
WITHIN, NARROW = 0.5, 0.01
SAMPLE = 2**16  # pixels that are looked at, or up to twice as many


class Depths:
    """How many images there were of each kind, in `counts`, and from where to where the strange ones' values go."""

    def __init__(self) -> None:
        self.counts: Counter[int | str] = Counter()
        self.ends: list[float] = []
        self._lock = threading.Lock()

    def note(self, value_range: Range | None, values: np.ndarray | None, padding: tuple[float, float] | None) -> None:
        """Count an image, in any thread. value_range: the classifier's. values, padding: as of `decoding.Note`."""
        ends = None if values is None or value_range is None else _strange(values, padding, value_range)
        self.add(Counter([PLAIN if values is None else DEEP] + ([STRANGE] if ends else [])), ends or ())

    def add(self, counts: Counter[int | str], ends: list[float] | tuple[float, ...]) -> None:
        """Count what another one has counted."""
        with self._lock:
            self.counts += counts
            self.ends = [end(both) for end in (min, max) if (both := [*self.ends, *ends])]

    def of_another(self, value_range: Range | None) -> str | None:
        """A line on images with other values than those that the classifier was trained on, and what was made of them.

        value_range: the classifier's. Of many images `ranges.IMAGES` per cent are expected to lie outside of it, and
        twice as many are nothing to say.
        """
        deep, plain, strange = (self.counts[kind] for kind in (DEEP, PLAIN, STRANGE))
        if value_range is None and not deep:
            return None
        if value_range is None:
            return (
                f"{wording.count(deep, 'image')} of more than 8 bits, and the classifier was trained on 8: what the "
                "file says was taken as black to white, otherwise 0 to 65535, and of other values each image's own "
                "range; better convert them alike"
            )
        taken, said = f"{value_range.low:g} to {value_range.high:g}", []
        if strange > deep * 2 * IMAGES / 100:
            said.append(
                f"{wording.count(strange, 'image')} with values from {self.ends[0]:g} to {self.ends[1]:g}, and the "
                f"classifier takes {taken} as black to white: most of what they show is white, black or one grey to "
                "it; save them with values like those that it was trained on"
            )
        if plain and not value_range.plain:
            said.append(
                f"{wording.count(plain, 'image')} of 8 bits: 0 to 255 was taken as black to white; of deeper ones "
                f"the classifier takes {taken}, so 8 bits should come from that range"
            )
        return "; ".join(said) or None


def _strange(values: np.ndarray, padding: tuple[float, float] | None, value_range: Range) -> tuple[float, float] | None:
    """The low and the high value of a deep image, where these are others than the classifier takes; else None.

    Of a range that was set for all images, as to see bone, much of each may lie outside on purpose: there the image
    is strange whose light half lies as far above it as it is wide, or all of which lies below.
    """
    pixels = values.reshape(-1, *values.shape[2:]) if values.ndim > 2 else values.reshape(-1)
    sample = pixels[:: max(1, len(pixels) // SAMPLE) | 1]  # an odd step, which no width of an image is a multiple of
    try:
        low, high = ranges.of_image(sample, padding)
    except ValueError:  # no value is a number
        return None
    span, own = max(value_range.high - value_range.low, 1e-9), high - low
    if value_range.windows:
        outside = min(high, value_range.high) - max(low, value_range.low) < WITHIN * own
    else:
        outside = np.nanmedian(sample) > value_range.high + span or high <= value_range.low
    return (low, high) if own > 0 and (outside or own < NARROW * span) else None
