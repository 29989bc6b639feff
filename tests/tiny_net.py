"""A network of MobileNet's kinds of layers, with a quarter of their number: most of a small run is building networks.

The tests' projects have it as `backbone.name: TinyNet`.
"""

from headstart.base.runtime import keras


def TinyNet(input_shape: tuple[int, int, int]) -> keras.Model:
    """Returns the network with random weights: scaled float32 (n, h, w, 3) to (n, h / 32, w / 32, 1024)."""
    images = keras.Input(input_shape)
    first = keras.layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="conv1")
    outputs = _activated(first(images), "conv1")
    for number, channels, stride in ((2, 128, 4), (3, 256, 2), (4, 1024, 2)):
        name = f"depthwise{number}"
        depthwise = keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=name)
        outputs = _activated(depthwise(outputs), name)
        pointwise = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"conv{number}")
        outputs = _activated(pointwise(outputs), f"conv{number}")
    return keras.Model(images, outputs, name="TinyNet")


def _activated(outputs: keras.KerasTensor, name: str) -> keras.KerasTensor:
    normalised = keras.layers.BatchNormalization(name=f"{name}_bn")(outputs)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(normalised)


def preprocess_input(pixels):
    """Pixels from 0 to 255 as the network takes them, from -1 to 1."""
    return pixels / 127.5 - 1
