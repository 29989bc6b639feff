import numpy as np
import pytest

from headstart.base import params
from headstart.images import augment

NONE = {"shear": 0.0, "zoom": 0.0, "shift": 0.0, "rotation": 0.0, "flip_horizontal": False, "flip_vertical": False}
SHA256 = "0f" * 32


def ranges(**values):
    return params.Augment(**(NONE | values))


EVERYTHING = ranges(shear=20.0, zoom=0.2, shift=0.1, rotation=30.0, flip_horizontal=True, flip_vertical=True)


def linear(view):
    return view[[0, 1, 3, 4]].reshape(2, 2).astype(float)


def warped(image, view):
    return np.asarray(augment.warp(image[None], view[None]))[0]


def drawn(values, count=200, size=16):
    return [augment.transform(values, size, f"{number:064x}", 1) for number in range(count)]


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)


def test_the_same_image_and_number_give_the_same_view():
    first, second = (augment.transform(EVERYTHING, 16, SHA256, 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.shape == (8,)


def test_other_images_and_other_numbers_give_other_views():
    views = [augment.transform(EVERYTHING, 16, sha256, view) for sha256 in (SHA256, "1" * 64) for view in range(1, 6)]
    assert len({view.tobytes() for view in views}) == len(views)


def test_without_ranges_a_view_is_the_image(image):
    view = augment.transform(ranges(), 16, SHA256, 5)
    np.testing.assert_array_equal(view, augment.IDENTITY)
    np.testing.assert_array_equal(warped(image, view), image)


def test_view_0_is_not_flipped_and_four_views_have_every_combination():
    flips = ranges(flip_horizontal=True, flip_vertical=True)
    views = [linear(augment.transform(flips, 16, SHA256, number)).diagonal() for number in range(4)]
    assert views[0].tolist() == [1, 1]
    assert {tuple(view) for view in views} == {(1, 1), (-1, 1), (1, -1), (-1, -1)}
    sideways = ranges(flip_horizontal=True)
    assert [linear(augment.transform(sideways, 16, SHA256, n)).diagonal().tolist() for n in (0, 1)] == [[1, 1], [-1, 1]]


@pytest.mark.parametrize(("flip", "axis"), [("flip_horizontal", 1), ("flip_vertical", 0)])
@pytest.mark.parametrize("size", [16, 15])
def test_a_flip_mirrors_the_pixels_exactly(flip, axis, size, image):
    image = image[:size, :size]
    view = augment.transform(ranges(**{flip: True}), size, SHA256, 1)
    np.testing.assert_array_equal(warped(image, view), np.flip(image, axis))


def test_each_image_of_a_batch_has_its_own_flips(image):
    views = np.stack(
        [augment.transform(ranges(flip_horizontal=True, flip_vertical=True), 16, SHA256, n) for n in range(4)]
    )
    signs = [tuple(linear(view).diagonal()) for view in views]
    expected = np.stack([image[:: int(y), :: int(x)] for x, y in signs])
    np.testing.assert_array_equal(augment.warp(np.stack([image] * 4), views), expected)
    # One that is more than a flip does not change what becomes of the others.
    mixed = np.concatenate([views, [[1, 0, 3, 0, -1, 15, 0, 0]]]).astype("float32")
    *flipped, shifted = np.asarray(augment.warp(np.stack([image] * 5), mixed))
    np.testing.assert_array_equal(flipped, expected)
    np.testing.assert_array_equal(shifted[:, :-3], image[::-1, 3:])


def test_a_quarter_turn_turns_the_pixels(image):
    view = np.array([0, -1, 15, 1, 0, 0, 0, 0], "float32")
    np.testing.assert_array_equal(warped(image, view), np.rot90(image, -1 if view[1] > 0 else 1))


def test_shifts_stay_in_their_range_and_fill_it():
    offsets = np.array([view[[2, 5]] for view in drawn(ranges(shift=0.25))])
    assert np.abs(offsets).max() <= 4 and offsets.min() < -3.5 and offsets.max() > 3.5


def test_a_shift_moves_the_pixels_and_repeats_the_edge(image):
    moved = warped(image, np.array([1, 0, 2, 0, 1, 0, 0, 0], "float32"))
    np.testing.assert_array_equal(moved[:, :-2], image[:, 2:])
    np.testing.assert_array_equal(moved[:, -2:], image[:, [-1, -1]])


def test_zooms_stay_in_their_range_and_fill_it_on_each_axis():
    scales = np.array([linear(view).diagonal() for view in drawn(ranges(zoom=0.2))])
    assert scales.min() >= 0.8 and scales.max() <= 1.2
    assert scales.min(axis=0).max() < 0.82 and scales.max(axis=0).min() > 1.18
    assert not np.allclose(scales[:, 0], scales[:, 1])


def test_rotations_stay_in_their_range_and_fill_it():
    turned = [linear(view) for view in drawn(ranges(rotation=30.0))]
    angles = np.degrees([np.arctan2(matrix[1, 0], matrix[0, 0]) for matrix in turned])
    assert np.abs(angles).max() <= 30 and angles.min() < -27 and angles.max() > 27
    np.testing.assert_allclose([np.linalg.det(matrix) for matrix in turned], 1, rtol=1e-5)


def test_shears_stay_in_their_range_and_fill_it():
    angles = np.degrees([np.arctan2(-linear(view)[0, 1], linear(view)[1, 1]) for view in drawn(ranges(shear=20.0))])
    assert np.abs(angles).max() <= 20 and angles.min() < -18 and angles.max() > 18


def test_the_middle_of_the_image_stays_where_it_is():
    for view in drawn(ranges(shear=20.0, zoom=0.2, rotation=30.0), 10, 17):
        np.testing.assert_allclose(linear(view) @ [8, 8] + view[[2, 5]], [8, 8], atol=1e-5)


def test_a_warped_image_is_uint8_and_rounded():
    image = np.array([[0, 255], [0, 255]], np.uint8)[..., None].repeat(3, 2)
    moved = warped(image, np.array([1, 0, 0.3, 0, 1, 0, 0, 0], "float32"))
    assert moved.dtype == np.uint8
    assert moved[0, :, 0].tolist() == [76, 255]  # 0.3 of 255 is 76.5: to the even one
