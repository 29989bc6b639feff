"""Whether test images come from elsewhere: a classifier that tells them from training images by their features."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from headstart.artifacts.manifest import Manifest
from headstart.base.progress import track
from headstart.base.streams import rng
from headstart.base.terminal import say

FOLDS, FEWEST, MOST = 5, 20, 1000  # images of a class in each split: those that it takes, and those that are looked at
# Images of all classes together in each split, so that a thousand classes take two minutes; `LEAST` of a class, however
# many classes there are: by so many an area of splits at random is 0.5 ± 0.08.
ALL, LEAST = 50_000, 100
WARN = 0.8  # the area from which on the splits differ; of splits at random it is about 0.5, up to 0.65 in small classes
STRENGTH = 1e-3  # scikit-learn's C: with more features than images a weak penalty would tell anything from anything


# As in `logistic.solve`: with the threads of BLAS a small class takes ten times as long.
@threadpool_limits.wrap(limits=1)
def areas(features: np.ndarray, table: Manifest, seed: int) -> dict[str, float]:
    """Return, of each class with `FEWEST` images in both splits, the area under the ROC curve of test against training.

    features: float32 (n, c), pooled, in the order of the manifest. The area is cross-validated: 0.5 where the images
    cannot be told apart, 1 where each can. Of more than `MOST` images so many are drawn by `seed`; of more than 50
    classes fewer (`ALL`, `LEAST`), which is said.
    """
    found, most = {}, max(LEAST, min(MOST, ALL // len(table.classes)))
    splits = [table.rows(split) for split in ("train", "test")]
    if most < MOST and max(np.bincount(table.labels[rows]).max(initial=0) for rows in splits) > most:
        say(f"comparing the splits of {len(table.classes):,} classes: by {most:,} images of each in a split, not all")
    for label, name in enumerate(track(table.classes, "comparing the splits", unit="class")):
        parts = [_drawn(rows, table.labels, label, number, most, seed) for number, rows in enumerate(splits)]
        if min(map(len, parts)) < FEWEST:
            continue
        rows, is_test = np.concatenate(parts), np.repeat([0, 1], list(map(len, parts)))
        groups = table.groups[rows]
        count = min(FOLDS, *(len(np.unique(groups[is_test == part])) for part in (0, 1)))
        if count < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
        dealt = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        scores = cross_val_predict(model, features[rows], is_test, groups=groups, cv=dealt, method="decision_function")
        found[name] = float(roc_auc_score(is_test, scores))
    return found


def _drawn(rows: np.ndarray, labels: np.ndarray, label: int, split: int, most: int, seed: int) -> np.ndarray:
    """Of the rows of a split, 0 for training and 1 for test, those of a class, at most so many."""
    mine = rows[labels[rows] == label]
    if len(mine) <= most:
        return mine
    return np.sort(rng(seed, "inspection", 2 * label + split).permutation(mine)[:most])
