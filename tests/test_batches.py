import threading

import numpy as np
import pytest
from PIL import Image

from headstart import augment, batches, images, params
from headstart.archive import open_source
from headstart.runtime import deterministic, tf


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(10):
        pixels = rng.integers(0, 256, (12 + number, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_batches_are_the_images_in_the_order_given(folder):
    paths = [f"{number}.png" for number in (7, 2, 9, 0, 5)]
    expected = [images.read((folder / path).read_bytes(), 16) for path in paths]
    with open_source(folder) as source:
        got = [batch.numpy() for batch in batches.of_images(source, paths, 16, 2)]
    assert [batch.shape for batch in got] == [(2, 16, 16, 3), (2, 16, 16, 3), (1, 16, 16, 3)]
    assert got[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(got), expected)


def test_each_image_is_seen_through_its_own_transform(folder):
    paths = [f"{number}.png" for number in range(4)]
    flips = params.Augment(
        shear=0.0, zoom=0.0, shift=0.0, rotation=0.0, flip_horizontal=True, flip_vertical=True
    )  # fmt: skip
    transforms = np.stack([augment.transform(flips, 16, "0" * 64, view) for view in range(4)])[:, None]
    with open_source(folder) as source:
        plain = np.concatenate(list(batches.of_images(source, paths, 16, 4)))
        for batch_size in (1, 3):
            seen = np.concatenate(list(batches.of_images(source, paths, 16, batch_size, transforms)))
            for before, after, flip in zip(plain, seen, transforms[:, 0], strict=True):
                np.testing.assert_array_equal(after, before[:: int(flip[4]), :: int(flip[0])])


def test_the_views_of_an_image_follow_each_other_and_some_can_be_skipped(folder):
    maps = np.tile(augment.IDENTITY, (2, 3, 1))
    maps[:, 1, 2] = 1  # a shift by one pixel
    with open_source(folder) as source:
        plain = np.concatenate(list(batches.of_images(source, ["4.png", "1.png"], 16, 4)))
        all_views = np.concatenate(list(batches.of_images(source, ["4.png", "1.png"], 16, 4, maps)))
        rest = batches.of_images(source, ["4.png", "1.png"], 16, 4, maps, skip=2)
        assert len(rest) == 1
        np.testing.assert_array_equal(np.concatenate(list(rest)), all_views[2:])
    np.testing.assert_array_equal(all_views[[0, 2, 3, 5]], plain[[0, 0, 1, 1]])
    np.testing.assert_array_equal(all_views[[1, 4], :, :-1], plain[:, :, 1:])


@pytest.mark.parametrize("transforms", [None, augment.IDENTITY[None, None]])
def test_nothing_is_tuned_whose_thread_the_end_would_wait_for(folder, transforms):
    with open_source(folder) as source:
        images = batches.of_images(source, ["1.png"], 16, 2, transforms)
    # As fine-tuning takes it.
    paired = tf.data.Dataset.zip(images, tf.data.Dataset.range(1)).map(lambda image, number: (image, number))
    assert paired.options().autotune.enabled is False


def test_the_number_of_batches_is_known(folder):
    with open_source(folder) as source:
        assert len(batches.of_images(source, ["1.png"] * 5, 16, 2, np.tile(augment.IDENTITY, (5, 1, 1)))) == 3


def test_images_are_decoded_in_parallel_where_results_must_repeat(folder):
    deterministic(1)
    together = threading.Barrier(2)

    class Meeting:
        def read(self, name):
            together.wait(timeout=20)
            return (folder / name).read_bytes()

    # Two batches: each read waits for one of the other batch, and alone none would return.
    assert sum(len(batch) for batch in batches.of_images(Meeting(), [f"{n}.png" for n in range(10)], 16, 5)) == 10
