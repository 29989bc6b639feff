import time
import tracemalloc
from types import SimpleNamespace

import pytest

from headstart.base.errors import UserError
from headstart.base.params import Group, Table
from headstart.labels.layouts import Item, find_images, numbers
from headstart.labels.listing import manifest_of


def find(paths, labels="folders", group=None, pattern=None, empty=(), classes=None):
    source = SimpleNamespace(names=lambda: sorted(paths), empty_folders=lambda: sorted(empty))
    dataset = {
        "path": "source.zip",
        "labels": labels,
        "pattern": pattern,
        "table": None,
        "group": group,
        "classes": classes,
    }
    return find_images(source, SimpleNamespace(**dataset))


def test_folders_name_the_classes_under_a_folder_that_holds_them_all():
    items, left_out = find(["PetImages/Dog/2.JPG", "PetImages/Cat/1.jpeg", "PetImages/Cat/10.png"])
    assert items == [
        Item("PetImages/Cat/1.jpeg", "Cat", None),
        Item("PetImages/Cat/10.png", "Cat", None),
        Item("PetImages/Dog/2.JPG", "Dog", None),
    ]
    assert left_out == []


def test_splits_with_one_class_in_training_are_none(capsys):
    """As those for finding anomalies are."""
    items, left_out = find(["train/ok/1.png", "test/ok/2.png", "test/bent/3.png", "val/bent/4.png"])
    assert [(item.label, item.split) for item in items] == [("bent", None), ("ok", None), ("ok", None), ("bent", None)]
    assert left_out == [] and "All images in train/ are of one class, ok, as for" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["trainval", "train_mini", "train_another", "Training Set", "trn"])
def test_the_training_split_has_many_names(name):
    items, _ = find([f"{split}/{kind}/1.png" for split in (name, "test") for kind in "ab"])
    assert [item.split for item in items if name in item.path] == ["train", "train"]


def test_tables_of_splits_fix_them_whatever_the_folders_are_called():
    files = {f"train/{name}.png": b"" for name in "abcd"}
    files |= {"train.csv": b"a,x\nb,y", "test.csv": b"c,x\nd,y"}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    table = {"delimiter": ",", "header": False, "image": 0, "label": 1, "values": None}
    for file, splits in ((["train.csv", "test.csv"], ["train", "train", "test", "test"]), ("train.csv", [None, None])):
        section = Table(file=file, **table)
        dataset = SimpleNamespace(path="source", labels="table", table=section, classes=None, group=None)
        assert [item.split for item in find_images(source, dataset)[0]] == splits


def test_a_column_of_splits_fixes_them_whatever_the_folders_are_called(capsys):
    files = {f"{folder}/{name}.png": b"" for folder, names in (("train", "abcd"), ("test", "e")) for name in names}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    table = {"delimiter": ",", "header": False, "image": 0, "label": 1, "values": None}
    dataset = SimpleNamespace(path="source", labels="table", classes=None, group=None)
    dataset.table = Table(file="t.csv", split=2, **table)
    files["t.csv"] = b"a,x,test\nb,y,test\nc,x,train\nd,y,train\ne,x,"
    items, left_out = find_images(source, dataset)
    assert [item.split for item in items] == ["test", "test", "train", "train"]
    assert ("test/e.png", "outside the source's own test, train") in left_out
    files["t.csv"] = b"a,x,train\nb,y,train\nc,x,\ne,y,"
    assert [item.split for item in find_images(source, dataset)[0]] == [None] * 4, "one split alone is none"
    said = "The column 2 says train alone of the images that have a label: all of them are dealt out\n"
    assert capsys.readouterr().out.endswith(said)
    files["t.csv"] = b"a,x,test\nb,y,test\nc,x,val"
    with pytest.raises(UserError, match="has rows of the splits test and validation, but none is named train"):
        find_images(source, dataset)


def test_prefixes_name_the_classes():
    items, left_out = find(["train/dog.1.jpg", "train/cat.0.jpg", "train/7.jpg", "readme.en.txt"], "prefix")
    assert items == [Item("train/cat.0.jpg", "cat", None), Item("train/dog.1.jpg", "dog", None)]
    assert left_out == [
        ("readme.en.txt", "not the file name of an image"),
        ("train/7.jpg", "no class in its name, as in cat.17.jpg (dataset.labels: prefix)"),
    ]


