"""The labelled images of a source: labels from folders and file names, and the split that their publisher fixed."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts.dataset import LeftOut, by_reason
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import classes, tables
from headstart.labels.annotations import Annotation
from headstart.labels.published import publisher_splits, split_of

# Patterns that have a name of their own, each with an example.
_NAMED = {"prefix": (r"(?P<label>[^.]*)\..*", "cat.17.jpg")}


class Item(NamedTuple):
    """An image of the source: its path there, the name of its class, and its publisher's split, if it has one.

    weight, probabilities: as in `annotations.Annotation`.
    """

    path: str
    label: str
    split: str | None
    weight: float | None = None
    probabilities: Mapping[str, float] | None = None


def find_images(source: Source, dataset: Any) -> tuple[list[Item], list[LeftOut]]:
    """Return the labelled images of a source, and the files that are left out; both sorted by path.

    dataset: `path`, `labels`, `classes`, `pattern`, `table` and `group` of the section of that name in params.yaml. An
    image's label is, by `labels`:

    - `folders`: the name of the folder that it is in; the folders above that one name a split, or hold all images. A
      folder of images that has the name of a split is a class where folders of classes lie beside it (`_unlabelled`).
      Where `group` is a level of the folders, the folder at that level is none of them,
    - `prefix`: what its name has before the first full stop, as in cat.17.jpg,
    - `pattern`: the group `label` of the regular expression `pattern`, which has to match its name, or, if it has a
      slash, its path, as a whole but for the ending,
    - `table`: what a table in the source gives for it.

    Folders named train, validation and test or the like (`published`), above the image, are its publisher's split, and
    of several tables their names, such as train.csv, and of a table with a column of them (`table.split`) its rows in
    their place; where the source has only one of the three, or just one class in train, there is no such split.

    Labels are composed Unicode (NFC) without spaces at the ends. What was unified, matched, without an image or looks
    like a mask is said in a printed line each.

    Raises UserError where no image has a label, for a table that is not as described, for an image whose class could be
    either of two nested folders, and for a publisher's split without train.
    """
    if dataset.labels == "table":
        annotations, left_out = tables.read_labels(source, dataset.table, dataset.classes)
    else:
        labels, left_out = _labels_in_names(source, dataset)
        annotations = {path: Annotation(label) for path, label in labels.items()}
    labels = classes.unify({path: annotation.label for path, annotation in annotations.items()})
    level = dataset.group.folder if dataset.group else None
    above = {path: _above_class(path, level) if dataset.labels == "folders" else _above(path) for path in labels}
    rows_say = dataset.labels == "table" and dataset.table.split is not None
    above = {path: [] for path in labels} if rows_say else above  # folders then say no split
    above |= {path: [annotation.split] for path, annotation in annotations.items() if annotation.split}
    splits, outside = publisher_splits(above, "rows of the splits" if rows_say else "folders or tables named")
    _say_one_split(dataset.table.split if rows_say else None, annotations, splits)
    left_out = sorted(left_out + outside)
    if not (splits := _without_anomalies(splits, labels)):
        reason = "".join(f"; {commonest[0].path}: {commonest[0].reason}" for commonest in by_reason(left_out)[:1])
        raise UserError(
            f"no labelled images in {dataset.path} ({wording.count(len(source.names()), 'file')}{reason}): "
            f"check dataset.path and dataset.{dataset.labels if dataset.labels in ('pattern', 'table') else 'labels'}"
        )
    if dataset.labels != "table":
        _say_masks(splits)
    return [
        Item(path, labels[path], splits[path], annotations[path].weight, annotations[path].probabilities)
        for path in sorted(splits)
    ], left_out


def _say_masks(paths: Iterable[str]) -> None:
    if masks := finding.masks(paths):
        mask, image = min(masks.items())
        number = wording.count(len(masks), "image")
        say(
            f"{number} may be masks of others by their names, such as {mask} of {image}: if so, "
            "take them out of the source; they are used as all others are"
        )


def _say_one_split(
    column: str | int | None, annotations: Mapping[str, Annotation], splits: Mapping[str, str | None]
) -> None:
    """Print a line where a column of splits fixes none."""
    if column is None or None not in splits.values():
        return
    said = sorted({annotation.split for annotation in annotations.values()} - {None}) or ["nothing"]
    say(f"The column {column} says {said[0]} alone of the images that have a label: all of them are dealt out")


def _without_anomalies(splits: dict[str, str | None], labels: Mapping[str, str]) -> dict[str, str | None]:
    """The splits by path, None throughout where training has one class of several: by these, nothing can be trained."""
    trained = {labels[path] for path, split in splits.items() if split == "train"}
    if len(trained) != 1 or len({labels[path] for path in splits}) == 1:
        return splits
    say(
        f"All images in train/ are of one class, {min(trained)}, as for finding what is unlike it: the folders of "
        "splits are passed over, and the images of all of them dealt out"
    )
    return dict.fromkeys(splits)


def numbers(items: list[Item], classes: list[str]) -> dict[str, np.ndarray | None]:
    """Return the fields `weights` and `probabilities` of a manifest of these images; None where they have none."""
    weights, probabilities = [item.weight for item in items], None
    if items and items[0].probabilities:
        probabilities = np.array([[item.probabilities.get(name, 0.0) for name in classes] for item in items], "float32")
    return {
        "weights": np.array(weights, "float32") if None not in weights else None,
        "probabilities": probabilities,
    }


def folder_at(path: str, level: int) -> str | None:
    """The name of the folder at that level above an image, None where there is none; 0: the outermost, -1: its own."""
    folders = _above(path)
    return folders[level] if -len(folders) <= level < len(folders) else None


def _labels_in_names(source: Source, dataset: Any) -> tuple[dict[str, str], list[LeftOut]]:
    layout, level = dataset.labels, dataset.group.folder if dataset.group else None
    expression, example = _NAMED.get(layout, (dataset.pattern, ""))
    pattern = re.compile(expression or "")
    labels, left_out = {}, []
    images = finding.images(source)
    splits = _unlabelled(images, level, dataset.classes) if layout == "folders" else set()
    for path in source.names():
        folders = _folders(path, level)
        if path not in images:
            left_out.append(LeftOut(path, finding.why_not(path)))
        elif tuple(folders) in splits:
            left_out.append(LeftOut(path, f"directly in {folders[-1]}, the name of a split and not of a class"))
        elif layout == "folders" and folders:
            labels[path] = folders[-1]
        elif layout == "folders":
            left_out.append(LeftOut(path, "not in the folder of a class (dataset.labels: folders)"))
        elif (found := pattern.fullmatch(_whole(pattern, path))) and found["label"]:
            labels[path] = found["label"]
        elif example:
            left_out.append(LeftOut(path, f"no class in its name, as in {example} (dataset.labels: {layout})"))
        else:
            left_out.append(LeftOut(path, f"dataset.pattern does not match {_whole(pattern, path)}"))
    if layout == "folders":
        _refuse_nested(labels, level)
        classes.say_folders_without_images(source, images, labels)
    return labels, left_out


def _whole(pattern: re.Pattern, path: str) -> str:
    """What a pattern has to match as a whole: the path, or, if it has no slash, the name; both without the ending."""
    return finding.without_ending(path) if "/" in pattern.pattern else finding.stem(path)


def _above(path: str) -> list[str]:
    return [part for part in path.split("/")[:-1] if part]  # PurePosixPath takes ten times as long


def _folders(path: str, level: int | None) -> list[str]:
    """The folders above an image, without the one at `level`, which is its group's."""
    folders = _above(path)
    if level is not None and folder_at(path, level) is not None:
        del folders[level]
    return folders


