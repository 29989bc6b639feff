"""What a row of a table says of its image: the class, and where the table has them a weight and probabilities."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.labels.classes import clean
from headstart.labels.published import split_of_cell
from headstart.labels.rows import Row

# Of columns with a class each: whether a cell says that it is the image's, in lower case.
MARKS = {"0": False, "0.0": False, "false": False, "": False, "1": True, "1.0": True, "true": True}
# What programs write for no value, and pandas reads so.
_MISSING = {"", "#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "N-A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
CERTAIN = 0.01  # how much the probabilities of an image may be off 1 in all, by rounding


class Annotation(NamedTuple):
    """A class; a weight, None where the table has none; and the probability of each class, where the table has them.

    Where there are probabilities, the class is the most probable one: of two, class 1 from 0.5 on; of more, the first.
    split: that of its row, where the table has a column of them, or of its table, where there are several.
    """

    label: str
    weight: float | None = None
    probabilities: Mapping[str, float] | None = None
    split: str | None = None


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or has what programs write for no value, such as NaN."""
    return cell in _MISSING


def several_at_once(cells: Collection[str]) -> dict[str, list[str]]:
    """Return the labels of the cells that name several, as `cat|dog` does; by cell.

    cells: those of the column of labels. The parts between |, ; or commas are labels where one of them, or with commas
    each of them, is a cell of its own or a part of two cells at least, as those of `Paris, France` are not. A list as
    Python and JSON write it, `['cat', 'dog']`, has its parts without brackets and quotes.
    """
    parts = {cell: _parts(cell) for cell in set(cells)}
    counts = Counter(part for names in parts.values() for part in set(names))
    counts.update(cell for cell in parts if cell)
    return {
        cell: names
        for cell, names in parts.items()
        if len(names) > 1 and (all if "," in cell else any)(counts[name] > 1 for name in names)
    }


def _parts(cell: str) -> list[str]:
    """What a cell may have for several labels."""
    is_list = re.fullmatch(r"\[.*\]|\{.*\}|\(.*\)", cell)
    parts = (
        part.strip(" '\"") if is_list else part.strip() for part in re.split("[|;,]", cell[1:-1] if is_list else cell)
    )
    return [part for part in parts if part]


def _unwrapped(cell: str) -> str:
    """A label out of a list of one, as `['cat']` of Python and JSON is, and `{cat}` of PostgreSQL; another as it is."""
    found = re.fullmatch(r"\[\s*(['\"])(?P<quoted>[^'\",]+)\1\s*\]|\{(?P<plain>[^{}'\",]+)\}", cell)
    return (found["quoted"] or found["plain"]).strip() if found else cell


