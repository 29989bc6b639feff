"""Several backbones as one network: what it computes, how it is cut, and what is trained of it."""

import numpy as np
import pytest
from networks import enliven, pixels, run

from headstart.backbones import cut, registry, several
from headstart.backbones.folding import folded
from headstart.base.errors import UserError
from headstart.base.params import Backbone
from headstart.base.runtime import keras
from headstart.training.rates import factors

LITE = Backbone(name="EfficientNetLite0", weights="random", sha256=None, scaling="native")
MOBILE = Backbone(name="MobileNetV2", weights="random", sha256=None, scaling="unit")
SIZE = 64
PAIR = [LITE, MOBILE]


def alive(network):
    """The network with normalisations that let something through, those in it too."""
    enliven(network)
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            alive(layer)
    return network


@pytest.fixture(scope="module")
def network():
    return alive(several.build(PAIR, SIZE, [None, None]))


def test_it_gives_at_each_place_the_features_of_the_first_and_the_average_of_the_others(monkeypatch):
    alone, build = {}, registry.build

    def lively(name, size, weights):
        alone[name] = alive(build(name, size, weights))
        return alone[name]

    monkeypatch.setattr(registry, "build", lively)
    network, images = several.build(PAIR, SIZE, [None, None]), pixels(SIZE)
    features = run(network, images)
    assert features.shape == (3, 2, 2, 1280 + 1280) and several.widths(network) == [1280, 1280]
    first, second = (run(alone[one.name], registry.scale(images, one.name, one.scaling)) for one in PAIR)
    np.testing.assert_allclose(features[..., :1280], first, rtol=1e-4, atol=1e-5)
    for place in np.ndindex(2, 2):
        np.testing.assert_allclose(features[:, *place, 1280:], second.mean((1, 2)), rtol=1e-3, atol=1e-4)
    assert np.ptp(first) > 0.1
    assert np.ptp(second) > 0.1


def test_the_average_over_the_places_is_that_of_each():
    other = Backbone(name="VGG16", weights="random", sha256=None, scaling="native")
    network, images = several.build([other, LITE], SIZE + 32, [None, None]), pixels(SIZE + 32)  # maps of 3 x 3
    assert network.output.shape == (None, 3, 3, 512 + 1280)
    alone = registry.build("VGG16", SIZE + 32, None)
    expected = run(alone, registry.scale(images, "VGG16", "native")).mean((1, 2))
    np.testing.assert_allclose(run(network, images)[..., :512].mean((1, 2)), expected, rtol=1e-4)


def test_one_alone_is_that_network_itself():
    network = several.build([LITE], SIZE, [None])
    assert network.name == "efficientnetlite0" and several.widths(network) == []
    images = pixels(SIZE)
    expected = registry.scale(images, LITE.name, LITE.scaling)
    np.testing.assert_array_equal(several.scaling([LITE], network)(images), expected)
    np.testing.assert_array_equal(several.scaling(PAIR, network)(images), images)


