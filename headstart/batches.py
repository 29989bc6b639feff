"""Images of a source as batches, decoded and warped by `tf.data` beside the network that takes them."""

import os
from collections.abc import Sequence

import numpy as np

from headstart import augment, images
from headstart.archive import Source
from headstart.runtime import ahead, tf

DECODERS = os.cpu_count() or 1  # images or batches that are decoded side by side


def of_images(
    source: Source,
    paths: Sequence[str],
    size: int,
    batch_size: int,
    transforms: np.ndarray | None = None,
    skip: int = 0,
) -> tf.data.Dataset:
    """The images at `paths`, in that order: batches of uint8 (n, size, size, 3).

    transforms: float32 (len(paths), v, 8), the v views to take of each (`augment.transform`), one after the other; an
        image is decoded once for all of them. None takes the images as they are.
    skip: how many views to leave out at the start.
    """

    def read(indices: np.ndarray) -> np.ndarray:
        return np.stack([images.read(source.read(paths[index]), size) for index in indices])

    def decode(indices: tf.Tensor) -> tf.Tensor:
        # Of a stateful function TensorFlow runs one call at a time where results must repeat; this one has no state.
        pixels = tf.numpy_function(read, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (None, size, size, 3))

    def views(index: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
        return augment.warp(tf.repeat(decode(index[None]), maps.shape[0], axis=0), maps)

    every = tf.data.Dataset.range(len(paths))
    if transforms is None:
        return ahead(every.skip(skip).batch(batch_size).map(decode, DECODERS, deterministic=True))
    seen = tf.data.Dataset.zip(every, tf.data.Dataset.from_tensor_slices(transforms))
    seen = seen.map(views, DECODERS, deterministic=True).unbatch()
    seen = seen.apply(tf.data.experimental.assert_cardinality(len(paths) * transforms.shape[1]))
    return ahead(seen.skip(skip).batch(batch_size))
