"""Tables that are written from the records, between marks in a Markdown file: nothing in them is typed by hand.

<!-- table: NAME -->
the table, and a line that says when and where it was measured
<!-- end -->
"""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import records, workspace
from benchmarks.measuring import Measurement
from benchmarks.records import Imported, Record
from headstart import export, report
from headstart.artifacts import dataset, inspection, results
from headstart.base import files, wording
from headstart.delivery import proving

Numbers = list[dict[str, Any]]
UNKNOWN = "–"


@dataclass(frozen=True)
class Row:
    """One row: its first cells, those that are measured, and its last cells.

    name: of the imported record, where there is one.
    runs: the measurements whose numbers `cells` makes the measured cells of, in this order; none: of the literature.
    """

    name: str
    first: tuple[str, ...]
    cells: Callable[[Numbers], list[str]]
    runs: tuple[Measurement, ...] = ()
    last: tuple[str, ...] = ()

    def measured(self) -> list[Record] | None:
        """The records of its measurements; None where one is missing."""
        measured = [run.record() for run in self.runs]
        return None if None in measured else measured


@dataclass(frozen=True)
class Table:
    """A table between marks in the file `document`; `command` writes it anew; `kind` is the mark's first word."""

    name: str
    document: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    command: str
    kind: str = "table"

    def measurements(self) -> dict[str, Measurement]:
        """What its rows are made of, by name."""
        return {run.name: run for row in self.rows for run in row.runs}

    def older(self) -> list[str]:
        """What is older than the code: measurements that other code or parameters gave, and imported rows."""
        measurements = [name for name, measurement in self.measurements().items() if measurement.state() == "older"]
        imported = [row for row in self.rows if row.measured() is None and records.imported(self.name, row.name)]
        return [*measurements, *(f"the row {row.name}" for row in imported)]

    def cells(self, row: Row) -> tuple[list[str], list[Record | Imported]]:
        """The measured cells of a row, and the records that they come from: none, where nothing is measured."""
        measured, published = row.measured(), records.imported(self.name, row.name)
        if measured is not None:
            return row.cells([record.numbers for record in measured]), measured
        if published:
            return published.cells, [published]
        width = len(self.header) - len(row.first) - len(row.last)
        return ["not measured yet", *[UNKNOWN] * (width - 1)], []

    def rendered(self) -> str:
        """The table and its foot, in Markdown."""
        lines, sources = [_line(self.header), _line("---" for _ in self.header)], []
        for row in self.rows:
            cells, origin = self.cells(row)
            mark = " ¹" if any(isinstance(source, Imported) for source in origin) else ""
            lines.append(_line([row.first[0] + mark, *row.first[1:], *cells, *row.last]))
            sources += origin
        return "\n".join([*lines, "", *self._foot(sources)])

    def forget_imported(self) -> None:
        """Remove the imported records of rows that are measured by now."""
        for row in self.rows:
            if row.runs and row.measured() is not None:
                records.forget_imported(self.name, row.name)

    def _foot(self, sources: list[Record | Imported]) -> list[str]:
        measured = [source for source in sources if isinstance(source, Record)]
        imported = [source for source in sources if isinstance(source, Imported)]
        foot = []
        if measured:
            foot.append(f"Measured {_where(measured)}: `{self.command}`.")
        if imported:
            foot.append(
                f"¹ Measured {_where(imported)}, with the earlier code and recipe; `{self.command}` measures it."
            )
        return foot or [f"`{self.command}` measures it."]


def write(tables: Iterable[Table], root: Path | None = None) -> list[Path]:
    """Write tables into their documents below `root` (default: the project); return the files that changed.

    A document without the marks of a table is left as it is.
    """
    changed = {}
    for table in tables:
        path = (root or workspace.ROOT) / table.document
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (written := between(text, f"{table.kind}: {table.name}", table.rendered())) != text:
            files.write_text(path, written)
            changed[path] = True
    return list(changed)


def write_result(root: Path | None = None) -> list[Path]:
    """Write what `python -m headstart.report` prints of metrics/test.json into README.md; return what changed."""
    root = root or workspace.ROOT
    page, printed = root / "README.md", io.StringIO()
    report.show(results.read(root), dataset.read(root), Console(file=printed, width=80), inspection.read(root))
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    text = page.read_text(encoding="utf-8")
    written = between(text, "result", "\n".join(["```text", *lines, "```"]))
    if written == text:
        return []
    files.write_text(page, written)
    return [page]


def write_exports(root: Path | None = None) -> list[Path]:
    """Write metrics/exports.json as a table into docs/delivery.md; return what changed."""
    root = root or workspace.ROOT
    page, measured = root / "docs/delivery.md", root / proving.EXPORTS
    if not measured.exists():
        return []
    said = json.loads(measured.read_text(encoding="utf-8"))
    lines = [_line(export.COLUMNS), _line("---" for _ in export.COLUMNS), *map(_line, export.rows(said["exports"]))]
    foot = f"Measured on {wording.count(said['cores'], 'core')}, classifier {said['classifier'][:12]}: `make export`."
    text = page.read_text(encoding="utf-8")
    written = between(text, "exports", "\n".join([*lines, "", foot]))
    if written == text:
        return []
    files.write_text(page, written)
    return [page]


def between(text: str, mark: str, content: str) -> str:
    """`text`, with `content` between `<!-- mark -->` and the next `<!-- end -->`; as it is where they are missing."""
    pattern = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text)


def spread(values: list[float], digits: int = 4) -> str:
    """The mean of one run per seed, and from two seeds on the lowest and the highest of them."""
    mean = f"{sum(values) / len(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits - 1}f} – {max(values):.{digits - 1}f})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _where(sources: list[Record] | list[Imported]) -> str:
    """The dates, machines and commits of records, in words."""
    dates = sorted({source.date for source in sources})
    machines = sorted({f"{wording.count(source.cores, 'core')} ({source.processor})" for source in sources})
    commits = list(dict.fromkeys(source.commit for source in sources))
    days = dates[0] if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"
    return f"{days} on {' and '.join(machines)} at commit {', '.join(commits)}"
