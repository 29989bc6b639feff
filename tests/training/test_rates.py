"""What one step of training changes in each layer, with and without learning rates that fall from layer to layer."""

import types

import numpy as np
import pytest

from headstart.base.runtime import deterministic, keras
from headstart.training import loop

layers = keras.layers
# Of each layer with weights, how many layers or blocks it is away from the head.
DEPTHS = {"first": 4, "first_bn": 4, "second": 3, "block_2_a": 2, "block_2_b": 2, "last": 1, "last_bn": 1, "output": 0}


def network():
    """A tail in a network of its own, as `fine_tune` trains it, with a head on it."""
    inputs = keras.Input((4, 4, 3))
    x = layers.BatchNormalization(name="first_bn")(layers.Conv2D(4, 3, name="first", use_bias=False)(inputs))
    x = layers.Add()([x, layers.Conv2D(4, 1, name="second")(x)])
    x = layers.Conv2D(4, 1, name="block_2_b")(layers.Conv2D(4, 1, name="block_2_a")(x))
    x = layers.BatchNormalization(name="last_bn")(layers.Conv2D(4, 1, name="last")(x))
    tail = keras.Model(inputs, x, name="tail")
    features = keras.Input(tail.output.shape[1:])
    output = layers.Dense(1, "sigmoid", name="output")(layers.GlobalAveragePooling2D()(features))
    head = keras.Model(features, output, name="head")
    images = keras.Input((4, 4, 3))
    return keras.Model(images, head(tail(images))), tail, head


def moved(decay, optimizer, weight_decay=0.0):
    """By how much each variable moves in a step: its layer, the change, what it was."""
    deterministic(1)
    model, tail, head = network()
    settings = types.SimpleNamespace(
        learning_rate=0.25, momentum=0.0, weight_decay=weight_decay, optimizer=optimizer, layer_decay=decay, epochs=1
    )
    loop.compiled(model, settings, steps=1)
    named = [
        (layer.name, variable)
        for part in (tail, head)
        for layer in part.layers
        for variable in layer.trainable_variables
    ]
    before = [variable.numpy() for _, variable in named]
    rng = np.random.default_rng(1)
    model.train_on_batch(rng.normal(size=(8, 4, 4, 3)).astype("float32"), (np.arange(8) % 2)[:, None].astype("float32"))
    return [(name, variable.numpy() - was, was) for (name, variable), was in zip(named, before, strict=True)]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_each_layer_moves_by_its_part_of_the_rate(optimizer):
    for (name, full, _), (_, part, _) in zip(moved(1.0, optimizer), moved(0.5, optimizer), strict=True):
        np.testing.assert_allclose(part, full * 0.5 ** DEPTHS[name], rtol=1e-3, atol=1e-6)
    assert {name for name, _, _ in moved(0.5, optimizer)} == set(DEPTHS)


def test_weight_decay_goes_with_the_rate():
    plain, decayed = moved(0.5, "adamw"), moved(0.5, "adamw", weight_decay=0.5)
    for (name, without, was), (_, change, _) in zip(plain, decayed, strict=True):
        np.testing.assert_allclose(change - without, -was * 0.5 * 0.25 * 0.5 ** DEPTHS[name], rtol=1e-2, atol=1e-5)


def test_without_it_the_weight_decay_is_keras_own():
    plain, decayed = moved(1.0, "adamw"), moved(1.0, "adamw", weight_decay=0.5)
    for (_, without, was), (_, change, _) in zip(plain, decayed, strict=True):
        np.testing.assert_allclose(change - without, -was * 0.5 * 0.25, rtol=1e-2, atol=1e-5)
