"""Random views of an image: one affine map each, seeded by the image itself, so that order and batches never matter."""

import itertools

import numpy as np

from headstart.base import params
from headstart.base.runtime import keras, tf

IDENTITY = np.array([1, 0, 0, 0, 1, 0, 0, 0], "float32")


def flipped_axes(augment: params.Augment) -> list[int]:
    """Returns the axes of (n, h, w, 3) images that may be flipped: 1, rows, and 2, columns."""
    return [axis for axis, allowed in ((1, augment.flip_vertical), (2, augment.flip_horizontal)) if allowed]


def transform(augment: params.Augment, size: int, sha256: str, view: int) -> np.ndarray:
    """Returns the map of one view, float32 (8,): two rows of the matrix from output to input pixels, then 0, 0.

    The same image (`sha256` of its pixels, hexadecimal) and `view` give the same map. Consecutive views go through
    every combination of the flips, and view 0 has none.
    """
    rng = np.random.default_rng([int(sha256, 16), view])
    flips = list(
        itertools.product(*[(1, -1) if on else (1,) for on in (augment.flip_vertical, augment.flip_horizontal)])
    )
    flip_y, flip_x = flips[view % len(flips)]
    rotation, shear = np.radians(rng.uniform(-1, 1, 2) * (augment.rotation, augment.shear))
    zoom_x, zoom_y = 1 + rng.uniform(-1, 1, 2) * augment.zoom
    shift_x, shift_y = rng.uniform(-1, 1, 2) * augment.shift * size
    cosine, sine = np.cos(rotation), np.sin(rotation)
    linear = (
        np.array([[cosine, -sine], [sine, cosine]])
        @ np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
        @ np.diag([zoom_x * flip_x, zoom_y * flip_y])
    )
    # The map turns about the middle of the image.
    middle = np.full(2, (size - 1) / 2)
    offset = middle - linear @ middle + (shift_x, shift_y)
    return np.array([*linear[0], offset[0], *linear[1], offset[1], 0, 0], "float32")


def warp(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Returns uint8 `images` (n, h, w, 3) seen through `transforms`, float32 (n, 8): bilinear, with edges repeated."""
    height, width = images.shape[1:3]
    # The map that flips where this one does, and does nothing else.
    x, y = (tf.where(transforms[:, axis] < 0, -1.0, 1.0) for axis in (0, 4))
    zero = tf.zeros_like(x)
    flips = tf.stack([x, zero, (1 - x) / 2 * (width - 1), zero, y, (1 - y) / 2 * (height - 1), zero, zero], axis=1)

    def flipped() -> tf.Tensor:
        columns, rows = (
            tf.where(sign[:, None] < 0, tf.range(size)[::-1], tf.range(size))
            for sign, size in ((x, width), (y, height))
        )
        return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)

    def moved() -> tf.Tensor:
        seen = keras.ops.image.affine_transform(tf.cast(images, tf.float32), transforms, "bilinear", "nearest")
        return tf.cast(tf.round(seen), tf.uint8)

    # Between pixels there is nothing to interpolate where all are flips: the same in a fifth of the time.
    return tf.cond(tf.reduce_all(transforms == flips), flipped, moved)
