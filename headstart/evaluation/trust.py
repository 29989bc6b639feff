"""What `evaluate` reports: the scores of each model, and how far the delivered one can be relied on.

Is it as sure as it is right, what does its rule reach, what does it leave open?

Intervals are of 95 %: Wilson's for shares of images that are independent of each other; else by a bootstrap over groups
(each is drawn as a whole), since images that belong together are no independent evidence (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993). Of few groups all draws are much alike, and of one they are the same: there, it
is Wilson's interval of as many images as the groups are worth (`independent`). Every number is rounded to 6 decimals.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from headstart.artifacts import results
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions
from headstart.base.intervals import wilson
from headstart.base.streams import rng
from headstart.classifier import unlike
from headstart.classifier.details import Details, Rule
from headstart.evaluation import scores
from headstart.evaluation.curves import Curves, number

DRAWS = 500
BINS = 10  # of the reliability diagram, each with as many images
# Of 10 groups a bootstrap's interval of 95 % holds the truth some 90 times out of a hundred, of 5 some 85, of 2 some
# 60: its draws spread less than the groups do, and so few say little about that (Cameron, Gelbach and Miller, Review
# of Economics and Statistics 90, 2008).
FEW = 10


def measure(
    answers: Predictions, ranking: dict[str, Curves], table: Manifest, rows: np.ndarray, seed: int
) -> tuple[dict[str, dict], dict[str, dict]]:
    """The scores of each model (`scores.score`), and McNemar's test with the one before it (`scores.mcnemar`).

    answers, ranking: of the test images, `rows` of the manifest. Where images belong together, the interval of the
    accuracy is by the bootstrap over groups, not Wilson's, and the test is one of groups.
    """
    labels, predicted, values, classes = answers.labels, answers.predicted, answers.probabilities, answers.classes
    weighting, groups = (table.of(rows, "weights"), table.of(rows, "probabilities")), table.groups[rows]
    found = {name: scores.score(labels, values[name], classes, ranking[name], *weighting) for name in predicted}
    if len(np.unique(groups)) < len(groups):
        for name, guesses in predicted.items():
            found[name] |= share("accuracy", guesses == labels, groups, seed)
    pairs = {name: pair for name, pair in results.COMPARISONS.items() if predicted.keys() >= set(pair)}
    compared = {
        name: scores.mcnemar(labels, {model: predicted[model] for model in pair}, groups)
        for name, pair in pairs.items()
    }
    return found, compared


def of_delivered(
    answers: Predictions, before: np.ndarray, features: np.ndarray, details: Details, groups: np.ndarray, seed: int
) -> dict[str, Any]:
    """What `results.TRUST` lists of the delivered model, but for what other modules measure.

    before: its probabilities before the temperature, (n, k); features: of the test images, (n, c).
    """
    labels, after, rule = answers.labels, answers.probabilities[list(answers.probabilities)[-1]], details.rule
    found = {
        "calibration": {
            "before": calibration(labels, before, groups, seed, by_chance=False),
            "after": calibration(labels, after, groups, seed),
        },
        "reliability": bins(labels, after),
        "decision": decided(labels, after, rule, answers.classes, groups, seed),
    }
    if rule.at_least is not None:
        found["possible"] = {"wanted": rule.coverage, **coverage(labels, rule.possible(after), groups, seed)}
    if details.known is not None:
        far = unlike.is_unlike(features, details.known)
        found["unlike"] = share("share", far, groups, seed)
    return found


def bins(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, float]]:
    """The reliability diagram: of images that are equally sure, how sure (confidence) and how often right (accuracy).

    labels: (n,) int. probabilities: (n, k) float. Returns at most `BINS`, from the least sure on, each with its images.
    Of images that are exactly as sure each counts as their mean: their order, by their names, says nothing.
    """
    return _bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def _bins(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    _, same = np.unique(confidence, return_inverse=True)
    right = (np.bincount(same, right) / np.bincount(same))[same]
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(BINS, len(right)))
    return [
        {
            "images": len(part),
            "confidence": number(confidence[part].mean()),
            "accuracy": number(right[part].mean()),
        }
        for part in parts
    ]


def calibration(
    labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, seed: int, by_chance: bool = True
) -> dict[str, float]:
    """Expected calibration error and Brier score with their intervals: ece, ece_low, ece_high, brier, …

    The calibration error is the mean over `bins` of the distance between confidence and accuracy, by their images
    (Nixon et al., Measuring Calibration in Deep Learning, 2019); the Brier score the mean squared error over the
    classes, from 0 to 2. ece_by_chance: what the calibration error would be on average if each image was right just
    as often as it is sure; without `by_chance` it is left out. It is above 0, the more so the fewer images there are
    (Bröcker and Smith, Increasing the Reliability of Reliability Diagrams, Weather and Forecasting 22, 2007).
    """
    errors = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return {
        **interval("ece", lambda rows: _ece(bins(labels[rows], probabilities[rows])), groups, seed, biased=True),
        **({"ece_by_chance": number(_by_chance(probabilities.max(axis=1), seed))} if by_chance else {}),
        **interval("brier", lambda rows: errors[rows].mean(), groups, seed, most=2),
    }


def decided(
    labels: np.ndarray, probabilities: np.ndarray, rule: Rule, classes: list[str], groups: np.ndarray, seed: int
) -> dict[str, Any]:
    """What the rule of a classifier reaches: goal, accuracy, and of the class that it is about recall and precision.

    Each with its interval; what is not defined, as precision where the class is never predicted, is None.
    """
    guesses = rule.predicted(probabilities)
    found = {"goal": rule.goal, **share("accuracy", guesses == labels, groups, seed)}
    if rule.goal == "balanced_accuracy":
        found |= balanced_accuracy(labels, guesses, groups, seed)
    if rule.of is not None:
        index = classes.index(rule.of)
        truth, taken = labels == index, guesses == index
        found |= {"of": rule.of, "threshold": rule.threshold}
        found |= share("recall", taken[truth], groups[truth], seed)
        found |= share("precision", truth[taken], groups[taken], seed)
    return found


def by_class(
    labels: np.ndarray, guesses: np.ndarray, classes: list[str], groups: np.ndarray, seed: int
) -> dict[str, dict[str, Any]]:
    """Of each class images, predicted (how often it is), recall and precision, each with its interval.

    labels, guesses: (n,) int, true and predicted. What is not defined is None.
    """
    found = {}
    for index, name in enumerate(classes):
        truth, taken = labels == index, guesses == index
        found[name] = {"images": int(truth.sum()), "predicted": int(taken.sum())}
        found[name] |= share("recall", taken[truth], groups[truth], seed)
        found[name] |= share("precision", truth[taken], groups[taken], seed)
    return found


def balanced_accuracy(labels: np.ndarray, guesses: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float]:
    """The mean recall of the classes that have images, with its interval.

    The interval is made of those of the recalls, so that it is wide where just one class has few images (Zou and
    Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27, 2008).
    """
    ends = []
    for label in np.unique(labels):
        truth = labels == label
        ends.append(list(share("recall", guesses[truth] == label, groups[truth], seed).values()))
    recalls, low, high = np.transpose(ends)
    value, below, above = recalls.mean(), np.linalg.norm(recalls - low), np.linalg.norm(high - recalls)
    return _numbers("balanced_accuracy", value, (value - below / len(recalls), value + above / len(recalls)))


def coverage(labels: np.ndarray, possible: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float]:
    """How often the true class is among those that remain possible, with its interval; and how often one remains alone.

    possible: bool (n, k).
    """
    kept = possible[np.arange(len(labels)), labels]
    return {
        **share("coverage", kept, groups, seed),
        "one_class": number((possible.sum(axis=1) == 1).mean()),
    }


def share(name: str, counts: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float | None]:
    """NAME, NAME_low and NAME_high: the share of the images that count, bool (n,), and its interval.

    All None where there is no image. groups: as `interval` takes them; where each image is one, or none of the images
    counts, or all do, which tells a bootstrap nothing, the interval is Wilson's.
    """
    if not len(groups):
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    if len(np.unique(groups)) == len(groups) or counts.all() or not counts.any():
        return _numbers(name, counts.mean(), wilson(counts.mean(), independent(groups)))
    # As `interval` does it, for all draws at once: of a thousand classes each has two shares.
    return _interval(name, counts.mean(), lambda: _drawn_shares(counts, groups, seed), independent(groups))


def interval(
    name: str,
    of: Callable[[np.ndarray], float],
    groups: np.ndarray,
    seed: int,
    biased: bool = False,
    most: float = 1.0,
) -> dict[str, float]:
    """NAME, NAME_low and NAME_high: what `of` gives for all images, given by their rows, and its interval.

    groups: (n,), equal for images that belong together. biased: `of` is larger, the fewer different images there are,
    and so are the draws, which have some of them twice; their mean is then taken to the value, and nothing is below 0.
    most: `of` is from 0 to it. Where the images are worth fewer than `FEW` groups, or the draws do not spread around
    the value, the interval is Wilson's, as if the value was a share of `most`: no mean of such numbers spreads more.
    """
    value = of(np.arange(len(groups)))
    return _interval(name, value, lambda: _drawn(of, groups, seed), independent(groups), biased, most)


def independent(groups: np.ndarray) -> float:
    """How many independent images those of the groups are worth: as many as there are groups of the same size.

    Of groups of different sizes fewer, since the largest make most of the result (Kish, Survey Sampling, 1965).
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _interval(
    name: str, value: float, draw: Callable[[], np.ndarray], worth: float, biased: bool = False, most: float = 1.0
) -> dict[str, float]:
    if worth >= FEW:
        values = draw()
        low, high = np.quantile(values, (0.025, 0.975))
        if biased:
            low, high = (max(0.0, end + value - np.mean(values)) for end in (low, high))
        if low <= value <= high and low < high:
            return _numbers(name, value, (low, high))
    low, high = wilson(value / most, worth)
    return _numbers(name, value, (low * most, high * most))


