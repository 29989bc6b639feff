"""Whether test images come from elsewhere: a classifier that tells them from training images by their features."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.artifacts.manifest import Manifest
from headstart.base.progress import track
from headstart.base.streams import rng

FOLDS, FEWEST, MOST = 5, 20, 1000  # images of a class in each split: those that it takes, and those that are looked at
WARN = 0.8  # the area from which on the splits differ; of splits at random it is about 0.5, up to 0.65 in small classes
STRENGTH = 1e-3  # scikit-learn's C: with more features than images a weak penalty would tell anything from anything


def areas(features: np.ndarray, table: Manifest, seed: int) -> dict[str, float]:
    """Return, of each class with `FEWEST` images in both splits, the area under the ROC curve of test against training.

    features: float32 (n, c), pooled, in the order of the manifest. The area is cross-validated: 0.5 where the images
    cannot be told apart, 1 where each can. Of more than `MOST` images so many are drawn by `seed`.
    """
    found = {}
    for label, name in enumerate(track(table.classes, "comparing the splits", unit="class")):
        parts = [_drawn(table, label, split, seed) for split in ("train", "test")]
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


def _drawn(table: Manifest, label: int, split: str, seed: int) -> np.ndarray:
    rows = np.flatnonzero((table.labels == label) & (table.splits == split))
    if len(rows) <= MOST:
        return rows
    return np.sort(rng(seed, "inspection", 2 * label + (split == "test")).permutation(rows)[:MOST])
