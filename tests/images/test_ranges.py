import json
import shutil

import numpy as np
import pytest
from PIL import Image

from headstart.artifacts import predictions
from headstart.classifier import file
from headstart.images import ranges
from headstart.images.ranges import Range


def test_an_images_own_range_leaves_out_dead_pixels():
    values = np.random.default_rng(1).integers(900, 2000, (100, 100))
    values.ravel()[:4], values.ravel()[-4:] = 0, 65535
    low, high = ranges.of_image(values)
    assert 895 <= low <= 905 and 1995 <= high <= 2005


def with_no_data(low, high, value, kind, share=0.1):
    values = np.linspace(low, high, 10_000).astype(kind).reshape(100, 100)
    values[: round(100 * share)] = value
    return values


@pytest.mark.parametrize(
    ("low", "high", "value", "kind"),
    [
        (0, 1, -3.4028235e38, np.float32),
        (0, 1, 3.4028235e38, np.float32),
        (100, 2500, -9999, np.float32),
        (-1000, 3000, -32768, np.int16),
        (0, 4095, 65535, np.uint16),
        (29000, 32000, 0, np.uint16),
    ],
)
def test_a_value_that_stands_for_no_data_is_left_out_of_the_range(low, high, value, kind):
    values = with_no_data(low, high, value, kind)
    assert ranges.of_image(values) == pytest.approx(ranges.of_image(values[10:]), rel=1e-6)
    assert ranges.of_image(np.full((9, 9), value, kind)) == pytest.approx((value, value))


def test_what_may_be_seen_stays_in_the_range():
    """A saturated end of the values, a second one with its black background, black and white, and few pixels."""
    for values in (
        with_no_data(0, 60_000, 65535, np.uint16),
        with_no_data(20_000, 60_000, 0, np.uint16),
        np.repeat(np.array([[0, 40_000]], np.uint16), 9, 0),
        np.array([[0, 100, 300]], np.uint16),
        with_no_data(0, 4095, 65535, np.uint16, share=0),
    ):
        assert ranges.of_image(values) == tuple(np.percentile(values, (0.1, 99.9)))


def test_values_that_a_file_says_stand_for_no_data_are_left_out_of_the_range():
    values = with_no_data(0, 1000, -500, np.int16)
    values[:2] = -480
    assert ranges.of_image(values, (-500, -480)) == ranges.of_image(values[10:])
    assert ranges.of_image(values, (-500, 1000)) == ranges.of_image(values)  # nothing would be left
    seen = ranges.to_8_bits(values, None, (-500, -480))
    assert seen[0, 0] == 0 and seen[50, 50] == pytest.approx(115, abs=3)  # of 100 to 1000


def test_of_a_large_image_a_sample_is_enough():
    values = np.tile(np.arange(1000, 3000, dtype=np.uint16), (3000, 1))
    assert ranges.of_image(values) == pytest.approx((1002, 2997), abs=3)


def test_the_range_of_a_data_set_leaves_out_an_image_that_was_exposed_differently():
    own = [(1000.2, 2000.0 + number) for number in range(200)]
    assert ranges.of_images(own, whole_numbers=True) == Range(1000, 2198)
    low, high = ranges.of_images([*own, (0, 65535)], whole_numbers=True)[:2]
    assert low == 1000 and 2198 <= high <= 2199
    assert ranges.of_images([(-0.123456789, 1 / 3)], whole_numbers=False) == Range(-0.123457, 0.333333)
    assert ranges.of_images([], whole_numbers=True) is None


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_values_become_8_bits(kind):
    values = np.array([[0, 1000, 1500, 2000, 60000]], kind)
    before = values.copy()
    assert ranges.to_8_bits(values, Range(1000, 2000)).tolist() == [[0, 0, 128, 255, 255]]
    np.testing.assert_array_equal(values, before)


def test_without_a_range_16_bits_are_what_they_say_and_others_get_their_own():
    assert ranges.to_8_bits(np.array([[0, 257, 25700, 65535]], np.uint16), None).tolist() == [[0, 1, 100, 255]]
    assert ranges.to_8_bits(np.array([[-1000, 3000]], np.int32), None).tolist() == [[0, 255]]
    assert ranges.to_8_bits(np.array([[0.0, 1.0]], np.float32), None).tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_images_of_one_value_do_not_divide_by_nothing(kind):
    constant = ranges.of_images([ranges.of_image(np.full((4, 4), 700, kind))] * 3, whole_numbers=True)
    assert constant == Range(700, 700)
    assert ranges.to_8_bits(np.array([[699, 700, 701]], kind), constant).tolist() == [[0, 0, 255]]


def test_the_range_comes_back_from_its_fields():
    assert ranges.of_fields(Range(-5, 5, windows=False)._asdict()) == Range(-5, 5, windows=False)
    assert ranges.of_fields(None) is None


@pytest.mark.parametrize("colours", [False, True])
def test_the_range_goes_from_the_training_images_to_all_stages_and_with_the_classifier(project, colours):
    """Two shades of 12 bits, which are the same one of 8."""
    shutil.rmtree(project.path / "data/my_images")
    rng = np.random.default_rng(1)
    for name, level in (("dark", 1000), ("light", 1200)):
        (project.path / "data/my_images" / name).mkdir(parents=True)
        for number in range(16):
            pixels = rng.normal(level, 20, (32, 32, 3) if colours else (32, 32)).astype(np.uint16)
            path = project.path / "data/my_images" / name / f"{number:02}.ppm"
            if colours:  # which Pillow does not write
                path.write_bytes(b"P6 32 32 65535\n" + pixels.astype(">u2").tobytes())
            else:
                Image.fromarray(pixels).save(path.with_suffix(".png"))
    project.set({"head.solver": "logistic"})
    project.repro()
    fields = json.loads((project.path / "data/range.json").read_text())
    assert 920 < fields["low"] < 980 and 1220 < fields["high"] < 1280

    _, details = file.load(project.path / "models/classifier.keras")
    assert details.value_range == Range(**fields)
    test = json.loads((project.path / "metrics/test.json").read_text())
    assert test["head"]["accuracy"] == 1
    scored = predictions.parse((project.path / predictions.PREDICTIONS).read_text())
    delivered = list(scored.probabilities.values())[-1]
    paths = [f"data/my_images/{path}" for path in scored.paths]
    done = project.run("python", "-m", "headstart.predict", "--json", *paths)
    assert "bits" not in done.stderr
    answers = [list(entry["probabilities"].values()) for entry in json.loads(done.stdout)]
    np.testing.assert_allclose(answers, delivered, atol=2e-6)
    Image.fromarray(np.full((32, 32), 128, np.uint8)).save(project.path / "8.png")
    done = project.run("python", "-m", "headstart.predict", "8.png")
    assert "1 image of 8 bits: 0 to 255 was taken as black to white; of deeper ones the" in done.stderr
    assert f"classifier takes {fields['low']} to {fields['high']}" in done.stderr
