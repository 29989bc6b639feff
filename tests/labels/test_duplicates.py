import time

from headstart.labels.duplicates import group_duplicates
from headstart.labels.layouts import Item


def test_equal_pixels_are_one_group_in_the_order_of_the_images():
    items = [Item(path, path[0], None) for path in ("a1", "a2", "b1", "a3", "b2")]
    hashes = {"a1": "x", "a2": "y", "b1": "z", "a3": "x", "b2": "w"}
    assert group_duplicates(items, hashes) == ([[items[0], items[3]], [items[1]], [items[2]], [items[4]]], [])


def test_equal_pixels_in_two_classes_are_left_out():
    items = [Item(path, path[0], None) for path in ("a1", "a2", "b1", "b2")]
    groups, left_out = group_duplicates(items, {"a1": "x", "a2": "y", "b1": "y", "b2": "y"})
    assert groups == [[items[0]]]
    assert left_out == [
        ("a2", "same pixels as b1, of class b"),
        ("b1", "same pixels as a2, of class a"),
        ("b2", "same pixels as a2, of class a"),
    ]


def test_equal_pixels_in_two_published_splits_stay_in_the_later_one():
    items = [Item(f"{split}/{number}", "a", split) for split in ("test", "train", "validation") for number in (1, 2)]
    hashes = dict(zip([item.path for item in items], "xyxzzz", strict=True))
    groups, left_out = group_duplicates(items, hashes)
    assert [[item.path for item in group] for group in groups] == [
        ["test/1"],
        ["test/2"],
        ["validation/1", "validation/2"],
    ]
    assert left_out == [
        ("train/1", "same pixels as test/1, which is in test"),
        ("train/2", "same pixels as validation/1, which is in validation"),
    ]


def test_many_equal_images_take_no_square_of_their_number():
    items = [Item(f"{label}{number}", label, None) for label in "ab" for number in range(20_000)]
    start = time.process_time()
    _, left_out = group_duplicates(items, dict.fromkeys((item.path for item in items), "x"))
    assert time.process_time() - start < 3
    assert (left_out[0].reason, left_out[-1].reason) == (
        "same pixels as b0, of class b",
        "same pixels as a0, of class a",
    )
