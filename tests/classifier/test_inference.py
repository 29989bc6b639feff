import io
import threading

import numpy as np
import pytest
from PIL import Image

from headstart.base.runtime import keras
from headstart.classifier import inference
from headstart.images import decoding
from headstart.images.decoding import Square

SIZE = 16


def network(units):
    """A network that tells left from right, with random weights."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    outputs = keras.layers.Dense(units, "sigmoid" if units == 1 else "softmax")(
        keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    )
    return keras.Model(inputs, outputs)


def photographs(count):
    rng, files = np.random.default_rng(1), []
    for _ in range(count):
        files.append(io.BytesIO())
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype="uint8")).save(files[-1], "PNG")
    return [file.getvalue() for file in files]


def reads(photos):
    return [lambda photo=photo: photo for photo in photos]


def test_openvino_gives_what_tensorflow_gives():
    pytest.importorskip("openvino")
    plain, photos = network(3), photographs(inference.BATCH + 5)
    model = keras.Model(plain.input, [plain.output, keras.ops.mean(plain.output, axis=1)])
    by_engine = [
        [list(outcome) for outcome in inference.outputs(model, Square(SIZE), reads(photos), engine=engine)]
        for engine in ("tensorflow", "openvino")
    ]
    for one, other in zip(*by_engine, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("units", [1, 3])
def test_each_output_is_that_of_the_model_itself(units):
    plain, photos = network(units), photographs(inference.BATCH + 5)
    both = keras.Model(plain.input, [plain.output, keras.ops.mean(plain.output, axis=1)])
    answers = list(zip(*inference.outputs(both, Square(SIZE), reads(photos)), strict=True))
    pixels = np.stack([decoding.read(photo, Square(SIZE)) for photo in photos])
    for answer, expected in zip(answers, both.predict(pixels, verbose=0), strict=True):
        np.testing.assert_allclose(np.stack(answer), expected, atol=1e-6)
        assert np.stack(answer).dtype == np.float32


def test_what_cannot_be_read_keeps_its_place():
    def missing():
        raise FileNotFoundError("gone")

    model, photos = network(3), photographs(70)
    expected = list(inference.outputs(model, Square(SIZE), reads(photos)))
    sources = reads(photos)
    # One in the first batch, and the whole second batch.
    broken = {3, *range(inference.BATCH, 2 * inference.BATCH)}
    for number in broken:
        sources[number] = missing if number % 2 else lambda: b"no image"
    outcomes = list(inference.outputs(model, Square(SIZE), sources))
    assert len(outcomes) == 70
    for number, (outcome, answer) in enumerate(zip(outcomes, expected, strict=True)):
        if number in broken:
            assert isinstance(outcome, FileNotFoundError if number % 2 else decoding.Broken)
        else:
            np.testing.assert_allclose(outcome[0], answer[0], atol=1e-6)


def test_an_error_of_another_kind_is_raised():
    def damaged():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(inference.outputs(network(1), Square(SIZE), [damaged]))


def test_images_are_read_ahead_but_not_all_of_them():
    (photo,), count, lock = photographs(1), 0, threading.Lock()

    def read():
        nonlocal count
        with lock:
            count += 1
        return photo

    outcomes = inference.outputs(network(1), Square(SIZE), [read] * 1000)
    next(outcomes)
    outcomes.close()
    assert inference.BATCH <= count <= 4 * inference.BATCH


def test_no_images_are_no_answers():
    assert list(inference.outputs(network(1), Square(SIZE), [])) == []
