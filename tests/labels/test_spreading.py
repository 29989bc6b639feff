import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from headstart.labels.spreading import spread

SHARES = np.array([0.65, 0.1, 0.25])


def patients(seed, count=60):
    """Images of two classes per patient, int (count, 2): many or few, of one class or of both."""
    rng = np.random.default_rng(seed)
    images = rng.geometric(0.08, count)
    ill = rng.binomial(images, rng.random(count))
    return np.stack([images - ill, ill], axis=1)


def distance(counts, chosen, shares):
    """The mean deviation of the splits' shares of a class from those wanted."""
    given = np.array([counts[chosen == split].sum(axis=0) for split in range(len(shares))]) / counts.sum(axis=0)
    return np.abs(given - shares[:, None]).mean()


def test_it_comes_nearer_to_the_sizes_than_stratified_group_k_fold():
    ours, theirs, shares = [], [], np.array([0.75, 0.25])
    for seed in range(6):
        counts = patients(seed)
        chosen = spread(counts, shares[:, None] * counts.sum(axis=0), np.random.default_rng(seed))
        ours.append(distance(counts, chosen, shares))
        labels = np.concatenate([np.repeat([0, 1], row) for row in counts])
        groups = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
        fold = next(StratifiedGroupKFold(4, shuffle=True, random_state=seed).split(labels, labels, groups))[1]
        theirs.append(distance(counts, np.isin(np.arange(len(counts)), groups[fold]).astype(int), shares))
    assert max(ours) < 0.005 and np.mean(ours) < np.mean(theirs) / 3


def test_equal_seeds_give_equal_splits_and_others_give_others():
    counts = patients(0)
    target = SHARES[:, None] * counts.sum(axis=0)
    first, again, other = (spread(counts, target, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_rare_class_is_in_every_split_where_it_has_a_group_for_each():
    counts = np.stack([np.full(40, 9), np.array([1] * 3 + [0] * 37)], axis=1)
    for seed in range(5):
        chosen = spread(counts, SHARES[:, None] * counts.sum(axis=0), np.random.default_rng(seed))
        assert sorted(chosen[:3]) == [0, 1, 2]


def test_one_group_goes_to_one_split():
    assert spread(np.array([[5, 5]]), SHARES[:, None] * [[5, 5]], np.random.default_rng(1)).tolist() == [0]
