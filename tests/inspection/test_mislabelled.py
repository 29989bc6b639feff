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
