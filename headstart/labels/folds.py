"""How images are dealt out to folds for cross-validation: evenly class by class, by a seed, each group to one fold."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.base.terminal import say
from headstart.labels.layouts import Item


def deal_folds(groups: list[list[Item]], settings: Split) -> dict[str, int]:
    """Return the fold of each image, from 1 to `settings.folds`, by path; the images of a group go to one fold.

    Empty where `settings.folds` is null. An image that the publisher gives for tests goes to no fold: it stays a test
    of what was chosen by cross-validation. Equal arguments give equal folds; `settings.seed` draws others.

    Raises UserError where a class has too few images for the folds.
    """
    count = settings.folds
    if count is None:
        return {}
    pool = [(number, item) for number, group in enumerate(groups) for item in group if item.split != "test"]
    if not pool:
        raise UserError("split.folds: all images are in the publisher's test split, so no fold would have any")
    numbers, labels = np.array([number for number, _ in pool]), np.array([item.label for _, item in pool])
    _refuse_small_class(labels, numbers, count)
    folds = np.zeros(len(pool), int)
    dealer = StratifiedGroupKFold(count, shuffle=True, random_state=settings.seed)
    for fold, (_, rows) in enumerate(dealer.split(labels, labels, numbers), 1):
        folds[rows] = fold
    for name in np.unique(labels):
        # One tests and one validates: with a third there is one to train on, whichever these are.
        if len(set(folds[labels == name])) < 3:
            raise UserError(
                f"split.folds: got {count}, but the groups with images of class {name} go to fewer than 3 folds: "
                "set another split.seed, or smaller groups"
            )
    sizes, left = np.bincount(folds)[1:], sum(map(len, groups)) - len(pool)
    published = f"; the publisher's test split ({wording.count(left, 'image')}) is in none" if left else ""
    say(f"{count} folds of {sizes.min():,} to {sizes.max():,} images{published}")
    return {item.path: int(fold) for (_, item), fold in zip(pool, folds, strict=True)}


def _refuse_small_class(labels: np.ndarray, numbers: np.ndarray, count: int) -> None:
    wholes = {str(name): len(set(numbers[labels == name])) for name in np.unique(labels)}
    smallest = min(wholes, key=lambda name: (wholes[name], name))
    if wholes[smallest] < count:
        number = int((labels == smallest).sum())
        images, groups = wording.count(number, "image"), wording.count(wholes[smallest], "group")
        together = f" in {groups} that stay together" if wholes[smallest] < number else ""
        lower = f"lower it to {wholes[smallest]}" if wholes[smallest] >= 3 else "leave the class out"
        raise UserError(
            f"split.folds: got {count}, but class {smallest} has {images}{together}, not one for each fold: "
            f"add images, or {lower}"
        )
