"""Where a classifier looks: heat maps, and the training images that are nearest to an image."""

import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from headstart.base.runtime import keras, tf, traced
from headstart.classifier import joining, unlike
from headstart.classifier.unlike import Known

BATCH = 32


def looks(classifier: keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heat maps, float32 (n, h, w) from 0 to 1, and features, (n, c), of images, uint8 (n, size, size, 3).

    A heat map says which places speak for the predicted class. For a linear head on averaged features it is exact, the
    class activation map (Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016); for others it
    is Grad-CAM (Selvaraju et al., ICCV 2017), which for that head is the same.
    """
    network = joining.one_look(classifier)
    features = network.get_layer(joining.FEATURES).output
    model, output = keras.Model(network.input, features), network.layers[-1].layers[-1]
    hidden = keras.Model(network.layers[-1].input, output.input)
    maps, vectors, run = [], [], traced(model)
    for start in range(0, len(images), BATCH):
        (given,) = run(images[start : start + BATCH])
        with tf.GradientTape() as tape:
            tape.watch(given)
            # Before the last activation: of a probability near 1 nothing would be left to tell the places apart.
            logits = tf.matmul(hidden(given, training=False), output.kernel) + output.bias
            best = tf.reduce_max(tf.concat([-logits, logits], axis=1) if logits.shape[-1] == 1 else logits, axis=1)
        slopes = tape.gradient(best, given).numpy()
        given = given.numpy()
        if given.ndim == 4:
            heat = np.maximum((given * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=3), 0)
            maps.append(heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12))
            given = given.mean(axis=(1, 2))
        else:
            maps.append(np.zeros((len(given), 1, 1), "float32"))
        vectors.append(given)
    return np.concatenate(maps), np.concatenate(vectors)


def overlay(heat: np.ndarray) -> bytes:
    """Return a heat map, (h, w), as a small PNG of colours that are the more opaque the warmer they are."""
    pixels = (255 * colormaps["inferno"](heat)).astype("uint8")
    pixels[..., 3] = (190 * np.clip(heat, 0, 1)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def nearest(features: np.ndarray, known: Known, count: int) -> np.ndarray:
    """Return which of the training images that a classifier keeps are nearest: int64 (n, count), the nearest first."""
    away = 1 - unlike.unit(features) @ known.features.astype("float32").T
    return np.argsort(away, axis=1, kind="stable")[:, :count]
