"""Images of a source as batches, decoded and warped by `tf.data` beside the network that takes them."""

from collections.abc import Sequence

import numpy as np

from headstart import augment, images
from headstart.archive import Source
from headstart.runtime import tf


def of_images(
    source: Source, paths: Sequence[str], size: int, batch_size: int, transforms: np.ndarray | None = None
) -> tf.data.Dataset:
    """The images at `paths`, in that order: batches of uint8 (n, size, size, 3).

    transforms: float32 (len(paths), 8), the view to take of each (`augment.transform`); None takes them as they are.
    """

    def read(index: np.ndarray) -> np.ndarray:
        return images.read(source.read(paths[int(index)]), size)

    def decode(index: tf.Tensor) -> tf.Tensor:
        # Of a stateful function TensorFlow runs one call at a time where results must repeat; this one has no state.
        return tf.ensure_shape(tf.numpy_function(read, [index], tf.uint8, stateful=False), (size, size, 3))

    decoded = tf.data.Dataset.range(len(paths)).map(decode, tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
    if transforms is not None:
        views = tf.data.Dataset.from_tensor_slices(transforms).batch(batch_size)
        decoded = tf.data.Dataset.zip(decoded, views).map(augment.warp)
    return decoded.prefetch(2)
