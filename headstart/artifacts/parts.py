"""The parts of features that several backbones gave side by side, and features in which each part counts the same."""

from collections.abc import Sequence

import numpy as np


def split(features: np.ndarray, widths: Sequence[int]) -> list[np.ndarray]:
    """Returns the part of each backbone in features (n, c), as wide as `widths` says; with none of these all in one."""
    return np.split(features, np.cumsum(widths)[:-1], axis=1) if len(widths) else [features]


def even(features: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Returns features (n, c) of which each part counts the same in an angle: brought to length 1, float32.

    Else a backbone whose values are larger than another's decides alone. Of one backbone they stay as they are.
    """
    if len(widths) < 2:
        return features
    return np.concatenate([unit(part) for part in split(features, widths)], axis=1)


def unit(features: np.ndarray) -> np.ndarray:
    """Returns features (n, c) brought to length 1: float32."""
    features = features.astype("float32")
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
