"""A table of predictions as Parquet, which cannot grow: rows go to a journal of JSON lines, and at the end into it."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from headstart.base import files
from headstart.base.errors import Damaged, UserError, doubted
from headstart.delivery import tables
from headstart.delivery.tables import CLASSIFIER, Entry, Lines

GROUP = 8_192  # rows that are compressed together, and held at a time


class Parquet:
    """As `tables.Lines`. classes: the classifier's.

    The journal lies beside the file, with .jsonl behind its name, as long as not all of its rows are in the file.
    Raises UserError, too, where pyarrow is not installed.
    """

    def __init__(self, path: Path, classifier: str, classes: list[str]):
        self.path, self._classifier = path, classifier
        self._arrow, self._parquet = installed(path)
        self._schema = schema(self._arrow, classes)
        self._journal = Lines(path.with_name(path.name + ".jsonl"), tables.JSON, classifier)
        self.done: dict[str, bool] = {}

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_file():
            raise UserError(f"--out: {self.path} is no file: give it a name of its own")
        self._journal.__enter__()
        try:
            if self.path.exists():
                self.done.update(done_in(self.path, self._parquet, self._schema, self._classifier))
        except BaseException:
            if not self._journal.path.stat().st_size:
                self._journal.path.unlink()
            self.__exit__()
            raise
        self.done |= self._journal.done
        return self

    def __exit__(self, *error: object) -> None:
        self._journal.__exit__()

    def add(self, entries: Iterable[Entry]) -> None:
        """As `tables.Lines.add`."""
        self._journal.add(entries)

    def finish(self) -> None:
        """Write the file, whole or not at all, with the rows of the journal behind those that it has."""
        old = {path for batch in self._old(["path"]) for path in batch.column(0).to_pylist()}
        # The journal's are in the file already where the last run was killed before it removed the journal.
        entries = (entry for entry in self._journal.entries() if entry["path"] not in old)
        first = next(entries, None)
        if first is not None or not self.path.exists():
            with files.whole(self.path) as part, self._parquet.ParquetWriter(part, self._schema) as writer:
                for batch in self._old():
                    writer.write_batch(batch)
                for batch in _batches(self._arrow, chain([first] if first else [], entries), self._schema):
                    writer.write_batch(batch)
        self._journal.path.unlink()

    def _old(self, columns: list[str] | None = None) -> Iterator[Any]:
        """The record batches of the file, of some columns; none where there is no file."""
        if self.path.exists():
            yield from batches_of(self.path, self._parquet, self._schema, columns)


def batches_of(path: Path, parquet: ModuleType, wanted: Any, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield the record batches of a file, of some columns; `wanted`: its schema.

    Raises UserError where it is no such table.
    """
    try:
        with doubted(), parquet.ParquetFile(path) as file:
            if file.schema_arrow.names != wanted.names:
                raise ValueError(f"its columns are {', '.join(file.schema_arrow.names)}")
            yield from file.iter_batches(GROUP, columns=columns)
    except Damaged as error:
        raise tables.strange(path, str(error)) from None


def done_in(path: Path, parquet: ModuleType, wanted: Any, classifier: str) -> dict[str, bool]:
    """Return of each path in a file whether it could not be read; `wanted`: its schema.

    Raises UserError where another classifier wrote it, and where it is no such table.
    """
    done = {}
    for batch in batches_of(path, parquet, wanted, ["path", "error", CLASSIFIER]):
        rows = batch.to_pydict()
        for other in set(rows[CLASSIFIER]):
            tables.refuse_other(path, other, classifier)
        done.update(zip(rows["path"], (error is not None for error in rows["error"]), strict=True))
    if parquet.read_schema(path) != wanted:
        raise tables.strange(path, "its columns hold something else")
    return done


def installed(path: Path | str) -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its Parquet. Raises UserError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"--out: {path} needs pyarrow: pip install -r requirements-parquet.txt; .csv and .jsonl need nothing"
        ) from None
    return pyarrow, pyarrow.parquet


def schema(arrow: ModuleType, classes: list[str]) -> Any:
    """Return pyarrow's schema of predictions of these classes."""
    return arrow.schema(
        {
            "path": arrow.string(),
            "class": arrow.string(),
            "probability": arrow.float64(),
            "possible": arrow.list_(arrow.string()),
            "unlike": arrow.bool_(),
            "probabilities": arrow.struct(dict.fromkeys(classes, arrow.float64())),
            "error": arrow.string(),
            CLASSIFIER: arrow.string(),
        }
    )


def _batches(arrow: ModuleType, entries: Iterator[Entry], schema: Any) -> Iterator[Any]:
    while rows := list(islice(entries, GROUP)):
        yield arrow.RecordBatch.from_pylist(rows, schema)
