import numpy as np
from PIL import Image

from headstart.artifacts.predictions import Predictions
from headstart.evaluation import galleries

CLASSES = ["cats", "dogs"]


def two(*values):
    ones = np.array(values, dtype="float32")
    return np.stack([1 - ones, ones], axis=1)


def plain(i):
    return np.full((30, 40, 3), 10 * i % 256, dtype="uint8")


def drawn(draw, tmp_path, labels, probabilities, classes=CLASSES, read=plain, predicted=None):
    """predicted: default: the likeliest class."""
    shown = []

    def watch(i):
        shown.append(i)
        return read(i)

    path = tmp_path / "plots" / "picture.png"
    called = {"model": probabilities.argmax(axis=1) if predicted is None else predicted}
    paths = [str(number) for number in range(len(labels))]
    draw(path, Predictions(classes, paths, np.array(labels), called, {"model": probabilities}), watch)
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as image:
        assert "Software" not in image.info
        return shown, np.asarray(image.convert("RGB")).astype(int), path.read_bytes()


def has_colour(pixels, colour):
    return bool((np.abs(pixels - colour).sum(axis=2) < 60).any())


def test_the_worst_come_first(tmp_path):
    shown, pixels, _ = drawn(galleries.wrong, tmp_path, [0, 0, 1, 0, 1], two(0.6, 0.99, 0.05, 0.1, 0.7))
    assert shown == [1, 2, 0]
    assert has_colour(pixels, (0, 0, 255))
    assert has_colour(pixels, (255, 0, 0))


def test_at_most_a_hundred_in_ten_columns(tmp_path):
    shown, pixels, _ = drawn(galleries.wrong, tmp_path, [0] * 130, two(*np.linspace(0.5, 1, 130)))
    assert shown == list(range(129, 29, -1))
    _, few, _ = drawn(galleries.wrong, tmp_path, [0] * 11, two(*[0.9] * 11))
    assert pixels.shape[1] == few.shape[1]
    assert pixels.shape[0] > 4 * few.shape[0]


def test_nothing_wrong_is_a_picture_too(tmp_path):
    shown, pixels, _ = drawn(galleries.wrong, tmp_path, [0, 1], two(0.1, 0.9))
    assert shown == []
    assert (pixels < 255).any()
    assert not has_colour(pixels, (255, 0, 0))


def test_right_shows_the_first_twenty_in_order(tmp_path):
    labels = [1, 0] * 25
    shown, pixels, _ = drawn(galleries.right, tmp_path, labels, two(*[0.9] * 50))
    assert shown == list(range(0, 40, 2))
    assert has_colour(pixels, (0, 0, 255))
    assert not has_colour(pixels, (255, 0, 0))


def test_the_same_images_give_the_same_bytes(tmp_path):
    first = drawn(galleries.wrong, tmp_path / "a", [0, 0], two(0.6, 0.9))
    second = drawn(galleries.wrong, tmp_path / "b", [0, 0], two(0.6, 0.9))
    assert first[2] == second[2]


def test_the_aspect_ratio_is_kept(tmp_path):
    def wide(i):
        return np.full((50, 200, 3), (255, 0, 255), dtype="uint8")

    _, pixels, _ = drawn(galleries.right, tmp_path, [0], two(0.1), read=wide)
    rows, columns = np.nonzero((np.abs(pixels - (255, 0, 255)).sum(axis=2)) < 30)
    ratio = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    assert 3.5 < ratio < 4.5


def test_class_names_with_signs_of_mathematics_and_long_ones(tmp_path):
    names = ["price $1", "a very long name of a class that would run over its neighbour, at least $2"]
    shown, _, _ = drawn(galleries.wrong, tmp_path, [0, 1], two(0.9, 0.2), classes=names)
    assert shown == [0, 1]


def test_strips_and_single_pixels_are_shown(tmp_path):
    shapes = [(6, 4000, 3), (4000, 6, 3), (1, 1, 3), (1, 100_000, 3)]
    magenta = np.array([255, 0, 255], dtype="uint8")
    shown, pixels, _ = drawn(
        galleries.right, tmp_path, [0] * 4, two(*[0.1] * 4), read=lambda i: np.broadcast_to(magenta, shapes[i])
    )
    assert shown == [0, 1, 2, 3]
    assert has_colour(pixels, magenta)


def test_an_image_that_has_gone_is_grey_and_the_others_are_shown(tmp_path):
    magenta = np.array([255, 0, 255], dtype="uint8")

    def gone(i):
        if i == 0:
            raise FileNotFoundError("gone")
        return np.broadcast_to(magenta, (10, 10, 3))

    _, pixels, _ = drawn(galleries.right, tmp_path, [0, 0], two(0.1, 0.1), read=gone)
    assert has_colour(pixels, magenta) and has_colour(pixels, (211, 211, 211))


def test_names_in_any_script_are_drawn_without_a_warning(tmp_path, recwarn):
    names = ["划痕\n\0", "خدش" * 100]
    shown, *_ = drawn(galleries.wrong, tmp_path, [0, 1], two(0.9, 0.2), classes=names)
    assert shown == [0, 1] and not recwarn.list


def test_what_is_wrong_is_what_the_model_calls_wrong_by_whatever_rule(tmp_path):
    labels, probabilities = np.array([0, 0, 1, 1]), two(0.1, 0.3, 0.3, 0.9)
    called = np.array([0, 1, 1, 1])  # from 0.2 on
    for gallery, of_rule, of_likeliest in ((galleries.wrong, [1], [2]), (galleries.right, [0, 2, 3], [0, 1, 3])):
        shown, _, with_rule = drawn(gallery, tmp_path / "a", labels, probabilities, predicted=called)
        likeliest, _, without = drawn(gallery, tmp_path / "b", labels, probabilities)
        assert (shown, likeliest) == (of_rule, of_likeliest) and with_rule != without
