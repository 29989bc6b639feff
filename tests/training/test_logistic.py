import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headstart.artifacts.manifest import Manifest
from headstart.training import logistic


def clouds(count: int, classes: int, noise: float, width: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` points around one centre per class, float32 (count, width), and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(9).normal(0, 1, (classes, width))
    return (centres[labels] + rng.normal(0, noise, (count, width))).astype("float32"), labels


def probabilities(solution: logistic.Solution, features: np.ndarray) -> np.ndarray:
    """What the head gives for pooled features."""
    logits = features @ solution.weights[0] + solution.weights[1]
    if logits.shape[1] == 1:
        positive = 1 / (1 + np.exp(-logits))
        return np.concatenate([1 - positive, positive], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_the_regression_of_the_chosen_strength_and_scaling(classes):
    features, labels = clouds(120, classes, noise=3)
    solution = logistic.solve(features, labels, "none", seed=1)
    assert solution.kernel.shape == (30, 1 if classes == 2 else classes)
    deviation = features.std(axis=0) if solution.standardised else np.sqrt(features.var(axis=0).mean())
    scaled = (features - features.mean(axis=0)) / deviation
    expected = LogisticRegression(C=solution.strength, max_iter=1000, tol=1e-6).fit(scaled, labels)
    np.testing.assert_allclose(probabilities(solution, features), expected.predict_proba(scaled), atol=2e-3)
    unseen, truth = clouds(600, classes, noise=3, seed=1)
    assert (probabilities(solution, unseen).argmax(axis=1) == truth).mean() > 0.7


def test_the_noisier_the_images_the_stronger_the_penalty():
    strengths = [logistic.solve(*clouds(80, 2, noise), "none", seed=1).strength for noise in (1.0, 4.0, 40.0)]
    assert strengths == sorted(strengths, reverse=True) and strengths[0] > strengths[-1]


def test_the_cross_validated_loss_is_that_of_images_left_out():
    features, labels = clouds(80, 2, noise=40)
    solution = logistic.solve(features, labels, "none", seed=1)
    truth = probabilities(solution, features)[np.arange(80), labels]
    assert solution.loss > -np.log(truth).mean()
    assert solution.loss == pytest.approx(np.log(2), abs=0.1), "nothing can be learned from noise"


def test_of_all_strengths_only_the_best_ones_probabilities_are_kept(monkeypatch):
    """Of 4,000 images of 3,000 classes those of one are 96 MB."""
    count, classes, losses = 300, 250, iter(range(100, 0, -1))
    monkeypatch.setattr(logistic, "_fitted", lambda model, *_: model)
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda model, x: np.full((len(x), classes), model.C))
    monkeypatch.setattr(logistic, "log_loss", lambda *_, **__: next(losses))
    rows = np.arange(count)
    shares = np.eye(classes)[rows % classes]
    tracemalloc.start()
    found, best = logistic._path(np.zeros((count, 1, 2)), shares, np.ones(count), [(rows, rows)], False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(found) == list(logistic.STRENGTHS) and (best == logistic.STRENGTHS[-1]).all()
    assert peak < 6 * shares.nbytes


def test_features_are_standardised_where_that_helps():
    features, labels = clouds(200, 2, noise=1, width=4)
    loud = np.random.default_rng(3).normal(0, 300, (200, 40)).astype("float32")
    assert logistic.solve(np.concatenate([features, loud], axis=1), labels, "none", seed=1).standardised
    assert not logistic.solve(np.concatenate([3 * features, loud / 300], axis=1), labels, "none", seed=1).standardised


def test_balanced_weights_find_more_of_the_rare_class():
    features, labels = clouds(400, 2, noise=5)
    rows = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:20]])
    unseen, truth = clouds(400, 2, noise=5, seed=2)
    recall = [
        probabilities(logistic.solve(features[rows], labels[rows], weights, seed=1), unseen)[truth == 1, 1].mean()
        for weights in ("none", "balanced")
    ]
    assert recall[1] > recall[0] + 0.1


def test_a_class_of_a_single_image_has_nothing_to_leave_out():
    features, labels = clouds(41, 2, noise=1)
    rows = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:1]])
    solution = logistic.solve(features[rows], labels[rows], "none", seed=1)
    assert solution.loss is None and solution.strength == logistic.DEFAULT
    assert np.isfinite(solution.kernel).all()


@pytest.mark.parametrize("groups", [None, [*map(str, np.arange(60) // 2), "60"]])
def test_one_class_of_a_single_image_leaves_the_penalty_to_the_others(groups):
    features, labels = clouds(60, 2, noise=40)
    features, labels = np.concatenate([features, features[:1] + 9]), np.append(labels, 2)
    groups = groups and np.array(groups)
    solution = logistic.solve(features, labels, "none", seed=1, groups=groups)
    assert solution.strength < logistic.DEFAULT, "nothing can be learned from noise"
    assert solution.loss == pytest.approx(np.log(2), abs=0.1)
    dealt = logistic.folds(labels, np.arange(61).astype(str) if groups is None else groups, seed=1)
    assert all(60 in inside for inside, _ in dealt)
    # Of what is never left out nothing can be said.
    names = np.arange(61).astype(str)
    assert logistic.out_of_fold(features, np.arange(61), labels, names, seed=1) is None


@pytest.mark.parametrize("alone", [True, False])
def test_a_rare_class_leaves_the_others_their_folds(alone):
    labels = np.repeat([0, 1, 2], [40, 30, 2])
    groups = (np.arange(72) if alone else np.append(np.arange(70) // 2, [35, 36])).astype(str)
    dealt = logistic.folds(labels, groups, seed=1)
    assert len(dealt) == logistic.FOLDS and sorted(np.concatenate([rows for _, rows in dealt])) == list(range(72))
    assert all(set(labels[inside]) == {0, 1, 2} for inside, _ in dealt)
    assert sum(2 in labels[outside] for _, outside in dealt) == 2


def test_no_fold_takes_a_class_with_it_or_parts_a_group():
    """Twenty places, at which photos of two hundred species were taken."""
    rng = np.random.default_rng(1)
    labels = np.concatenate([np.arange(200), np.arange(200), rng.integers(0, 200, 400)])
    groups = np.concatenate([np.arange(200) % 20, (np.arange(200) + rng.integers(1, 20, 200)) % 20])
    groups = np.concatenate([groups, rng.integers(0, 20, 400)]).astype(str)
    dealt = logistic.folds(labels, groups, seed=1)
    assert len(dealt) > 1
    assert np.sort(np.concatenate([outside for _, outside in dealt])).tolist() == list(range(800))
    for inside, outside in dealt:
        assert len(np.unique(labels[inside])) == 200 and not set(groups[inside]) & set(groups[outside])


def test_many_classes_of_few_images_are_nothing_to_be_warned_of():
    labels = np.repeat(np.arange(40), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logistic.solve(np.eye(40, dtype="float32")[labels], labels, "none", seed=1)


def test_features_that_are_all_the_same_give_the_classes_shares():
    labels = np.repeat([0, 1], [30, 10])
    solution = logistic.solve(np.ones((40, 5), "float32"), labels, "none", seed=1)
    np.testing.assert_allclose(probabilities(solution, np.ones((1, 5))), [[0.75, 0.25]], atol=1e-3)


def test_of_many_images_a_share_chooses_the_strength_and_all_are_fitted(monkeypatch):
    features, labels = clouds(600, 3, noise=4)
    whole = logistic.solve(features, labels, "none", seed=1)
    monkeypatch.setattr(logistic, "ENOUGH", 90)
    part = logistic.solve(features, labels, "none", seed=1)
    assert part.loss > whole.loss
    np.testing.assert_array_equal(part.kernel, logistic.solve(features, labels, "none", seed=1).kernel)
    unseen, truth = clouds(600, 3, noise=4, seed=1)
    accuracy = [(probabilities(solution, unseen).argmax(axis=1) == truth).mean() for solution in (part, whole)]
    assert accuracy[0] > accuracy[1] - 0.03


def test_the_cross_validated_loss_is_that_of_groups_left_out():
    """The class of a patient is drawn by lot, so that nothing can be learned but who it is."""
    rng = np.random.default_rng(4)
    patients, labels = np.repeat(np.arange(20), 10), np.repeat(rng.permutation([0, 1] * 10), 10)
    looks = rng.normal(0, 1, (20, 30))
    features = (looks[patients] + rng.normal(0, 0.3, (200, 30))).astype("float32")
    known = logistic.solve(features, labels, "none", seed=1)
    honest = logistic.solve(features, labels, "none", seed=1, groups=patients.astype(str))
    assert known.loss < 0.1 and honest.loss > 0.6
    assert honest.strength < known.strength


@pytest.mark.parametrize("groups", [["p"] * 40 + ["q"] * 20, ["p"] * 30 + ["q"] * 30, ["p"] * 58 + ["q"] * 2])
def test_where_groups_leave_no_folds_the_strength_is_the_default_which_is_said(groups, capsys):
    features, labels = clouds(60, 2, noise=1)
    labels = np.sort(labels)
    solution = logistic.solve(features, labels, "none", seed=1, groups=np.array(groups))
    assert solution.loss is None and solution.strength == logistic.DEFAULT
    assert "the head's penalty is not chosen: no folds leave two images, or groups," in capsys.readouterr().out


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_an_image_of_weight_2_is_two_images(class_weights):
    features, labels = clouds(60, 2, noise=3)
    weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(60), weights.astype(int))
    groups = np.array([f"{number:02}" for number in range(60)])
    weighted = logistic.solve(features, labels, class_weights, 1, weights=weights)
    repeated = logistic.solve(features[twice], labels[twice], class_weights, 1, groups[twice])
    plain = logistic.solve(features, labels, class_weights, 1)
    # The penalty and the scaling are chosen on other folds; what is compared is the direction.
    assert _alike(weighted, repeated, features) < 0.5 * _alike(plain, repeated, features)


def _alike(one: logistic.Solution, other: logistic.Solution, features: np.ndarray) -> float:
    return float(np.abs(probabilities(one, features) - probabilities(other, features)).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_certain_probabilities_are_labels_and_unsure_ones_make_it_modest(classes):
    features, labels = clouds(90, classes, noise=1)
    certain = np.eye(classes, dtype="float32")[labels]
    plain = logistic.solve(features, labels, "none", 1)
    same = logistic.solve(features, labels, "none", 1, probabilities=certain)
    np.testing.assert_array_equal(plain.kernel, same.kernel)
    assert plain.loss == same.loss
    unsure = 0.4 * certain + 0.6 / classes
    modest = logistic.solve(features, labels, "none", 1, probabilities=unsure)
    answers = probabilities(modest, features)
    assert (answers.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(answers[np.arange(90), labels].mean(), 0.4 + 0.6 / classes, atol=0.05)


def test_views_of_an_image_that_are_all_the_same_change_nothing():
    features, labels = clouds(80, 2, noise=4)
    alone = logistic.solve(features, labels, "balanced", seed=1)
    repeated = logistic.solve(features[:, None].repeat(3, axis=1), labels, "balanced", seed=1)
    assert (repeated.strength, repeated.standardised) == (alone.strength, alone.standardised)
    assert repeated.loss == pytest.approx(alone.loss, rel=1e-3)
    np.testing.assert_allclose(probabilities(repeated, features), probabilities(alone, features), atol=2e-3)


def test_views_make_it_blind_to_what_differs_between_them():
    """Such as what a flip turns round: the class shows in one feature, and louder in one that the views turn round."""
    rng = np.random.default_rng(5)
    labels = np.arange(60) % 2
    views = rng.normal(0, 0.3, (60, 2, 2)) + (2 * labels - 1)[:, None, None] * np.array([[1, 3], [1, -3]])
    plain = logistic.solve(views[:, 0], labels, "none", seed=1)
    both = logistic.solve(views, labels, "none", seed=1)
    assert abs(plain.kernel[1, 0]) > abs(plain.kernel[0, 0])
    assert abs(both.kernel[1, 0]) < 0.05 * abs(both.kernel[0, 0])


def test_what_is_left_out_is_left_out_in_all_views_and_counts_as_it_is():
    """Labels by lot, and views that are nearly their image: who had seen one would know the other by heart."""
    rng = np.random.default_rng(6)
    labels, looks = rng.permutation(np.arange(100) % 2), rng.normal(0, 1, (100, 1, 90))
    views = looks + rng.normal(0, 0.1, (100, 3, 90))
    assert logistic.solve(views, labels, "none", seed=1).loss > 0.6
    known = logistic.solve(views.reshape(300, 90), labels.repeat(3), "none", seed=1)
    assert known.loss < 0.5
    features, labels = clouds(100, 2, noise=1)
    noise = rng.normal(0, 1, (100, 2, 30))  # says nothing of the class
    assert logistic.solve(np.concatenate([features[:, None], noise], axis=1), labels, "none", seed=1).loss < 0.3


def test_of_very_many_images_some_of_each_class_are_enough_which_is_said(monkeypatch, capsys):
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    names = [str(number) for number in range(1000)]
    table, rows = Manifest(["a", "b", "c"], names, labels, np.array(["train"] * 1000), names), np.arange(0, 1000, 2)
    assert logistic.enough(table, rows, 4, seed=1) is not None and capsys.readouterr().out == ""
    monkeypatch.setattr(logistic, "MOST", 400)
    some = logistic.enough(table, rows, 4, seed=1)
    assert np.bincount(labels[some]).tolist() == [90, 9, 2] and set(some) < set(rows) and sorted(some) == some.tolist()
    line = "the head is solved on 101 of 500 images; head.solver: gradient trains it on all"
    assert capsys.readouterr().out.splitlines() == [line]
