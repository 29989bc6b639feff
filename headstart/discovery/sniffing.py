"""The shape of a table that nobody has described: its delimiter, header, and columns of images and labels."""

import csv
import io
import posixpath
import re
import unicodedata
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstart.base import wording
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import matching
from headstart.labels.annotations import CERTAIN, MARKS, is_missing
from headstart.labels.published import split_of, split_of_cell, split_of_table
from headstart.labels.rows import ABOVE, TEXT_ERRORS, decoded, separated

TABLES = (".csv", ".tsv", ".tab", ".txt", ".lst")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
AS_CSV = "a spreadsheet, which is not read: save it as CSV, in UTF-8"
# Of files that may have labels too, and are not read.
OTHERS = (".json", ".jsonl", ".ndjson", ".xml", ".parquet", ".feather", ".arrow", ".mat", ".npy", ".npz", ".pkl")
OTHERS += (".cls", ".pickle", ".h5", ".hdf5", ".tfrecord", ".record", ".db", ".sqlite", ".rds", ".sav", ".dbf")
AS_ROWS = "not read: write the labels in it as a CSV, a row for each image, and images in it as files of their own"
LABELS = r"labels?|(class|category|label)[_ ]?(name|label|id)|class|category|categories|target|diagnosis|dx|species"
LABELS += r"|breed|y|choice|klasse|kategorie|classe|catégorie|clase|categor[ií]a"
PROBABILITIES = r"p|p_.*|.*prob(s|abilit(y|ies))?|likelihood|risk"
IMAGES = r".*(image|img|file|path|photo|picture|name|id).*"
MANY = 20  # files with images' names in a folder without these images: from here on they are no tables of all
MOST = 50  # rows for each image, from where on a file is no table of these
# Share of the images that a layout has to label; to match the rows of many smaller tables with all images is slow.
ENOUGH = 0.2
_ROWS = 500  # at most so many, evenly spread, decide what a column is


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its name, and so no table."""
    return finding.is_image_name(path.name)


class Sniffed(NamedTuple):
    """A table of images and labels: what `dataset.table` is to say about it, and its columns.

    named: whether the label's column has a name that says so. columns: the others, by name or number.
    """

    settings: dict[str, Any]
    named: bool
    images: list[str]
    columns: dict[str | int, list[str]]


class Refused(NamedTuple):
    """Why a table tells no image its label; meant: it looks as if it were to, by its rows and columns.

    images: those that it names all the same, as they are written there. splits: what it says of each, where it has a
    column of splits; else empty.
    """

    why: str
    meant: bool
    images: Sequence[str] = ()
    splits: Sequence[str] = ()


class Index(NamedTuple):
    """The images of a source as tables are compared with them, made once for all tables.

    keys: `key` of each. by_number: their paths by the last number in their names, without its zeros.
    """

    paths: Sequence[str]
    keys: set[str]
    by_number: dict[str, list[str]]

    def numbered(self, cells: Iterable[str]) -> list[str]:
        """The images that `matching.by_number` could take for the cells: all whose number is anywhere in one."""
        numbers = {number for cell in cells for text in {cell, urllib.parse.unquote(cell)} for number in _numbers(text)}
        return [path for number in sorted(numbers) for path in self.by_number.get(number, [])]


def index(images: Sequence[str]) -> Index:
    """Return the index of the images' paths."""
    by_number = defaultdict(list)
    for path in images:
        for number in _numbers(finding.stem(path))[-1:]:
            by_number[number].append(path)
    return Index(images, {key(path) for path in images}, dict(by_number))


def _numbers(text: str) -> list[str]:
    return [number.lstrip("0") for number in re.findall("[0-9]+", text)]


def sidecars(tables: Sequence[str], images: Sequence[str]) -> set[str]:
    """Return the tables that are about one image each, as boxes and captions are, by their names.

    Each has the name of an image beside it, or lies in a folder of `MANY` that have the name of one elsewhere. A single
    one may be a table of all images, and its image a picture of it.
    """
    beside, keys = {(posixpath.dirname(path), key(path)) for path in images}, {key(path) for path in images}
    keyed = {table: key(posixpath.splitext(table)[0]) for table in tables}
    named = Counter(posixpath.dirname(table) for table in tables if keyed[table] in keys)
    found = set()
    for table, name in keyed.items():
        folder = posixpath.dirname(table)
        if (folder, name) in beside or (name in keys and named[folder] >= MANY):
            found.add(table)
    return found if len(found) > 1 else set()


