"""The rows of a table in the source, with the columns that parameters name."""

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.images import finding
from headstart.images.archive import Source

csv.field_size_limit(2**31 - 1)  # a mask in a cell is long, and files are bounded where they are read
TEXT_ERRORS = (ValueError, TypeError, csv.Error)  # of what is no table: Unreadable, UnicodeDecodeError are ValueErrors
DELIMITERS = (",", ";", "\t", "|")
# Of text that begins with a mark; UTF-32's begins with that of UTF-16.
_MARKED = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_UNMARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
ABOVE = 50  # lines above the header in which a title and notes may stand, empty ones aside


class Row(NamedTuple):
    """A row: where it is, for messages; its image's path, as it is written; and its cells in the columns asked for.

    `over`: whether it has more cells than the header.
    """

    place: str
    image: str
    cells: list[str]
    over: bool = False


Columns = Sequence[tuple[str, str | int]]  # pairs of a parameter and the column that it gives, by name or number


def read(
    source: Source, table: Table, columns: Columns, lacking: Collection[str] = ()
) -> tuple[list[str], list[Row], list[str]]:
    """Return the names of the columns, in their order; the rows; and the lines above and below that are none.

    Without a header a column's number is its name. The header is the first line that has all columns that are asked for
    by name. Lines at the top and the end that have too few columns, or are comments (`#`), are no rows unless they name
    an image.

    table: the section `dataset.table` of params.yaml. columns: those besides the one that `table` gives for images.
    lacking: parameters whose columns the table is known to lack (`fit`): their cells are empty.

    Raises UserError where the table is not in the source, is no text, or lacks a column.
    """
    names, (text, delimiter) = source.names(), _text(source, table)
    try:
        lines = list(_lines(text, delimiter))
    except TEXT_ERRORS as error:
        raise _unread(table.file, error) from None
    stripped = ([cell.strip() for cell in line] for line in lines)
    # Excel ends with rows of nothing.
    numbered = [(number, line) for number, line in enumerate(stripped, 1) if any(line)]
    images = {finding.stem(name) for name in names if finding.is_image_name(name)}
    wanted = [("dataset.table.image", table.image), *columns]
    return _chosen(numbered, table, wanted, _looks(text, table), images, lacking)


def fit(source: Source, table: Table, columns: Columns) -> tuple[Table, Columns, set[str]]:
    """Return how one of several tables has the columns that are named for all of them.

    That is: `table` and `columns` with its own delimiter and its own way to write the names, where these differ in
    case or in what parts their words; and the parameters none of whose columns it has. Of the first lines, and of the
    delimiters, the one counts that has the most of the names, that of the images among them; where none has that, all
    is as it is given.

    table, columns: as of `read`. Raises UserError where the table is not in the source, or is no text.
    """
    wanted = [(parameter, name) for parameter, name in [("image", table.image), *columns] if isinstance(name, str)]
    if not table.header or not wanted:
        return table, columns, set()
    text, given = _text(source, table)
    found = []
    for delimiter in dict.fromkeys((given, *DELIMITERS, "whitespace")):
        with contextlib.suppress(csv.Error):
            for line in itertools.islice(filter(any, _lines(text, delimiter)), ABOVE):
                own = _own_names([name for _, name in wanted], [cell.strip() for cell in line])
                if table.image in own or not isinstance(table.image, str):
                    found.append((len(own), delimiter, own))
    if not found:
        return table, columns, set()
    _, delimiter, own = max(found, key=lambda option: option[0])  # the first of them
    table = table.model_copy(update={"delimiter": delimiter, "image": own.get(table.image, table.image)})
    lacking = {parameter for parameter, _ in wanted} - {parameter for parameter, name in wanted if name in own}
    return table, [(parameter, own.get(name, name)) for parameter, name in columns], lacking


def _own_names(names: Iterable[str], cells: Sequence[str]) -> dict[str, str]:
    """How the names stand among the cells, by name; those that do not, or may be several of them, are left out."""
    alike = defaultdict(list)
    for cell in cells:
        alike[plain(cell)].append(cell)
    own = {name: [name] if name in cells else alike.get(plain(name), []) for name in names}
    return {name: found[0] for name, found in own.items() if len(found) == 1}