@pytest.mark.parametrize(
    ("pattern", "paths", "labels"),
    [
        (r"(?P<label>.+)_\d+", ["x/Abyssinian_12.jpg", "great_dane_3.JPG"], {"Abyssinian", "great_dane"}),
        (r"\d+ (?P<label>.+)", ["12 é.png", "3 b c.png"], {"é", "b c"}),
        (r".*/(?P<label>[a-z]+)/\d+", ["x/cat/1.png", "y/dog/2.png"], {"cat", "dog"}),
    ],
)
def test_a_pattern_finds_the_classes_in_names_or_paths(pattern, paths, labels):
    items, left_out = find(paths, "pattern", pattern=pattern)
    assert ({item.label for item in items}, left_out) == (labels, [])


def test_what_a_pattern_matches_in_part_is_left_out_and_not_guessed():
    items, left_out = find(
        ["a_1.jpg", "Great_b_2.jpg", "c_3_copy.jpg", "x.txt"], "pattern", pattern=r"(?P<label>[a-z])_\d"
    )
    assert items == [Item("a_1.jpg", "a", None)]
    assert left_out == [
        ("Great_b_2.jpg", "dataset.pattern does not match Great_b_2"),
        ("c_3_copy.jpg", "dataset.pattern does not match c_3_copy"),
        ("x.txt", "not the file name of an image"),
    ]


def test_a_pattern_that_matches_no_image_is_refused_with_an_example():
    with pytest.raises(
        UserError, match=r"a-1\.jpg: dataset\.pattern does not match a-1\): check .* and dataset\.pattern$"
    ):
        find(["a-1.jpg", "b-2.jpg", "0.txt"], "pattern", pattern=r"(?P<label>.+)_\d+")


def test_classes_have_one_name_in_every_unicode_form_and_without_spaces_at_the_ends(capsys):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    items, _ = find([f"{composed}/1.png", f"{decomposed}/2.png", f"{decomposed}/3.png", "tea/1.png"])
    assert [item.label for item in items if item.label != "tea"] == [composed] * 3
    assert capsys.readouterr().out == (
        "class café is written in 2 ways, which are taken for one: 'cafe\\u0301' (2 images), 'caf\\xe9' (1 image)\n"
    )
    items, _ = find(["tea /1.png", "tea/2.png", "b/1.png"])
    assert {item.label for item in items} == {"tea", "b"}
    assert "class tea is written in 2 ways" in capsys.readouterr().out


def test_folders_without_an_image_are_said(capsys):
    paths = ["x/train/cats/1.png", "x/train/dogs/1.png", "x/train/cats/notes/a.txt"]
    items, _ = find(
        [*paths, "x/train/birds/1.mov", "x/train/birds/2.mov", "y.txt"], empty=["x/train/fish", "x/test", "z"]
    )
    assert {item.label for item in items} == {"cats", "dogs"}
    said = "3 folders without an image, of no class: x/test (empty), x/train/birds (2 files, such as 1.mov), "
    assert capsys.readouterr().out == said + "x/train/fish (empty)\n"
    find(["cats/1.png", "dogs/1.png", "read/me.txt"])
    assert capsys.readouterr().out == "1 folder without an image, of no class: read (1 file, such as me.txt)\n"
    find(["cats/1.png", "dogs/1.png"])
    assert capsys.readouterr().out == ""


def test_an_image_in_no_folder_of_a_class_is_left_out():
    items, left_out = find(["1.jpg", "Train/2.jpg", "Train/a/3.jpg", "Train/a/thumbs.txt"])
    assert items == [Item("Train/a/3.jpg", "a", None)]
    assert left_out == [
        ("1.jpg", "not in the folder of a class (dataset.labels: folders)"),
        ("Train/2.jpg", "directly in Train, the name of a split and not of a class"),
        ("Train/a/thumbs.txt", "not the file name of an image"),
    ]


