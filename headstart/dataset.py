"""What an image's label is, and which images of a source have one."""

import csv
import difflib
import io
import posixpath
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from headstart import images
from headstart.archive import Source
from headstart.errors import UserError
from headstart.manifest import SPLITS
from headstart.params import Table

# What a folder may be called by which a publisher fixes the split of what lies under it.
_SPLIT_FOLDERS = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
_SPLIT_FOLDERS |= {"training": "train", "testing": "test"}


class Item(NamedTuple):
    """An image of the source: its path there, the name of its class, and its publisher's split, if it has one."""

    path: str
    label: str
    split: str | None


class LeftOut(NamedTuple):
    """A file that is not used, and why."""

    path: str
    reason: str


def find_images(source: Source, dataset: Any) -> tuple[list[Item], list[LeftOut]]:
    """The labelled images of a source, and the files that are not, with the reason; both sorted by path.

    `dataset` holds `labels` and `table` of params.yaml. The label is, where `labels` is

    - `folders`: the name of the folder that the image lies in; folders above it are those of a split, or of all images,
    - `prefix`: what stands before the first full stop in a name such as cat.17.jpg,
    - `table`: what a table in the source says of it.

    Folders named train (training), validation (val, valid) and test (testing), above the image, are its publisher's
    split; a single one of them divides nothing and says nothing. Raises `UserError` for a table that is not as
    described, and where an image lies so deep that two folders could be its class.
    """
    if dataset.labels == "table":
        labels, left_out = _by_table(source, dataset.table)
    else:
        labels, left_out = _by_name(source.names(), dataset.labels)
    splits = {path: _published_split(path) for path in labels}
    named = set(splits.values()) - {None}
    if len(named) < 2:
        splits = dict.fromkeys(labels)
    elif "train" not in named:
        raise UserError(f"the source has the folders {' and '.join(sorted(named))}, but none is named train: add it")
    else:
        # Beside a publisher's split, an image that is in none of its parts belongs nowhere.
        outside = [path for path in labels if splits[path] is None]
        left_out += [LeftOut(path, f"lies outside the source's own {', '.join(sorted(named))}") for path in outside]
        labels = {path: label for path, label in labels.items() if splits[path]}
    return [Item(path, labels[path], splits[path]) for path in sorted(labels)], sorted(left_out)


def order_classes(found: Iterable[str], given: list[str] | None) -> list[str]:
    """The classes in their order: alphabetical, or as `given`, which must name just those that were found."""
    found = sorted(set(found))
    if given is None:
        return found
    if sorted(given) != found:
        hints = [_did_you_mean(name, found) for name in given if name not in found]
        raise UserError(
            f"dataset.classes names {', '.join(given)}, but the source has {', '.join(found)}{''.join(hints)}: "
            "name each of its classes once, or set dataset.classes to null"
        )
    return list(given)


def _published_split(path: str) -> str | None:
    names = [_SPLIT_FOLDERS.get(part.lower()) for part in PurePosixPath(path).parts[:-1]]
    return next((name for name in reversed(names) if name), None)


def _folders(path: str) -> list[str]:
    """The folders above a file but for those that are named after a split."""
    return [part for part in PurePosixPath(path).parts[:-1] if part.lower() not in _SPLIT_FOLDERS]


def _refuse_nested(labels: dict[str, str]) -> None:
    folders = {path: _folders(path) for path in labels}
    root = posixpath.commonprefix(list(folders.values()))
    if root in folders.values():  # images lie in it, so it is a class and not what holds them
        root = root[:-1]
    for path, above in folders.items():
        if len(inside := above[len(root) :]) > 1:
            raise UserError(
                f"{path} lies {len(inside)} folders deep, so that its class could be {' or '.join(inside)} "
                "(dataset.labels: folders): put the images of each class directly into one folder of its name"
            )


