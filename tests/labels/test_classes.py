from types import SimpleNamespace

import pytest

from headstart.base.errors import UserError
from headstart.labels.classes import order_classes, unify


def order(labels, classes):
    return order_classes(labels, SimpleNamespace(path="source.zip", classes=classes))


def test_classes_are_in_alphabetical_order_or_as_dataset_classes_has_them():
    assert order("cabca", None) == ["a", "b", "c"]
    assert order("cabca", ["b", "c", "a"]) == ["b", "c", "a"]


def test_classes_that_are_numbers_are_in_their_order():
    assert order(["10", "9", "-1", "2.5"], None) == ["-1", "2.5", "9", "10"]
    assert order(["10", "9", "a"], None) == ["10", "9", "a"]


def test_names_that_differ_in_case_alone_are_two_classes_where_both_are_named():
    message = r"classes Cat \(1 image\) and cat \(2 images\) differ in case alone: give them one name"
    with pytest.raises(UserError, match=message):
        order(["cat", "Cat", "dog", "cat"], None)
    assert order(["a", "A"], ["a", "A"]) == ["a", "A"]


def test_dataset_classes_may_be_in_another_unicode_form():
    assert order(["caf\u00e9", "tea"], ["tea", "cafe\u0301 "]) == ["tea", "caf\u00e9"]


def test_classes_that_the_source_does_not_have_are_refused():
    with pytest.raises(UserError, match="names cat, dogs, but the source has cats, dogs; did you mean cats. name each"):
        order(["cats", "dogs"], ["cat", "dogs"])
    with pytest.raises(UserError, match="names a, b, but the source has a, b, c; name each of its classes once"):
        order("abc", ["a", "b"])


def test_one_class_alone_is_refused():
    with pytest.raises(UserError, match=r"only one class in source\.zip, a: two or more are needed"):
        order("aa", None)


def test_names_that_are_the_same_number_are_two_classes_where_both_are_named():
    with pytest.raises(UserError, match=r"classes 01 \(1 image\) and 1 \(1 image\) are the same number: give them one"):
        order(["1", "01", "2"], None)
    assert order(["1", "01", "2"], ["01", "1", "2"]) == ["01", "1", "2"]


def test_names_that_look_the_same_are_one(capsys):
    labels = dict(enumerate(["ST seg", "ST  seg", "ST\u00a0seg", " ST seg\u200b", "cat"]))
    assert set(unify(labels).values()) == {"ST seg", "cat"}
    assert "class ST seg is written in 4 ways, which are taken for one" in capsys.readouterr().out
