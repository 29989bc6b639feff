"""The head: the small network on the bottleneck features."""

from headstart.base import params
from headstart.base.runtime import keras


def build(shape: tuple[int, int, int], classes: int, settings: params.Head) -> keras.Model:
    """Returns the head on bottleneck features of `shape` (h, w, c): float32 (n, h, w, c) to (n, 1) or (n, classes).

    Two classes give one sigmoid unit, the probability of class 1; more give a softmax.
    """
    layers = keras.layers
    flat = settings.pooling == "flatten"
    pooling = layers.Flatten(name="pooling") if flat else layers.GlobalAveragePooling2D(name="pooling")
    x = pooling(inputs := keras.Input(shape, name="features"))
    for number, units in enumerate(settings.hidden):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
        x = layers.Dropout(settings.dropout, name=f"dropout{number}")(x)
    if not settings.hidden:
        x = layers.Dropout(settings.dropout, name="dropout")(x)
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return keras.Model(inputs, layers.Dense(units, activation=activation, name="output")(x), name="head")
