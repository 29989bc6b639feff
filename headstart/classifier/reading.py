"""Image files to what a network gives for them: decoded by threads, in batches, ahead of it."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

import numpy as np

from headstart.base.threads import THREADS, in_order
from headstart.images import decoding
from headstart.images.archive import UNREADABLE
from headstart.images.decoding import Note, Square
from headstart.images.ranges import Range

BATCH = 32
Read = Callable[[], bytes | np.ndarray]


def outcomes(
    run: Callable[[np.ndarray], Iterable[np.ndarray]],
    square: Square,
    reads: Iterable[Read],
    value_range: Range | None = None,
    threads: int = THREADS,
    note: Note | None = None,
) -> Iterator[tuple[np.ndarray, ...] | Exception]:
    """Run a network on images, in batches that threads decode ahead of it.

    Args:
        run: takes uint8 (n, size, size, 3), and gives arrays of n rows.
        square: what the network takes.
        reads: for each image a function that returns the bytes of its file, or an array as `decoding.of_array` takes
            it; it is called in another thread.
        value_range: as `decoding.decode` takes it.
        threads: how many images are read and decoded at a time.
        note: as `decoding.read` takes it; it is called in another thread.

    Yields:
        For each image in turn its row of each array, or one of `UNREADABLE` where it could not be read.
    """
    images = in_order(partial(_pixels, square, value_range, note), reads, threads, ahead=2 * BATCH)
    while batch := list(islice(images, BATCH)):
        readable = [image for image in batch if isinstance(image, np.ndarray)]
        given = zip(*run(np.stack(readable)), strict=True) if readable else iter(())
        yield from (next(given) if isinstance(image, np.ndarray) else image for image in batch)


def _pixels(square: Square, value_range: Range | None, note: Note | None, read: Read) -> np.ndarray | Exception:
    try:
        data = read()
        made = decoding.of_array if isinstance(data, np.ndarray) else decoding.read
        return made(data, square, value_range, note)
    except UNREADABLE as error:
        return error
