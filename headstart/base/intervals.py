"""Wilson's interval of a share."""

from typing import NamedTuple

WIDE = 1.959963984540054  # standard deviations on either side, of 95 %


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


def wilson(share: float, images: float) -> Interval:
    """The 95 % interval of a share, from 0 to 1, of images that are independent of each other (Wilson, JASA 22, 1927).

    images: how many, above 0; they need not be whole, as of the mean over several seeds.
    """
    squared = WIDE**2 / images
    middle, half = share + squared / 2, (squared * share * (1 - share) + squared**2 / 4) ** 0.5
    return Interval(max((middle - half) / (1 + squared), 0.0), min((middle + half) / (1 + squared), 1.0))
