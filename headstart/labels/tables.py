"""Labels from a table in the source, such as a CSV file with a column of images and one of labels."""

import csv
import io
import posixpath
from collections.abc import Iterator

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.images.archive import Source
from headstart.images.decoding import is_image_name


def read_labels(source: Source, table: Table) -> tuple[dict[str, str], list[LeftOut]]:
    """Return the label of each image by path, and the images that the table or the source leaves out.

    table: the section `dataset.table` of params.yaml. Images are named in it relative to its own folder.

    Raises UserError where the table is not in the source, is no text, or lacks what `table` says is in it.
    """
    _refuse_missing(source, table)
    paths = set(source.names())
    labels, missing, contradictory, unlabelled = {}, set(), set(), set()
    for path, label in _entries(source, table):
        if path not in paths:
            missing.add(path)
        elif not label:
            unlabelled.add(path)
        elif labels.setdefault(path, label) != label:
            contradictory.add(path)
    unlabelled -= labels.keys()
    unlisted = {path for path in paths - labels.keys() - unlabelled if is_image_name(path)}
    left_out = [LeftOut(path, f"listed in {table.file}, but missing in the source") for path in missing]
    left_out += [LeftOut(path, f"listed in {table.file} under two classes") for path in contradictory]
    left_out += [LeftOut(path, f"listed in {table.file} without a label") for path in unlabelled]
    left_out += [LeftOut(path, f"not listed in {table.file}") for path in unlisted]
    return {path: label for path, label in labels.items() if path not in contradictory}, left_out


def read_column(source: Source, table: Table, column: str | int) -> list[tuple[str, str]]:
    """Return the images' paths in the source, each with what `column` (`dataset.group.column`) has for it.

    Rows without an image in the source, or with an empty cell, are left out. Raises what `read_labels` raises.
    """
    _refuse_missing(source, table)
    pairs = _cells(source, table, {"dataset.table.image": table.image, "dataset.group.column": column})
    paths = set(source.names())
    return [(path, value) for _, path, value in pairs if path in paths and value]


def _refuse_missing(source: Source, table: Table) -> None:
    paths = source.names()
    if table.file not in paths:
        hint = wording.did_you_mean(table.file, paths)
        raise UserError(f"dataset.table.file: {table.file} is not in the source; {hint}name a file inside it")


def _entries(source: Source, table: Table) -> Iterator[tuple[str, str]]:
    """The table's images, as paths in the source, each with its label, which may be empty."""
    columns = {"dataset.table.image": table.image, "dataset.table.label": table.label}
    for number, path, value in _cells(source, table, columns):
        if table.values is not None and value not in table.values:
            raise UserError(
                f"{table.file}, line {number}: the label {value!r} is not in dataset.table.values "
                f"({', '.join(map(repr, table.values))}); {wording.did_you_mean(value, table.values)}"
                "add it there, or set it to null, where the labels are the classes"
            )
        yield path, value if table.values is None else table.values[value]


def _cells(source: Source, table: Table, columns: dict[str, str | int]) -> Iterator[tuple[int, str, str]]:
    """Each row's number from 1, the path of its image, and its cell in the second of the `columns`.

    columns: by the name of their parameter; the first one has the images.
    """
    header, rows = _rows(source, table)
    image, other = (_column(parameter, column, table, header) for parameter, column in columns.items())
    folder = posixpath.dirname(table.file)
    for number, row in rows:
        if max(image, other) >= len(row):
            wanted = " and ".join(f"{parameter}: {column}" for parameter, column in columns.items())
            raise UserError(
                f"{table.file}, line {number}: {wording.count(len(row), 'column')}, too few for {wanted}; "
                f"check those and dataset.table.delimiter: {table.delimiter!r}"
            )
        yield number, posixpath.normpath(posixpath.join(folder, row[image])), row[other]


def _rows(source: Source, table: Table) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    """The names of the columns, None for a table without a header; and the other rows, each with its number from 1."""
    if table.delimiter != "whitespace" and len(table.delimiter) > 1:
        raise UserError(f"dataset.table.delimiter: got {table.delimiter!r}; takes one character, or whitespace")
    try:
        text = source.read(table.file).decode("utf-8-sig")
        if table.delimiter == "whitespace":
            lines = [line.split() for line in text.splitlines()]
        else:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=table.delimiter))
    except (ValueError, TypeError, csv.Error) as error:  # Unreadable and UnicodeDecodeError are ValueErrors
        raise UserError(f"{table.file} cannot be read as a table ({error}): save it as plain UTF-8 text") from None
    rows = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines, 1) if line]
    if not table.header:
        return None, rows
    return (rows[0][1] if rows else []), rows[1:]


def _column(parameter: str, column: str | int, table: Table, header: list[str] | None) -> int:
    """The index of the column that a parameter of that name gives by name or number."""
    if isinstance(column, int):
        return column
    if header is None:
        raise UserError(
            f"{parameter}: got {column!r}, but dataset.table.header is false: give the column's number, from 0"
        )
    if column not in header:
        raise UserError(
            f"{parameter}: {table.file} has no column {column!r}; {wording.did_you_mean(column, header)}"
            f"with dataset.table.delimiter {table.delimiter!r} it has {' | '.join(header) or 'no columns'}"
        )
    return header.index(column)
