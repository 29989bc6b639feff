"""Small backbones of random weights, and images for them; shared by the tests of this folder."""

import functools

import numpy as np

from headstart.backbones import registry
from headstart.base.runtime import keras

SIZES = {"InceptionV3": 75, "EfficientNetLite0": 32, "MobileNetV2": 32}


@functools.cache
def backbone(name):
    return registry.build(name, SIZES[name], None)


def pixels(size, count=3):
    return np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype("float32")


def run(model, images):
    return keras.tree.map_structure(np.asarray, model(images, training=False))


def enliven(network):
    """Give batch normalisation other statistics than it is born with: deep random networks would fade to nothing."""
    rng = np.random.default_rng(2)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for value in layer.weights:
                middle = {"gamma": 2.0, "moving_variance": 1.0}.get(value.name, 0.0)
                value.assign(middle + rng.uniform(-0.2, 0.2, value.shape))
