"""Random views of an image: one affine map each, drawn from a seed of its own, so that order and batch never matter."""

import itertools

import numpy as np

from headstart import params
from headstart.runtime import keras, tf

IDENTITY = np.array([1, 0, 0, 0, 1, 0, 0, 0], "float32")


def transform(augment: params.Augment, size: int, sha256: str, *numbers: int) -> np.ndarray:
    """The map of one view, (8,) float32: the first two rows of the matrix from output to input pixels, then 0, 0.

    The same image (`sha256` of its pixels, hexadecimal) and `numbers` give the same view. The last number is the
    view's: consecutive views go through every combination of the flips, and view 0 has none.
    """
    rng = np.random.default_rng([int(sha256, 16), *numbers])
    flips = list(
        itertools.product(*[(1, -1) if on else (1,) for on in (augment.flip_vertical, augment.flip_horizontal)])
    )
    flip_y, flip_x = flips[numbers[-1] % len(flips)]
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
    """`images` (n, h, w, 3) uint8 seen through `transforms` (n, 8) float32: uint8 again, bilinear, edges repeated."""
    warped = keras.ops.image.affine_transform(tf.cast(images, tf.float32), transforms, "bilinear", "nearest")
    return tf.cast(tf.round(warped), tf.uint8)