def key(name: str) -> str:
    """What a file name and a table's entry for it have in common: no folder or ending, one case and Unicode form."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2].lower()
    return finding.without_ending(last)


def sniff(
    source: Source,
    file: str,
    images: Index,
    given: dict[str, str],
    probabilities: bool = False,
    classes: Sequence[str] | None = None,
) -> Sniffed | Refused:
    """Return what a table of the source is about; or why it tells no image its label.

    images: of the source. given: the columns that are known already, `image` and `label`, by name or number;
    several of the label with commas between them. probabilities: whether the label is known to be one, or several; else
    that is taken where a column has many numbers from 0 to 1, or all rows of several add up to 1. classes: if they are
    known.
    """
    read = _read(source, file, images.keys)
    if isinstance(read, Refused):
        return read
    delimiter, rows = read
    meant = _looks_meant(rows, len(images.keys))
    header = None if _is_entry(rows, images.keys) else rows[0]
    body = rows[1:] if header else rows
    spread = body[:: max(1, len(body) // _ROWS)]
    names = _names(header, len(rows[0]))
    columns = {str(n): n for n in range(len(names))} | {str(name): number for number, name in enumerate(names)}
    wanted = [name for option in given.values() for name in option.split(",")]
    if unknown := [name for name in wanted if name not in columns]:
        return Refused(f"has no column {unknown[0]}; it has {', '.join(map(str, names))}", meant)
    image = columns[given["image"]] if "image" in given else _image_column(spread, images.keys, names)
    if image is None:
        image = _column_of_numbers(body, images, names, file)
    if image is None:
        return Refused(_lacks_images(body, images, names, file), meant)
    others = [number for number in range(len(names)) if number != image]
    labels, named = _label_columns(body, spread, others, names, probabilities)
    if "label" in given:
        labels, named = [columns[name] for name in given["label"].split(",")], True
    if not labels:
        return _lacks_labels(body, others, names, image)
    if not named and (why := _other_than_labels(file, {row[labels[0]] for row in body}, len(body), len(images.paths))):
        return Refused(why, meant=False)
    probable = probabilities or _are_probabilities(body, labels)
    if probable and len(labels) == 1 and len(classes or ()) != 2:
        why = f"{names[labels[0]]} has the probability of the second of two classes: name both with --classes A,B"
        return Refused(why, meant=named)
    label = [names[number] for number in labels]
    settings = {"file": file, "delimiter": delimiter, "header": header is not None, "image": names[image]}
    settings |= {"label": label[0] if len(label) == 1 else label, "values": None, "probabilities": probable}
    rest = {names[number]: [row[number] for row in body] for number in others if number not in labels}
    return Sniffed(settings, named, [row[image] for row in body], rest)


def _read(source: Source, file: str, images: set[str]) -> tuple[str, list[list[str]]] | Refused:
    """The delimiter and the rows of a table, beginning with its header if it has one; or why it is none."""
    try:
        data = source.read(file)
        if (lines := data.count(b"\n")) > 1000 + MOST * len(images):
            return Refused(f"has {lines:,} lines for {len(images):,} images, too many for a row each", meant=False)
        delimiter, rows = _rows(separated(decoded(data))[0])
    except TEXT_ERRORS as error:
        why = f"cannot be read as a table ({error}): save it as plain UTF-8 text"
        return Refused(why, _looks_meant(_rows_in_another_encoding(source, file), len(images)))
    if not rows:
        return Refused("not a table of two or more columns", meant=False)
    return delimiter, rows[_start(rows, images) :]


def _looks_meant(rows: list[list[str]], images: int) -> bool:
    """Whether a table has about a row for each image, and a column that may be a label."""
    return len(rows) >= 0.5 * images and bool(_label_columns(rows[1:], rows[1:], range(len(rows[0])), rows[0])[0])


def _rows_in_another_encoding(source: Source, file: str) -> list[list[str]]:
    """The rows of a table that is not UTF-8, to count them: which letters they have is not known."""
    try:
        return _rows(source.read(file).decode("latin-1"))[1]
    except TEXT_ERRORS:
        return []


def _rows(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter, and the rows of the usual length; no rows where no delimiter makes columns of the text."""
    lines = [line for line in text.splitlines() if line.strip()]
    best: tuple[int, int, str, list[list[str]]] = (0, 0, "", [])
    for delimiter in (",", ";", "\t", "|", "whitespace"):
        if delimiter == "whitespace":
            rows = [line.split() for line in lines]
        else:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        rows = [cells for row in rows if any(cells := [cell.strip() for cell in row])]
        if rows and delimiter != "whitespace" and min(map(len, rows)) > 1 and len(rows[0]) == max(map(len, rows)):
            rows = [row + [""] * (len(rows[0]) - len(row)) for row in rows]  # without the empty cells at their ends
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        if empty := min((_empty_at_the_end(row) for row in rows if len(row) == width), default=0):
            width, rows = width - empty, [row[: width - empty] for row in rows]  # rows end with a delimiter
        usual = [number for number, row in enumerate(rows) if len(row) == width]
        if usual and usual[0] <= ABOVE and len(rows) - usual[-1] <= ABOVE:  # between a title and a footer
            rows = rows[usual[0] : usual[-1] + 1]
        # Blanks part the words of a sentence too: only where no sign makes columns.
        if width > 1 and count >= 0.9 * len(rows) and not (delimiter == "whitespace" and best[3]):
            best = max(best, (count, width, delimiter, [row for row in rows if len(row) == width]))
    return best[2], best[3]


