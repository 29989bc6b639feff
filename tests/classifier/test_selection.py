import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

from headstart.classifier import decision, selection


def test_the_mean_cost_is_what_its_name_says():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet([1, 1, 1], 50)
    labels = rng.choice(3, 50, p=[0.8, 0.15, 0.05])
    predicted = probabilities.argmax(axis=1)
    costs = {name: selection.costs(probabilities, labels, name).mean() for name in ("loss", "accuracy")}
    assert costs["loss"] == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]))
    assert costs["accuracy"] == pytest.approx((predicted != labels).mean())
    balanced = selection.costs(probabilities, labels, "balanced_accuracy").mean()
    assert balanced == pytest.approx(1 - balanced_accuracy_score(labels, predicted))


@pytest.mark.parametrize("power", [0.3, 1, 1.8])
def test_a_model_too_modest_or_too_sure_is_put_right_by_its_temperature(power):
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([1, 1, 1], 20_000)
    labels = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    distorted = probabilities**power
    distorted /= distorted.sum(axis=1, keepdims=True)
    temperature = selection.temperature(distorted, labels)
    assert temperature == pytest.approx(min(max(power, 0.5), 4), rel=0.05)
    if power >= 0.5:
        np.testing.assert_allclose(decision.tempered(distorted, power), probabilities, atol=1e-3)


def test_few_images_without_an_error_do_not_make_a_model_certain():
    rng = np.random.default_rng(4)
    sure = np.clip(rng.beta(20, 1, 40), 0.6, 0.99)
    labels = np.arange(40) % 2
    probabilities = np.where(labels[:, None] == [0, 1], sure[:, None], 1 - sure[:, None])
    assert decision.tempered(probabilities, selection.temperature(probabilities, labels)).max() < 0.9995


@pytest.mark.parametrize("classes", [2, 5])
def test_few_images_without_an_error_do_not_make_a_model_doubt_itself(classes):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, classes, 5_000)
    logits = 3 * (rng.normal(0, 1, (5_000, classes)) + 3 * np.eye(classes)[labels])  # as sure as it should be
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    few = np.flatnonzero(probabilities.argmax(axis=1) == labels)[:30]
    tempered = decision.tempered(probabilities, selection.temperature(probabilities[few], labels[few]))
    before, after = (log_loss(labels, values, labels=range(classes)) for values in (probabilities, tempered))
    assert after < before + 0.03


def test_a_certain_mistake_costs_a_number():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert np.isfinite(selection.costs(certain, np.array([1, 1]), "loss")).all()
    assert selection.costs(certain, np.array([0, 1]), "loss").max() < 1e-3


def test_a_difference_within_its_error_does_not_replace_the_simpler():
    rng = np.random.default_rng(2)
    head = rng.exponential(0.5, 60)
    noisy = head + rng.normal(-0.01, 0.5, 60)
    assert selection.choose({"head": head, "fine_tuned": noisy}) == "head"
    better = head + rng.normal(-0.1, 0.1, 60)
    assert selection.choose({"head": head, "fine_tuned": better}) == "fine_tuned"


def test_evidence_counts_standard_errors_and_a_group_once():
    one, other = np.full(100, 0.5), np.full(100, 0.5)
    other[:20] -= 0.1
    assert selection.evidence(one, other) == pytest.approx(20**0.5)
    assert selection.evidence(other, one) == pytest.approx(-(20**0.5))
    assert selection.evidence(one, other, np.arange(100) // 10) == pytest.approx(2**0.5)
    assert selection.evidence(one, one) == selection.evidence(one[:1], other[:1]) == 0


def test_each_is_held_against_the_best_before_it():
    head = np.linspace(0.5, 1, 20)
    good = head - np.linspace(0.1, 0.2, 20)
    names = ["head", "head_averaged", "fine_tuned", "averaged"]
    assert selection.choose(dict(zip(names, [head, good, head, head - 0.01], strict=True))) == "head_averaged"
    assert selection.choose(dict(zip(names, [head, head, good, good - 0.01], strict=True))) == "averaged"


def test_equal_candidates_and_a_single_image_leave_the_first():
    assert selection.choose({"head": np.ones(5), "fine_tuned": np.ones(5)}) == "head"
    assert selection.choose({"head": np.ones(5), "fine_tuned": np.zeros(5)}, np.zeros(5, int)) == "head"
    assert selection.choose({"head": np.ones(1), "fine_tuned": np.zeros(1)}) == "head"


@pytest.mark.parametrize("select_by", ["loss", "accuracy", "balanced_accuracy"])
def test_an_image_of_weight_2_costs_as_two_images(select_by):
    rng = np.random.default_rng(1)
    probabilities, labels = rng.dirichlet([1, 1, 1], 40), rng.integers(0, 3, 40)
    weights = rng.integers(1, 4, 40)
    twice = np.repeat(np.arange(40), weights)
    weighted = selection.costs(probabilities, labels, select_by, weights.astype("float32")).mean()
    repeated = selection.costs(probabilities[twice], labels[twice], select_by).mean()
    assert weighted == pytest.approx(repeated, rel=1e-5)


def test_against_unsure_labels_the_modest_one_costs_less():
    labels, targets = np.zeros(20, int), np.tile([0.6, 0.4], (20, 1))
    modest, wrong = np.tile([0.6, 0.4], (20, 1)), np.tile([0.4, 0.6], (20, 1))
    costs = [selection.costs(answers, labels, "loss", None, targets).mean() for answers in (modest, wrong)]
    assert costs[0] == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4)) and costs[0] < costs[1]
    assert selection.costs(modest, labels, "loss", None, np.eye(2)[labels]).mean() == pytest.approx(
        selection.costs(modest, labels, "loss").mean()
    )


def test_images_of_one_group_are_no_evidence_of_their_own():
    """Of twenty patients one gains much, with a hundred photos: by the patients that is chance."""
    groups = np.repeat(np.arange(20), [100, *[1] * 19])
    after = np.where(groups == 0, 0.5, 1.05)
    pair = {"head": np.ones(119), "fine_tuned": after}
    assert selection.choose(pair) == "fine_tuned"
    assert selection.choose(pair, groups) == "head"
