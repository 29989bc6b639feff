import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from headstart.base.errors import UserError
from headstart.classifier import decision
from headstart.evaluation import curves


def two(*values):
    ones = np.array(values, dtype="float32")
    return np.stack([1 - ones, ones], axis=1)


def drawn(count, k, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, count)
    return labels, rng.dirichlet(np.ones(k), count) * 0.7 + 0.3 * np.eye(k)[labels]


def area(points, steps=False):
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * y[1:])) if steps else float(np.trapezoid(y, x))


def test_curves_of_two_classes_start_and_end_where_they_must_and_stay_short():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 3000)
    probabilities = two(*np.clip(generator.normal(0.3 + 0.4 * labels, 0.3), 0, 1))
    ranking = curves.of(labels, probabilities)
    assert ranking.roc[0] == (0.0, 0.0)
    assert ranking.roc[-1] == (1.0, 1.0)
    assert 100 < len(ranking.roc) <= 500
    assert ranking.precision_recall[0] == (0.0, 1.0)
    assert ranking.precision_recall[-1] == (1.0, pytest.approx(labels.mean(), abs=1e-6))
    assert len(ranking.precision_recall) <= 500
    assert ranking.roc_auc == pytest.approx(roc_auc_score(labels, probabilities[:, 1]), abs=1e-6)
    assert ranking.average_precision == pytest.approx(average_precision_score(labels, probabilities[:, 1]), abs=1e-6)


@pytest.mark.parametrize("k", [2, 3, 20])
def test_the_number_is_the_area_below_the_curve_that_is_drawn(k):
    labels, probabilities = drawn(2000, k)
    ranking = curves.of(labels, probabilities)
    truth = np.eye(k)[labels] if k > 2 else labels
    values = probabilities if k > 2 else probabilities[:, 1]
    assert ranking.roc_auc == pytest.approx(roc_auc_score(truth, values), abs=1e-6)
    assert ranking.average_precision == pytest.approx(average_precision_score(truth, values), abs=1e-6)
    assert area(ranking.roc) == pytest.approx(ranking.roc_auc, abs=0.002)
    assert area(ranking.precision_recall, steps=True) == pytest.approx(ranking.average_precision, abs=0.005)
    assert ranking.roc[0] == (0.0, 0.0) and ranking.roc[-1] == (1.0, 1.0)
    assert len(ranking.roc) <= 500 and len(ranking.precision_recall) <= 500
    one_by_one = [average_precision_score(labels == index, probabilities[:, index]) for index in range(k)]
    assert ranking.by_class == pytest.approx(one_by_one, abs=1e-6)


def test_the_positive_class_is_the_one_that_is_named():
    labels, probabilities = np.array([0] * 20 + [1] * 2), two(*np.linspace(0, 1, 22)[[*range(1, 21), 0, 21]])
    first, last = curves.of(labels, probabilities, 0), curves.of(labels, probabilities, 1)
    assert first.average_precision == first.by_class[0] > last.average_precision == last.by_class[1]
    assert first.roc_auc == last.roc_auc, "of two classes it is the same number"
    assert first.precision_recall[-1][1] == pytest.approx(20 / 22, abs=1e-6)
    assert decision.positive_class(["bad", "good"], None) == 1
    assert decision.positive_class(["bad", "good"], "bad") == 0
    assert decision.positive_class(["a", "b", "c"], None) == 2


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["good", "bad"], r"^dataset.positive: got bat; did you mean bad\? takes good or bad, or null \(bad\)$"),
        (["a", "b", "c"], r"^dataset.positive: got bat, but there are 3 classes.*takes null here$"),
    ],
)
def test_a_positive_class_that_is_none_of_two_is_an_error_in_one_line(classes, message):
    with pytest.raises(UserError, match=message):
        decision.positive_class(classes, "bat")


def test_where_all_images_are_of_one_class_there_is_no_curve():
    for k in (2, 3):
        ranking = curves.of(np.zeros(3, int), np.eye(k)[[0, 1, 0]])
        assert ranking == curves.Curves([], [], None, None, [None] * k)


def test_the_curves_of_many_classes_take_little_memory():
    labels, probabilities = drawn(2000, 400)
    tracemalloc.start()
    ranking = curves.of(labels, probabilities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6, "all curves in full would be 20 MB"
    assert len(ranking.roc) == curves.POINTS and sum(value is not None for value in ranking.by_class) > 390
