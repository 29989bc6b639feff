"""Both engines give the same numbers; one that is not installed is an error of one line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones import engines
from headstart.base import threads
from headstart.base.errors import UserError
from headstart.base.runtime import keras


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    x = keras.layers.Rescaling(1 / 255)(inputs := keras.Input((16, 16, 3), dtype="uint8"))
    middle = keras.layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(inputs, [keras.layers.Conv2D(4, 3, strides=2)(middle), middle])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), "uint8")


def test_tensorflow_gives_the_models_outputs_as_float16(model, images):
    outputs = engines.forward(model, "tensorflow", "float32")(images)
    for output, expected in zip(outputs, model(images), strict=True):
        assert output.dtype == np.float16
        np.testing.assert_array_equal(output, expected.numpy().astype("float16"))


def test_values_beyond_float16_stay_finite(images):
    scale = keras.layers.Rescaling(1e6)
    model = keras.Model(inputs := keras.Input((16, 16, 3), dtype="uint8"), [scale(inputs)])
    (output,) = engines.forward(model, "tensorflow", "float32")(images)
    assert output.max() == np.finfo("float16").max


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-3), ("bfloat16", 3e-2)])
def test_openvino_agrees_with_tensorflow(model, images, precision, tolerance, capfd):
    outputs = engines.forward(model, "openvino", precision)(images)
    assert capfd.readouterr() == ("", "")
    expected = engines.forward(model, "tensorflow", "float32")(images)
    for output, reference in zip(outputs, expected, strict=True):
        assert output.dtype == np.float16
        np.testing.assert_allclose(output, reference, atol=tolerance)


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_two_batches_at_a_time_are_the_same_numbers(engine, model):
    batches = np.random.default_rng(1).integers(0, 256, (30, 5, 16, 16, 3), "uint8")
    forward = engines.forward(model, engine, "float32")
    expected = [forward(batch) for batch in batches]
    results = list(threads.in_order(forward, batches, workers=engines.AT_A_TIME))
    assert len(results) == 30
    for outputs, references in zip(results, expected, strict=True):
        for output, reference in zip(outputs, references, strict=True):
            np.testing.assert_array_equal(output, reference)


def test_a_precision_the_engine_does_not_support(model):
    with pytest.raises(UserError, match="got bfloat16; extract.engine: tensorflow takes float32 only"):
        engines.forward(model, "tensorflow", "bfloat16")


def test_an_engine_that_is_not_installed(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="pip install -r requirements-openvino.txt"):
        engines.forward(model, "openvino", "float32")


def test_openvino_reports_to_nobody(tmp_path):
    """Its telemetry, which is on by default, would keep a number for this user in the home folder, and send it."""
    script = """if True:
        from headstart.backbones import engines
        from headstart.base.runtime import keras
        model = keras.Model(inputs := keras.Input((16, 16, 3), dtype="uint8"), [keras.layers.Rescaling(2.0)(inputs)])
        engines.forward(model, "openvino", "float32")
    """
    # It sends nothing where CI is set, which must not make this pass.
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], env=environment, check=True)
    assert not (tmp_path / "intel").exists()
