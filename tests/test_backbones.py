import functools
import sys

import numpy as np
import pytest

from headstart import backbones
from headstart.errors import UserError
from headstart.runtime import keras

SIZES = {"InceptionV3": 75, "EfficientNetLite0": 32, "MobileNetV2": 32}


@functools.cache
def backbone(name):
    return backbones.build(name, SIZES[name], None)


def pixels(size, count=3):
    return np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)).astype("float32")


def run(model, images):
    return keras.tree.map_structure(np.asarray, model(images, training=False))


def enliven(network):
    """Give batch normalisation other statistics than it is born with: deep random networks would fade to nothing."""
    rng = np.random.default_rng(2)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for value in layer.weights:
                middle = {"gamma": 2.0, "moving_variance": 1.0}.get(value.name, 0.0)
                value.assign(middle + rng.uniform(-0.2, 0.2, value.shape))


def scaled(name, mode, images):
    inputs = keras.Input(images.shape[1:])
    return run(keras.Model(inputs, backbones.scale(inputs, name, mode)), images)


# One of each family: to -1 … 1, BGR less a mean, RGB normalised, as it is, and our own.
@pytest.mark.parametrize("name", ["InceptionV3", "ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetLite0"])
def test_native_scaling_is_the_networks_preprocess_input(name):
    function = backbones.EfficientNetLite0 if name == "EfficientNetLite0" else getattr(keras.applications, name)
    preprocess_input = sys.modules[function.__module__].preprocess_input
    images = pixels(4)
    np.testing.assert_allclose(scaled(name, "native", images), preprocess_input(images.copy()), rtol=1e-5, atol=1e-4)


def test_unit_scaling_divides_by_255():
    images = pixels(4)
    np.testing.assert_allclose(scaled("ResNet50", "unit", images), images / 255, rtol=1e-6)


def test_scaling_takes_the_uint8_of_an_image():
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    network = keras.Model(inputs, backbones.scale(inputs, "ResNet50", "native"))
    images = pixels(2, 1).round()
    expected = keras.applications.resnet50.preprocess_input(images.copy())
    np.testing.assert_allclose(run(network, images.astype("uint8")), expected, atol=1e-4)


def test_random_weights_are_the_same_each_time():
    first, second = (backbones.build("EfficientNetLite0", 32, None).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("InceptionV4", 75, "backbone.name: got InceptionV4; did you mean InceptionV3?"),
        ("inceptionv3", 75, "did you mean InceptionV3?"),
        ("???", 75, "There are: "),
        ("InceptionV3", 74, "image.size: got 74; InceptionV3 says: .*75"),
        ("EfficientNetLite0", 31, "image.size: got 31; EfficientNetLite0 takes at least 32"),
        ("MobileNetV2", 31, "image.size: got 31"),
        ("VGG16", 16, "image.size: got 16"),
    ],
)
def test_a_wrong_name_or_size_is_told(name, size, message):
    with pytest.raises(UserError, match=message):
        backbones.build(name, size, None)


def test_published_weights_are_loaded(tmp_path):
    published = backbone("MobileNetV2")
    for number, weight in enumerate(weights := published.get_weights()):
        weights[number] = weight + 0.25
    other = keras.models.clone_model(published)
    other.set_weights(weights)
    other.save(tmp_path / "weights.h5")
    loaded = backbones.build("MobileNetV2", 32, tmp_path / "weights.h5").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(loaded, weights, strict=True))


def test_weights_that_do_not_fit_are_told(tmp_path):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs)).save(tmp_path / "other.h5")
    with pytest.raises(UserError, match=r"other\.h5 does not fit MobileNetV2"):
        backbones.build("MobileNetV2", 32, tmp_path / "other.h5")
    narrow = keras.applications.MobileNetV2(input_shape=(32, 32, 3), include_top=False, weights=None, alpha=0.35)
    narrow.save(tmp_path / "narrow.h5")
    with pytest.raises(UserError, match=r"narrow\.h5 does not fit MobileNetV2"):
        backbones.build("MobileNetV2", 32, tmp_path / "narrow.h5")
    for content in (b"", b"not a file of weights"):
        (tmp_path / "damaged.h5").write_bytes(content)
        with pytest.raises(UserError, match=r"damaged\.h5 does not fit MobileNetV2"):
            backbones.build("MobileNetV2", 32, tmp_path / "damaged.h5")


