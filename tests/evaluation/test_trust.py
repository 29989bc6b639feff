import tracemalloc

import numpy as np
import pytest

from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions
from headstart.base import streams
from headstart.classifier.details import Rule
from headstart.evaluation import curves, trust


def drawn(count, seed=1, power=1.0):
    """Probabilities of two classes, as sure as they are right where power is 1, and too sure above."""
    rng = np.random.default_rng(seed)
    values = rng.beta(0.5, 0.5, count)
    labels = (rng.random(count) < values).astype(int)
    probabilities = np.stack([1 - values, values], axis=1) ** power
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def groups_of(count):
    return np.arange(count).astype(str)


def test_the_calibration_error_is_small_where_it_is_as_sure_as_right_and_not_where_it_is_too_sure():
    labels, probabilities = drawn(5000)
    good = trust.calibration(labels, probabilities, groups_of(5000), 1)
    bad = trust.calibration(*drawn(5000, power=3.0), groups_of(5000), 1)
    assert all(of["ece_low"] <= of["ece"] <= of["ece_high"] for of in (good, bad))
    assert good["ece"] < 0.015 and bad["ece"] > 0.05 and bad["ece_low"] > good["ece_high"]
    assert good["brier"] == pytest.approx(2 * np.mean((probabilities[:, 1] - labels) ** 2), abs=1e-5)
    assert good["brier_low"] < good["brier"] < good["brier_high"] < bad["brier_low"]


@pytest.mark.parametrize(("count", "least", "most"), [(50, 0.06, 0.11), (650, 0.02, 0.04), (3_000, 0.0, 0.016)])
def test_what_chance_alone_makes_of_the_calibration_error_is_less_the_more_images_there_are(count, least, most):
    """And about what is measured where the probabilities are right."""
    labels, probabilities = drawn(count)
    by_chance = trust.calibration(labels, probabilities, groups_of(count), 1)["ece_by_chance"]
    assert least < by_chance < most
    assert "ece_by_chance" not in trust.calibration(labels, probabilities, groups_of(count), 1, by_chance=False)
    right = [trust.calibration(*drawn(count, seed), groups_of(count), 1)["ece"] for seed in range(2, 5)]
    assert by_chance == pytest.approx(np.mean(right), rel=0.35)


def test_the_diagram_has_as_many_images_in_each_bin():
    labels, probabilities = drawn(103)
    bins = trust.bins(labels, probabilities)
    assert len(bins) == trust.BINS and sum(part["images"] for part in bins) == 103
    assert max(part["images"] for part in bins) - min(part["images"] for part in bins) <= 1
    confidences = [part["confidence"] for part in bins]
    assert confidences == sorted(confidences)
    assert len(trust.bins(labels[:3], probabilities[:3])) == 3


def test_a_share_of_independent_images_has_wilsons_interval():
    counts = np.arange(100) < 90
    found = trust.share("recall", counts, groups_of(100), 1)
    assert found == {"recall": 0.9, "recall_low": 0.825634, "recall_high": 0.944771}


def test_images_that_belong_together_are_less_evidence():
    counts = np.arange(400) < 360
    alone = trust.share("accuracy", counts, groups_of(400), 1)
    together = trust.share("accuracy", counts, np.repeat(groups_of(20), 20), 1)
    assert together["accuracy"] == alone["accuracy"]
    assert together["accuracy_high"] - together["accuracy_low"] > 3 * (alone["accuracy_high"] - alone["accuracy_low"])
    assert together == trust.share("accuracy", counts, np.repeat(groups_of(20), 20), 1)


def test_where_all_count_the_groups_say_how_sure_that_is():
    found = trust.share("accuracy", np.ones(100, bool), np.repeat(groups_of(10), 10), 1)
    assert (found["accuracy"], found["accuracy_high"]) == (1.0, 1.0) and 0.7 < found["accuracy_low"] < 0.73
    assert trust.share("recall", np.ones(0, bool), groups_of(0), 1) == dict.fromkeys(
        ("recall", "recall_low", "recall_high")
    )


