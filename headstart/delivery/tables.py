"""Tables of predictions that grow row by row and know what is done: CSV and JSON lines.

A row belongs to its path and to the classifier that gave it. A run that was killed leaves at most one torn row, the
last, which the next run cuts off; nothing else that a file holds is ever changed.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from headstart.base import cells, files
from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.terminal import say
from headstart.delivery.rows import COLUMNS, as_json, cells_of

CLASSIFIER = "classifier"  # the column that says which classifier gave a row
LETTERS = 12  # of the classifier's sha256, which stand there
HASH = re.compile(f"[0-9a-f]{{{LETTERS}}}")
LONGEST = 2**20  # bytes of a row
Entry = dict[str, Any]


class Form(NamedTuple):
    """How rows stand in a file of lines.

    `header`: its first line, or nothing. `quotes`: whether a line feed in quotes ends no row. `line`: of an entry, with
    its classifier. `entry`: of a line: path, classifier, and error where there is one; raises ValueError. `is_torn`:
    whether these bytes, which no line feed ends, may be the beginning of a row.
    """

    header: bytes
    quotes: bool
    line: Callable[[Entry], str]
    entry: Callable[[str], Entry]
    is_torn: Callable[[bytes], bool]


class Lines:
    """A table in a file of lines. A context manager, which holds the file alone.

    `done`: of each path that has a row, whether it could not be read. classifier: the letters that stand in its rows.
    Entering raises UserError where another run holds the file, and where it is no such table, or one of another
    classifier.
    """

    def __init__(self, path: Path, form: Form, classifier: str):
        self.path, self._form, self._classifier = path, form, classifier
        self.done: dict[str, bool] = {}

    def __enter__(self) -> Self:
        self._file, whole = _alone(self.path), 0
        try:
            for entry, end in self._rows():
                if entry is not None:
                    self.done[entry["path"]] = bool(entry.get("error"))
                whole = end
            self._cut(whole)
            if whole == 0:
                self._write(self._form.header)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, entries: Iterable[Entry]) -> None:
        """Write rows; when this returns, they outlive the process."""
        lines = (self._form.line(entry | {CLASSIFIER: self._classifier}) for entry in entries)
        self._write("".join(lines).encode())

    def finish(self) -> None:
        """Return when the table is on the disk."""
        files.sync_open(self._file.fileno())

    def entries(self) -> Iterator[Entry]:
        """Yield the rows that are there."""
        return (entry for entry, _ in self._rows() if entry is not None)

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()

    def _rows(self) -> Iterator[tuple[Entry | None, int]]:
        """Each whole row, None for the header, and the place of the byte after it."""
        self._file.seek(0)
        end = 0
        for number, record in enumerate(_records(self._file, self._form.quotes), 1):
            end += len(record)
            if number == 1 and self._form.header:
                if record != self._form.header:
                    raise strange(self.path, f"its first line is {_quoted(record)}")
                yield None, end
                continue
            try:
                with doubted():
                    entry = self._form.entry(record.decode())
            except Damaged as error:
                raise strange(self.path, f"row {number} is {_quoted(record)}: {error}") from None
            refuse_other(self.path, entry.get(CLASSIFIER), self._classifier)
            yield entry, end

    def _cut(self, end: int) -> None:
        """Cut off what was left of a row, or of the header, whose writing was cut short."""
        self._file.seek(end)
        torn = self._file.read(LONGEST + 1)
        if not torn:
            return
        is_torn = self._form.is_torn(torn) if end or not self._form.header else self._form.header.startswith(torn)
        # More than one row is not torn: there is a quotation mark too many in what comes before.
        if len(torn) > LONGEST or not is_torn or f",{self._classifier}\n".encode() in torn:
            raise strange(self.path, f"it ends in {_quoted(torn)}")
        say(f"{self.path}: cut off {len(torn):,} bytes of a row that an earlier run did not finish", file=sys.stderr)
        self._file.truncate(end)
        self._file.seek(end)


def refuse_other(path: Path, classifier: object, own: str) -> None:
    """Raise UserError where a row is of another classifier than `own`, or of none."""
    if not isinstance(classifier, str) or not HASH.fullmatch(classifier):
        raise strange(path, f"it has a row with {classifier!a} for its classifier")
    if classifier != own:
        raise UserError(
            f"{path} holds predictions of another classifier ({classifier}; this one is {own}): give --out another "
            "file, or move that one elsewhere"
        )


def strange(path: Path, why: str) -> UserError:
    """The error of a file that is no table of predictions."""
    return UserError(
        f"{path} is no table that --out writes, and is left as it is ({why}): give --out another file, or move that "
        "one elsewhere"
    )


def as_written(path: str) -> str:
    """A path as tables have it: in UTF-8, in which bytes that are none are written out."""
    return path.encode(errors="backslashreplace").decode()


def _alone(path: Path) -> BinaryIO:
    """The file at `path`, made where there is none, and locked. Raises UserError where another process has it."""
    if path.exists() and not path.is_file():
        raise UserError(f"--out: {path} is no file: give it a name of its own")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+b")
        if not files.lock(file.fileno()):
            file.close()
            raise UserError(f"another run is writing to {path}: wait for it, or give --out another file")
        # The one that held it may have removed it meanwhile.
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()


def _records(file: BinaryIO, quotes: bool) -> Iterator[bytes]:
    """The rows of a file that are whole: lines, or several where the line feed between them stands in quotes."""
    lines, marks, size = [], 0, 0
    for line in file:
        lines.append(line)
        marks, size = marks + line.count(b'"'), size + len(line)
        if line.endswith(b"\n") and not (quotes and marks % 2 and size <= LONGEST):
            yield b"".join(lines)
            lines, marks, size = [], 0, 0


def _quoted(record: bytes) -> str:
    text = record[:60].decode(errors="replace")
    return repr(text.rstrip("\n") + ("…" if len(record) > 60 else ""))


def _of_csv(line: str) -> Entry:
    ((*texts, classifier),) = cells.read(line)
    if len(texts) != len(COLUMNS):
        raise ValueError(f"it has {len(texts) + 1} cells, not {len(COLUMNS) + 1}")
    return dict(zip(COLUMNS, texts, strict=True)) | {CLASSIFIER: classifier}


def _of_json(line: str) -> Entry:
    entry = json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise ValueError("it names no path")
    return entry


def _is_torn_json(content: bytes) -> bool:
    begin = b'{"path": "'
    try:
        return CLASSIFIER in _of_json(content.decode())  # all of it but the line feed
    except (ValueError, RecursionError):
        return begin.startswith(content) or content.startswith(begin)


CSV = Form(
    cells.line([*COLUMNS, CLASSIFIER]).encode(),
    True,
    lambda entry: cells.line([*cells_of(entry), entry[CLASSIFIER]]),
    _of_csv,
    lambda content: True,
)
JSON = Form(b"", False, lambda entry: as_json(entry) + "\n", _of_json, _is_torn_json)
