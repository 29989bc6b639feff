import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from headstart.calibration import coverage
from headstart.classifier import decision


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose input is what it says."""

    def fit(self, inputs, labels):
        self.classes_ = np.arange(inputs.shape[1])
        return self

    def predict_proba(self, inputs):
        return inputs

    def predict(self, inputs):
        return inputs.argmax(axis=1)


def drawn(count, classes=4, seed=1):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.5] * classes, count)
    labels = (probabilities.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return probabilities, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("wanted", [0.8, 0.95])
@pytest.mark.parametrize("count", [60, 999])
def test_the_classes_that_remain_are_those_of_mapie(count, wanted):
    probabilities, labels = drawn(count)
    new, _ = drawn(500, seed=2)
    mapie = SplitConformalClassifier(Given().fit(probabilities, labels), wanted, prefit=True)
    _, expected = mapie.conformalize(probabilities, labels).predict_set(new)
    at_least = coverage.at_least(probabilities, labels, np.arange(count), wanted)
    possible = decision.possible(new, new.argmax(axis=1), at_least)
    empty = ~expected[:, :, 0].any(axis=1)  # there the likeliest class remains with us
    np.testing.assert_array_equal(possible[~empty], expected[~empty, :, 0])
    assert possible.any(axis=1).all()


def test_the_true_class_is_among_them_as_often_as_wanted():
    kept = []
    for seed in range(200):
        probabilities, labels = drawn(100, seed=seed)
        new, truth = drawn(200, seed=1000 + seed)
        possible = new >= coverage.at_least(probabilities, labels, np.arange(100), 0.9)
        kept.append(possible[np.arange(200), truth].mean())
    assert 0.895 < np.mean(kept) < 0.925


def test_too_few_images_leave_everything_open():
    probabilities, labels = drawn(18)
    assert coverage.at_least(probabilities, labels, np.arange(18), 0.95) == 0.0
    probabilities, labels = drawn(19)
    lowest = probabilities[np.arange(19), labels].min()
    assert coverage.at_least(probabilities, labels, np.arange(19), 0.95) == pytest.approx(lowest)


def test_a_new_groups_images_are_covered_as_often_whatever_sizes_groups_have():
    """Half of the patients have 40 clear images each, the others two doubtful ones: by images alone, these go under."""
    rng, sizes = np.random.default_rng(1), np.tile([40, 2], 30)
    groups = np.repeat(np.arange(60), sizes)

    def patients():
        doubtful = np.repeat(rng.random(60) * np.tile([0.1, 1.0], 30), sizes)  # equal within a group
        right = 1 - doubtful * rng.random(len(groups))
        return np.stack([right, 1 - right], axis=1)

    covered = {"groups": [], "images": []}
    for _ in range(50):
        known, new, labels = patients(), patients(), np.zeros(len(groups), int)
        for name, of in {"groups": groups, "images": np.arange(len(groups))}.items():
            possible = new[:, 0] >= coverage.at_least(known, labels, of, 0.9)
            covered[name].append(np.mean(np.bincount(groups, possible) / sizes))
    assert 0.895 < np.mean(covered["groups"]) < 0.93 and np.mean(covered["images"]) < 0.85


def test_of_too_few_groups_each_image_counts_for_itself():
    probabilities, labels = drawn(40)
    few, alone = np.arange(40) // 4, np.arange(40)
    assert coverage.at_least(probabilities, labels, few, 0.95) == coverage.at_least(probabilities, labels, alone, 0.95)
