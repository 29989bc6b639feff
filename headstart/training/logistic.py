"""The head as a logistic regression: solved rather than trained, with its strength chosen by cross-validation."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from headstart.artifacts.manifest import Manifest
from headstart.base import progress
from headstart.base.streams import rng
from headstart.base.terminal import say
from headstart.training import weighting

# scikit-learn's C, the variance of the weights' prior, from the strongest penalty to the weakest.
STRENGTHS = tuple(float(strength) for strength in 10.0 ** np.arange(-4, 2.5, 0.5))
FOLDS = 5
ENOUGH = 4000  # images that the strength is chosen on: C, unlike the loss, does not grow with their number
MOST = 16_384  # images, each of their views counted, that the regression is solved on: its memory grows with them
DEFAULT = 0.1  # where no two classes have more than a single image, and nothing can be left out


@dataclass(frozen=True)
class Solution:
    """Output weights for pooled features: `kernel` float64 (c, units), `bias` (units,); one unit for two classes.

    `strength`: scikit-learn's C; `standardised`: whether each feature was divided by its own deviation, rather than all
    by one; `loss`: cross-validated, in nats, None where there are no `folds`.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    standardised: bool
    loss: float | None

    @property
    def weights(self) -> list[np.ndarray]:
        """As Keras takes them."""
        return [self.kernel.astype("float32"), self.bias.astype("float32")]

    @property
    def facts(self) -> dict[str, Any]:
        """For the metrics."""
        return {"strength": self.strength, "standardised": self.standardised, "cross_validation": {"loss": self.loss}}


# The threads of BLAS wait for each other over matrices of this size, and take many times what one needs.
@threadpool_limits.wrap(limits=1)
def solve(
    features: np.ndarray,
    labels: np.ndarray,
    class_weights: str,
    seed: int,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
) -> Solution:
    """Returns the L2-regularised logistic regression whose strength and scaling have the lowest cross-validated loss.

    features: (n, c), pooled; or (n, V, c), of V views of each image, the first of which is the image as it is: a view
        weighs 1 / V, is left out with its image, and what is left out counts by the first view alone.
    labels: (n,) int, each of the classes 0 to k - 1 at least once.
    class_weights: `none`, or `balanced`, in the choice as in the solution.
    groups: str (n,), equal for images that no fold parts; default: each is its own.
    weights, probabilities: (n,) and (n, k), as the manifest has them. An image that may be of several classes counts as
        one of each, with its probability as its weight.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed. 2009, sections 4.4 and 7.10.
    """
    features = features.astype("float64").reshape(len(labels), -1, features.shape[-1])
    weights = weighting.of(labels, weights, class_weights)
    shares = np.eye(labels.max() + 1)[labels] if probabilities is None else probabilities.astype("float64")
    chosen = _sample(labels, ENOUGH, seed, "cross-validation")
    dealt = folds(labels[chosen], np.arange(len(chosen)) if groups is None else groups[chosen], seed)
    losses = {}
    for standardised in (False, True) if dealt else ():
        scaled = _scaled(features[chosen], standardised)[0]
        path, _ = _path(scaled, shares[chosen], weights[chosen], dealt, standardised)
        losses |= {(standardised, strength): loss for strength, loss in path.items()}
    if not losses:
        say(f"the head's penalty is not chosen: no folds leave two images, or groups, of two classes; C is {DEFAULT:g}")
    standardised, strength = choice = min(losses, key=losses.get) if losses else (False, DEFAULT)
    scaled, mean, deviation = _scaled(features, standardised)
    model = _fitted(_model(strength, tolerance=1e-4), scaled, shares, weights)
    kernel = model.coef_.T / deviation[:, None]
    return Solution(kernel, model.intercept_ - mean @ kernel, strength, standardised, losses.get(choice))


