"""How groups that have images of several classes are spread over splits, so that each split gets its share of each."""

import numpy as np

ORDERS = 32  # at most, that are tried
PLACEMENTS = 20_000  # at most, in all orders together, before those of one order
PASSES = 10  # over the groups of one order, to move them


def spread(counts: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the split of each group: int64 (n,), from 0 to k - 1.

    counts: int (n, classes), the images of each group. target: float (k, classes), those that each split should get.

    In an order drawn by `rng` each group goes to the split that comes nearest to its target by it; then groups are
    moved as long as that helps. Of several such orders the nearest one counts. The distance is the sum, over splits and
    classes, of the squares of what is missing or too much, as a share of the class; and 1 for each class that a split
    should have and does not.
    """
    weights = 1 / np.maximum(1, counts.sum(axis=0)) ** 2
    best, least = np.zeros(len(counts), np.int64), np.inf
    for _ in range(max(1, min(ORDERS, PLACEMENTS // max(1, len(counts))))):
        chosen, distance = _spread_once(counts, target, weights, rng.permutation(len(counts)))
        if distance < least - 1e-12:
            best, least = chosen, distance
    return best


def _spread_once(
    counts: np.ndarray, target: np.ndarray, weights: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, float]:
    chosen = np.full(len(counts), -1)
    have = np.zeros_like(target)
    for _ in range(PASSES):
        before = chosen.copy()
        for index in order:
            group, now = counts[index], chosen[index]
            if now >= 0:
                have[now] -= group
            lacking = (have == 0) & (target > 0)
            change = 2 * (have - target) @ (weights * group) - lacking @ (group > 0)
            split = int(change.argmin())
            # Without a gain nothing moves, or it would go on forever.
            chosen[index] = split = now if now >= 0 and change[now] <= change[split] + 1e-12 else split
            have[split] += group
        if (chosen == before).all():
            break
    distance = (weights * (have - target) ** 2).sum() + ((have == 0) & (target > 0)).sum()
    return chosen, float(distance)
