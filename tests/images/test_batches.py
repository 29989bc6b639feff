import threading

import numpy as np
import pytest
from PIL import Image

from headstart.base import params
from headstart.base.runtime import deterministic, tf
from headstart.images import augment, batches, decoding
from headstart.images.archive import open_source
from headstart.images.batches import View
from headstart.images.decoding import Square


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(10):
        pixels = rng.integers(0, 256, (12 + number, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_batches_are_the_images_in_the_order_given(folder):
    paths = [f"{number}.png" for number in (7, 2, 9, 0, 5)]
    expected = [decoding.read((folder / path).read_bytes(), Square(16)) for path in paths]
    with open_source(folder) as source:
        got = [batch.numpy() for batch in batches.of_images(source, paths, Square(16), 2)]
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
        plain = np.concatenate(list(batches.of_images(source, paths, Square(16), 4)))
        for batch_size in (1, 3):
            seen = np.concatenate(list(batches.of_images(source, paths, Square(16), batch_size, transforms)))
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
    views = [View(row, f"{row}.png", str(row), number) for row in (5, 7, 8) for number in (1, 2, 3)]
    read = []

    def of(images, row, views, kept):
        def transform(sha256, number):
            return np.full(8, 10 * int(sha256) + number, "float32")

        def pixels(path):
            read.append(path)
            return np.full((4, 4, 3), 5 + int(path[0]), np.uint8)

        return list(batches.with_views(images, row, views, 2, transform, kept, pixels))

    made = of(images, 5, views, {})
    plain = [batch for batch in made if batch.transforms is None]
    np.testing.assert_array_equal([batch.images[:, 0, 0, 0] for batch in plain], [[10, 11], [12, 13], [14, 15]])
    expected = [(10, 51), (10, 52), (10, 53), (12, 71), (12, 72), (12, 73), (13, 81), (13, 82), (13, 83)]
    assert views_of(made) == expected and not read
    assert [len(batch.images) for batch in made if batch.transforms is not None] == [2, 2, 2, 2, 1]

    # In two blocks the batches are the same, and no image is read again; where the first is done already, one is.
    kept = {}
    parts = [*of(images[:2], 5, views[:8], kept), *of(images[2:], 9, views[8:], kept)]
    assert [len(batch.images) for batch in parts if batch.transforms is not None] == [2, 2, 2, 2, 1]
    assert views_of(parts) == expected and not read
    assert views_of(of(images[2:], 9, views[8:], {})) == expected[-1:] and read == ["8.png"]


@pytest.mark.parametrize("transforms", [None, augment.IDENTITY[None]])
def test_nothing_is_tuned_whose_thread_the_end_would_wait_for(folder, transforms):
    with open_source(folder) as source:
        images = batches.of_images(source, ["1.png"], Square(16), 2, transforms)
    # As fine-tuning takes it.
    paired = tf.data.Dataset.zip(images, tf.data.Dataset.range(1)).map(lambda image, number: (image, number))
    assert paired.options().autotune.enabled is False


def test_the_number_of_batches_is_known(folder):
    with open_source(folder) as source:
        assert len(batches.of_images(source, ["1.png"] * 5, Square(16), 2, np.tile(augment.IDENTITY, (5, 1)))) == 3


def test_images_are_decoded_in_parallel_where_results_must_repeat(folder):
    deterministic(1)
    together = threading.Barrier(2)

    class Meeting:
        value_range = None

        def read(self, name):
            together.wait(timeout=20)
            return (folder / name).read_bytes()

    # Two batches: each read waits for one of the other batch, and alone none would return.
    assert (
        sum(len(batch) for batch in batches.of_images(Meeting(), [f"{n}.png" for n in range(10)], Square(16), 5)) == 10
    )