def _empty_at_the_end(row: list[str]) -> int:
    """How many cells at the end of a row are empty."""
    return next((number for number, cell in enumerate(reversed(row)) if cell), len(row))


def _start(rows: list[list[str]], images: set[str]) -> int:
    """The number of the header, or of the first row where there is none: below a title, notes and comments."""
    entry = next((at for at, row in enumerate(rows[: ABOVE + 1]) if any(key(cell) in images for cell in row)), None)
    if entry is None:  # a title is in the first cell alone
        return next((at for at, row in enumerate(rows[:ABOVE]) if not row[0] or any(row[1:])), 0)
    found = []
    for at, row in enumerate(rows[:entry]):
        told = any(re.fullmatch(LABELS, cell.lower()) for cell in row)
        # A sentence about `class 1: cats` names no columns.
        if not row[0].startswith("#") or (told and at == entry - 1 and not any(":" in cell for cell in row)):
            # A legend of the labels may stand above the header, and units below it.
            found.append((told, sum(map(bool, row)), at if told else -at, at))
    return max(found)[-1] if found else entry


def _names(header: list[str] | None, count: int) -> list[str | int]:
    """The names of the columns, or where names come twice their numbers; of one without a name its number."""
    if header is None or len(set(filter(None, header))) < max(1, len(header) - header.count("")):
        return list(range(count))
    return [name or number for number, name in enumerate(header)]


def _is_entry(rows: list[list[str]], images: set[str]) -> bool:
    """Whether the first row is one of an image, and no header."""
    first, known = rows[0], [key(cell) in images for cell in rows[0]]
    if all(map(_is_number, first)) or any(
        is_known and not cell.isdigit() for cell, is_known in zip(first, known, strict=True)
    ):
        return True
    # A header may have numbers that are names of images too, but no words that come back below.
    words = [number for number, cell in enumerate(first) if cell and not _is_number(cell)]
    below = [row for row in rows[1:] if any(known) or row != first]
    return any(row[number] == first[number] for row in below for number in words)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", cell.lower()))


def _image_column(rows: list[list[str]], images: set[str], names: list[str | int]) -> int | None:
    """The column whose cells are names of images, different in most rows."""
    scores = []
    for number, name in enumerate(names):
        cells = [row[number] for row in rows]
        known = sum(key(cell) in images for cell in cells) / max(1, len(cells))
        # A column of small numbers names files that are named so, too.
        if known >= 0.5 and len(set(cells)) >= 0.5 * len(cells):
            scores.append((known, bool(re.fullmatch(IMAGES, str(name).lower())), -number))
    return -max(scores)[2] if scores else None


