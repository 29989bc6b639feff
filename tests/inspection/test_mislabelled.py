from itertools import combinations

import numpy as np
import pytest

from headstart.artifacts.manifest import Manifest
from headstart.inspection import mislabelled
from headstart.training import logistic


def table(labels, splits=None, groups=None, classes=3):
    count = len(labels)
    paths = [f"{number}.png" for number in range(count)]
    splits = np.array(["train"] * count if splits is None else splits)
    return Manifest([f"c{number}" for number in range(classes)], paths, np.array(labels), splits, paths, groups)


def features(labels, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.3, (len(labels), 12)) + 2 * np.eye(12)[labels]).astype("float32")


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_flipped_labels_come_first_with_the_class_that_they_look_like(classes):
    truth = np.arange(40 * classes) % classes
    labels = truth.copy()
    labels[:5] = (truth[:5] + 1) % classes
    found = mislabelled.find(features(truth), table(labels, classes=classes), seed=1)
    assert {suspect.row for suspect in found} == set(range(5))
    assert all(suspect.looks_like == truth[suspect.row] for suspect in found)
    assert all(suspect.own_probability < suspect.probability for suspect in found)


def test_of_many_images_all_are_judged_by_regressions_on_some(monkeypatch):
    monkeypatch.setattr(logistic, "ENOUGH", 150)
    monkeypatch.setattr(logistic, "MOST", 240)
    truth = np.arange(600) % 3
    labels = truth.copy()
    labels[::100] = (truth[::100] + 1) % 3
    found = mislabelled.find(features(truth), table(labels), seed=1)
    assert {suspect.row for suspect in found} == set(range(0, 600, 100))


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1], [0, 0, 1]])
def test_of_too_few_images_nothing_can_be_said(labels):
    assert mislabelled.find(features(labels), table(labels), seed=1) == []


def test_an_image_is_not_judged_by_its_own_group():
    """Each pair of copies has one wrong label: a model that saw the copy would believe it."""
    truth = np.arange(60) % 2
    labels, vectors = truth.copy(), features(truth)
    labels[[0, 2]] = 1
    vectors[2] = vectors[0]
    groups = np.array([str(number) for number in range(60)])
    groups[2] = "0"
    found = mislabelled.find(vectors, table(labels, groups=groups, classes=2), seed=1)
    assert {suspect.row for suspect in found} == {0, 2}


def test_a_class_with_one_image_or_group_is_left_out_and_said_and_the_others_are_looked_at():
    truth = np.array([0, 1] * 40 + [2, 3, 3, 3])
    labels = truth.copy()
    labels[:3] = (truth[:3] + 1) % 2
    groups = np.array([str(number) for number in range(84)])
    groups[81:] = "one patient"
    seen = table(labels, groups=groups, classes=5)
    assert {suspect.row for suspect in mislabelled.find(features(truth), seen, seed=1)} == {0, 1, 2}
    assert mislabelled.note(seen) == (
        "labels are not looked at of 2 classes with one image, or one group, outside of the test split: c2, c3"
    )
    assert mislabelled.note(table(np.arange(40) % 3)) is None


def test_all_suspects_are_found_however_many_they_are():
    truth = np.arange(4000) % 2
    labels = truth.copy()
    labels[::5] = 1 - truth[::5]
    found = mislabelled.find(features(truth), table(labels, classes=2), seed=1)
    assert 700 < len(found) <= 800, "those that somebody looked at go out of them later"


def test_labels_that_no_folds_can_tell_of_are_said_not_to_be_looked_at(capsys):
    """Each class is of two of six groups, and each two groups are a class: two of them are in one of five folds."""
    pairs = list(combinations(range(6), 2))
    labels, groups = np.repeat(np.arange(15), 2), np.array(pairs).ravel().astype(str)
    seen = table(labels, groups=groups, classes=15)
    assert mislabelled.find(np.zeros((30, 4), "float32"), seen, seed=1) == []
    assert "labels are not looked at: the groups of images cannot be dealt" in capsys.readouterr().out