def _drawn(of: Callable[[np.ndarray], float], groups: np.ndarray, seed: int) -> np.ndarray:
    """What `of` gives for each draw of as many groups as there are: float64 (DRAWS,)."""
    _, names = np.unique(groups, return_inverse=True)
    order, sizes = np.argsort(names, kind="stable"), np.bincount(names)
    starts, draws, values = np.cumsum(sizes) - sizes, rng(seed, "bootstrap", 0), []
    for _ in range(DRAWS):  # one by one: of many groups all draws together would be gigabytes
        drawn = draws.integers(len(sizes), size=len(sizes))
        counts = sizes[drawn]
        shifts = starts[drawn] - np.cumsum(counts) + counts
        values.append(of(order[np.repeat(shifts, counts) + np.arange(counts.sum())]))
    return np.array(values)


def _drawn_shares(counts: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """The same for the share of the images that count."""
    _, names = np.unique(groups, return_inverse=True)
    sizes, hits, draws = np.bincount(names), np.bincount(names, counts), rng(seed, "bootstrap", 0)
    rows, values = max(1, 100_000 // len(sizes)), []
    for start in range(0, DRAWS, rows):
        drawn = draws.integers(len(sizes), size=(min(rows, DRAWS - start), len(sizes)))
        values.append(hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(values)


def _numbers(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(number, (value, *ends)), strict=True))


def _ece(parts: list[dict[str, float]]) -> float:
    apart = [part["images"] * abs(part["confidence"] - part["accuracy"]) for part in parts]
    return sum(apart) / sum(part["images"] for part in parts)


def _by_chance(confidence: np.ndarray, seed: int) -> float:
    draws = rng(seed, "calibration by chance", 0)
    errors = [_ece(_bins(confidence, draws.random(len(confidence)) < confidence)) for _ in range(DRAWS // 5)]
    return float(np.mean(errors))
