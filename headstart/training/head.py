"""The head: the small network on the bottleneck features."""

from headstart.base import params, places
from headstart.base.runtime import keras


def build(shape: tuple[int, ...], classes: int, settings: params.Head) -> keras.Model:
    """Returns the head on bottleneck features of `shape`: float32 (n, *shape) to (n, 1) or (n, classes).

    shape: of a map (h, w, c), or of tokens (1 + patches, d). Two classes give one sigmoid unit, the probability of
    class 1; more give a softmax.
    """
    layers = keras.layers
    x = places.pooled(inputs := keras.Input(shape, name="features"), settings.pooling)
    for number, units in enumerate(settings.hidden):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
        x = layers.Dropout(settings.dropout, name=f"dropout{number}")(x)
    if not settings.hidden:
        x = layers.Dropout(settings.dropout, name="dropout")(x)
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return keras.Model(inputs, layers.Dense(units, activation=activation, name="output")(x), name="head")
