import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from headstart.training import weighting

LABELS = np.array([0, 0, 0, 2, 1, 1])


def test_without_weights_all_images_count_the_same_or_all_classes_do():
    np.testing.assert_array_equal(weighting.of(LABELS), np.ones(6))
    np.testing.assert_array_equal(weighting.of(LABELS, None, "balanced"), compute_sample_weight("balanced", LABELS))


def test_weights_have_a_mean_of_1_and_balanced_classes_weigh_the_same_together():
    own = np.array([1, 2, 1, 4, 1, 3], "float32")
    np.testing.assert_allclose(weighting.of(LABELS, own), own / 2)
    balanced = weighting.of(LABELS, own, "balanced")
    np.testing.assert_allclose([balanced[label == LABELS].sum() for label in range(3)], 2)
    np.testing.assert_allclose(balanced[1] / balanced[0], 2)