def _above_class(path: str, level: int | None) -> list[str]:
    """The folders above an image, without the one of its class; level: of the group's folder, which is not that one."""
    folders = _above(path)
    own_group = folder_at(path, -1) is not None and level in (-1, len(folders) - 1)
    del folders[-2 if own_group else -1]
    return folders


def _unlabelled(images: Iterable[str], level: int | None, names: Sequence[str] | None) -> set[tuple[str, ...]]:
    """The folders that hold images directly and are named as splits, not as classes.

    names: `dataset.classes`; where it is None, such a folder is taken for a class if folders of other classes lie
    beside it, unless a split beside it holds folders of classes, as train/cats does. Raises UserError where there are
    several of them, train among these, since images of all splits in one folder each may be meant, or classes.
    """
    beside, splits = defaultdict(set), set()
    for folders in {tuple(_folders(path, level)) for path in images} - {()}:
        beside[folders[:-1]].add(folders[-1])
        splits |= {folders[: end - 1] for end in range(1, len(folders)) if split_of(folders[end - 1])}
    unlabelled = set()
    for parent, children in sorted(beside.items()):
        named = sorted(filter(split_of, children))
        others = sorted(children - set(named))
        if names is not None:
            named = [name for name in named if classes.clean(name) not in map(classes.clean, names)]
        elif others and parent not in splits:
            if len(kinds := set(map(split_of, named))) > 1 and "train" in kinds:
                raise UserError(
                    f"the folders {' and '.join(named)} hold images directly, and are read as the names of splits, but "
                    f"folders of classes are beside them, such as {others[0]}: name all classes in dataset.classes, "
                    "with these or without them"
                )
            continue
        unlabelled |= {(*parent, name) for name in named}
    return unlabelled


def _refuse_nested(paths: Iterable[str], level: int | None) -> None:
    """Raise UserError where images are in folders inside each other, so that either could be their class."""
    folders_by_path = {}
    for path in paths:
        *above, name = _folders(path, level)
        folders_by_path[path] = [*(part for part in above if not split_of(part)), name]
    root = posixpath.commonprefix(list(folders_by_path.values()))
    if root in folders_by_path.values():  # images are in it, so it is a class and not the folder that holds them
        root = root[:-1]
    for path, folders in folders_by_path.items():
        if len(nested := folders[len(root) :]) > 1:
            raise UserError(
                f"{path} is {len(nested)} folders deep, so that its class could be {' or '.join(nested)} "
                "(dataset.labels: folders): put the images of each class directly into one folder of its name, "
                "set dataset.labels to pattern, such as (.*/)?(?P<label>[^/]+)/[^/]+ for the inner one, or set "
                "dataset.group to the level of the other one, such as {folder: -1}"
            )