def plain(name: str) -> str:
    """A column's name without case, and without what parts its words: `Image ID` and `image_id` are one."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _text(source: Source, table: Table) -> tuple[str, str]:
    """What is in the file, and what parts its columns. Raises UserError where it is none, or no text."""
    if table.file not in (names := source.names()):
        hint = wording.did_you_mean(table.file, names)
        raise UserError(f"dataset.table.file: {table.file} is not in the source; {hint}name a file inside it")
    if table.delimiter != "whitespace" and len(table.delimiter) > 1:
        raise UserError(f"dataset.table.delimiter: got {table.delimiter!r}; takes one character, or whitespace")
    try:
        text, delimiter = separated(decoded(source.read(table.file)))
    except TEXT_ERRORS as error:
        raise _unread(table.file, error) from None
    return text, delimiter or table.delimiter


def _unread(file: str, error: Exception) -> UserError:
    return UserError(f"{file} cannot be read as a table ({error}): save it as plain UTF-8 text")


def _lines(text: str, delimiter: str) -> Iterator[list[str]]:
    """The cells of each line. Raises csv.Error on the way."""
    if delimiter == "whitespace":
        return map(str.split, text.splitlines())
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def decoded(data: bytes) -> str:
    """The text of a table: UTF-8, or UTF-16 or UTF-32, as Excel's "Unicode text" is; else UnicodeDecodeError.

    Without a mark it is UTF-16 or UTF-32 where it has bytes of zero, and no character of it is then zero: of the orders
    of bytes, the one by which more of it is ASCII, as delimiters, digits and line ends are.
    """
    for encoding, marks in _MARKED.items():
        if data.startswith(marks):
            return data.decode(encoding)
    texts = []
    for encoding in _UNMARKED if b"\0" in data else ():
        with contextlib.suppress(UnicodeDecodeError):
            texts.append(data.decode(encoding))
    likely = [text for text in texts if "\0" not in text and "\n" in text.replace("\r", "\n")]
    return max(likely, key=lambda text: sum(map(str.isascii, text)) / len(text)) if likely else data.decode("utf-8-sig")


def separated(text: str) -> tuple[str, str | None]:
    """The text of a table without the first line by which Excel is told the delimiter, `sep=;`; and that delimiter."""
    told = re.match(r"sep=(.)\r?\n", text)
    return (text, None) if told is None else ("\n" + text[told.end() :], told[1])


def _chosen(
    lines: list[tuple[int, list[str]]],
    table: Table,
    columns: list[tuple[str, str | int]],
    looks: str,
    images: set[str],
    lacking: Collection[str],
) -> tuple[list[str], list[Row], list[str]]:
    header, first = None, 0
    there = [column for parameter, column in columns if parameter not in lacking]
    if table.header:
        named = {column for column in there if isinstance(column, str)}
        first = next((at for at, (_, line) in enumerate(lines[:ABOVE]) if named and named <= {*line}), 0)
        header = lines[first][1] if lines else []
    indices = [
        None if parameter in lacking else _index(parameter, column, table, header, looks)
        for parameter, column in columns
    ]
    known = [index for index in indices if index is not None]
    body = lines[first + table.header :]
    kept = [at for at, (_, line) in enumerate(body) if _is_row(line, known, images)]
    start, end = (0 if table.header or not kept else kept[0]), kept[-1] + 1 if kept else len(body)
    rows = []
    for number, line in body[start:end]:
        if max(known) >= len(line):
            wanted = " and ".join(f"{parameter}: {column}" for parameter, column in columns)
            raise UserError(
                f"{table.file}, line {number}: {wording.count(len(line), 'column')}, too few for {wanted}; check "
                f"those and dataset.table.delimiter: {table.delimiter!r}; the line is {' | '.join(line)[:80]}{looks}"
            )
        image, *cells = ("" if index is None else line[index] for index in indices)
        over = header is not None and any(line[len(header) :])
        rows.append(Row(f"{table.file}, line {number}", image, cells, over))
    names = [
        str(column) if index is None else header[index] if header and index < len(header) else str(index)
        for (_, column), index in zip(columns[1:], indices[1:], strict=True)
    ]
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
