from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from headstart.base.errors import UserError
from headstart.calibration import deciding
from headstart.classifier import decision

CLASSES = ["good", "bad"]


def settings(goal, of=None, at_least=0.95, costs=None):
    return SimpleNamespace(goal=goal, of=of, at_least=at_least, costs=costs)


def drawn(count, rare=0.1, seed=1, strength=2.0):
    """Calibrated probabilities of two classes, the second of which is rare."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(np.log(rare / (1 - rare)), strength, count)
    values = 1 / (1 + np.exp(-logits))
    return np.stack([1 - values, values], axis=1), (rng.random(count) < values).astype(int)


def find(given, probabilities, labels, positive=None, classes=CLASSES):
    return deciding.find(given, positive, classes, probabilities, labels)


def test_accuracy_is_the_likeliest_class():
    assert find(settings("accuracy"), *drawn(50)) == deciding.Deciding()


def test_balanced_accuracy_takes_a_rare_class_from_its_share_on():
    probabilities, labels = drawn(4000)
    rule = find(settings("balanced_accuracy"), probabilities, labels)
    assert rule.of == "bad" and rule.threshold == pytest.approx(labels.mean())
    new, truth = drawn(4000, seed=2)
    plain, balanced = decision.predicted(new), decision.predicted(new, rule.costs)
    assert balanced_accuracy_score(truth, balanced) > balanced_accuracy_score(truth, plain) + 0.08
    np.testing.assert_array_equal(balanced, new[:, 1] >= rule.threshold)


def test_balanced_accuracy_of_three_classes():
    rng = np.random.default_rng(1)
    labels = rng.choice(3, 3000, p=[0.8, 0.15, 0.05])
    logits = 1.2 * np.eye(3)[labels] + rng.normal(0, 1, (3000, 3)) + np.log([0.8, 0.15, 0.05])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rule = find(settings("balanced_accuracy"), probabilities, labels, classes=["a", "b", "c"])
    assert rule.threshold is None
    guesses = decision.predicted(probabilities, rule.costs)
    assert balanced_accuracy_score(labels, guesses) > balanced_accuracy_score(labels, probabilities.argmax(1)) + 0.1


@pytest.mark.parametrize("of", ["bad", "good"])
def test_the_recall_is_reached_on_new_images(of):
    reached = []
    for seed in range(100):
        rule = find(settings("recall", of, 0.9), *drawn(300, rare=0.3, seed=seed))
        new, truth = drawn(1000, rare=0.3, seed=1000 + seed)
        index = CLASSES.index(of)
        taken = decision.predicted(new, rule.costs) == index
        np.testing.assert_array_equal(taken, new[:, index] >= rule.threshold)
        reached.append(taken[truth == index].mean())
    assert 0.9 <= np.mean(reached) < 0.93
    assert rule.of == of and rule.reached >= 0.9


def test_precision_takes_as_many_as_it_may():
    probabilities, labels = drawn(2000, rare=0.3)
    rule = find(settings("precision", "bad", 0.9), probabilities, labels)
    taken = decision.predicted(probabilities, rule.costs) == 1
    assert rule.reached == pytest.approx(labels[taken].mean()) and rule.reached >= 0.9
    lower = probabilities[:, 1] >= np.sort(probabilities[~taken, 1])[-1]
    assert taken.sum() > 100 and labels[lower].mean() < 0.9


def test_a_precision_that_is_never_reached_is_the_highest_there_is():
    probabilities, labels = drawn(100, rare=0.3, strength=0.3)
    labels[probabilities[:, 1].argmax()] = 0
    rule = find(settings("precision", "bad", 0.99), probabilities, labels)
    assert rule.reached < 0.99 and (probabilities[:, 1] >= rule.threshold).any()


def test_the_class_is_that_of_the_parameter_or_the_positive_one_or_the_last():
    given = drawn(100, rare=0.4)
    assert find(settings("recall"), *given).of == "bad"
    assert find(settings("recall"), *given, positive="good").of == "good"
    assert find(settings("recall", "bad"), *given, positive="good").of == "bad"


def test_costs_move_the_threshold_of_two_and_choose_among_three():
    rule = find(settings("costs", costs={"bad": {"good": 9}}), *drawn(20))
    assert (rule.of, rule.threshold) == ("bad", pytest.approx(0.1))
    assert decision.predicted(np.array([[0.89, 0.11], [0.91, 0.09]]), rule.costs).tolist() == [1, 0]
    other = find(settings("costs", costs={"bad": {"good": 9}}), *drawn(20), positive="good")
    assert (other.of, other.threshold) == ("good", pytest.approx(0.9))
    costs = settings("costs", costs={"mole": {"melanoma": 0.1}, "melanoma": {"mole": 20}})
    rule = find(costs, np.eye(3) * 0.7 + 0.1, np.arange(3), classes=["mole", "melanoma", "scar"])
    assert decision.predicted(np.array([[0.9, 0.05, 0.05], [0.05, 0.01, 0.94]]), rule.costs).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "classes", "message"),
    [
        (settings("recall"), ["a", "b", "c"], r"decision\.goal: got recall, but there are 3 classes.*costs"),
        (settings("recall", "bat"), CLASSES, r"decision\.of: got bat; did you mean bad\? takes good, bad"),
        (settings("costs", costs={"bat": {"good": 1}}), CLASSES, r"decision\.costs: got bat; did you mean bad\?"),
        (settings("costs", costs={"bad": {"bad": 1}}), CLASSES, "for taking bad for bad; takes pairs of two classes"),
        (settings("costs", costs={"bad": {"good": 0}}), CLASSES, "got 0 for taking bad for good"),
    ],
)
def test_a_goal_that_does_not_go_with_the_classes_is_refused(given, classes, message):
    with pytest.raises(UserError, match=message):
        find(given, *drawn(50), classes=classes)


def test_validation_images_of_one_class_reach_no_recall():
    probabilities, _ = drawn(20)
    with pytest.raises(UserError, match="the validation images are all of one class"):
        find(settings("recall"), probabilities, np.zeros(20, int))


def balanced_posteriors(count, rare=0.05, seed=1):
    """What a classifier of balanced class weights says of images of which few are of the second class."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < rare).astype(int)
    values = 1 / (1 + np.exp(-1.4 * (rng.normal(0, 1, count) + 1.4 * (labels - 0.5))))
    return np.stack([1 - values, values], axis=1), labels


