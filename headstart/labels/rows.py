"""The rows of a table in the source, with the columns that parameters name."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.images import finding
from headstart.images.archive import Source

csv.field_size_limit(2**31 - 1)  # a mask in a cell is long, and files are bounded where they are read
TEXT_ERRORS = (ValueError, TypeError, csv.Error)  # of what is no table: Unreadable, UnicodeDecodeError are ValueErrors
ABOVE = 50  # lines above the header in which a title and notes may stand, empty ones aside


class Row(NamedTuple):
    """A row: where it is, for messages; its image's path, as it is written; and its cells in the columns asked for.

    `over`: whether it has more cells than the header.
    """

    place: str
    image: str
    cells: list[str]
    over: bool = False


def read(
    source: Source, table: Table, columns: Sequence[tuple[str, str | int]]
) -> tuple[list[str], list[Row], list[str]]:
    """Return the names of the columns, in their order; the rows; and the lines above and below that are none.

    Without a header a column's number is its name. The header is the first line that has all columns that are asked for
    by name. Lines at the top and the end that have too few columns, or are comments (`#`), are no rows unless they name
    an image.

    table: the section `dataset.table` of params.yaml. columns: pairs of a parameter and the column that it gives, by
    name or number; besides the one that `table` gives for images.

    Raises UserError where the table is not in the source, is no text, or lacks a column.
    """
    if table.file not in (names := source.names()):
        hint = wording.did_you_mean(table.file, names)
        raise UserError(f"dataset.table.file: {table.file} is not in the source; {hint}name a file inside it")
    if table.delimiter != "whitespace" and len(table.delimiter) > 1:
        raise UserError(f"dataset.table.delimiter: got {table.delimiter!r}; takes one character, or whitespace")
    try:
        text, delimiter = separated(decoded(source.read(table.file)))
        delimiter = delimiter or table.delimiter
        if delimiter == "whitespace":
            lines = [line.split() for line in text.splitlines()]
        else:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except TEXT_ERRORS as error:
        raise UserError(f"{table.file} cannot be read as a table ({error}): save it as plain UTF-8 text") from None
    stripped = ([cell.strip() for cell in line] for line in lines)
    # Excel ends with rows of nothing.
    numbered = [(number, line) for number, line in enumerate(stripped, 1) if any(line)]
    images = {finding.stem(name) for name in names if finding.is_image_name(name)}
    return _chosen(numbered, table, [("dataset.table.image", table.image), *columns], _looks(text, table), images)


def decoded(data: bytes) -> str:
    """The text of a table: UTF-8, or UTF-16 with its mark, as Excel saves "Unicode text"; else UnicodeDecodeError."""
    return data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")


def separated(text: str) -> tuple[str, str | None]:
    """The text of a table without the first line by which Excel is told the delimiter, `sep=;`; and that delimiter."""
    told = re.match(r"sep=(.)\r?\n", text)
    return (text, None) if told is None else ("\n" + text[told.end() :], told[1])


def _chosen(
    lines: list[tuple[int, list[str]]], table: Table, columns: list[tuple[str, str | int]], looks: str, images: set[str]
) -> tuple[list[str], list[Row], list[str]]:
    header, first = None, 0
    if table.header:
        named = {column for _, column in columns if isinstance(column, str)}
        first = next((at for at, (_, line) in enumerate(lines[:ABOVE]) if named and named <= {*line}), 0)
        header = lines[first][1] if lines else []
    indices = [_index(parameter, column, table, header, looks) for parameter, column in columns]
    body = lines[first + table.header :]
    kept = [at for at, (_, line) in enumerate(body) if _is_row(line, indices, images)]
    start, end = (0 if table.header or not kept else kept[0]), kept[-1] + 1 if kept else len(body)
    rows = []
    for number, line in body[start:end]:
        if max(indices) >= len(line):
            wanted = " and ".join(f"{parameter}: {column}" for parameter, column in columns)
            raise UserError(
                f"{table.file}, line {number}: {wording.count(len(line), 'column')}, too few for {wanted}; check "
                f"those and dataset.table.delimiter: {table.delimiter!r}; the line is {' | '.join(line)[:80]}{looks}"
            )
        image, *cells = (line[index] for index in indices)
        over = header is not None and any(line[len(header) :])
        rows.append(Row(f"{table.file}, line {number}", image, cells, over))
    names = [header[index] if header and index < len(header) else str(index) for index in indices[1:]]
    aside = [*lines[:first], *body[:start], *body[end:]]
    return names, rows, [" | ".join(filter(None, line)) for _, line in aside]


def _is_row(line: list[str], indices: Sequence[int], images: set[str]) -> bool:
    """Whether a line is a row, or was to be one since it names an image, rather than a note above or below the rows."""
    whole = max(indices) < len(line) and not line[0].startswith("#")
    return whole or finding.stem(line[min(indices[0], len(line) - 1)].replace("\\", "/")) in images


def _looks(text: str, table: Table) -> str:
    """The delimiter that the first line speaks for, where it lacks the one of `table`; for messages."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    likely = max((sign for sign in (",", ";", "\t", "|") if sign != table.delimiter), key=first.count)
    if not first.count(likely) or (table.delimiter != "whitespace" and table.delimiter in first):
        return ""
    return f"; its first line, {first[:80]!r}, looks as if the delimiter were {likely!r}"


def _index(parameter: str, column: str | int, table: Table, header: list[str] | None, looks: str) -> int:
    """The index of the column that a parameter of that name gives by name or number."""
    if isinstance(column, int):
        return column
    if header is None:
        raise UserError(
            f"{parameter}: got {column!r}, but dataset.table.header is false: give the column's number, from 0, or set "
            f"header to true where the first line names the columns{looks}"
        )
    if column not in header:
        raise UserError(
            f"{parameter}: {table.file} has no column {column!r}; {wording.did_you_mean(column, header)}"
            f"with dataset.table.delimiter {table.delimiter!r} it has {' | '.join(header) or 'no columns'}{looks}"
        )
    return header.index(column)
