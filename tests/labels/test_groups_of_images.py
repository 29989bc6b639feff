import re
from types import SimpleNamespace

import pytest

from headstart.base.errors import UserError
from headstart.base.params import Group, Table
from headstart.labels.groups import find_groups, join, keep_published
from headstart.labels.layouts import Item

TABLE = Table(file="t.csv", delimiter=",", header=True, image="file", label="kind", values=None)


def items(*paths, split=None):
    return [Item(path, path[0], split) for path in paths]


def find(group, *paths, rows=()):
    files = dict.fromkeys(paths, b"") | {"t.csv": "\n".join(["file,kind,patient", *rows]).encode()}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    return find_groups(source, items(*paths), SimpleNamespace(group=group and Group(**group), table=TABLE))


def paths(groups):
    return [[item.path for item in group] for group in groups]


def alone(*images):
    """Groups of equal pixels where no two images are equal."""
    return [[item] for item in images]


def test_without_a_parameter_no_image_is_in_a_group():
    assert find(None, "a/1.png", "b/2.png") == []


def test_a_column_names_the_groups(capsys):
    rows = ["a/1.png,a,P1", "a/2.png,a,", "b/3.png,b,P1", "b/9.png,b,P2"]
    expected = [("a/1.png", "P1"), ("b/3.png", "P1")]
    assert find({"column": "patient"}, "a/1.png", "a/2.png", "b/3.png", rows=rows) == expected
    assert find({"column": 2}, "a/1.png", "a/2.png", "b/3.png", rows=rows) == expected
    assert capsys.readouterr().out.splitlines()[0] == (
        "1 image in no group, such as a/2.png: each is its own (t.csv has none for them in its column 'patient')"
    )


def test_a_pattern_is_searched_in_the_path(capsys):
    pattern = r"(?P<group>P\d+)_"
    assert find({"pattern": pattern}, "a/P1_1.png", "a/P1_2.png", "b/P12_1.png", "b/x.png", "b/y.png") == [
        ("a/P1_1.png", "P1"),
        ("a/P1_2.png", "P1"),
        ("b/P12_1.png", "P12"),
    ]
    assert capsys.readouterr().out == (
        "2 images in no group, such as b/x.png: each is its own (dataset.group.pattern does not match them: "
        "(?P<group>P\\d+)_)\n"
    )


def test_ways_to_write_a_group_are_one_group(capsys):
    rows = [
        "1.png,a,P7",
        "2.png,a,p7",
        "3.png,b,007",
        "4.png,b,7.0",
        "5.png,b,8",
        "6.png,b,caf\u00e9",
        "7.png,b,cafe\u0301",
    ]
    found = find({"column": "patient"}, *(f"{number}.png" for number in range(1, 8)), rows=rows)
    assert [name for _, name in found] == ["P7", "P7", "007", "007", "8", "caf\u00e9", "caf\u00e9"]
    assert capsys.readouterr().out.splitlines()[0] == (
        "3 groups written in several ways, such as 'P7' and 'p7': taken for one each"
    )


def test_a_group_that_has_most_of_the_images_is_said(capsys):
    rows = [f"{number}.png,a,{'unknown' if number < 20 else f'P{number // 2}'}" for number in range(40)]
    find({"column": "patient"}, *(f"{number}.png" for number in range(40)), rows=rows)
    assert capsys.readouterr().out == (
        "group unknown has 20 of 40 images, which all stay together: if that stands for no name, leave it out there, "
        "and each is its own\n"
    )
    find(
        {"column": "patient"},
        *(f"{number}.png" for number in range(40)),
        rows=[row.replace("unknown", "") for row in rows],
    )
    assert "has 20 of" not in capsys.readouterr().out


@pytest.mark.parametrize(("level", "names"), [(0, ["a", "a", "b"]), (1, ["P1", None, "P1"]), (-1, ["P1", "a", "P1"])])
def test_a_level_of_the_folders_names_the_groups(level, names):
    images = ["a/P1/1.png", "a/2.png", "b/P1/3.png"]
    expected = [(path, name) for path, name in zip(images, names, strict=True) if name]
    assert find({"folder": level}, *images) == expected


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"column": "patien"}, "dataset.group.column: t.csv has no column 'patien'; did you mean patient?"),
        ({"column": 7}, "t.csv, line 2: 3 columns, too few for dataset.table.image: file and dataset.group.column: 7;"),
        ({"pattern": "(?P<group>Q)"}, "no image is in a group, such as a/1.png (dataset.group.pattern does not match"),
        ({"folder": 5}, "no image is in a group, such as a/1.png (they have no folder at level 5"),
    ],
)
def test_a_group_that_is_not_there(group, message):
    with pytest.raises(UserError, match=re.escape(message)):
        find(group, "a/1.png", rows=["a/1.png,a,P1"])


def test_images_that_share_a_name_or_pixels_are_one_group_in_the_order_of_the_images():
    a, b, c, d, e = items("a1", "a2", "b1", "b2", "b3")
    groups, names = join([[a], [b], [c, d], [e]], [("a1", "P2"), ("b2", "P2"), ("a2", "P3"), ("gone", "P3")])
    assert paths(groups) == [["a1", "b1", "b2"], ["a2"], ["b3"]]
    assert names == {"a1": "P2", "b1": "P2", "b2": "P2", "a2": "P3", "b3": "b3"}


def test_equal_images_of_two_groups_join_them_under_the_first_name():
    a, b, c, d = items("a1", "a2", "a3", "a4")
    groups, names = join([[a, b], [c], [d]], [("a1", "Q"), ("a2", "P"), ("a3", "Q")])
    assert paths(groups) == [["a1", "a2", "a3"], ["a4"]]
    assert names == {"a1": "P", "a2": "P", "a3": "P", "a4": "a4"}
    assert join([[a, b]], [])[1] == {"a1": "a1", "a2": "a1"}


def test_of_a_group_in_two_published_splits_the_later_one_keeps_its_images():
    train, test = items("a/1", "a/2", "a/3", split="train"), items("a/4", "a/5", split="test")
    groups, names = join(alone(*train, *test), [("a/1", "P"), ("a/2", "P"), ("a/4", "P"), ("a/3", "Q")])
    kept, left_out = keep_published(groups, names)
    assert paths(kept) == [["a/4"], ["a/3"], ["a/5"]]
    reason = "of the same group as a/4, which is in test (P)"
    assert left_out == [("a/1", reason), ("a/2", reason)]


def test_groups_that_leave_nothing_of_a_class_in_a_published_split_are_refused():
    groups, names = join(alone(*items("a/1", split="train"), *items("a/2", split="test")), [("a/1", "P"), ("a/2", "P")])
    with pytest.raises(UserError, match=r"^class a has no image in train/ that is not of .* such as a/1 \(P\): take "):
        keep_published(groups, names)
    copies = join([[*items("a/1", split="train"), *items("a/2", split="test")]], [])
    with pytest.raises(UserError, match=r"such as a/1 \(a/1\): .* or set dataset\.near_duplicates to ignore$"):
        keep_published(*copies)


def test_sixty_thousand_images_take_no_time():
    images = [Item(f"{number:05}", "a", None) for number in range(60_000)]
    groups, names = join(alone(*images), [(item.path, item.path[:3]) for item in images])
    assert len(groups) == 600 and names["59999"] == "599"
