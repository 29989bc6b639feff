from functools import partial

import numpy as np
import pytest
from classifiers import details, head_params, pictures, small

from headstart.backbones import cut, registry
from headstart.base.runtime import keras
from headstart.classifier import decision, file, joining
from headstart.training import head


def calibrate(network, images):
    """Give batch normalisation the statistics of `images`: a deep random network tells them apart no other way."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(images, training=True)


@pytest.mark.parametrize(
    ("name", "size", "weights"),
    [
        ("InceptionV3", 75, "imagenet"),
        ("EfficientNetLite0", 32, "imagenet"),
        ("MobileNetV2", 32, "imagenet"),
        ("EfficientNetLite0", 32, "random"),
    ],
)
def test_the_joined_network_predicts_what_the_head_predicts(name, size, weights):
    backbone = registry.build(name, size, None)
    images = pictures(size)
    inputs = keras.Input((size, size, 3), dtype="uint8")
    scaled = keras.Model(inputs, registry.scale(inputs, name, "native"))(images)
    calibrate(backbone, scaled)
    features = np.asarray(backbone(scaled, training=False)).astype("float16")
    classifier_head = head.build(features.shape[1:], 2, head_params(pooling="flatten", hidden=[8]))
    expected = np.asarray(classifier_head(features.astype("float32")))
    assert expected.std() > 0.05

    joined = joining.join(backbone, classifier_head, partial(registry.scale, name=name, mode="native"))
    cut.freeze(backbone, 0, weights)
    np.testing.assert_allclose(joined.predict(images, verbose=0), expected, atol=3e-3)


@pytest.mark.parametrize(("axes", "views"), [([], 1), ([2], 2), ([1, 2], 4)])
def test_a_mean_over_flips_does_not_see_them(axes, views, tmp_path):
    model, images = small("DenseNet121"), pictures(8)
    mean = joining.averaged(model, axes)
    flipped = images if not axes else np.flip(images, axes)
    seen = [images, *(np.flip(images, axis) for axis in axes), *([flipped] if views == 4 else [])]
    expected = np.mean([model.predict(view, verbose=0) for view in seen], axis=0)
    file.save(mean, tmp_path / "c.keras", details())
    loaded, said = file.load(tmp_path / "c.keras")
    assert len(seen) == views and said.size == 8
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(flipped, verbose=0), expected, atol=1e-6)
    if axes:
        assert np.abs(model.predict(images, verbose=0) - expected).max() > 1e-3


@pytest.mark.parametrize("temperature", [None, 2.0])
@pytest.mark.parametrize("axes", [(), (1, 2)])
def test_the_parts_of_an_answer_are_the_plain_and_the_mean_one_and_the_features(axes, temperature, tmp_path):
    model, images = small("DenseNet121"), pictures(8)
    mean = joining.averaged(model, axes)
    written = joining.calibrated(mean, temperature) if temperature else mean
    file.save(written, tmp_path / "c.keras", details(axes=axes))
    loaded, said = file.load(tmp_path / "c.keras")
    names, parts = joining.parts(loaded, "averaged", said.axes)
    *outputs, features = parts.predict(images, verbose=0)
    assert names == (["fine_tuned", "averaged"] if axes else ["fine_tuned"])
    expected = [model.predict(images, verbose=0), mean.predict(images, verbose=0)][: len(names)]
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, atol=1e-6)
    pooled = keras.Model(model.input, model.get_layer(joining.FEATURES).output).predict(images, verbose=0)
    np.testing.assert_allclose(features, pooled.mean(axis=(1, 2)), atol=1e-6)
    both = joining.with_features(loaded, said.axes, temperature).predict(images, verbose=0)
    np.testing.assert_allclose(both[0], loaded.predict(images, verbose=0), atol=1e-6)
    np.testing.assert_allclose(both[1], features, atol=1e-6)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_calibrated_classifier_gives_what_the_rule_says(units, temperature):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = keras.layers.Dense(units, "sigmoid" if units == 1 else "softmax")(pixels)
    network, images = keras.Model(inputs, outputs), pictures(8)
    given = decision.probabilities(network.predict(images, verbose=0))
    tempered = decision.probabilities(joining.calibrated(network, temperature).predict(images, verbose=0))
    np.testing.assert_allclose(tempered, decision.tempered(given, temperature), atol=1e-5)
    assert (np.abs(tempered - given).max() < 1e-5) == (temperature == 1.0)