def _lacks_images(rows: list[list[str]], images: Index, names: list[str | int], file: str) -> str:
    """Why no column names an image in each row: where one names most images in several, that is said."""
    spread = rows[:: max(1, len(rows) // _ROWS)]
    ends = {finding.without_ending("/".join(path.split("/")[-2:])) for path in images.paths}
    for number, name in enumerate(names):
        if spread and sum(key(row[number]) in images.keys for row in spread) >= 0.5 * len(spread):
            for other in set(range(len(names))) - {number}:
                joined = {finding.without_ending(f"{row[other]}/{row[number]}") for row in spread}
                if len(joined & ends) > len(spread) / 2:
                    where = f"the folder of an image in the column {names[other]} and its file in {name}"
                    return f"has {where}: write both into one, as {min(joined)}"
            return f"names an image in several rows of the column {name}, as for boxes in it: give it one row"
    return f"no column of it names images of the source{_nearest(rows, images.paths, names, file)}"


def _lacks_labels(rows: list[list[str]], others: Sequence[int], names: list[str | int], image: int) -> Refused:
    why = f"names images in the column {names[image]}, but no other column looks like a label"
    if shares := _shares(rows, others):
        why += f" ({names[shares[0]]} has numbers from 0 to 1: --probabilities takes it for that of a class)"
    return Refused(why, False, [row[image] for row in rows], _splits_said(rows, others, names))


def _splits_said(rows: list[list[str]], others: Sequence[int], names: list[str | int]) -> list[str]:
    """The split that each row says, by the first column that says one in all rows; none where there is no such one."""
    for number in others:
        said = [split_of_cell(str(names[number]), row[number]) for row in rows]
        if None not in said and len({*said}) > 1:
            return said
    return []


def _column_of_numbers(rows: list[list[str]], images: Index, names: list[str | int], file: str) -> int | None:
    """The column whose cells have the numbers of the images' names, each the one of an image of its own."""
    columns = [[row[number] for row in rows] for number in range(len(names))]
    fitting = [
        (not re.fullmatch(IMAGES, str(names[number]).lower()), number)
        for number, cells in enumerate(columns)
        if len(set(cells)) == len(cells) and matching.by_number(cells, images.numbered(cells), file)
    ]
    return min(fitting)[1] if fitting else None


def _nearest(rows: list[list[str]], images: Sequence[str], names: list[str | int], file: str) -> str:
    """An entry of the likeliest column, and the image that it may mean, for messages; empty where none is likely.

    Also where the table has too few rows to be taken: to look all images up for each of many is slow.
    """
    if len(rows) < ENOUGH * len(images):
        return ""
    for number, name in enumerate(names):
        cells = {row[number] for row in rows}
        if re.fullmatch(IMAGES, str(name).lower()) and len(cells) > len(rows) / 2:
            _, left_out, _ = matching.match([rows[0][number]], sorted(images), file)
            return "".join(f": {rows[0][number]} is {entry.reason}" for entry in left_out[:1])
    return ""


def _label_columns(
    rows: list[list[str]],
    spread: list[list[str]],
    others: Sequence[int],
    names: list[str | int],
    probabilities: bool = False,
) -> tuple[list[int], bool]:
    """The column of the label, or several that hold one 1 per row, or probabilities; and whether a name says so."""
    shares = _shares(rows, others)
    if _are_probabilities(rows, shares) and len(shares) > 1:
        return shares, True
    if probabilities and shares:
        return shares[:1], True
    values = {number: {row[number] for row in rows if not is_missing(row[number])} for number in others}
    named = [
        number for number in others if re.fullmatch(LABELS, str(names[number]).lower()) and len(values[number]) > 1
    ]
    # "class" as a number and "class_name" beside it: the words are what is to be read later.
    named.sort(key=lambda number: all(map(_is_number, values[number])))
    if named:
        return named[:1], True
    binary = [number for number in others if {*map(str.lower, values[number])} <= MARKS.keys()]
    binary = [number for number in binary if not _is_split(names[number], ())]
    if len(binary) > 1:
        sums = Counter(sum(MARKS.get(row[number].lower(), False) for number in binary) for row in spread)
        if sums[1] >= 0.9 * len(spread):
            return binary, True
    if likely := [number for number in shares if re.fullmatch(PROBABILITIES, str(names[number]).lower())]:
        return likely[:1], True
    for number in others:
        kinds = values[number]
        measured = len(kinds) > 20 and all(map(_is_number, kinds))
        if 2 <= len(kinds) <= max(20, len(rows) // 5) and not measured and not _is_split(names[number], kinds):
            return [number], False
    return [], False


def _shares(rows: list[list[str]], others: Sequence[int]) -> list[int]:
    """The columns that have numbers from 0 to 1, some of them between."""
    return [number for number in others if are_shares([row[number] for row in rows])]


def are_shares(cells: list[str]) -> bool:
    """Whether cells are numbers from 0 to 1, some of them between; those without a value aside."""
    cells = [cell for cell in cells if not is_missing(cell)]
    if not cells or not all(map(_is_number, cells)):
        return False
    numbers = set(map(float, cells))
    return min(numbers) >= 0 and max(numbers) <= 1 and bool(numbers - {0, 1})


def _are_probabilities(rows: list[list[str]], labels: Sequence[int]) -> bool:
    """Whether columns of labels are probabilities: several add up to 1 in each row, one has many different numbers."""
    if len(labels) > 1:
        if not all(are_shares([row[number] for row in rows]) for number in labels):
            return False
        return all(
            abs(sum(0 if is_missing(row[number]) else float(row[number]) for number in labels) - 1) <= CERTAIN
            for row in rows
        )
    kinds = {row[number] for row in rows for number in labels}
    return bool(_shares(rows, labels)) and len(kinds) > max(5, min(20, len(rows) // 4))


def split_columns(columns: Mapping[str | int, Mapping[str, str]]) -> list[str | int]:
    """The columns that say which split an image is in, by name or by cells; columns: {name: {path: cell}}."""
    return [name for name, cells in columns.items() if _is_split(name, set(cells.values()))]


def _is_split(name: str | int, kinds: Collection[str]) -> bool:
    told = re.fullmatch(r"(?i)is[_ ]?(.+)", str(name))  # not train alone, which may be a class beside bus
    if re.fullmatch(rf"(?i)(k|cv)?[_ ]?({_SPLITS})([_ ]?(id|no|nr|number|\d+))?", str(name)):
        return True
    if told and split_of(told[1]):
        return True
    return len(kinds) > 1 and all(map(split_of, kinds))


def _other_than_labels(file: str, kinds: Collection[str], rows: int, images: int) -> str | None:
    """Why a column that no name calls one of labels is none; kinds: what is in it."""
    if rows < ENOUGH * images and not split_of_table(file):  # as a val.csv beside train.csv
        return f"has {wording.count(rows, 'row')} for {images:,} images, too few"
    return "has the numbers of splits or folds, by its name; --label takes them" if _tells_splits(file, kinds) else None


def _tells_splits(file: str, kinds: Collection[str]) -> bool:
    """Whether a table has splits where labels may be, by its name: 0, 1 and 2 in list_eval_partition.txt."""
    words = re.split(r"[\W_\d]+", posixpath.basename(file).lower())
    named = [word for word in words if re.fullmatch(rf"k?({_SPLITS})s?", word)]
    # Of one split they may be classes, as in train_split.txt.
    one = len({*map(split_of, words)} - {None}) == 1 and not {"partition", "fold", "folds", "kfold"} & {*named}
    return bool(named) and not one and len(kinds) <= 10 and all(map(str.isdigit, kinds))


def listed(source: Source, file: str, images: Index) -> list[str]:
    """The lines of a text file, where most of the first ones are names of images and nothing else; else none.

    As in lists of splits, and in tables of tests that have but one column.
    """
    try:
        lines = [line.strip() for line in decoded(source.read(file)).splitlines()]
    except TEXT_ERRORS:
        return []
    known = [key(line) in images.keys for line in lines[:_ROWS]]
    return lines[known.index(True) :] if sum(known) > len(known) / 2 else []


_SPLITS = "split|subset|fold|set|usage|partition"
