import itertools
import json

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from headstart.evaluation import scores


def two(*values):
    ones = np.array(values, dtype="float32")
    return np.stack([1 - ones, ones], axis=1)


def test_two_classes_against_numbers_worked_out_by_hand():
    labels = np.array([0, 0, 1, 1, 1])
    result = scores.score(labels, two(0.1, 0.6, 0.4, 0.8, 0.9), ["cats", "dogs"])
    assert result["images"] == 5
    assert result["accuracy"] == 0.6
    assert result["confusion_matrix"] == [[1, 1], [1, 2]]
    assert result["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.8, 0.9]).mean(), abs=1e-5)
    assert result["roc_auc"] == pytest.approx(5 / 6, abs=1e-6)  # of 6 pairs one is in the wrong order
    assert result["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3, abs=1e-6)
    assert result["per_class"]["dogs"] == {
        "images": 3,
        "predicted": 3,
        "recall": pytest.approx(2 / 3, abs=1e-6),
        "precision": pytest.approx(2 / 3, abs=1e-6),
        "f1": pytest.approx(2 / 3, abs=1e-6),
        "average_precision": result["average_precision"],
    }
    assert result["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-6)
    assert result["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-6)
    assert result["lowest_recall"] == 0.5
    assert list(result)[:3] == ["balanced_accuracy", "lowest_recall", "macro_f1"], "what rare classes weigh in leads"


def test_the_interval_is_wilsons():
    # 95 of 100: (0.8882, 0.9785), as in the formula of Wilson (1927) with z = 1.959964
    n, p, z = 100, 0.95, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    labels = np.arange(100) % 2
    ones = labels.astype(float)
    ones[:5] = 1 - ones[:5]
    result = scores.score(labels, two(*ones), ["a", "b"])
    assert result["accuracy"] == 0.95
    assert result["accuracy_low"] == pytest.approx(centre - half, abs=1e-5)
    assert result["accuracy_high"] == pytest.approx(centre + half, abs=1e-5)


def test_three_classes():
    labels = np.array([0, 1, 2, 2])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]])
    result = scores.score(labels, probabilities, ["a", "b", "c"])
    assert result["accuracy"] == 0.75
    assert result["roc_auc"] == 1.0
    assert result["balanced_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    b = result["per_class"]["b"]
    assert (b["images"], b["predicted"], b["recall"], b["precision"], b["f1"]) == (1, 0, 0.0, None, 0.0)
    assert b["average_precision"] == 1.0, "it is never predicted, but ranks first"


@pytest.mark.parametrize("k", [2, 3])
def test_what_is_not_defined_is_null_and_never_nan(k):
    probabilities = np.eye(k)[np.zeros(4, int)]
    result = scores.score(np.zeros(4, int), probabilities, list("abc"[:k]))
    assert result["roc_auc"] is None
    assert result["average_precision"] is None
    nothing = dict.fromkeys(("recall", "precision", "f1", "average_precision"))
    assert result["per_class"]["b"] == {"images": 0, "predicted": 0} | nothing
    assert result["balanced_accuracy"] == result["macro_f1"] == 1.0, "of the classes that have images"
    json.dumps(result, allow_nan=False)


def test_a_certain_and_wrong_model_has_a_finite_loss():
    result = scores.score(np.array([0, 1]), two(1.0, 0.0), ["a", "b"])
    assert result["loss"] == pytest.approx(-np.log(1e-7), rel=1e-3)


def test_mcnemar_is_the_exact_two_sided_binomial():
    labels = np.zeros(30, int)
    a, b = np.zeros(30, int), np.zeros(30, int)
    a[:12], b[12:17] = 1, 1  # a errs on 12 that b gets right, b on 5 others
    a[20], b[20] = 1, 1
    result = scores.mcnemar(labels, {"head": a, "fine_tuned": b})
    p = pytest.approx(2 * binom.cdf(5, 17, 0.5), abs=1e-6)
    assert result == {"only_head": 5, "only_fine_tuned": 12, "both": 12, "neither": 1, "p": p}
    assert scores.mcnemar(labels, {"fine_tuned": b, "head": a}) == result


def test_mcnemar_of_a_model_with_itself():
    same = np.array([0, 1, 1])
    assert scores.mcnemar(np.array([0, 0, 1]), {"a": same, "b": same})["p"] == 1.0


def test_a_class_without_test_images_has_no_score_and_costs_the_others_none():
    labels, probabilities = np.array([0, 1, 0, 1]), np.eye(3)[[0, 1, 0, 0]] * 0.8 + 0.05
    result = scores.score(labels, probabilities, ["a", "b", "c"])
    assert result["balanced_accuracy"] == 0.75
    assert result["roc_auc"] == 0.75 and result["average_precision"] is not None
    assert result["per_class"]["c"]["recall"] is None


def test_a_rare_class_that_is_never_predicted_shows_in_all_but_the_accuracy():
    labels = np.array([0] * 98 + [1] * 2)
    result = scores.score(labels, two(*np.linspace(0.1, 0.3, 100)[::-1]), ["good", "bad"])
    assert result["accuracy"] == 0.98
    assert (result["balanced_accuracy"], result["per_class"]["bad"]["predicted"]) == (0.5, 0)
    assert result["macro_f1"] < 0.5 and result["average_precision"] < 0.05


def test_weighted_scores_stand_beside_the_others():
    labels, answers = np.array([0, 0, 1, 1]), two(0.1, 0.6, 0.4, 0.8)
    plain = scores.score(labels, answers, ["cats", "dogs"])
    weighted = scores.score(labels, answers, ["cats", "dogs"], weights=np.array([3, 1, 1, 1]))
    assert {name: weighted.pop(name) for name in ("weighted_accuracy", "weighted_loss")} == {
        "weighted_accuracy": round(4 / 6, 6),
        "weighted_loss": pytest.approx(-(3 * np.log(0.9) + np.log(0.4) + np.log(0.4) + np.log(0.8)) / 6, abs=1e-5),
    }
    assert weighted == plain
    soft = scores.score(labels, answers, ["cats", "dogs"], targets=two(0.1, 0.6, 0.4, 0.8))
    entropy = -sum(p * np.log(p) + (1 - p) * np.log(1 - p) for p in (0.1, 0.6, 0.4, 0.8)) / 4
    assert (soft["weighted_accuracy"], soft["weighted_loss"]) == (0.5, pytest.approx(entropy, abs=1e-5))


def test_of_images_that_belong_together_mcnemars_test_is_one_of_groups():
    rng = np.random.default_rng(1)
    labels, groups = np.zeros(40, int), np.sort(rng.integers(0, 9, 40)).astype(str)
    a, b = (rng.random(40) < share for share in (0.5, 0.2))
    result = scores.mcnemar(labels, {"head": a.astype(int), "fine_tuned": b.astype(int)}, groups)
    apart = np.array([(~a[groups == name]).sum() - (~b[groups == name]).sum() for name in np.unique(groups)])
    signs = np.array(list(itertools.product((-1, 1), repeat=len(apart))))
    assert result["p"] == pytest.approx((np.abs(signs @ apart) >= abs(apart.sum())).mean(), abs=1e-6)
    assert result["groups"] == len(apart)
    alone = scores.mcnemar(labels, {"head": a.astype(int), "fine_tuned": b.astype(int)}, np.arange(40).astype(str))
    assert alone == scores.mcnemar(labels, {"head": a.astype(int), "fine_tuned": b.astype(int)})
    assert alone["p"] == pytest.approx(binomtest(alone["only_head"], int((a != b).sum())).pvalue, abs=1e-6)


def test_twenty_photos_of_one_patient_do_not_make_a_model_better():
    labels, wrong = np.zeros(100, int), np.arange(100) < 20
    models = {"head": wrong.astype(int), "fine_tuned": np.zeros(100, int)}
    groups = np.where(wrong, "one patient", np.arange(100).astype(str))
    assert scores.mcnemar(labels, models)["p"] < 1e-5
    assert scores.mcnemar(labels, models, groups) | {"p": 1.0, "groups": 81} == scores.mcnemar(labels, models, groups)
