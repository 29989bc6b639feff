import numpy as np
import pytest
from networks import SIZES, backbone, enliven, pixels, run

from headstart.backbones import cut, registry
from headstart.base.errors import UserError
from headstart.base.runtime import keras


def test_the_articles_cut_is_205_layers():
    inception = backbone("InceptionV3")
    assert cut.frozen_layers(inception, 205) == 205
    assert cut.frozen_layers(inception, 0) == 0
    assert cut.frozen_layers(inception, "mixed6") == [layer.name for layer in inception.layers].index("mixed6") + 1


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            "mixd6",
            "fine_tune.cut: got mixd6, which is not a layer of InceptionV3; takes a layer's name such as .*mixed6",
        ),
        ("qqqq", "got qqqq, which is not a layer of InceptionV3; takes a layer's name such as mixed"),
        (
            500,
            r"got 500; takes 0 to 311, the number of InceptionV3's layers, such as 249 \(mixed8\), 280 \(mixed9\), "
            r"311 \(mixed10\), or a layer's name",
        ),
    ],
)
def test_a_layer_that_is_not_there_is_reported(layer, message):
    with pytest.raises(UserError, match=message):
        cut.frozen_layers(backbone("InceptionV3"), layer)


@pytest.mark.parametrize("name", SIZES)
def test_frozen_part_and_tail_are_the_whole_network_at_every_single_path(name):
    whole = backbone(name)
    images = pixels(SIZES[name], 1) / 255
    paths = cut.single_paths(whole)
    # Every output at once: what a part would compute is what stands at its layer.
    probe = keras.Model(whole.input, [whole.get_layer(path).output for path in paths])
    at = run(probe, images)
    expected = at[-1]
    for path, activations in list(zip(paths, at, strict=True))[:: -max(1, len(paths) // 6)]:
        frozen, tail = cut.cut_in_two(whole, path)
        np.testing.assert_allclose(frozen(images), activations, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(tail(activations), expected, rtol=1e-4, atol=1e-5)
        together = {id(layer) for layer in [*frozen.layers, *tail.layers]}
        assert {id(layer) for layer in whole.layers if layer.weights} <= together


def test_single_paths_are_the_blocks_ends_and_nothing_beside_a_branch():
    paths = cut.single_paths(backbone("InceptionV3"))
    assert [path for path in paths if path.startswith("mixed")] == [f"mixed{number}" for number in range(11)]
    lite = cut.single_paths(backbone("EfficientNetLite0"))
    assert {f"block{number}" for number in range(16)} <= set(lite)
    # block2 adds its input to its output: nothing between the two is the only path.
    assert not [path for path in lite if path.startswith("block2_")]


@pytest.mark.parametrize("layer", ["mixed9_0", 205, 0])
def test_a_cut_beside_a_branch_names_layers_near_it(layer):
    inception = backbone("InceptionV3")
    with pytest.raises(UserError, match="near it: ") as error:
        cut.cut_in_two(inception, layer)
    near = str(error.value).split("near it: ")[1].split(" (")[0].split(", ")
    assert len(near) == 4
    assert not cut.divides(inception, layer)
    for name in near:
        assert cut.divides(inception, name)
        cut.cut_in_two(inception, name)
    assert {"mixed9_0": "mixed8", 205: "mixed6", 0: "conv2d"}[layer] in [name.partition("_")[0] for name in near]


@pytest.mark.parametrize(("weights", "moves"), [("imagenet", False), ("random", True)])
def test_pretrained_normalisation_does_not_move_in_training_and_random_does(weights, moves):
    network = registry.build("EfficientNetLite0", 32, None)
    enliven(network)
    cut.freeze(network, "block3", weights)
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(network(inputs)))
    model.compile("sgd", "mse", jit_compile=False)
    before = {weight.path: weight.numpy() for weight in network.weights}
    model.fit(pixels(32, 4) / 255, np.ones((4, 1280), "float32"), verbose=0)
    moved = {weight.path for weight in network.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    frozen = {
        weight.path for layer in network.layers[: cut.frozen_layers(network, "block3")] for weight in layer.weights
    }
    assert not moved & frozen
    assert any(path.endswith("moving_mean") for path in moved) == moves
    assert "block15_project_conv/kernel" in moved and "block4_depthwise_conv/kernel" in moved
