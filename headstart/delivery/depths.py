"""Images of another depth than those that the classifier was trained on."""

import threading
from collections import Counter

import numpy as np

from headstart.base import wording
from headstart.classifier.reading import Read
from headstart.images import decoding
from headstart.images.ranges import Range


class Depths:
    """How many images were read, by their bits as `decoding.depth` tells them."""

    def __init__(self) -> None:
        self.counts: Counter[int | None] = Counter()
        self._lock = threading.Lock()

    def counted(self, read: Read) -> Read:
        """Return what reads an image as `read` does, in any thread, and counts it."""

        def reading() -> bytes | np.ndarray:
            data = read()
            is_array = isinstance(data, np.ndarray)
            bits = (8 if data.dtype == np.uint8 else 16) if is_array else decoding.depth(data)
            with self._lock:
                self.counts[bits] += 1
            return data

        return reading

    def of_another(self, value_range: Range | None) -> str | None:
        """A line on images of another depth than those that the classifier was trained on, and what was made of them.

        value_range: the classifier's.
        """
        deep, plain = self.counts[16], self.counts[8]
        if value_range is None and deep:
            return (
                f"{wording.count(deep, 'image')} of more than 8 bits, and the classifier was trained on 8: what the "
                "file says was taken as black to white, otherwise 0 to 65535, and of other values each image's own "
                "range; better convert them alike"
            )
        if value_range is not None and plain and not value_range.plain:
            return (
                f"{wording.count(plain, 'image')} of 8 bits: 0 to 255 was taken as black to white; of deeper ones the "
                f"classifier takes {value_range.low:g} to {value_range.high:g}, so 8 bits should come from that range, "
                "unless it was trained on such images, too"
            )
        return None
