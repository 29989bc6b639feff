"""Predictions as a folder of Parquet files, which many programs read as one table; each is whole or not there."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from headstart.base import files
from headstart.base.errors import Explained, UserError
from headstart.delivery import parquet
from headstart.delivery.tables import CLASSIFIER, Entry

ROWS = 1_024  # from so many on a file is written
NAME = re.compile(r"part-([0-9]{6,})\.parquet")
LOCK = ".lock"


class Parts:
    """As `tables.Lines`, at a folder, which is made. classes: the classifier's.

    Raises UserError, too, where pyarrow is not installed, and where the folder holds something else.
    """

    def __init__(self, path: Path, classifier: str, classes: list[str]):
        self.path, self._classifier = path, classifier
        self._arrow, self._parquet = parquet.installed(path)
        self._schema = parquet.schema(self._arrow, classes)
        self._rows: list[Entry] = []
        self.done: dict[str, bool] = {}

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--out: {self.path} is no folder: give it a name of its own")
        self.path.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in self.path.iterdir()]
        # One that was being written when a run was killed has .part behind its name.
        others = [name for name in names if name != LOCK and not NAME.fullmatch(name.removesuffix(".part"))]
        if other := min(others, default=None):
            raise UserError(f"--out: {self.path} holds something else, {other}: takes a folder of its own")
        self._lock = (self.path / LOCK).open("w")
        if not files.lock(self._lock.fileno()):
            self._lock.close()
            raise UserError(f"another run is writing to {self.path}: wait for it, or give --out another folder")
        try:
            for name in sorted(filter(NAME.fullmatch, names)):
                self.done.update(parquet.done_in(self.path / name, self._parquet, self._schema, self._classifier))
        except BaseException:
            self._lock.close()
            raise
        numbers = (int(found[1]) for found in map(NAME.fullmatch, names) if found)
        self._free = itertools.count(1 + max(numbers, default=0))
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *error: object) -> None:
        try:
            # A disk that is full would not take them either.
            if self._rows and kind is not None and issubclass(kind, KeyboardInterrupt | Explained):
                self._write()
        finally:
            self._lock.close()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take rows; when there are `ROWS`, they are written, and outlive the process; fewer at Ctrl-C, too."""
        self._rows += (entry | {CLASSIFIER: self._classifier} for entry in entries)
        if len(self._rows) >= ROWS:
            self._write()

    def finish(self) -> None:
        """Write the rows that are left."""
        if self._rows:
            self._write()

    def _write(self) -> None:
        table = self._arrow.Table.from_pylist(self._rows, self._schema)
        with files.whole(self.path / f"part-{next(self._free):06}.parquet") as part:
            self._parquet.write_table(table, part)
        self._rows = []
