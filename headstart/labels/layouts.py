"""The labelled images of a source: labels from folders and file names, and the split that their publisher fixed."""

import posixpath
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import tables

# A folder of one of these names says which split the publisher put the images below it in.
_SPLIT_FOLDERS = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
_SPLIT_FOLDERS |= {"training": "train", "testing": "test"}


class Item(NamedTuple):
    """An image of the source: its path there, the name of its class, and its publisher's split, if it has one."""

    path: str
    label: str
    split: str | None


def find_images(source: Source, dataset: Any) -> tuple[list[Item], list[LeftOut]]:
    """Return the labelled images of a source, and the files that are left out; both sorted by path.

    dataset: `path`, `labels`, `table` and `group` of the section of that name in params.yaml. An image's label is, by
    `labels`:

    - `folders`: the name of the folder that it is in; the folders above that one name a split, or hold all images.
      Where `group` is a level of the folders, the folder at that level is none of them,
    - `prefix`: what its name has before the first full stop, as in cat.17.jpg,
    - `table`: what a table in the source gives for it.

    Folders named train (training), validation (val, valid) and test (testing), above the image, are its publisher's
    split; where the source has only one of the three, there is no such split.

    Raises UserError where no image has a label, for a table that is not as described, for an image whose class could be
    either of two nested folders, and for a publisher's split without train.
    """
    if dataset.labels == "table":
        labels, left_out = tables.read_labels(source, dataset.table)
    else:
        level = dataset.group.folder if dataset.group else None
        labels, left_out = _labels_in_names(source, dataset.labels, level)
    splits, outside = _publisher_splits(labels)
    left_out = sorted(left_out + outside)
    if not splits:
        reason = f"; {left_out[0].path}: {left_out[0].reason}" if left_out else ""
        raise UserError(
            f"no labelled images in {dataset.path} ({wording.count(len(source.names()), 'file')}{reason}): "
            "check dataset.path and dataset.labels"
        )
    return [Item(path, labels[path], splits[path]) for path in sorted(splits)], left_out


def order_classes(items: Iterable[Item], dataset: Any) -> list[str]:
    """Return the names of the classes in the order of their indices: that of `dataset.classes`; if null, alphabetical.

    dataset: `path` and `classes` of the section of that name in params.yaml. Raises UserError where `dataset.classes`
    does not name just the classes of the `items`, and where those are of one class only.
    """
    names = sorted({item.label for item in items})
    if dataset.classes is not None and sorted(dataset.classes) != names:
        hints = "".join(wording.did_you_mean(name, names) for name in dataset.classes if name not in names)
        raise UserError(
            f"dataset.classes names {', '.join(dataset.classes)}, but the source has {', '.join(names)}; {hints}"
            "name each of its classes once, or set dataset.classes to null"
        )
    if len(names) < 2:
        raise UserError(f"only one class in {dataset.path}, {names[0]}: two or more are needed; check dataset.labels")
    return list(dataset.classes or names)


def folder_at(path: str, level: int) -> str | None:
    """The name of the folder at that level above an image, None where there is none; 0: the outermost, -1: its own."""
    folders = PurePosixPath(path).parts[:-1]
    return folders[level] if -len(folders) <= level < len(folders) else None


def _labels_in_names(source: Source, layout: str, level: int | None) -> tuple[dict[str, str], list[LeftOut]]:
    labels, left_out, images = {}, [], finding.images(source)
    for path in source.names():
        folders, name = _folders(path, level), PurePosixPath(path).name
        folder = folders[-1] if folders else ""
        if path not in images:
            left_out.append(LeftOut(path, finding.why_not(path)))
        elif layout == "folders" and (not folder or folder.lower() in _SPLIT_FOLDERS):
            left_out.append(LeftOut(path, "not in the folder of a class (dataset.labels: folders)"))
        elif layout == "prefix" and name.count(".") < 2:
            left_out.append(LeftOut(path, "no class in its name, as in cat.17.jpg (dataset.labels: prefix)"))
        else:
            labels[path] = folder if layout == "folders" else name.partition(".")[0]
    if layout == "folders":
        _refuse_nested(labels, level)
    return labels, left_out


def _folders(path: str, level: int | None) -> list[str]:
    """The folders above an image, without the one at `level`, which is its group's."""
    folders = list(PurePosixPath(path).parts[:-1])
    if level is not None and folder_at(path, level) is not None:
        del folders[level]
    return folders


def _refuse_nested(paths: Iterable[str], level: int | None) -> None:
    """Raise UserError where images are in folders inside each other, so that either could be their class."""
    folders_by_path = {
        path: [part for part in _folders(path, level) if part.lower() not in _SPLIT_FOLDERS] for path in paths
    }
    root = posixpath.commonprefix(list(folders_by_path.values()))
    if root in folders_by_path.values():  # images are in it, so it is a class and not the folder that holds them
        root = root[:-1]
    for path, folders in folders_by_path.items():
        if len(nested := folders[len(root) :]) > 1:
            raise UserError(
                f"{path} is {len(nested)} folders deep, so that its class could be {' or '.join(nested)} "
                "(dataset.labels: folders): put the images of each class directly into one folder of its name, "
                "or set dataset.group to the level of the other one, such as {folder: -1}"
            )


def _publisher_splits(paths: Iterable[str]) -> tuple[dict[str, str | None], list[LeftOut]]:
    """Each image's split by path, None throughout where the publisher fixed none; and the images outside of it."""
    splits = {path: _publisher_split(path) for path in paths}
    names = set(splits.values()) - {None}
    if len(names) < 2:
        return dict.fromkeys(splits), []
    if "train" not in names:
        raise UserError(f"the source has the folders {' and '.join(sorted(names))}, but none is named train: add it")
    reason = f"outside the source's own {', '.join(sorted(names))}"
    outside = [LeftOut(path, reason) for path, split in splits.items() if split is None]
    return {path: split for path, split in splits.items() if split}, outside


def _publisher_split(path: str) -> str | None:
    splits = [_SPLIT_FOLDERS.get(folder.lower()) for folder in PurePosixPath(path).parts[:-1]]
    return next((split for split in reversed(splits) if split), None)
