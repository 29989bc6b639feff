"""Images of a source as batches, decoded and warped by `tf.data` beside the network that takes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from headstart.base import errors
from headstart.base.runtime import ahead, tf
from headstart.base.threads import THREADS
from headstart.images import archive, augment, decoding
from headstart.images.archive import Source
from headstart.images.decoding import Square


def pixels(source: Source, path: str, square: Square) -> np.ndarray:
    """Returns one image that was split, as uint8 (size, size, 3). Raises UserError where it cannot be read any more."""
    with archive.unchanged(path):
        return decoding.read(source.read(path), square, source.value_range)


def of_images(
    source: Source,
    paths: Sequence[str],
    square: Square,
    batch_size: int,
    transforms: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns the images at `paths`, in that order, as batches of uint8 (n, size, size, 3).

    transforms: float32 (len(paths), 8), the view to take of each (`augment.transform`); None takes them as they are.

    Raises UserError where an image cannot be read any more: under `errors.run`, that is; outside of it, whoever takes
    the batches gets an error of TensorFlow's with the same message.
    """

    def read(indices: np.ndarray) -> np.ndarray:
        with errors.kept():
            return np.stack([pixels(source, paths[index], square) for index in indices])

    def decode(indices: tf.Tensor) -> tf.Tensor:
        # Of a stateful function TensorFlow runs one call at a time where results must repeat; this one has no state.
        pixels = tf.numpy_function(read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (None, square.size, square.size, 3))

    indices = tf.data.Dataset.range(len(paths)).batch(batch_size)
    if transforms is None:
        return ahead(indices.map(decode, THREADS, deterministic=True))
    maps = tf.data.Dataset.from_tensor_slices(transforms).batch(batch_size)
    warped = tf.data.Dataset.zip(indices, maps).map(
        lambda index, views: augment.warp(decode(index), views), THREADS, deterministic=True
    )
    return ahead(warped)


class View(NamedTuple):
    """One of an image's other views: the image's row, path and hash of its pixels, and the view's number, from 1."""

    row: int
    path: str
    sha256: str
    number: int


class Batch(NamedTuple):
    """Images to compute, uint8 (n, size, size, 3): as they are, or through the views `transforms`, float32 (n, 8)."""

    images: np.ndarray
    transforms: np.ndarray | None = None


def with_views(
    images: Iterable[np.ndarray],
    row: int,
    views: Sequence[View],
    batch_size: int,
    transform: Callable[[str, int], np.ndarray],
    kept: dict[int, np.ndarray],
    read: Callable[[str], np.ndarray],
) -> Iterator[Batch]:
    """Yields batches of images, and of views of these and of images before them: each is decoded once for all of its.

    Views come in full batches but for the last one, whatever the images: a smaller batch may round differently.

    images: decoded, in batches, uint8 (n, size, size, 3). row: of the first of them. views: by their rows, none of a
    row after the last. transform: returns the map of a view, by the image's hash and its number. kept: decoded images
    by their rows; those of which more views may come are left in it. read: decodes an image that is not there, by its
    path.
    """
    done = 0
    for batch in images:
        yield Batch(batch)
        kept.update(enumerate(batch, row))
        row += len(batch)
        while (wanted := views[done : done + batch_size]) and wanted[-1].row < row:
            for view in wanted:
                if view.row not in kept:
                    kept[view.row] = read(view.path)
            maps = [transform(view.sha256, view.number) for view in wanted]
            yield Batch(np.stack([kept[view.row] for view in wanted]), np.stack(maps))
            done += len(wanted)
            for earlier in [known for known in kept if known < wanted[-1].row]:
                del kept[earlier]
    if not views:
        kept.clear()
