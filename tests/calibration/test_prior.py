import numpy as np
import pytest

from headstart.calibration import prior


def drawn(shares, count=4000, seed=1):
    """Labels of these shares, and what a classifier says of each image that takes all classes to be as frequent."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), count, p=shares)
    likelihoods = np.exp(2 * (np.eye(len(shares))[labels] + rng.normal(0, 2**-0.5, (count, len(shares)))))
    return likelihoods / likelihoods.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.7, 0.25, 0.05]])
def test_what_class_weights_made_of_the_shares_is_found(shares):
    probabilities, labels = drawn(shares)
    found = prior.factors(probabilities, labels, np.ones(len(labels)))
    corrected = probabilities * found
    corrected /= corrected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(corrected.mean(axis=0), np.bincount(labels) / len(labels), atol=1e-4)
    np.testing.assert_allclose(found / found.sum(), shares, rtol=0.2)


def test_probabilities_that_fit_are_left_as_they_are():
    shares = np.array([0.9, 0.1])
    left = []
    for seed in range(40):
        probabilities, labels = drawn(shares, 100, seed)
        fitting = probabilities * shares / (probabilities @ shares)[:, None]
        left.append((prior.factors(fitting, labels, np.ones(100)) == 1).all())
    assert np.mean(left) > 0.7


def test_an_image_that_weighs_two_is_two_images_and_a_class_without_images_keeps_its_probabilities():
    probabilities, labels = drawn([0.8, 0.2], 300)
    probabilities = np.column_stack([0.99 * probabilities, np.full(300, 0.01)])
    weights = np.where(labels == 1, 0.5, 1.0)
    found = prior.factors(probabilities, labels, weights / weights.mean())
    halved = np.flatnonzero((labels == 0) | (np.cumsum(labels) % 2 == 1))
    assert found[2] == 1 and found[1] < prior.factors(probabilities, labels, np.ones(300))[1] < 1
    assert found[1] / found[0] == pytest.approx(
        np.divide(*prior.factors(probabilities[halved], labels[halved], np.ones(len(halved)))[[1, 0]]), rel=0.3
    )
    alone = prior.factors(probabilities[:5], np.zeros(5, int), np.ones(5))
    np.testing.assert_array_equal(alone, np.ones(3))
