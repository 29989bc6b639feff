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
    paths = set(source.names())
    if table.file not in paths:
        hint = wording.did_you_mean(table.file, paths)
        raise UserError(f"dataset.table.file: {table.file} is not in the source; {hint}name a file inside it")
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


def _entries(source: Source, table: Table) -> Iterator[tuple[str, str]]:
    """The table's images, as paths in the source, each with its label, which may be empty."""
    header, rows = _rows(source, table)
    image, label = (_column(name, table, header) for name in ("image", "label"))
    folder = posixpath.dirname(table.file)
    for number, row in rows:
        if max(image, label) >= len(row):
            raise UserError(
                f"{table.file}, line {number}: {wording.count(len(row), 'column')}, too few for "
                f"dataset.table.image: {table.image} and dataset.table.label: {table.label}; "
                f"check those and dataset.table.delimiter: {table.delimiter!r}"
            )
        value = row[label]
        if table.values is not None and value not in table.values:
            raise UserError(
                f"{table.file}, line {number}: the label {value!r} is not in dataset.table.values "
                f"({', '.join(map(repr, table.values))}); {wording.did_you_mean(value, table.values)}"
                "add it there, or set it to null, where the labels are the classes"
            )
        path = posixpath.normpath(posixpath.join(folder, row[image]))
        yield path, value if table.values is None else table.values[value]


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


def _column(name: str, table: Table, header: list[str] | None) -> int:
    """The index of the column that `dataset.table.NAME` gives by name or number."""
    column = getattr(table, name)
    if isinstance(column, int):
        return column
    if header is None:
        raise UserError(
            f"dataset.table.{name}: got {column!r}, but dataset.table.header is false: give the column's number, from 0"
        )
    if column not in header:
        raise UserError(
            f"dataset.table.{name}: {table.file} has no column {column!r}; {wording.did_you_mean(column, header)}"
            f"with dataset.table.delimiter {table.delimiter!r} it has {' | '.join(header) or 'no columns'}"
        )
    return header.index(column)