def test_weights_as_keras_3_saves_them_are_told(tmp_path):
    backbone("MobileNetV2").save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "new.weights.h5").rename(tmp_path / "weights.h5")
    with pytest.raises(UserError, match=r"it is a \.weights\.h5 of Keras 3; takes an \.h5 as keras\.applications"):
        backbones.build("MobileNetV2", 32, tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("name", "file", "takes"),
    [("MobileNetV2", "a.pth", ".h5"), ("EfficientNetLite0", "a.h5", ".pth")],
)
def test_weights_of_another_format_are_told(name, file, takes, tmp_path):
    (tmp_path / file).touch()
    with pytest.raises(UserError, match=f"got {file}; {name} takes a {takes} file"):
        backbones.build(name, 32, tmp_path / file)


def test_the_articles_cut_is_205_layers():
    inception = backbone("InceptionV3")
    assert backbones.frozen_layers(inception, 205) == 205
    assert backbones.frozen_layers(inception, 0) == 0
    assert (
        backbones.frozen_layers(inception, "mixed6") == [layer.name for layer in inception.layers].index("mixed6") + 1
    )


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ("mixd6", "fine_tune.cut: got mixd6, not a layer of inception_v3; near it: .*mixed6"),
        ("qqqq", "got qqqq, not a layer of inception_v3; near it: mixed"),
        (100_000, "got 100000; inception_v3 has 311 layers"),
    ],
)
def test_a_layer_that_is_not_there_is_told(cut, message):
    with pytest.raises(UserError, match=message):
        backbones.frozen_layers(backbone("InceptionV3"), cut)


@pytest.mark.parametrize("name", SIZES)
def test_frozen_part_and_tail_are_the_whole_network_at_every_single_path(name):
    whole = backbone(name)
    images = pixels(SIZES[name], 1) / 255
    paths = backbones.single_paths(whole)
    # Every output at once: what a part would compute is what stands at its layer.
    probe = keras.Model(whole.input, [whole.get_layer(path).output for path in paths])
    at = run(probe, images)
    expected = at[-1]
    for path, activations in list(zip(paths, at, strict=True))[:: -max(1, len(paths) // 6)]:
        frozen, tail = backbones.cut_in_two(whole, path)
        np.testing.assert_allclose(frozen(images), activations, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(tail(activations), expected, rtol=1e-4, atol=1e-5)
        together = {id(layer) for layer in [*frozen.layers, *tail.layers]}
        assert {id(layer) for layer in whole.layers if layer.weights} <= together


def test_single_paths_are_the_blocks_ends_and_nothing_beside_a_branch():
    paths = backbones.single_paths(backbone("InceptionV3"))
    assert [path for path in paths if path.startswith("mixed")] == [f"mixed{number}" for number in range(11)]
    lite = backbones.single_paths(backbone("EfficientNetLite0"))
    assert {f"block{number}" for number in range(16)} <= set(lite)
    # block2 adds its input to its output: nothing between the two is the only path.
    assert not [path for path in lite if path.startswith("block2_")]


@pytest.mark.parametrize("cut", ["mixed9_0", 205, 0])
def test_a_cut_beside_a_branch_names_layers_near_it(cut):
    inception = backbone("InceptionV3")
    with pytest.raises(UserError, match="near it: ") as error:
        backbones.cut_in_two(inception, cut)
    near = str(error.value).split("near it: ")[1].split(" (")[0].split(", ")
    assert len(near) == 4
    for name in near:
        backbones.cut_in_two(inception, name)
    assert {"mixed9_0": "mixed8", 205: "mixed6", 0: "conv2d"}[cut] in [name.partition("_")[0] for name in near]


@pytest.mark.parametrize(("weights", "moves"), [("imagenet", False), ("random", True)])
def test_pretrained_normalisation_does_not_move_in_training_and_random_does(weights, moves):
    network = backbones.build("EfficientNetLite0", 32, None)
    enliven(network)
    backbones.freeze(network, "block3", weights)
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(network(inputs)))
    model.compile("sgd", "mse", jit_compile=False)
    before = {weight.path: weight.numpy() for weight in network.weights}
    model.fit(pixels(32, 4) / 255, np.ones((4, 1280), "float32"), verbose=0)
    moved = {weight.path for weight in network.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    frozen = {
        weight.path
        for layer in network.layers[: backbones.frozen_layers(network, "block3")]
        for weight in layer.weights
    }
    assert not moved & frozen
    assert any(path.endswith("moving_mean") for path in moved) == moves
    assert "block15_project_conv/kernel" in moved and "block4_depthwise_conv/kernel" in moved


@pytest.mark.parametrize("name", SIZES)
def test_folded_computes_the_same(name):
    whole = backbone(name)
    enliven(whole)
    images = pixels(SIZES[name], 2) / 255
    expected = run(whole, images)
    assert expected.std() > 0
    folded = backbones.folded(whole)
    np.testing.assert_allclose(run(folded, images), expected, rtol=1e-3, atol=1e-3 * expected.std())
    assert len(folded.weights) < len(whole.weights)
