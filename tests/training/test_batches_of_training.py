import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.base.runtime import tf
from headstart.training import batches


def manifest(labels, splits, groups=None):
    names = [f"{number:03}" for number in range(len(labels))]
    return Manifest(["a", "b", "c"][: max(labels) + 1], names, np.array(labels), np.array(splits), names, groups)


def test_balanced_weights_count_the_classes_of_what_is_trained_on():
    listed = manifest([0] * 6 + [1] * 7, ["train"] * 13)
    rows = np.array([0, 7, 3, 1])
    inputs = batches.of_features(lambda wanted: np.zeros((len(wanted), 1), "float16"), (1,), rows, 8)
    (_, labels, weights), *_ = batches.with_targets(inputs, listed, rows, 8, "balanced")
    assert labels.numpy().tolist() == [[0], [1], [0], [0]] and labels.dtype == "float32"
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / (2 * 1), 4 / (2 * 3), 4 / (2 * 3)])


def test_targets_and_weights_are_those_of_the_manifest():
    listed = replace(manifest([0, 1, 1], ["train"] * 3), weights=np.array([1, 2, 3], "float32"))
    rows = np.array([2, 0])
    inputs = batches.of_features(lambda wanted: np.zeros((len(wanted), 1), "float16"), (1,), rows, 8)
    (_, targets, weights), *_ = batches.with_targets(inputs, listed, rows, 8)
    assert (targets.numpy().tolist(), weights.numpy().tolist()) == ([[1], [0]], [1.5, 0.5])
    soft = replace(listed, probabilities=np.array([[0.75, 0.25], [0, 1], [0.5, 0.5]], "float32"))
    (_, targets, _), *_ = batches.with_targets(inputs, soft, rows, 8)
    assert targets.numpy().tolist() == [[0.5], [0.25]]


def test_targets_of_many_classes_are_made_batch_by_batch():
    count = 3000
    listed = Manifest(list(map(str, range(count))), list(map(str, range(count))), np.arange(count), np.array([]), [])
    rows = np.arange(count)[::-1]
    inputs = batches.of_features(lambda wanted: np.zeros((len(wanted), 1), "float16"), (1,), rows, 8)
    tracemalloc.start()
    made = batches.with_targets(inputs, listed, rows, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * count**2 / 10  # bytes, of all targets
    assert made.element_spec[1].shape == (None, count) and len(made) == count // 8
    _, targets, weights = next(iter(made))
    assert (targets.numpy() == np.eye(count, dtype="float32")[rows[:8]]).all() and weights.numpy().tolist() == [1] * 8


def test_a_count_per_class_is_drawn_from_the_training_images():
    listed = manifest([0] * 10 + [1] * 14, ["test"] * 2 + ["train"] * 22)
    np.testing.assert_array_equal(batches.rows(listed, None, 1), np.arange(2, 24))
    drawn = {seed: [batches.rows(listed, count, seed).tolist() for count in (2, 4, 8)] for seed in (1, 2)}
    assert drawn[1] != drawn[2]
    for small, middle, large in drawn.values():
        assert set(small) < set(middle) < set(large) < set(range(2, 24)) and large[:8] == list(range(2, 10))
        assert [(listed.labels[rows] == label).sum() for rows in (small, large) for label in (0, 1)] == [2, 2, 8, 8]
        assert middle == sorted(middle)
    with pytest.raises(UserError, match=re.escape("train_images: got 9, but class a has 8 training images: take at")):
        batches.rows(listed, 9, 1)


def test_a_count_per_class_is_drawn_group_by_group():
    patients = np.array([f"P{row // 6}" for row in range(120)])  # six images each, three of either class
    listed = manifest([0, 1] * 60, ["train"] * 114 + ["test"] * 6, patients)
    drawn = {seed: [batches.rows(listed, count, seed) for count in (6, 12, 13)] for seed in (1, 2)}
    for small, middle, large in drawn.values():
        assert set(small) < set(middle) < set(large) < set(range(114))
        assert [len(set(patients[rows])) for rows in (small, middle, large)] == [2, 4, 5]
        assert [(listed.labels[rows] == label).sum() for rows in (small, large) for label in (0, 1)] == [6, 6, 13, 13]
    assert set(patients[drawn[1][0]]) != set(patients[drawn[2][0]])


def test_an_epochs_order_depends_only_on_seed_and_epoch():
    rows = np.arange(100, 150)
    np.testing.assert_array_equal(batches.shuffled(rows, 1, 2), batches.shuffled(rows, 1, 2))
    orders = [batches.shuffled(rows, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4
    assert all(sorted(order) == rows.tolist() for order in orders)


def test_many_images_come_in_pieces_of_neighbours_and_each_epoch_mixes_others(monkeypatch):
    monkeypatch.setattr(batches, "PIECE", 4)
    monkeypatch.setattr(batches, "WINDOW", 16)
    rows = np.arange(100, 203)
    orders = [batches.shuffled(rows, 1, epoch) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == rows.tolist()
        for start in range(0, 96, 16):
            window = order[start : start + 16]
            assert len({(row - 100) // 4 for row in window}) <= 5 and window.tolist() != sorted(window)
    pieces = [{(row - 100) // 4 for row in order[:16]} for order in orders]
    assert pieces[0] != pieces[1] and max(pieces[0]) - min(pieces[0]) > 6
    read = []
    taken = batches.of_features(lambda rows: rows[:, None].astype("float16"), (1,), orders[0], 8, read.append)
    np.testing.assert_array_equal(np.concatenate(list(taken))[:, 0], orders[0])
    np.testing.assert_array_equal(np.concatenate(read), orders[0])
    assert [len(rows) for rows in read] == [16] * 6 + [7]


@pytest.mark.parametrize(("classes", "dtype"), [(2, "float32"), (3, "float32"), (3, "uint8")])
def test_mixup_mixes_images_and_their_targets_in_equal_shares(classes, dtype):
    listed = manifest([row % classes for row in range(8)], ["train"] * 8)
    rows = np.arange(8)
    inputs = tf.data.Dataset.from_tensor_slices(np.float32(rows * 20)[:, None].astype(dtype)).batch(4)
    plain = list(batches.with_targets(inputs, listed, rows, 4, "balanced"))
    first, again, later, other = (
        list(batches.mixed(batches.with_targets(inputs, listed, rows, 4, "balanced"), 1.0, seed, epoch))
        for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    for (x, targets, weights), (mixed_x, mixed_targets, mixed_weights) in zip(plain, first, strict=True):
        assert mixed_x.dtype == dtype
        mixture, one, another = (float(value) for value in (mixed_x[0, 0], x[0, 0], x[3, 0]))
        share = (mixture - another) / (one - another)
        close = {"atol": 1e-5 if dtype == "float32" else 0.02, "rtol": 0}  # whole numbers know the share less well
        mean = share * weights + (1 - share) * weights[::-1]
        np.testing.assert_allclose(mixed_weights, mean, **close)
        weighted = targets * weights[:, None]
        expected = (share * weighted + (1 - share) * weighted[::-1]) / mean[:, None]
        np.testing.assert_allclose(mixed_targets, expected, **close)
    same = [all(np.array_equal(a[0], b[0]) for a, b in zip(first, to, strict=True)) for to in (again, later, other)]
    assert same == [True, False, False]
