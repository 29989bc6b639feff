"""Where a classifier looks: heat maps, and the training images that are nearest to an image."""

import io
from collections.abc import Iterable
from itertools import islice

import numpy as np
from matplotlib import colormaps
from PIL import Image

from headstart.base.runtime import keras, traced
from headstart.classifier import answering
from headstart.classifier.details import Details
from headstart.images import archive, decoding
from headstart.page.rendering import SIDE

BATCH = 32


def looks(classifier: keras.Model, details: Details, images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return heat maps, float32 (n, h, w) from 0 to 1, and the nearest training images, int32 (n, m).

    images: n of them, uint8 (size, size, 3); `BATCH` are in memory. Both are as `answering.network` has them; where
    that has no heat, it is 0.
    """
    network = answering.network(classifier, details._replace(axes=()))  # both are of the images as they are
    names, run = sorted(network.output), traced(network)
    images, found = iter(images), []
    while batch := list(islice(images, BATCH)):
        given = dict(zip(names, run(np.stack(batch)), strict=True))
        none = np.zeros((len(given["nearest"]), 1, 1), "float32")
        found.append((np.asarray(given.get("heat", none)), np.asarray(given["nearest"])))
    heat, nearest = zip(*found, strict=True)
    return np.concatenate(heat), np.concatenate(nearest)


def small(source: archive.Source, path: str) -> np.ndarray:
    """Return an image as the page shows it, uint8 (h, w, 3). Raises UserError where it cannot be read any more."""
    with archive.unchanged(path):
        return decoding.preview(source.read(path), SIDE, source.value_range)[1]


def overlay(heat: np.ndarray) -> bytes:
    """Return a heat map, (h, w), as a small PNG of colours that are the more opaque the warmer they are."""
    pixels = (255 * colormaps["inferno"](heat)).astype("uint8")
    pixels[..., 3] = (190 * np.clip(heat, 0, 1)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