# As in `solve`.
@threadpool_limits.wrap(limits=1)
def out_of_fold(
    features: np.ndarray, rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> np.ndarray | None:
    """Returns what a regression that did not see an image, nor its group, says of it: float64 (n, k).

    None where there are no `folds`, or an image is outside of none.

    features: (N, c), pooled, of which the `rows` (n,) count. labels, groups: of these, as `folds` takes them. The
    strength is the one with the lowest loss, for features that are scaled by one number. Each regression is fitted on
    `MOST` images at most, of each class the same share.
    """
    classes = np.eye(labels.max() + 1)
    chosen = _sample(labels, ENOUGH, seed, "cross-validation")
    dealt, whole = folds(labels[chosen], groups[chosen], seed), folds(labels, groups, seed)
    if not dealt or sum(len(outer) for _, outer in whole) < len(labels):
        return None
    _, mean, deviation = _scaled(_views(features[rows[_sample(labels, MOST, seed, "regression")]]), False)

    def scaled(of: np.ndarray) -> np.ndarray:
        return (_views(features[rows[of]]) - mean) / deviation

    path, best = _path(scaled(chosen), classes[labels[chosen]], np.ones(len(chosen)), dealt, standardised=False)
    if len(chosen) == len(labels):
        return best
    strength = min(path, key=path.get)
    outside = np.zeros((len(labels), len(classes)))
    for inner, outer in progress.track(whole, "looking at the labels", unit="fold"):
        inner = inner[_sample(labels[inner], MOST, seed, "regression")]
        model = _fitted(_model(strength, tolerance=1e-3), scaled(inner), classes[labels[inner]], np.ones(len(inner)))
        for part in np.array_split(outer, -(-len(outer) // MOST)):
            outside[part] = model.predict_proba(scaled(part)[:, 0])
    return outside


def enough(table: Manifest, rows: np.ndarray, views: int, seed: int) -> np.ndarray:
    """Returns those of `rows`, ascending, that a regression is solved on: all, or of more than `MOST` a sample of them.

    Of each class it has the same share. views: of each image, which count. Said in one line where it is a sample.
    """
    chosen = rows[_sample(table.labels[rows], MOST // views, seed, "regression")]
    if len(chosen) < len(rows):
        say(f"the head is solved on {len(chosen):,} of {len(rows):,} images; head.solver: gradient trains it on all")
    return chosen


def of_rows(pooled: np.ndarray, table: Manifest, rows: np.ndarray, class_weights: str, seed: int) -> Solution:
    """Returns what `solve` does for `rows` of a manifest, whose pooled features are float (n, c) or (n, V, c)."""
    weights, probabilities = table.of(rows, "weights"), table.of(rows, "probabilities")
    return solve(pooled, table.labels[rows], class_weights, seed, table.groups[rows], weights, probabilities)


def _sample(labels: np.ndarray, most: int, seed: int, purpose: str) -> np.ndarray:
    """At most so many of the images or so, ascending, of each class the same share. purpose: of the random stream."""
    if len(labels) <= most:
        return np.arange(len(labels))
    drawn = []
    for label in np.unique(labels):
        pool = np.flatnonzero(labels == label)
        count = max(min(len(pool), 2), round(most * len(pool) / len(labels)))
        drawn.append(rng(seed, purpose, int(label)).permutation(pool)[:count])
    return np.sort(np.concatenate(drawn))


def folds(labels: np.ndarray, groups: np.ndarray, seed: int, most: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the images (inside, outside) of each fold: as many as most classes allow, `most` at most; or none.

    labels: (n,) int, each of the classes 0 to k - 1 at least once. groups: str (n,), equal for images that no fold
    parts. Each class is inside of every fold, so that a group is outside of none that has all images of one; outside a
    rarer class is of fewer folds. There are no folds where two classes are not left without such groups.
    """
    _, of = np.unique(groups, return_inverse=True)
    classes, owners = np.unique(np.stack([labels, of]), axis=1)
    counts = np.bincount(classes)  # of each class the groups
    rows = np.flatnonzero(~np.isin(of, owners[counts[classes] == 1]))
    left = np.unique(labels[rows])
    largest = min(most, np.bincount(labels[rows]).max(initial=0), len(np.unique(of[rows])))
    if len(left) < 2 or largest < 2:
        return []
    by = None if of.max() + 1 == len(groups) else of
    for count in [*range(min(largest, np.sort(counts[left])[len(left) // 2]), 1, -1), largest]:
        fold = _spread(labels, of, _dealt(labels, by, rows, count, seed))
        if not len(_lost(labels, fold)):
            parts = [fold == number for number in np.unique(fold[rows])]
            return [(np.flatnonzero(~part), np.flatnonzero(part)) for part in parts]
    return []


def _dealt(labels: np.ndarray, groups: np.ndarray | None, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """In which of so many folds each of `rows` is outside: int (n,); -1: in none. groups: int (n,); None: all alone."""
    fold, mine = np.full(len(labels), -1), labels[rows]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    parts = kind(count, shuffle=True, random_state=seed).split(mine, mine, groups if groups is None else groups[rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer images than there are folds
        for number, (_, outer) in enumerate(parts):
            fold[rows[outer]] = number
    return fold


def _lost(labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The classes that are not inside of a fold. fold: as `_dealt` returns it."""
    classes, folds = np.unique(np.stack([labels, fold]), axis=1)
    return classes[(np.bincount(classes)[classes] == 1) & (folds >= 0)]


def _spread(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The same folds, but for groups that are moved to others, until no class is lost or there is no way."""
    sizes, count = np.bincount(groups), fold.max() + 1
    for _ in range(2 * len(sizes)):
        if not len(lost := _lost(labels, fold)):
            break
        here = labels == lost[0]
        smallest = min(np.unique(groups[here]), key=sizes.__getitem__)
        others = [number for number in range(count) if number != fold[here][0]]
        moved = [np.where(groups == smallest, number, fold) for number in others]
        fold = min(moved, key=lambda one: len(_lost(labels, one)))
    return fold


def _views(features: np.ndarray) -> np.ndarray:
    """Features (n, c) of images without other views, as the rest takes them: float64 (n, 1, c)."""
    return features.astype("float64")[:, None]


def _scaled(features: np.ndarray, standardised: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred features (n, V, c) divided by their deviations (with `standardised`), or all by one; and both, (c,)."""
    flat = features.reshape(-1, features.shape[-1])
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    common = max(float(variance.mean()), 1e-12)
    # A feature that hardly varies is left small: dividing by next to nothing would make noise of it.
    deviation = np.sqrt(np.maximum(variance, 1e-4 * common)) if standardised else np.full_like(mean, common**0.5)
    return (features - mean) / deviation, mean, deviation


def _path(scaled, shares, weights, folds, standardised: bool) -> tuple[dict[float, float], np.ndarray]:
    """The cross-validated loss of each strength, from the strongest penalty on, until it rises.

    And the probabilities of the best of them, float64 (n, k): of many classes those of all would be gigabytes.
    """
    classes, found, best = np.arange(shares.shape[1]), {}, np.empty(0)
    images, labels, parts = _parted(shares, weights)
    seen = np.isin(images, np.concatenate([outer for _, outer in folds]))
    images, labels, parts = images[seen], labels[seen], parts[seen]
    models = [_model(STRENGTHS[0], tolerance=1e-3) for _ in folds]  # the loss is flat around its minimum
    name = "choosing the penalty" + (", standardised" if standardised else "")
    for strength in progress.track(STRENGTHS, name, unit="strength"):
        outside = np.zeros(shares.shape)
        for model, (inner, outer) in zip(models, folds, strict=True):
            _fitted(model.set_params(C=strength), scaled[inner], shares[inner], weights[inner])
            outside[outer] = model.predict_proba(scaled[outer, 0])
        loss = float(log_loss(labels, outside[images], labels=classes, sample_weight=parts))
        if loss > min(found.values(), default=loss):
            return found | {strength: loss}, best
        # Of equal ones the first is taken.
        best = best if loss in found.values() else outside
        found[strength] = loss
    return found, best


def _model(strength: float, tolerance: float) -> LogisticRegression:
    # Each strength starts where the one before it ended.
    return LogisticRegression(C=strength, warm_start=True, max_iter=1000, tol=tolerance)


def _parted(shares: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each image as one of every class that it can be of: its number, the class, and the weight of this part."""
    images, labels = np.nonzero(shares)
    return images, labels, weights[images] * shares[images, labels]


def _fitted(model: LogisticRegression, features, shares, weights) -> LogisticRegression:
    """On all views: features (n, V, c), shares (n, k), weights (n,)."""
    views, flat = features.shape[1], features.reshape(-1, features.shape[-1])
    rows, labels, parts = _parted(shares.repeat(views, axis=0), weights.repeat(views) / views)
    with warnings.catch_warnings():
        # The weakest penalties may need more steps; they are not the ones that are chosen. And of many classes with few
        # images each it asks whether they are classes.
        warnings.simplefilter("ignore", UserWarning)
        flat = flat if len(rows) == len(flat) else flat[rows]
        return model.fit(flat, labels, sample_weight=parts)