class Reader:
    """Reads the rows of a table as its section of params.yaml describes them."""

    def __init__(self, table: Table, classes: Sequence[str] | None):
        """classes: `dataset.classes`. Raises UserError where `table` does not fit them."""
        self._table, self._classes = table, classes
        self._several = isinstance(table.label, list)
        self.columns = [("dataset.table.label", column) for column in (table.label if self._several else [table.label])]
        if table.weight is not None and not isinstance(table.weight, dict):
            self.columns.append(("dataset.table.weight", table.weight))
        if table.split is not None:
            self.columns.append(("dataset.table.split", table.split))
        if table.probabilities and not self._several and (classes is None or len(classes) != 2):
            raise UserError(
                f"dataset.classes: got {'null' if classes is None else ', '.join(classes)}; takes two names where "
                "dataset.table.probabilities is true and dataset.table.label is one column, which gives the "
                "probability of the second: name them, or list a column for each class"
            )
        if table.probabilities and not self._several and table.values is not None:
            raise UserError(
                "dataset.table.values: got VALUE: CLASS lines; takes null where dataset.table.probabilities is true "
                "and dataset.table.label is one column of numbers"
            )
        self._seen: set[str] = set()
        self._several_at_once: dict[str, list[str]] = {}
        self.missing: Counter[str] = Counter()  # rows without a label, by the text that says so
        self.several: Counter[str] = Counter()  # rows whose label is read as several, by its text

    def look_over(self, entries: Sequence[Row]) -> None:
        """Look at all rows before one is read: which cells have several labels shows in the others."""
        if not self._several and not self._table.probabilities and self._table.values is None:
            cells = several_at_once([row.cells[0] for row in entries])
            self._several_at_once = {cell: labels for cell, labels in cells.items() if not self._is_class(cell)}

    def read(self, row: Row, names: Sequence[str]) -> Annotation | str:
        """Return what a row says, or the reason why it says nothing; names: of `columns`. Raises UserError."""
        table = self._table
        cells = row.cells[: len(table.label)] if self._several else row.cells[:1]
        cells = [cell if self._is_class(cell) else "" if is_missing(cell) else _unwrapped(cell) for cell in cells]
        probabilities = None
        if not any(cells):
            self.missing.update(filter(None, row.cells[:1]))
            return f"listed in {table.file} without a label"
        if labels := self._several_at_once.get(cells[0]):
            self.several[cells[0]] += 1
            return f"of several classes at once in {table.file} ({', '.join(labels)}), where an image has one"
        if table.probabilities:
            value, probabilities = cells[0], self._probabilities(row, names, cells)
            label = _most_probable(probabilities)
        elif self._several:
            marked = _marked(row, names, cells)
            if len(marked) > 1:
                return f"of several classes at once in {table.file} ({', '.join(marked)}), where an image has one"
            if not marked:
                return f"of none of the classes in {table.file}"
            value, label = marked[0], self._class(row, marked[0])
        else:
            value, label = cells[0], self._class(row, cells[0])
        weight = self._weight(row, value)
        if weight == 0:
            return f"of weight 0 in {table.file}"
        return Annotation(label, weight, probabilities, self._split(row, names))

    def unseen(self) -> list[str]:
        """The values of the parameters `values` and `weight` that no row has had so far, sorted."""
        weights = self._table.weight if isinstance(self._table.weight, dict) else {}
        return sorted({*(self._table.values or {}), *weights} - self._seen)

    def _is_class(self, cell: str) -> bool:
        """Whether the parameters name a cell's text as a class, or give it the meaning of one."""
        named = {*(self._classes or ()), *(self._table.values or ())}
        return clean(cell) in map(clean, named)

    def _class(self, row: Row, value: str) -> str:
        values = self._table.values
        if values is None:
            return value
        if (known := self._known(value, values)) is None:
            raise UserError(
                f"{row.place}: the label {value!r} is not in dataset.table.values ({', '.join(map(repr, values))}); "
                f"{wording.did_you_mean(value, values)}add it there, or set it to null, where the labels are the "
                f"classes{'' if self._table.header or self._seen else '; or set dataset.table.header to true'}"
            )
        return values[known]

    def _probabilities(self, row: Row, names: Sequence[str], cells: Sequence[str]) -> dict[str, float]:
        shares = []
        for name, cell in zip(names, cells, strict=False):
            share = _number(cell or "0")
            if share is None or not 0 <= share <= 1:
                raise UserError(f"{row.place}: got {cell!r} in the column {name}; takes a probability from 0 to 1")
            shares.append(share)
        if not self._several:
            first, second = map(clean, self._classes)
            return {first: 1 - shares[0], second: shares[0]}
        if abs(sum(shares) - 1) > CERTAIN:
            raise UserError(
                f"{row.place}: the probabilities add up to {sum(shares):g}; take 1: list all classes in "
                "dataset.table.label, or divide each row by its sum"
            )
        probabilities: dict[str, float] = {}
        for name, share in zip(names, shares, strict=False):
            label = clean(self._class(row, name))
            probabilities[label] = probabilities.get(label, 0) + share / sum(shares)
        return probabilities

    def _weight(self, row: Row, value: str) -> float | None:
        weight = self._table.weight
        if weight is None:
            return None
        if isinstance(weight, dict):
            known = self._known(value, weight)
            return 1.0 if known is None else weight[known]
        number = _number(cell := row.cells[-1 if self._table.split is None else -2])
        if number is None or not 0 <= number < math.inf:
            raise UserError(
                f"{row.place}: got {cell!r} in the column {weight} (dataset.table.weight); takes a number from 0 on"
            )
        return number

    def _split(self, row: Row, names: Sequence[str]) -> str | None:
        """The split that the row says; None where it says none, and where the table has no column of them."""
        if self._table.split is None or is_missing(row.cells[-1]):
            return None
        split = split_of_cell(names[-1], row.cells[-1])
        if split is None:
            raise UserError(
                f"{row.place}: got {row.cells[-1]!r} in the column {names[-1]} (dataset.table.split); takes train, "
                "validation or test, also as val, dev or testing, and 1 or 0 in a column named as is_train: write one "
                "of these there, or set dataset.table.split to null"
            )
        return split

    def _known(self, value: str, values: Iterable[str]) -> str | None:
        """The one of the values that a cell is: the same text in any Unicode form, or the same number."""
        same = [known for known in values if known == value or clean(known) == clean(value)]
        same += [known for known in values if _number(known) == _number(value) is not None]
        self._seen.update(same[:1])
        return same[0] if same else None


def _marked(row: Row, names: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The columns that have a 1, where the others have a 0."""
    for name, cell in zip(names, cells, strict=False):
        if cell.lower() not in MARKS:
            raise UserError(
                f"{row.place}: got {cell!r} in the column {name}; a list of columns as dataset.table.label takes 1 for "
                "the image's class and 0 for the others; for probabilities set dataset.table.probabilities to true"
            )
    return [name for name, cell in zip(names, cells, strict=False) if MARKS[cell.lower()]]


def _most_probable(probabilities: Mapping[str, float]) -> str:
    if len(probabilities) == 2:
        first, second = probabilities
        return second if probabilities[second] >= 0.5 else first
    return max(probabilities, key=probabilities.get)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