@pytest.mark.parametrize("count", [100, 1000])
def test_class_weights_and_balanced_accuracy_do_not_count_the_rare_class_twice(count):
    new, truth = balanced_posteriors(20000, seed=1000)
    best = balanced_accuracy_score(truth, new[:, 1] >= 0.5)
    reached = []
    for seed in range(20):
        rule = find(settings("balanced_accuracy"), *balanced_posteriors(count, seed=seed))
        reached.append(balanced_accuracy_score(truth, decision.predicted(new, rule.costs)))
    assert np.mean(reached) > best - 0.02


def test_costs_are_of_the_images_as_they_are_whatever_the_class_weights():
    probabilities, labels = balanced_posteriors(4000)
    rule = find(settings("costs", costs={"bad": {"good": 9}}), probabilities, labels)
    # Nine times as bad, and nineteen times as rare.
    assert rule.threshold == pytest.approx(19 / 28, abs=0.06)


def test_images_that_weigh_more_make_their_class_more_frequent():
    probabilities, labels = balanced_posteriors(4000, rare=0.2)
    weights = np.where(labels == 1, 4.0, 1.0)
    rule = deciding.find(settings("costs", costs={}), None, CLASSES, probabilities, labels, weights)
    assert rule.threshold == pytest.approx(0.5, abs=0.03)


def test_a_threshold_says_how_many_images_it_was_set_on():
    probabilities, labels = drawn(60, rare=0.3)
    assert find(settings("recall", "bad"), probabilities, labels).images == labels.sum()
    rule = find(settings("precision", "bad", 0.8), probabilities, labels)
    assert rule.images == (probabilities[:, 1] >= rule.threshold).sum()
    assert find(settings("balanced_accuracy"), probabilities, labels).images is None
    patients = np.arange(60) // 20
    of_patients = deciding.find(settings("recall", "bad"), None, CLASSES, probabilities, labels, groups=patients)
    assert (of_patients.images, of_patients.groups) == (labels.sum(), 3)
