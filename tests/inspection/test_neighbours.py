import numpy as np
import pytest

from headstart.inspection import neighbours


def features(count=60, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.2, (count, 24)) + 1).astype("float32")


def test_the_nearest_come_first_and_an_image_is_not_its_own_neighbour():
    vectors = features()
    found = neighbours.nearest(vectors)
    assert found.positions.shape == found.distances.shape == (60, neighbours.NEAREST)
    assert (found.positions != np.arange(60)[:, None]).all()
    assert (np.diff(found.distances, axis=1) >= 0).all()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(found.distances[0, 0], 1 - units[0] @ units[found.positions[0, 0]], atol=1e-6)


def test_of_two_images_there_is_one_neighbour_and_nothing_stands_out():
    found = neighbours.nearest(features(2))
    assert found.positions.tolist() == [[1], [0]]
    assert neighbours.outliers(found) == [] and neighbours.alike(found) == []


def test_what_is_far_from_all_is_an_outlier_the_farthest_first():
    vectors = features()
    vectors[7], vectors[30] = -vectors[7], vectors[30] * np.where(np.arange(24) < 12, 1, -1)
    assert [position for position, _ in neighbours.outliers(neighbours.nearest(vectors))] == [7, 30]


def test_pairs_that_are_nearly_the_same_the_nearest_first():
    vectors = features()
    vectors[4] = vectors[50] * 1.5
    vectors[9] = vectors[20] + 0.01 * features(1, seed=5)[0]
    pairs = neighbours.alike(neighbours.nearest(vectors))
    assert [pair[:2] for pair in pairs] == [(4, 50), (9, 20)]
    assert pairs[0][2] < pairs[1][2] < neighbours.NEAR


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_pairs_are_found_where_most_images_have_copies(copies):
    vectors = features()
    near = [vectors + 0.01 * features(seed=5 + number) for number in range(copies)]
    pairs = neighbours.alike(neighbours.nearest(np.concatenate([vectors, *near]).astype("float32")))
    assert {(first % 60, second % 60) for first, second, _ in pairs} == {(at, at) for at in range(60)}
    assert len(pairs) == 60 * (copies + 1) * copies // 2
    half = np.concatenate([vectors, near[0][:35]]).astype("float32")
    assert [pair[:2] for pair in sorted(neighbours.alike(neighbours.nearest(half)))] == [
        (at, 60 + at) for at in range(35)
    ]


def test_images_that_are_all_the_same_are_no_find():
    found = neighbours.nearest(np.ones((20, 5), "float32"))
    assert neighbours.outliers(found) == [] and neighbours.alike(found) == []


def test_of_many_images_pairs_and_outliers_are_those_of_a_comparison_of_all_with_all(monkeypatch):
    rng = np.random.default_rng(1)
    vectors = np.abs(rng.normal(0, 1, (8, 32))[rng.integers(0, 8, 900)] + rng.normal(0, 0.3, (900, 32)))
    vectors[rng.permutation(900)[:20]] = np.abs(rng.normal(0, 1, (20, 32)) * rng.choice([0, 3], (20, 32)))
    vectors[40:60] = 1.5 * vectors[640:660]
    vectors = vectors.astype("float32")
    exact = neighbours.nearest(vectors)
    monkeypatch.setattr(neighbours, "ALL", 200)
    monkeypatch.setattr(neighbours, "LEAD", 30)
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    found = neighbours.nearest(vectors)
    assert (found.positions != np.arange(900)[:, None]).all() and np.isfinite(found.distances).all()
    pairs, of_all = ({pair[:2] for pair in neighbours.alike(each)} for each in (found, exact))
    assert pairs == of_all and len(pairs) >= 20
    assert {at for at, _ in neighbours.outliers(found)} == {at for at, _ in neighbours.outliers(exact)} != set()


def test_of_many_images_that_are_all_the_same_each_is_compared_with_some(monkeypatch):
    monkeypatch.setattr(neighbours, "ALL", 50)
    monkeypatch.setattr(neighbours, "LEAD", 10)
    found = neighbours.nearest(np.ones((300, 5), "float32"))
    assert (found.distances < 1e-6).all() and (found.positions != np.arange(300)[:, None]).all()
    assert neighbours.outliers(found) == [] and neighbours.alike(found) == []
