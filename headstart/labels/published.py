"""The split that a source's publisher fixed, by folders such as train/, val/ and test/."""

import re
from collections.abc import Iterable, Mapping, Sequence

from headstart.artifacts.dataset import LeftOut
from headstart.base.errors import UserError

# What folders of a split are called, without case, signs, numbers and what they hold: Training Set, test1, train_mini.
_NAMES = {
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("validation", "validate", "valid", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}
_HELD = re.compile("(set|data|images?|imgs?|photos?|split|folder|mini|another)$")
_YES = {word: yes for yes, words in ((True, "1 1.0 true yes"), (False, "0 0.0 false no")) for word in words.split()}


def split_of(folder: str) -> str | None:
    """The split that a folder's name stands for: train, validation, test, or None."""
    name = re.sub(r"[\s_-]+|([0-9]{1,2}|(19|20)[0-9]{2})$", "", folder.lower())
    return _SPLITS.get(name) or _SPLITS.get(_HELD.sub("", name))


def split_of_table(path: str) -> str | None:
    """The split that a table is of by its name, or by its folder's: `val_labels.csv`, `valid/_classes.csv`; or None."""
    *folders, name = path.split("/")
    words = re.split(r"[\W_]+", name.rpartition(".")[0] or name)
    return next(filter(None, map(split_of, [*words, *reversed(folders)])), None)


def split_of_cell(column: str, cell: str) -> str | None:
    """The split that a cell of a table stands for: by its own text, or, yes or no, by the name of its column; or None.

    column: of `is_train`, `is_test`, `val` and the like, 1, true and yes are that split. 0, false and no are the other
    one: test where it is train, else train.
    """
    of = _split_of_marks(column)
    if of is None or (yes := _YES.get(cell.lower())) is None:
        return split_of(cell)
    return of if yes else "test" if of == "train" else "train"


def are_marks(column: str, cells: Iterable[str]) -> bool:
    """Whether a column says of each image whether it is of one split: 1 and 0 or the like, as of `is_train`."""
    kinds = set(map(str.lower, cells))
    return _split_of_marks(column) is not None and bool(kinds) and kinds <= _YES.keys()


def _split_of_marks(column: str) -> str | None:
    """The split that yes in a column of that name stands for."""
    return split_of(re.sub(r"(?i)^is[\s_-]*", "", column))


def publisher_splits(
    folders: Mapping[str, Sequence[str]], told: str = "folders or tables named"
) -> tuple[dict[str, str | None], list[LeftOut]]:
    """Return each image's split by path, None throughout where the publisher fixed none; and the images outside of it.

    folders: those above each image that may name a split, the outermost first; by the image's path. told: what they
    are, for messages.

    Raises UserError where there are two splits, and neither is train.
    """
    splits = {path: next(filter(None, map(split_of, reversed(above))), None) for path, above in folders.items()}
    names = set(splits.values()) - {None}
    if len(names) < 2:
        return dict.fromkeys(splits), []
    if "train" not in names:
        raise UserError(f"the source has {told} {' and '.join(sorted(names))}, but none is named train: add it")
    reason = f"outside the source's own {', '.join(sorted(names))}"
    outside = [LeftOut(path, reason) for path, split in splits.items() if split is None]
    return {path: split for path, split in splits.items() if split}, outside