def _by_name(paths: list[str], layout: str) -> tuple[dict[str, str], list[LeftOut]]:
    labels, left_out = {}, []
    for path in paths:
        place = PurePosixPath(path)
        before, *rest = place.name.split(".")
        if not _is_image(path):
            left_out.append(LeftOut(path, "not an image's file name"))
        elif layout == "folders" and (place.parent.name == "" or place.parent.name.lower() in _SPLIT_FOLDERS):
            left_out.append(LeftOut(path, "lies in no folder of a class (dataset.labels: folders)"))
        elif layout == "prefix" and len(rest) < 2:
            left_out.append(LeftOut(path, "no class in its name, as in cat.17.jpg (dataset.labels: prefix)"))
        else:
            labels[path] = place.parent.name if layout == "folders" else before
    if layout == "folders":
        _refuse_nested(labels)
    return labels, left_out


def _by_table(source: Source, table: Table) -> tuple[dict[str, str], list[LeftOut]]:
    paths = set(source.names())
    if table.file not in paths:
        hint = _did_you_mean(table.file, paths)
        raise UserError(f"dataset.table.file: {table.file} is not in the source{hint}: name a file inside of it")
    header, rows = _table_rows(source, table)
    image, label = (_column(getattr(table, name), name, header, table) for name in ("image", "label"))
    labels, missing, torn, unlabelled = {}, set(), set(), set()
    for number, row in rows:
        if max(image, label) >= len(row):
            raise UserError(
                f"{table.file}, line {number}: {len(row)} columns, too few for dataset.table.image: {table.image} and "
                f"dataset.table.label: {table.label}; check those and dataset.table.delimiter: {table.delimiter!r}"
            )
        path = posixpath.normpath(posixpath.join(posixpath.dirname(table.file), row[image]))
        value = row[label]
        if table.values is not None and value not in table.values:
            raise UserError(
                f"{table.file}, line {number}: the label {value!r} is not in dataset.table.values "
                f"({', '.join(map(repr, table.values))}){_did_you_mean(value, table.values)}: add it there"
            )
        name = value if table.values is None else table.values[value]
        if path not in paths:
            missing.add(path)
        elif not name:
            unlabelled.add(path)
        elif labels.setdefault(path, name) != name:
            torn.add(path)
    unlisted = [path for path in paths - labels.keys() - unlabelled if _is_image(path)]
    left_out = [LeftOut(path, f"listed in {table.file}, but missing in the source") for path in missing]
    left_out += [LeftOut(path, f"listed in {table.file} under two classes") for path in torn]
    left_out += [LeftOut(path, f"listed in {table.file} without a label") for path in unlabelled - labels.keys()]
    left_out += [LeftOut(path, f"not listed in {table.file}") for path in unlisted]
    return {path: name for path, name in labels.items() if path not in torn}, left_out


def _table_rows(source: Source, table: Table) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    try:
        text = source.read(table.file).decode("utf-8-sig")
        if table.delimiter == "whitespace":
            lines = [line.split() for line in text.splitlines()]
        elif len(table.delimiter) == 1:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=table.delimiter))
        else:
            raise UserError(f"dataset.table.delimiter: got {table.delimiter!r}; takes one character, or whitespace")
    except (ValueError, TypeError, csv.Error) as error:  # Unreadable and UnicodeDecodeError are ValueErrors
        raise UserError(f"{table.file} cannot be read as a table ({error}): save it as plain UTF-8 text") from None
    rows = [(number, [cell.strip() for cell in row]) for number, row in enumerate(lines, 1) if row]
    if not table.header:
        return None, rows
    return (rows[0][1] if rows else []), rows[1:]


def _column(column: str | int, name: str, header: list[str] | None, table: Table) -> int:
    if isinstance(column, int):
        return column
    if header is None:
        raise UserError(
            f"dataset.table.{name}: got {column!r}, but dataset.table.header is false: give the column's number, from 0"
        )
    if column not in header:
        raise UserError(
            f"dataset.table.{name}: {table.file} has no column {column!r}{_did_you_mean(column, header)}; "
            f"it has {', '.join(header) or 'no columns'}"
        )
    return header.index(column)


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in images.ENDINGS


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
