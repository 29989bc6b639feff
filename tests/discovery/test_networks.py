"""What is known of the networks: counted on those that are built, and published by those who trained them."""

import re

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from benchmarks.networks import measure, multiply_adds
from headstart.backbones import registry
from headstart.base.runtime import keras
from headstart.discovery import networks

LAYERS = {
    "convolution": (keras.layers.Conv2D(5, 3, 2, "same"), (8, 6, 4), 4 * 3 * 5 * 9 * 4),
    "in groups": (keras.layers.Conv2D(6, (1, 3), groups=2), (8, 6, 4), 8 * 4 * 6 * 3 * 2),
    "depthwise": (keras.layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2), (8, 6, 4), 4 * 3 * 8 * 9),
    "separable": (keras.layers.SeparableConv2D(7, 3, padding="same"), (8, 6, 4), 8 * 6 * 4 * 9 + 8 * 6 * 4 * 7),
    "dense": (keras.layers.Dense(10), (8, 6, 4), 8 * 6 * 4 * 10),
    "without weights": (keras.layers.ReLU(), (8, 6, 4), 0),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_multiply_adds_are_those_worked_out_by_hand(kind):
    layer, shape, expected = LAYERS[kind]
    layer(keras.Input(shape))
    assert multiply_adds(layer) == expected


def test_a_layer_of_another_kind_is_not_taken_for_nothing():
    layer = keras.layers.Conv2DTranspose(5, 3)
    layer(keras.Input((8, 6, 4)))
    with pytest.raises(ValueError, match="is a Conv2DTranspose, whose multiply-adds nobody has counted"):
        multiply_adds(layer)


@pytest.mark.parametrize("name", ["EfficientNetLite0", "MobileNetV2", "MobileNetV3Small", "EfficientNetV2B1"])
def test_what_is_in_the_file_is_what_the_network_has(name):
    assert networks.measured()[name] == measure(name)


def test_the_figures_are_those_that_others_have_counted_too():
    """Sandler et al., MobileNetV2, 2018: 300 million; He et al., 2016, ResNet-152: 11.3 thousand million."""
    counts = networks.measured()
    assert counts["MobileNetV2"].multiply_adds == pytest.approx(300e6, rel=0.01)
    assert counts["ResNet152"].multiply_adds == pytest.approx(11.3e9, rel=0.03)


def test_every_network_of_the_registry_is_counted():
    missing = {*registry.names()} - {*networks.measured()} - {"TinyNet"}
    assert not missing, "`python -m benchmarks.networks` counts them"


def test_every_network_of_keras_has_a_published_accuracy_and_what_pip_brings_is_pinned():
    for name, said in networks.PUBLISHED.items():
        assert 60 < said.accuracy < 90 and said.source
        assert (said.weights == networks.IMAGENET) == hasattr(keras.applications, name)
        assert said.weights == networks.IMAGENET or re.fullmatch("[0-9a-f]{64}", said.sha256)
    assert {name for name in registry.names() if hasattr(keras.applications, name)} <= {*networks.PUBLISHED}


def test_the_default_network_has_the_weights_of_its_preset():
    backbone = YAML().load(ROOT / "presets/solar_cells.yaml")["backbone"]
    said = networks.PUBLISHED[backbone["name"]]
    assert (said.weights, said.sha256) == (backbone["weights"], backbone["sha256"])
