"""The manifest, made of images that are dealt out."""

from collections.abc import Mapping, Sequence

import numpy as np

from headstart.artifacts.manifest import NOT_DEALT, Manifest
from headstart.labels import layouts
from headstart.labels.layouts import Item


def manifest_of(
    items: Sequence[Item],
    classes: list[str],
    splits: Mapping[str, str],
    folds: Mapping[str, int],
    hashes: Mapping[str, str],
    groups: Mapping[str, str],
) -> Manifest:
    """Return the manifest of the images that have a split or a fold, in the order of `items`.

    splits, folds, hashes (of the pixels), groups: by the images' paths; without folds, `folds` is empty.
    """
    used = [item for item in items if item.path in splits or item.path in folds]
    indices = {name: index for index, name in enumerate(classes)}
    return Manifest(
        classes=classes,
        paths=[item.path for item in used],
        labels=np.array([indices[item.label] for item in used], np.int64),
        splits=np.array([splits.get(item.path, NOT_DEALT) for item in used]),
        sha256=[hashes[item.path] for item in used],
        groups=np.array([groups[item.path] for item in used]),
        folds=np.array([folds.get(item.path, 0) for item in used], np.int64) if folds else None,
        **layouts.numbers(used, classes),
    )
