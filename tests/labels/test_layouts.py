from types import SimpleNamespace

import pytest

from headstart.base.errors import UserError
from headstart.base.params import Group
from headstart.labels.layouts import Item, find_images, order_classes


def find(paths, labels="folders", group=None):
    source = SimpleNamespace(names=lambda: sorted(paths))
    return find_images(source, SimpleNamespace(path="source.zip", labels=labels, table=None, group=group))


def test_folders_name_the_classes_under_a_folder_that_holds_them_all():
    items, left_out = find(["PetImages/Dog/2.JPG", "PetImages/Cat/1.jpeg", "PetImages/Cat/10.png"])
    assert items == [
        Item("PetImages/Cat/1.jpeg", "Cat", None),
        Item("PetImages/Cat/10.png", "Cat", None),
        Item("PetImages/Dog/2.JPG", "Dog", None),
    ]
    assert left_out == []


def test_prefixes_name_the_classes():
    items, left_out = find(["train/dog.1.jpg", "train/cat.0.jpg", "train/7.jpg", "readme.en.txt"], "prefix")
    assert items == [Item("train/cat.0.jpg", "cat", None), Item("train/dog.1.jpg", "dog", None)]
    assert left_out == [
        ("readme.en.txt", "not the file name of an image"),
        ("train/7.jpg", "no class in its name, as in cat.17.jpg (dataset.labels: prefix)"),
    ]


def test_an_image_in_no_folder_of_a_class_is_left_out():
    items, left_out = find(["1.jpg", "Train/2.jpg", "a/3.jpg", "a/thumbs.txt"])
    assert items == [Item("a/3.jpg", "a", None)]
    reason = "not in the folder of a class (dataset.labels: folders)"
    assert left_out == [("1.jpg", reason), ("Train/2.jpg", reason), ("a/thumbs.txt", "not the file name of an image")]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("training", "train"),
        ("validation", "validation"),
        ("val", "validation"),
        ("Valid", "validation"),
        ("test", "test"),
        ("TESTING", "test"),
    ],
)
def test_folders_fix_the_split(folder, split):
    items, _ = find(["photos/train/a/1.png", f"photos/{folder}/a/2.png", "photos/test/b/3.png", "photos/train/b/4.png"])
    splits = {item.path: item.split for item in items}
    assert splits[f"photos/{folder}/a/2.png"] == split
    assert (splits["photos/train/a/1.png"], splits["photos/test/b/3.png"]) == ("train", "test")


def test_of_two_folders_of_splits_the_inner_one_counts():
    items, _ = find(["train/val/a/1.png", "train/train/a/2.png"])
    assert [item.split for item in items] == ["train", "validation"]


def test_prefixed_names_have_splits_too():
    items, _ = find(["train/cat.1.png", "val/cat.2.png"], "prefix")
    assert items == [Item("train/cat.1.png", "cat", "train"), Item("val/cat.2.png", "cat", "validation")]


def test_a_single_folder_of_a_split_divides_nothing():
    items, left_out = find(["test/a/1.png", "test/b/2.png", "c/3.png"])
    assert items == [Item("c/3.png", "c", None), Item("test/a/1.png", "a", None), Item("test/b/2.png", "b", None)]
    assert left_out == []


def test_what_is_outside_the_publishers_split_is_left_out():
    items, left_out = find(["train/a/1.png", "val/a/2.png", "Test/b/3.png", "a/1.png", "readme.txt"])
    assert [item.path for item in items] == ["Test/b/3.png", "train/a/1.png", "val/a/2.png"]
    assert left_out == [
        ("a/1.png", "outside the source's own test, train, validation"),
        ("readme.txt", "not the file name of an image"),
    ]


def test_a_publishers_split_without_train_is_refused():
    with pytest.raises(UserError, match="folders test and validation, but none is named train"):
        find(["val/a/1.png", "test/a/2.png"])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["cats/1.png", "cats/sub/2.png", "dogs/3.png"], r"^cats/sub/2\.png is 2 folders deep.* be cats or sub \("),
        (["x/a/in/0.png", "x/a/out/0.png", "x/b/in/0.png"], r"^x/a/in/0\.png is 2 folders deep.* be a or in \("),
        (["x/cats/1.png", "x/cats/sub/2.png"], r"^x/cats/sub/2\.png is 2 folders deep.* be cats or sub \("),
    ],
)
def test_nested_folders_either_of_which_could_be_the_class_are_refused(paths, message):
    with pytest.raises(UserError, match=message):
        find(paths)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"^no labelled images in source\.zip \(0 files\): check dataset\.path and dataset\.labels$"),
        (["train/a.1.jpg", "train/b.txt"], r"\(2 files; train/a\.1\.jpg: not in the folder of a class .*\): check"),
    ],
)
def test_a_source_without_labelled_images_is_refused(paths, message):
    with pytest.raises(UserError, match=message):
        find(paths)


def order(labels, classes):
    items = [Item(f"{number}.png", label, None) for number, label in enumerate(labels)]
    return order_classes(items, SimpleNamespace(path="source.zip", classes=classes))


def test_classes_are_in_alphabetical_order_or_as_dataset_classes_has_them():
    assert order("cabca", None) == ["a", "b", "c"]
    assert order("cabca", ["b", "c", "a"]) == ["b", "c", "a"]


def test_classes_that_the_source_does_not_have_are_refused():
    with pytest.raises(UserError, match="names cat, dogs, but the source has cats, dogs; did you mean cats. name each"):
        order(["cats", "dogs"], ["cat", "dogs"])
    with pytest.raises(UserError, match="names a, b, but the source has a, b, c; name each of its classes once"):
        order("abc", ["a", "b"])


def test_one_class_alone_is_refused():
    with pytest.raises(UserError, match=r"only one class in source\.zip, a: two or more are needed"):
        order("aa", None)


@pytest.mark.parametrize(
    ("level", "paths"),
    [
        (1, ["cats/P1/1.png", "dogs/P2/1.png"]),
        (-1, ["cats/P1/1.png", "dogs/P2/1.png"]),
        (0, ["P1/cats/1.png", "P2/dogs/1.png"]),
        (2, ["all/cats/P1/1.png", "all/dogs/P2/1.png"]),
    ],
)
def test_the_folder_of_a_group_is_not_that_of_a_class(level, paths):
    items, left_out = find(paths, group=Group(folder=level))
    assert [(item.path, item.label) for item in items] == list(zip(paths, ["cats", "dogs"], strict=True))
    assert left_out == []


def test_beside_the_folder_of_a_group_the_others_may_name_splits():
    items, _ = find(["train/cats/P1/1.png", "test/cats/P2/1.png", "train/dogs/9.png"], group=Group(folder=2))
    assert [(item.label, item.split) for item in items] == [("cats", "test"), ("cats", "train"), ("dogs", "train")]


def test_nested_folders_are_refused_with_a_hint_at_groups():
    with pytest.raises(
        UserError, match=r"or set dataset\.group to the level of the other one, such as \{folder: -1\}$"
    ):
        find(["cats/P1/1.png", "dogs/P2/1.png"])
