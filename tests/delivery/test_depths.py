"""What is said of images with other values than those that a classifier was trained on."""

import re
import warnings

import colours
import numpy as np
import pytest
from PIL import Image

from headstart.images.ranges import Range


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


OF_12_BITS = Range(100, 4000)
STRANGE = {
    "16 bits": (OF_12_BITS, lambda values: (16 * values).astype(np.uint16)),
    "14 bits": (OF_12_BITS, lambda values: (4 * values).astype(np.uint16)),
    "floats from 0 to 1": (OF_12_BITS, lambda values: (values / 4095).astype(np.float32)),
    "floats from 0 to 1, to a range from 0 on": (Range(0, 4095), lambda values: (values / 4095).astype(np.float32)),
    "8 bits in 16": (Range(0, 65535), lambda values: (values / 16).astype(np.uint16)),
    "integers where there were floats": (Range(0.01, 0.99), lambda values: values.astype(np.uint16)),
    "16 bits, to a range that was set": (Range(0, 4095, windows=False), lambda values: (16 * values).astype(np.uint16)),
    "below a range that was set": (Range(10_000, 20_000, windows=False), lambda values: values.astype(np.uint16)),
}
KNOWN = {
    "all of the range": (OF_12_BITS, lambda values: values),
    "a quarter of it": (OF_12_BITS, lambda values: 500 + values / 4),
    "a tenth of it": (OF_12_BITS, lambda values: 500 + values / 10),
    "a little beyond it": (OF_12_BITS, lambda values: 1.5 * values),
    "dark, of 16 bits": (Range(0, 65535), lambda values: values / 2),
    "a window that was set": (Range(1800, 2000, windows=False), lambda values: values),
    "mostly below what was set": (Range(3600, 4000, windows=False), lambda values: values),
    "with no data": (OF_12_BITS, lambda values: np.where(np.arange(60)[:, None] < 20, 65535, values)),
    "of a single value": (OF_12_BITS, lambda values: np.full_like(values, 50_000)),
    "floats as in training": (Range(0.0, 1.0), lambda values: (values / 4095).astype(np.float32)),
}


def doubts(value_range, images):
    """What a classifier of this range doubts of images that lie in files, and of the same as arrays."""
    classifier = colours.classifier()
    classifier.details = classifier.details._replace(value_range=value_range)
    for number, values in enumerate(images):
        Image.fromarray(values).save(f"{number}.tif")
    said = []
    for given in ([f"{number}.tif" for number in range(len(images))], list(images)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(classifier.predict(given)) == len(images)
        said.append([str(warning.message) for warning in caught])
    assert said[0] == said[1]
    return said[0]


def scan(seed=1):
    """Values of 12 bits, float64 (60, 50): a gradient with noise."""
    values = np.linspace(150, 3900, 3000).reshape(60, 50) + np.random.default_rng(seed).normal(0, 20, (60, 50))
    return np.clip(values, 100, 4000)


@pytest.mark.parametrize("case", STRANGE)
def test_deep_images_with_other_values_than_those_of_training_are_one_line(case):
    value_range, made = STRANGE[case]
    values = made(scan())
    (line,) = doubts(value_range, [values])
    assert line.startswith("1 image with values from ") and "\n" not in line
    assert f"the classifier takes {value_range.low:g} to {value_range.high:g} as black to white: most of" in line
    ends = re.match(r"1 image with values from (\S+) to (\S+),", line).groups()
    assert [*map(float, ends)] == pytest.approx(np.percentile(values, (0.1, 99.9)), rel=1e-3)


@pytest.mark.parametrize("case", KNOWN)
def test_deep_images_that_use_a_part_of_the_range_are_nothing_to_say(case):
    value_range, made = KNOWN[case]
    values = made(scan())
    assert doubts(value_range, [values if values.dtype == np.float32 else values.astype(np.uint16)]) == []


def test_one_of_many_that_lies_outside_was_among_the_training_images_too():
    many = [scan(seed).astype(np.uint16) for seed in range(59)]
    assert doubts(OF_12_BITS, [*many, (16 * scan()).astype(np.uint16)]) == []
    assert doubts(OF_12_BITS, [*many[:9], (16 * scan()).astype(np.uint16)])[0].startswith("1 image with values from")
