import numpy as np
import pytest

from headstart.images import facts
from headstart.images.facts import Facts
from headstart.images.ranges import Range

BLACK, SHOWN = np.zeros((64, 64), np.uint8), np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(64, 64)
DEEP = [Facts(str(number), (1000.0, 2000.0)) for number in range(3)]


def test_the_range_is_that_of_the_training_images_or_the_parameter():
    assert facts.find_range(DEEP, None) == Range(1000, 2000)
    assert facts.find_range([*DEEP, Facts("8 bits")], None) == Range(1000, 2000, plain=True)
    assert facts.find_range([*DEEP, Facts("8 bits")], [0, 9]) == Range(0, 9, windows=False, plain=True)
    assert facts.find_range([*DEEP, Facts("seen through its window", windowed=True)], None) == Range(1000, 2000)
    assert facts.find_range(DEEP, [0.0, 4095.0]) == Range(0, 4095, windows=False)
    assert facts.find_range([Facts("8 bits")], None) is None
    assert facts.find_range([Facts("8 bits")], [0.0, 4095.0]) is None
    floats = [Facts("f", (0.125, 0.5), whole_numbers=False)]
    assert facts.find_range([*DEEP, *floats], None).high == 2000


@pytest.mark.parametrize(
    ("images", "value_range", "setting", "expected"),
    [
        ({"a": Facts("8 bits")}, None, None, []),
        (
            {"a": DEEP[0], "b": DEEP[1]},
            Range(912, 2301),
            None,
            ["2 grey images have more than 8 bits: values 912 to 2301 "],
        ),
        (
            {"a": DEEP[0], "b": Facts("")},
            Range(-5, 0.5),
            None,
            ["values -5 to 0.5 are taken as black to white (image.range)"],
        ),
        ({"a": DEEP[0], "b": Facts("")}, Range(-5, 0.5), None, ["the others (1) have 8 bits and stay as they are"]),
        ({"a": Facts("8 bits")}, None, [0.0, 1.0], ["image.range has no effect"]),
        ({"a/1.tif": Facts("", frames=True)}, None, None, ["1 image with several frames or pages", "such as a/1.tif"]),
        (
            {"a": Facts("", reduced=True), "b": Facts("", reduced=True)},
            None,
            None,
            ["2 images with more than 8 bits in"],
        ),
        (
            {"a": Facts("", thumbnail=BLACK), "b": Facts("", thumbnail=SHOWN)},
            None,
            None,
            ["1 image of a single colour"],
        ),
        ({"a": Facts("", windowed=True)}, None, None, ["1 image seen through the window that the file asks for"]),
    ],
)
def test_what_was_changed_is_said_in_a_line(images, value_range, setting, expected):
    lines = facts.lines(images, value_range, setting)
    assert len(lines) <= 1 and bool(lines) == bool(expected)
    assert all(words in lines[0] for words in expected)