@pytest.mark.parametrize(
    ("folders", "group"),
    [
        (["bus", "plane", "train"], None),
        (["control", "test"], None),
        (["Test set", "control", "dev"], None),
        (["all/bus", "all/train"], None),
        (["bus/P1", "train/P2"], Group(folder=-1)),
        (["P1/bus", "P2/train", "P1/train"], Group(folder=0)),
    ],
)
def test_a_class_may_have_the_name_of_a_split(folders, group):
    paths = [f"{folder}/{number}.png" for folder in folders for number in range(2)]
    items, left_out = find(paths, group=group)
    assert [item.path for item in items] == sorted(paths) and left_out == []
    assert {item.split for item in items} == {None}
    level = 1 if group and group.folder == 0 else 0
    names = {folder.removeprefix("all/").split("/")[level] for folder in folders}
    assert {item.label for item in items} == names


def test_a_class_with_the_name_of_a_split_may_lie_in_the_folders_of_splits():
    items, left_out = find([f"{split}/{name}/1.png" for split in ("train", "test") for name in ("bus", "train")])
    assert [(item.path, item.label, item.split) for item in items] == [
        ("test/bus/1.png", "bus", "test"),
        ("test/train/1.png", "train", "test"),
        ("train/bus/1.png", "bus", "train"),
        ("train/train/1.png", "train", "train"),
    ]
    assert left_out == []


def test_images_without_a_class_in_the_folder_of_a_split_are_left_out():
    items, left_out = find(["train/a/1.png", "train/b/1.png", "test/1.png", "extra/1.png"])
    assert [item.label for item in items] == ["extra", "a", "b"]
    assert left_out == [("test/1.png", "directly in test, the name of a split and not of a class")]


def test_folders_that_may_be_splits_or_classes_are_refused_unless_the_classes_are_named():
    paths = ["bus/1.png", "plane/1.png", "test/1.png", "train/1.png"]
    message = "^the folders test and train hold images directly, .* such as bus: name all classes in dataset.classes"
    with pytest.raises(UserError, match=message):
        find(paths)
    items, left_out = find(paths, classes=["bus", "plane", "train", "test"])
    assert [item.label for item in items] == ["bus", "plane", "test", "train"] and left_out == []
    items, left_out = find(paths, classes=["bus", "plane"])
    assert [item.label for item in items] == ["bus", "plane"] and len(left_out) == 2


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("training", "train"),
        ("validation", "validation"),
        ("val", "validation"),
        ("Valid", "validation"),
        ("test", "test"),
        ("TESTING", "test"),
        ("Training Set", "train"),
        ("val_images", "validation"),
        ("dev", "validation"),
        ("eval", "validation"),
        ("testset", "test"),
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
    with pytest.raises(UserError, match="folders or tables named test and validation, but none is named train"):
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
        (["train/a.1.jpg", "train/b.txt"], r"\(2 files; train/a\.1\.jpg: directly in train, the name of a .*\): check"),
    ],
)
def test_a_source_without_labelled_images_is_refused(paths, message):
    with pytest.raises(UserError, match=message):
        find(paths)


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


def test_what_may_be_a_mask_is_said(capsys):
    items, _ = find(["cats/1.png", "cats/1_mask.png", "dogs/1.png"])
    assert len(items) == 3 and capsys.readouterr().out == (
        "1 image may be masks of others by their names, such as cats/1_mask.png of cats/1.png: if so, take them out of "
        "the source; they are used as all others are\n"
    )


def test_certain_labels_of_many_classes_take_no_memory_for_probabilities():
    items = [Item(f"{number}.png", str(number), None) for number in range(20_000)]
    tracemalloc.start()
    fields = numbers(items, [item.label for item in items])
    assert fields == {"weights": None, "probabilities": None} and tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_many_classes_take_no_time_for_each_image():
    items = [Item(f"{number}.png", str(number), None) for number in range(20_000)]
    paths, start = [item.path for item in items], time.process_time()
    splits, hashes = dict.fromkeys(paths, "train"), dict.fromkeys(paths, "0" * 64)
    table = manifest_of(items, [item.label for item in items], splits, {}, hashes, dict(zip(paths, paths, strict=True)))
    assert table.labels.tolist() == list(range(20_000)) and time.process_time() - start < 2
