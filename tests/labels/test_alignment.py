import numpy as np
import pytest
from PIL import Image

from headstart.labels import alignment


def pictures(count, side=64, seed=0):
    """Smooth random pictures, float32 (count, side, side)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 9, 9), np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), 3), np.float32) for one in coarse])


def test_shrinking_takes_means():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    np.testing.assert_array_equal(alignment.shrink(image, 2)[0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(alignment.shrink(image, 1), image)


def test_without_a_move_images_stay():
    images = pictures(3)
    np.testing.assert_allclose(alignment.moved(images, np.zeros((3, 4), np.float32)), images, rtol=1e-5)


@pytest.mark.parametrize("move", [(0.05, 0.0, 0.0, 0.02), (-0.04, -0.04, 0.03, 0.0), (0.0, 0.06, -0.02, -0.03)])
def test_the_move_between_two_images_is_found_whatever_their_brightness(move):
    above = pictures(8)
    moves = np.tile(np.array(move, np.float32), (8, 1))
    below = 0.6 * alignment.moved(above, moves) + 30
    found = np.zeros((8, 4), np.float32)
    for side in (16, 32, 64):
        found = alignment.align(alignment.shrink(below, 64 // side), alignment.shrink(above, 64 // side), found)
    np.testing.assert_allclose(found, moves, atol=0.005)
    shared = alignment.Shared(pictures(5, seed=1), 4)
    assert shared.correlation(below, alignment.moved(above, found)).min() > 0.99
    assert shared.correlation(below, above).max() < 0.97


def test_what_a_sample_shares_counts_for_nothing():
    """Images that are one pattern and a little of their own correlate by what is their own."""
    own, pattern = pictures(60, seed=2), pictures(1, seed=3)[0]
    images = 5 * pattern + 0.3 * own
    plain, shared = alignment.Shared(images[:3], 16), alignment.Shared(images, 16)
    assert plain.correlation(images[:1], images[1:2]) > 0.9 > 0.5 > shared.correlation(images[:1], images[1:2])
    assert shared.correlation(images[:1], images[:1]) == pytest.approx(1, abs=1e-4)