def test_what_a_rule_reaches():
    labels, probabilities = drawn(1000)
    rule = Rule(goal="recall", of="bad", threshold=0.2, costs=[[0.0, 0.2], [0.8, 0.0]])
    found = trust.decided(labels, probabilities, rule, ["good", "bad"], groups_of(1000), 1)
    taken = probabilities[:, 1] >= 0.2
    assert (found["goal"], found["of"], found["threshold"]) == ("recall", "bad", 0.2)
    assert found["recall"] == pytest.approx(taken[labels == 1].mean(), abs=1e-6)
    assert found["precision"] == pytest.approx(labels[taken].mean(), abs=1e-6)
    assert found["recall_low"] < found["recall"] < found["recall_high"]
    never = Rule(goal="precision", of="bad", threshold=1.0, costs=[[0.0, 1.0], [0.0, 0.0]])
    assert trust.decided(labels, probabilities, never, ["good", "bad"], groups_of(1000), 1)["precision"] is None


def test_how_often_the_true_class_remains():
    possible = np.array([[True, False], [True, True], [False, True], [True, False]])
    found = trust.coverage(np.array([0, 1, 1, 1]), possible, groups_of(4), 1)
    assert (found["coverage"], found["one_class"]) == (0.75, 0.75)


def test_each_class_has_recall_and_precision_with_intervals_and_none_where_there_is_nothing():
    labels, guesses = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    found = trust.by_class(labels, guesses, ["a", "b", "c"], groups_of(6), 1)
    assert found["a"] | {"images": 4, "predicted": 3, "recall": 0.75, "precision": 1.0} == found["a"]
    assert found["b"] | {"images": 2, "predicted": 3, "recall": 1.0, "precision": 0.666667} == found["b"]
    assert found["a"]["recall_low"] < 0.75 < found["a"]["recall_high"] < 1
    assert set(found["c"].values()) == {0, None}
    together = trust.by_class(labels, guesses, ["a", "b", "c"], np.array(list("xxyyzz")), 1)
    assert together["a"]["recall"] == 0.75 and together["a"]["recall_low"] != found["a"]["recall_low"]


def test_few_groups_prove_nothing_however_many_images_they_have():
    one = trust.share("accuracy", np.arange(20) < 17, np.full(20, "patient"), 1)
    assert one["accuracy"] == 0.85 and one["accuracy_low"] < 0.2 and one["accuracy_high"] > 0.98
    copies = trust.by_class(np.zeros(3, int), np.array([0, 0, 1]), ["a"], np.full(3, "x"), 1)["a"]
    assert copies["recall_low"] < 0.15 and copies["recall_high"] > 0.95
    # One patient has nearly all images: the 11 others are no evidence of as many groups.
    uneven = trust.share("accuracy", np.arange(111) < 80, np.array(["p"] * 100 + list("abcdefghijk")), 1)
    assert uneven["accuracy_low"] < 0.25 and uneven["accuracy_high"] > 0.95


@pytest.mark.parametrize("groups", [1, 2, 5, 9, 10, 30])
@pytest.mark.parametrize("right", [0, 1, 2, 4])
def test_every_interval_holds_its_value_and_has_a_width(groups, right):
    # Each group has four images, of which as many are right: the draws of a bootstrap are all the same.
    names, labels = np.repeat(groups_of(groups), 4), np.tile([0, 0, 1, 1], groups)
    counts = np.tile(np.arange(4) < right, groups)
    probabilities = np.where((labels == 1)[:, None] == counts[:, None], [0.1, 0.9], [0.9, 0.1])
    found = trust.share("share", counts, names, 1) | trust.calibration(labels, probabilities, names, 1)
    guesses = np.where(counts, labels, 1 - labels)
    found |= trust.balanced_accuracy(labels, guesses, names, 1)
    for name, most in {"share": 1, "ece": 1, "brier": 2, "balanced_accuracy": 1}.items():
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        assert 0 <= low <= found[name] <= high <= most and low < high
        assert groups > 1 or high - low > 0.3 * most