@pytest.mark.parametrize(
    "at", ["block7", "top_relu", 2, ["block7", "block_6_project_BN"], ["top_relu", "out_relu"], [2, 2]], ids=str
)
def test_cut_in_two_it_computes_the_same_also_folded(network, at):
    images = pixels(SIZE)
    expected = run(network, images)
    frozen, tail = cut.cut_in_two(network, at)
    assert len(frozen.output.shape) == 2
    np.testing.assert_allclose(run(tail, run(frozen, images)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(folded(tail), run(folded(frozen), images)), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(run(folded(network), images), expected, rtol=1e-3, atol=1e-3)


def test_only_the_first_is_trained():
    network = several.build(PAIR, SIZE, [None, None])
    cut.freeze(network, "block7", "imagenet", "imagenet")
    _, tail = cut.cut_in_two(network, "block7")
    alone = registry.build("EfficientNetLite0", SIZE, None)
    cut.freeze(alone, "block7", "imagenet")
    assert len(network.trainable_weights) == len(tail.trainable_weights) == len(alone.trainable_weights) > 0
    assert several.networks(network)[0].name == alone.name


def test_a_network_that_takes_blue_first_does_so_after_its_cut_too():
    vgg = Backbone(name="VGG16", weights="random", sha256=None, scaling="native")
    network, images = alive(several.build([LITE, vgg], SIZE, [None, None])), pixels(SIZE)
    frozen, tail = cut.cut_in_two(network, ["block7", "block1_pool"])
    np.testing.assert_allclose(run(tail, run(frozen, images)), run(network, images), rtol=1e-4, atol=1e-5)


def test_three_each_with_a_cut():
    network, images = alive(several.build([LITE, MOBILE, LITE], SIZE, [None] * 3)), pixels(SIZE)
    frozen, tail = cut.cut_in_two(network, ["block7", "block_6_project_BN", "top_relu"])
    np.testing.assert_allclose(run(tail, run(frozen, images)), run(network, images), rtol=1e-4, atol=1e-5)


def test_each_is_trained_after_a_cut_of_its_own():
    network, cuts = several.build(PAIR, SIZE, [None, None]), ["block7", "block_6_project_BN"]
    cut.freeze(network, cuts, "imagenet", "random")
    _, tail = cut.cut_in_two(network, cuts)
    count = 0
    for one, at, weights in zip(PAIR, cuts, ("imagenet", "random"), strict=True):
        alone = registry.build(one.name, SIZE, None)
        cut.freeze(alone, at, weights)
        count += len(alone.trainable_weights)
    assert len(network.trainable_weights) == len(tail.trainable_weights) == count
    inputs = keras.Input(tail.input.shape[1:])
    given = factors(keras.Model(inputs, tail(inputs)), 0.5)
    # Of the first a kernel and a normalisation that is not trained, of the second, with random weights, both.
    assert given.count(0.5) == 1 + 3
    images = keras.Input((SIZE, SIZE, 3))
    whole = keras.Model(images, network(images))  # as with views that are live
    assert sorted(factors(whole, 0.5)) == sorted(given) and given.count(0.25) >= 2


@pytest.mark.parametrize("at", [["block7"], ["block7", 3, 3]])
def test_as_many_cuts_as_backbones(network, at):
    with pytest.raises(UserError, match=rf"fine_tune\.cut: got a list of {len(at)}; takes one for each of the 2 in"):
        cut.cut_in_two(network, at)
    alone = registry.build("EfficientNetLite0", SIZE, None)
    with pytest.raises(UserError, match="takes one for each of the 1 in backbone"):
        cut.divides(alone, ["block7", "block7"])
    assert cut.divides(alone, ["block7"])


def test_a_cut_that_is_not_there_names_the_backbone(network):
    with pytest.raises(UserError, match="fine_tune.cut: got block7, which is not a layer of MobileNetV2"):
        cut.cut_in_two(network, ["block7", "block7"])


def test_the_file_of_it_needs_nothing_else(network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(run(loaded, pixels(SIZE)), run(network, pixels(SIZE)))


def test_tokens_have_the_others_beside_each_of_them():
    pytest.importorskip("keras_hub")
    vit = Backbone(name="hub:vit", weights="random", sha256=None, scaling="native")
    network, images = several.build([vit, LITE], SIZE, [None, None]), pixels(SIZE)
    width = registry.build("hub:vit", SIZE, None).output.shape[-1]
    features = run(network, images)
    assert features.shape == (3, 1 + 16, width + 1280)
    np.testing.assert_array_equal(features[:, 0, width:], features[:, 5, width:])
    frozen, tail = cut.cut_in_two(network, "block_2")
    np.testing.assert_allclose(run(tail, run(frozen, images)), features, rtol=1e-4, atol=1e-5)
    assert several.build([LITE, vit], SIZE, [None, None]).output.shape == (None, 2, 2, 1280 + 2 * width)
