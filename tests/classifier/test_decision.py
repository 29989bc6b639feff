import numpy as np
import pytest

from headstart.classifier import decision


def test_one_sigmoid_unit_becomes_two_columns_and_a_softmax_stays():
    np.testing.assert_allclose(decision.probabilities([[0.25], [1.0]]), [[0.75, 0.25], [0.0, 1.0]])
    assert decision.probabilities([[0.25]]).dtype == np.float32
    np.testing.assert_allclose(decision.probabilities([[0.2, 0.3, 0.5]]), [[0.2, 0.3, 0.5]])


def test_of_two_classes_one_half_is_class_one():
    predicted = decision.predicted(np.array([[0.5, 0.5], [0.50001, 0.49999], [0.1, 0.9]], "float32"))
    assert predicted.tolist() == [1, 0, 1]
    assert predicted.dtype == np.int64


def test_of_more_it_is_the_first_of_the_highest():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.4, 0.4, 0.2], [0.2, 0.2, 0.6]])
    assert decision.predicted(probabilities).tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "0.500"), (0.05, "0.050"), (0.00031, "0.00031"), (0.99987, "0.99987"), (0.0, "0.000"), (1.0, "1.000")],
)
def test_a_threshold_is_said_in_as_many_digits_as_tell_it_from_0_and_1(value, said):
    assert decision.shown(value) == said
