"""Small classifiers of every kind that there are exports of; shared by tests."""

import numpy as np
from classifiers import head_params
from PIL import Image

from headstart.base.runtime import keras
from headstart.classifier import file, joining, unlike
from headstart.classifier.details import Details, Rule
from headstart.classifier.unlike import Known
from headstart.images.ranges import Range
from headstart.training import head

SIZE = 24
KINDS = {
    # classes, pooling, hidden layers, axes, rule, the range of deep images, whether it keeps training images
    "two classes": (2, "average", [], (), Rule(1.3, coverage=0.95, at_least=0.2), None, True),
    "five classes, averaged over flips": (5, "average", [], (2,), Rule(0.8, coverage=0.9, at_least=0.1), None, True),
    "a head with layers, each place by itself": (3, "flatten", [7, 6], (), Rule(1.1), None, True),
    "costs, deep images": (
        *(2, "average", [5], (1, 2)),
        *(Rule(2.0, "costs", costs=[[0.0, 0.8], [0.2, 0.0]]), Range(100, 900), False),
    ),
}


def made(path, kind):
    """A classifier of that kind with random weights, saved at `path`; some of them drawn large, so that it is sure."""
    count, pooling, hidden, axes, rule, value_range, keeps = KINDS[kind]
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIZE, SIZE, 3))
    maps = keras.layers.Conv2D(8, 5, 4, activation="relu")(inputs)
    maps = keras.layers.DepthwiseConv2D(3, padding="same")(maps)
    backbone = keras.Model(inputs, keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(maps)), name="backbone")
    top = head.build(backbone.output.shape[1:], count, head_params(pooling=pooling, hidden=hidden))
    top.set_weights([6 * weights for weights in top.get_weights()])
    network = joining.averaged(joining.join(backbone, top, lambda pixels: pixels / 127.5 - 1), axes)
    known = None
    if keeps:
        features = unlike.unit(np.random.default_rng(0).random((40, 8))).astype("float16")
        known = Known(features, 0.11)
    classes = ["chat – “cat”", "狗", "third", "4", "five\tsix"][:count]
    resizing = {1: "pad", 2: "crop"}.get(len(axes), "stretch")
    details = Details(classes, SIZE, "averaged", value_range, axes, rule, known, resizing)
    file.save(joining.calibrated(network, rule.temperature), path, details)
    return path


def pixels(count):
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (count, 6, 6, 3)).astype("uint8")
    return np.stack([np.asarray(Image.fromarray(image).resize((SIZE, SIZE))) for image in coarse])
