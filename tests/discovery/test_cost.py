"""The estimate knows the network and the folds by numbers, so that TensorFlow is not loaded: they are the same."""

import math

import numpy as np
import pytest

from headstart.base import yaml12
from headstart.discovery import cost
from headstart.discovery.recipe import RECIPE


def test_what_extract_writes_is_as_large_as_the_estimate_says():
    """The estimate knows the recipe's network by numbers, so that it need not be built."""
    from headstart.backbones import cut, registry

    recipe = yaml12.read(RECIPE)
    backbone = registry.build(recipe["backbone"]["name"], recipe["image"]["size"], None)
    assert np.prod(backbone.output.shape[1:]) == cost.BOTTLENECK
    assert recipe["fine_tune"]["cut"] in cost.CUTS
    assert (recipe["backbone"]["name"], recipe["image"]["size"]) == cost.NETWORK
    names = [layer.name for layer in backbone.layers]
    # Of a convolution each kernel's number is multiplied at every place of the output.
    work = [
        math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape) if hasattr(layer, "kernel") else 0
        for layer in backbone.layers
    ]
    for layer, (values, tail) in cost.CUTS.items():
        frozen, _ = cut.cut_in_two(backbone, layer)
        assert np.prod(frozen.output.shape[1:]) == values, layer
        assert sum(work[names.index(layer) + 1 :]) / sum(work) == pytest.approx(tail, abs=0.006), layer


@pytest.mark.parametrize(("seconds", "said"), [(70, "2 min"), (600, "10 min"), (9000, "2 h 30 min")])
def test_the_time_is_said_as_everywhere_else(seconds, said):
    assert str(cost.Cost(seconds, 1100, 112)) == f"{said}, 1.1 GB of memory and 112 MB of disk"


def test_folds_are_known_to_the_estimate():
    from headstart.training import again, choosing

    assert (cost.FEW, cost.FOLDS) == (choosing.FEW, again.FOLDS)


def test_the_images_that_a_classifier_knows_are_known_to_the_estimate():
    from headstart.classifier import familiar

    assert familiar.KEPT + familiar.COMPARED == cost.KNOWN
