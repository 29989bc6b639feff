import threading

import numpy as np
import pytest
from PIL import Image

from headstart.base import params
from headstart.base.runtime import deterministic, tf
from headstart.images import augment, batches, decoding
from headstart.images.archive import open_source


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(10):
        pixels = rng.integers(0, 256, (12 + number, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_batches_are_the_images_in_the_order_given(folder):
    paths = [f"{number}.png" for number in (7, 2, 9, 0, 5)]
    expected = [decoding.read((folder / path).read_bytes(), 16) for path in paths]
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
    transforms = np.stack([augment.transform(flips, 16, "0" * 64, view) for view in range(4)])
    with open_source(folder) as source:
        plain = np.concatenate(list(batches.of_images(source, paths, 16, 4)))
        for batch_size in (1, 3):
            seen = np.concatenate(list(batches.of_images(source, paths, 16, batch_size, transforms)))
            for before, after, flip in zip(plain, seen, transforms, strict=True):
                np.testing.assert_array_equal(after, before[:: int(flip[4]), :: int(flip[0])])


def views_of(made):
    """The images and views of the batches of views, each by the number that marks it."""
    return [
        (int(image[0, 0, 0]), int(view[0]))
        for batch in made
        if batch.transforms is not None
        for image, view in zip(batch.images, batch.transforms, strict=True)
    ]


def test_the_views_of_some_images_come_in_full_batches_of_their_own():
    step = np.array([0, 1], np.uint8)[:, None, None, None]
    images = [np.full((2, 4, 4, 3), number, np.uint8) + step for number in (10, 12, 14)]
    transforms = {row: [np.full(8, 10 * row + view, "float32") for view in (1, 2, 3)] for row in (5, 7, 8)}
    made = list(batches.with_views(images, transforms, 2, range(5, 11), block=2))
    plain = [batch for batch in made if batch.transforms is None]
    np.testing.assert_array_equal([batch.images[:, 0, 0, 0] for batch in plain], [[10, 11], [12, 13], [14, 15]])
    expected = [(10, 51), (10, 52), (10, 53), (12, 71), (12, 72), (12, 73), (13, 81), (13, 82), (13, 83)]
    assert views_of(made) == expected
    assert [len(batch.images) for batch in made if batch.transforms is not None] == [2, 2, 2, 2, 1]
    assert [batch.done for batch in made if batch.done] == [9, 11]

    # What a run that was killed after the first block goes on with: its last view is left, and makes the same batches.
    left = [(np.full((4, 4, 3), 13, np.uint8), transforms[8][2])]
    again = list(batches.with_views(images[2:], transforms, 2, range(9, 11), 2, left))
    assert views_of(again) == expected[-1:] and [batch.done for batch in again if batch.done] == [11]


@pytest.mark.parametrize("transforms", [None, augment.IDENTITY[None]])
def test_nothing_is_tuned_whose_thread_the_end_would_wait_for(folder, transforms):
    with open_source(folder) as source:
        images = batches.of_images(source, ["1.png"], 16, 2, transforms)
    # As fine-tuning takes it.
    paired = tf.data.Dataset.zip(images, tf.data.Dataset.range(1)).map(lambda image, number: (image, number))
    assert paired.options().autotune.enabled is False


def test_the_number_of_batches_is_known(folder):
    with open_source(folder) as source:
        assert len(batches.of_images(source, ["1.png"] * 5, 16, 2, np.tile(augment.IDENTITY, (5, 1)))) == 3


def test_images_are_decoded_in_parallel_where_results_must_repeat(folder):
    deterministic(1)
    together = threading.Barrier(2)

    class Meeting:
        value_range = None

        def read(self, name):
            together.wait(timeout=20)
            return (folder / name).read_bytes()

    # Two batches: each read waits for one of the other batch, and alone none would return.
    assert sum(len(batch) for batch in batches.of_images(Meeting(), [f"{n}.png" for n in range(10)], 16, 5)) == 10
