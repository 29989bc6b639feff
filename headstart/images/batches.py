"""Images of a source as batches, decoded and warped by `tf.data` beside the network that takes them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from headstart.base import errors
from headstart.base.errors import UserError
from headstart.base.runtime import ahead, tf
from headstart.base.threads import THREADS
from headstart.images import augment, decoding
from headstart.images.archive import UNREADABLE, Source


def changed(path: str, why: object) -> UserError:
    """The error of an image that was split, and cannot be read any more."""
    return UserError(f"{path}: {why}; the source has changed since it was split: run `dvc repro` again")


def pixels(source: Source, path: str, size: int) -> np.ndarray:
    """Returns one image that was split, as uint8 (size, size, 3). Raises UserError where it cannot be read any more."""
    try:
        return decoding.read(source.read(path), size, source.value_range)
    except UNREADABLE as error:
        raise changed(path, error) from None


def of_images(
    source: Source,
    paths: Sequence[str],
    size: int,
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
            return np.stack([pixels(source, paths[index], size) for index in indices])

    def decode(indices: tf.Tensor) -> tf.Tensor:
        # Of a stateful function TensorFlow runs one call at a time where results must repeat; this one has no state.
        pixels = tf.numpy_function(read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (None, size, size, 3))

    indices = tf.data.Dataset.range(len(paths)).batch(batch_size)
    if transforms is None:
        return ahead(indices.map(decode, THREADS, deterministic=True))
    maps = tf.data.Dataset.from_tensor_slices(transforms).batch(batch_size)
    warped = tf.data.Dataset.zip(indices, maps).map(
        lambda index, views: augment.warp(decode(index), views), THREADS, deterministic=True
    )
    return ahead(warped)


class Batch(NamedTuple):
    """Images to compute, uint8 (n, size, size, 3): as they are, or through the views `transforms`, float32 (n, 8).

    done: with the last batch of a block, how many images have been taken as they are, counted from the first of all.
    """

    images: np.ndarray
    transforms: np.ndarray | None = None
    done: int | None = None


def with_views(
    images: Iterable[np.ndarray],
    transforms: dict[int, list[np.ndarray]],
    batch_size: int,
    rows: range,
    block: int,
    left: Sequence[tuple[np.ndarray, np.ndarray]] = (),
) -> Iterator[Batch]:
    """Yields batches of images, and of the views of some of them: an image is decoded once for all of its views.

    Views come in full batches but for the very last one, whatever the blocks: a smaller batch may round differently.

    images: the decoded batches, uint8 (n, size, size, 3), of the images `rows`. transforms: by row, its other views,
    each float32 (8,). batch_size: of a batch of views. block: batches of `images` between two marks. left: images and
    views of earlier rows that come first.
    """
    row, views = rows.start, list(left)
    for number, batch in enumerate(images, 1):
        ready = [Batch(batch)]
        for image in batch:
            views += [(image, view) for view in transforms.get(row, [])]
            row += 1
        while len(views) >= batch_size or (row == rows.stop and views):
            ready.append(Batch(*map(np.stack, zip(*views[:batch_size], strict=True))))
            views = views[batch_size:]
        if number % block == 0 or row == rows.stop:
            ready[-1] = ready[-1]._replace(done=row)
        yield from ready
