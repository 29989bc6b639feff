"""Small classifiers, and images for them; shared by tests."""

from functools import partial

import numpy as np

from headstart.backbones import registry
from headstart.base import params
from headstart.base.runtime import keras
from headstart.classifier import joining
from headstart.classifier.details import Details
from headstart.training import head

CLASSES = ["kätzchen", "dogs"]


def head_params(**values):
    settings = {
        "pooling": "average", "views": False, "hidden": [], "dropout": 0.5, "optimizer": "adam", "learning_rate": 0.001,
        "momentum": 0.0, "weight_decay": 0.0, "epochs": 1, "batch_size": 4, "class_weights": "none",
        "early_stopping": None,
        "solver": "gradient",
    }  # fmt: skip
    return params.Head(**(settings | values))


def pictures(size, count=6):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def details(delivered="averaged", classes=CLASSES, size=8, **others):
    return Details(list(classes), size, delivered, **others)


def small(name="ResNet50"):
    """A classifier with a backbone of one convolution, on pixels scaled as `name` wants them."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs), name="backbone")
    scale = partial(registry.scale, name=name, mode="native")
    return joining.join(backbone, head.build((6, 6, 4), 2, head_params()), scale)