def test_a_balanced_accuracy_is_as_unsure_as_its_rarest_class():
    labels, guesses = np.repeat([0, 1], [400, 3]), np.repeat([0, 1], [400, 3])
    guesses[:40] = 1
    found = trust.balanced_accuracy(labels, guesses, groups_of(403), 1)
    assert found["balanced_accuracy"] == 0.95 and found["balanced_accuracy_low"] < 0.75
    many = trust.balanced_accuracy(np.repeat([0, 1], 400), np.tile(guesses[:400], 2), groups_of(800), 1)
    assert many["balanced_accuracy_high"] - many["balanced_accuracy_low"] < 0.05


def test_models_are_compared_over_the_groups_that_the_intervals_are_of():
    paths, groups = [f"{number}.png" for number in range(20)], np.repeat(["one", "two"], 10)
    table = Manifest(["a", "b"], paths, np.zeros(20, int), np.array(["test"] * 20), paths, groups)
    right, wrong = (np.tile([[1.0 - value, value]], (20, 1)).astype("float32") for value in (0.1, 0.9))
    values = {"head": np.where((groups == "one")[:, None], wrong, right), "fine_tuned": right}
    guesses = {name: of.argmax(1) for name, of in values.items()}
    answers = Predictions(["a", "b"], paths, table.labels, guesses, values)
    ranking = {name: curves.of(table.labels, of) for name, of in values.items()}
    _, compared = trust.measure(answers, ranking, table, np.arange(20), 1)
    assert compared["fine_tuning"] | {"only_fine_tuned": 10, "p": 1.0, "groups": 2} == compared["fine_tuning"]


def test_a_bootstrap_takes_each_group_as_a_whole_and_little_memory():
    rng = np.random.default_rng(3)
    groups, counts = rng.integers(0, 9000, 12_000).astype(str), rng.random(12_000) < 0.8
    tracemalloc.start()
    found = trust.share("accuracy", counts, groups, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6, "all draws together would be 26 MB"
    names, members = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(members == number) for number in range(len(names))]
    draws = streams.rng(1, "bootstrap", 0).integers(len(names), size=(trust.DRAWS, len(names)))
    means = [counts[np.concatenate([members[group] for group in draw])].mean() for draw in draws[:50]]
    ends = found["accuracy_low"], found["accuracy_high"]
    assert ends[0] <= np.quantile(means, 0.1) and np.quantile(means, 0.9) <= ends[1]


def test_of_images_that_are_exactly_as_sure_the_order_of_their_names_does_not_count():
    labels = np.repeat([0, 1], 50)  # as folders of classes are sorted
    alike = np.full((100, 2), 0.5)
    assert [part["accuracy"] for part in trust.bins(labels, alike)] == [0.5] * 10
    assert trust.calibration(labels, alike, groups_of(100), 1)["ece"] == 0.0


def test_of_hundreds_of_classes_with_groups_all_draws_of_a_share_are_made_at_once(monkeypatch):
    labels = np.repeat(np.arange(200), 40)
    groups, guesses = (np.arange(8000) // 2).astype(str), np.where(np.arange(8000) % 7, labels, (labels + 1) % 200)
    shares = trust.by_class(labels, guesses, [f"{label}" for label in range(200)], groups, 1)
    counts = (guesses == labels)[labels == 5]
    one = trust.interval("recall", lambda rows: counts[rows].mean(), groups[labels == 5], 1)
    assert one == {name: shares["5"][name] for name in one}, "it is the bootstrap of any other score"
    monkeypatch.setattr(trust, "_drawn", None)  # which asks for one draw at a time: 200,000 of them
    assert trust.by_class(labels, guesses, [f"{label}" for label in range(200)], groups, 1) == shares
