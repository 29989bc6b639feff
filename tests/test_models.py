import json
import re
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from headstart import backbones, models, params
from headstart.errors import UserError
from headstart.runtime import keras

CLASSES = ["kätzchen", "dogs"]


def head_params(**values):
    given = {
        "pooling": "average", "hidden": [], "dropout": 0.5, "optimizer": "adam", "learning_rate": 0.001,
        "momentum": 0.0, "weight_decay": 0.0, "epochs": 1, "batch_size": 4, "class_weights": "none",
        "early_stopping": None,
    }  # fmt: skip
    return params.Head(**(given | values))


def pictures(size, count=6):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def calibrate(network, images):
    """Give batch normalisation the statistics of `images`: a deep random network tells them apart no other way."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(images, training=True)


def small(name="ResNet50"):
    """A classifier with a backbone of one convolution, on pixels scaled as `name` wants them."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs), name="backbone")
    return models.join(backbone, models.build_head((6, 6, 4), 2, head_params()), name, "native")


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
    backbone = backbones.build(name, size, None)
    images = pictures(size)
    inputs = keras.Input((size, size, 3), dtype="uint8")
    scaled = keras.Model(inputs, backbones.scale(inputs, name, "native"))(images)
    calibrate(backbone, scaled)
    features = np.asarray(backbone(scaled, training=False)).astype("float16")
    head = models.build_head(features.shape[1:], 2, head_params(pooling="flatten", hidden=[8]))
    expected = np.asarray(head(features.astype("float32")))
    assert expected.std() > 0.05

    joined = models.join(backbone, head, name, "native")
    backbones.freeze(backbone, 0, weights)
    np.testing.assert_allclose(joined.predict(images, verbose=0), expected, atol=3e-3)


@pytest.mark.parametrize(
    ("pooling", "hidden", "classes", "outputs", "activation"),
    [("flatten", [5, 4], 2, 1, "sigmoid"), ("average", [], 2, 1, "sigmoid"), ("average", [], 4, 4, "softmax")],
)
def test_the_head_is_as_asked_for(pooling, hidden, classes, outputs, activation):
    head = models.build_head((2, 2, 3), classes, head_params(pooling=pooling, hidden=hidden))
    dense = [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [*hidden, outputs]
    assert dense[0].kernel.shape[0] == (12 if pooling == "flatten" else 3)
    assert dense[-1].activation is getattr(keras.activations, activation)
    rates = [layer.rate for layer in head.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5] * max(1, len(hidden))


def test_probabilities_have_a_column_a_class():
    np.testing.assert_allclose(models.probabilities([[0.25], [1.0]]), [[0.75, 0.25], [0.0, 1.0]])
    assert models.probabilities([[0.25]]).dtype == np.float32
    np.testing.assert_allclose(models.probabilities([[0.2, 0.3, 0.5]]), [[0.2, 0.3, 0.5]])


def test_the_same_weights_are_the_same_bytes_later_too(tmp_path):
    model = small()
    models.save(model, tmp_path / "deep/a.keras", CLASSES)
    time.sleep(2.1)  # a zip keeps time in steps of two seconds
    models.save(model, tmp_path / "b.keras", CLASSES)
    assert (tmp_path / "deep/a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.keras", "deep"]
    model.layers[-1].get_layer("output").bias.assign([1.0])
    models.save(model, tmp_path / "b.keras", CLASSES)
    assert (tmp_path / "deep/a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()


@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetLite0"])
def test_a_classifier_comes_back_as_it_was(name, tmp_path):
    model, images = small(name), pictures(8)
    models.save(model, tmp_path / "c.keras", CLASSES)
    loaded, details = models.load(tmp_path / "c.keras")
    assert details["classes"] == CLASSES and details["size"] == 8 and "bilinear" in details["resizing"]
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    assert loaded.input.dtype == "uint8"


def test_a_head_is_the_same_bytes_wherever_it_lies_in_memory(tmp_path):
    kept = []
    for name in ("a.keras", "b.keras"):
        keras.utils.set_random_seed(1)
        kept.append(models.build_head((2, 2, 3), 2, head_params(hidden=[4, 4])))
        kept[-1].compile("adam", "binary_crossentropy")
        models.save(kept[-1], tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        config = archive.read("config.json").decode()
    ids = {int(number) for number in re.findall(r'"shared_object_id": (\d+)', config)}
    assert ids == set(range(len(ids))) and "optimizer" not in config


@pytest.mark.parametrize(("axes", "views"), [([], 1), ([2], 2), ([1, 2], 4)])
def test_a_mean_over_flips_does_not_see_them(axes, views, tmp_path):
    model, images = small("DenseNet121"), pictures(8)
    mean = models.averaged(model, axes)
    flipped = images if not axes else np.flip(images, axes)
    seen = [images, *(np.flip(images, axis) for axis in axes), *([flipped] if views == 4 else [])]
    expected = np.mean([model.predict(view, verbose=0) for view in seen], axis=0)
    models.save(mean, tmp_path / "c.keras", CLASSES)
    loaded, details = models.load(tmp_path / "c.keras")
    assert len(seen) == views and details["size"] == 8
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(flipped, verbose=0), expected, atol=1e-6)
    if axes:
        assert np.abs(model.predict(images, verbose=0) - expected).max() > 1e-3


def test_keras_alone_reads_a_classifier(tmp_path):
    model, images = small(), pictures(8)
    models.save(model, tmp_path / "c.keras", CLASSES)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import keras, numpy, sys\n"
        "outputs = keras.saving.load_model('c.keras').predict(numpy.load('images.npy'), verbose=0)\n"
        "assert not [name for name in sys.modules if name.startswith('headstart')]\n"
        "numpy.save('outputs.npy', outputs)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model.predict(images, verbose=0))


def test_a_file_that_is_no_classifier_is_told_in_one_line(tmp_path):
    path = tmp_path / "c.keras"
    with pytest.raises(UserError, match=r"no .*c\.keras: run `dvc repro`"):
        models.load(path)
    bad = {
        "nothing": b"",
        "no zip": b"not a model",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "a zip, but of what?")
    bad["another zip"] = path.read_bytes()
    models.save(small(), path)
    bad["a model, but no classifier"] = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("headstart.json", json.dumps({"classes": CLASSES, "size": 8}))
    bad["details alone"] = path.read_bytes()
    models.save(small(), path, CLASSES)
    bad["cut short"] = path.read_bytes()[:-200]
    for what, content in bad.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote") as error:
            models.load(path)
        assert "\n" not in str(error.value), what


@pytest.mark.parametrize("content", [None, b"not a model"])
def test_a_head_that_is_missing_or_damaged_is_told(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        models.HEAD.parent.mkdir()
        models.HEAD.write_bytes(content)
    with pytest.raises(UserError, match=r"models/head\.keras is missing or damaged .*: run `dvc repro train_head`"):
        models.load_head()
