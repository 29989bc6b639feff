import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import backbone, pixels, run

from headstart.backbones import registry
from headstart.base import origin
from headstart.base.errors import UserError
from headstart.base.runtime import deterministic, keras


def scaled(name, mode, images):
    inputs = keras.Input(images.shape[1:])
    return run(keras.Model(inputs, registry.scale(inputs, name, mode)), images)


# One of each family: to -1 … 1, BGR less a mean, RGB normalised, as it is, and our own.
@pytest.mark.parametrize("name", ["InceptionV3", "ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetLite0"])
def test_native_scaling_is_the_networks_preprocess_input(name):
    function = registry.OWN.get(name) or getattr(keras.applications, name)
    preprocess_input = sys.modules[function.__module__].preprocess_input
    images = pixels(4)
    np.testing.assert_allclose(scaled(name, "native", images), preprocess_input(images.copy()), rtol=1e-5, atol=1e-4)


def test_unit_scaling_divides_by_255():
    images = pixels(4)
    np.testing.assert_allclose(scaled("ResNet50", "unit", images), images / 255, rtol=1e-6)


def test_scaling_takes_the_uint8_of_an_image():
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    network = keras.Model(inputs, registry.scale(inputs, "ResNet50", "native"))
    images = pixels(2, 1).round()
    expected = keras.applications.resnet50.preprocess_input(images.copy())
    np.testing.assert_allclose(run(network, images.astype("uint8")), expected, atol=1e-4)


def test_random_weights_are_the_same_each_time():
    first, second = (registry.build("EfficientNetLite0", 32, None).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_is_drawn_after_a_backbone_goes_by_the_callers_seed():
    def dropped(seed):
        deterministic(seed)
        registry.build("MobileNet", 32, None)
        return keras.layers.Dropout(0.5)(np.ones((1, 100), "float32"), training=True).numpy().tolist()

    assert dropped(1) == dropped(1) != dropped(2)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("InceptionV4", 75, "backbone.name: got InceptionV4; did you mean InceptionV3?"),
        ("inceptionv3", 75, "did you mean InceptionV3?"),
        ("???", 75, "takes one of "),
        ("InceptionV3", 74, "image.size: got 74; InceptionV3 says: .*75"),
        ("EfficientNetLite0", 31, "image.size: got 31; EfficientNetLite0 takes at least 32"),
        ("MobileNetV2", 31, "image.size: got 31"),
        ("VGG16", 16, "image.size: got 16"),
    ],
)
def test_a_wrong_name_or_size_is_told(name, size, message):
    with pytest.raises(UserError, match=message):
        registry.build(name, size, None)


def test_published_weights_are_loaded(tmp_path):
    published = backbone("MobileNetV2")
    for number, weight in enumerate(weights := published.get_weights()):
        weights[number] = weight + 0.25
    other = keras.models.clone_model(published)
    other.set_weights(weights)
    other.save(tmp_path / "weights.h5")
    loaded = registry.build("MobileNetV2", 32, tmp_path / "weights.h5").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(loaded, weights, strict=True))


def test_weights_that_do_not_fit_are_told(tmp_path):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs)).save(tmp_path / "other.h5")
    with pytest.raises(UserError, match=r"other\.h5 does not fit MobileNetV2"):
        registry.build("MobileNetV2", 32, tmp_path / "other.h5")
    narrow = keras.applications.MobileNetV2(input_shape=(32, 32, 3), include_top=False, weights=None, alpha=0.35)
    narrow.save(tmp_path / "narrow.h5")
    with pytest.raises(UserError, match=r"narrow\.h5 does not fit MobileNetV2"):
        registry.build("MobileNetV2", 32, tmp_path / "narrow.h5")
    for content in (b"", b"not a file of weights"):
        (tmp_path / "damaged.h5").write_bytes(content)
        with pytest.raises(UserError, match=r"damaged\.h5 does not fit MobileNetV2"):
            registry.build("MobileNetV2", 32, tmp_path / "damaged.h5")


def test_weights_that_do_not_fit_are_named_as_the_parameters_name_them(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"not a file of weights")
    origin.write(tmp_path, origin.Origin("https://a.org/nets.h5", "weights.h5", None, None))
    with pytest.raises(UserError, match=r"^backbone\.weights: https://a\.org/nets\.h5 does not fit MobileNetV2: "):
        registry.build("MobileNetV2", 32, tmp_path / "weights.h5")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "weights.h5"
    backbone("MobileNetV2").save(path)
    return path


@pytest.mark.parametrize("kind", [RuntimeError, SystemError, AttributeError])
def test_whatever_a_damaged_file_of_weights_raises_is_one_line(published, tmp_path, monkeypatch, kind):
    """HDF5 raises the first two for single bytes that are others, now and then."""
    path = Path(shutil.copy(published, tmp_path))

    def load(*_):
        raise kind("bad version number\nfor datatype message")

    monkeypatch.setattr(keras.Model, "load_weights", load)
    with pytest.raises(
        UserError, match=r"weights\.h5 does not fit MobileNetV2: bad version number for datatype message"
    ):
        registry.build("MobileNetV2", 32, path)


def bomb(file):
    file.create_dataset("zeros", (2**28,), "f4", chunks=(2**20,), compression="gzip")


def elsewhere(file):
    file["taken"] = h5py.ExternalLink("other.h5", "/model_weights")


def outside(file):
    file.create_dataset("taken", (4,), "f4", external=[("/etc/hostname", 0, 16)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (bomb, "it unpacks to 1,0[0-9,]* bytes, and the network has 9"),
        (elsewhere, "taken lies in another file"),
        (outside, "taken lies in another file"),
    ],
)
def test_weights_that_unpack_to_far_more_or_lie_elsewhere_are_refused_unread(published, tmp_path, change, reason):
    path = Path(shutil.copy(published, tmp_path))
    with h5py.File(path, "a") as file:
        change(file)
    assert path.stat().st_size < 2 * published.stat().st_size
    with pytest.raises(UserError, match=rf"weights\.h5 does not fit MobileNetV2: {reason}"):
        registry.build("MobileNetV2", 32, path)


def test_weights_as_keras_3_saves_them_are_told(tmp_path):
    backbone("MobileNetV2").save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "new.weights.h5").rename(tmp_path / "weights.h5")
    with pytest.raises(UserError, match=r"it is a \.weights\.h5 of Keras 3; takes an \.h5 as keras\.applications"):
        registry.build("MobileNetV2", 32, tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("name", "file", "takes"),
    [("MobileNetV2", "a.pth", ".h5"), ("EfficientNetLite0", "a.h5", ".pth")],
)
def test_weights_of_another_format_are_told(name, file, takes, tmp_path):
    (tmp_path / file).touch()
    with pytest.raises(UserError, match=f"got {tmp_path / file}; {name} takes a {takes} file"):
        registry.build(name, 32, tmp_path / file)
