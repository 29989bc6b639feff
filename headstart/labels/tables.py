"""Labels from a table in the source, such as a CSV file with a column of images and one of labels."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.params import Table
from headstart.base.terminal import say
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import matching, rows
from headstart.labels.annotations import Annotation, Reader, is_missing
from headstart.labels.published import split_of_table


def read_labels(
    source: Source, table: Table, classes: Sequence[str] | None = None
) -> tuple[dict[str, Annotation], list[LeftOut]]:
    """Return what the table says of each image, by path, and the images that the table or the source leaves out.

    table, classes: the parameters `dataset.table` and `dataset.classes`. Images are named in the table relative to its
    own folder; those that are written otherwise, such as by the paths of another machine, are found where they can be
    only one file (`matching`). Of several label columns, which hold 1 for an image's class and 0 for the others, the
    names are the classes. An image has the split of its row (`table.split`), else, of several tables, of its own.

    One printed line each says in which way paths are written otherwise, which classes have no image, which lines above
    or below the rows are none, which values of the parameters do not occur, and which of several tables differs.

    Raises UserError where the table is not in the source, is no text, or lacks what `table` says is in it.
    """
    named = table.model_copy(update={"file": " and ".join(files(table))})  # for messages
    reader = Reader(named, classes)
    parts = _read(source, table, reader.columns, {"dataset.table.label", "dataset.table.split"})
    table, entries = named, [row for part in parts for row in part.entries]
    reader.look_over(entries)
    found, contradictory, unlabelled, numbers, left_out, lines = {}, {}, {}, Counter(), [], []
    for part in parts:
        paths, missing, said = matching.match([row.image for row in part.entries], source.names(), part.file)
        left_out, lines = left_out + missing, lines + said + part.lines
        split = split_of_table(part.file) if len(parts) > 1 else None
        for row in part.entries:
            annotation = reader.read(row, part.names)
            path = paths.get(row.image)
            if isinstance(annotation, Annotation):
                numbers[annotation.label] += 1
                annotation = annotation._replace(split=annotation.split or split)
                if path and (other := found.setdefault(path, annotation)) != annotation:
                    contradictory[path] = _apart(annotation, other)
            elif path:
                unlabelled[path] = annotation
    left_out = [entry for entry in left_out if entry.path not in found]
    left_out += [LeftOut(path, f"listed in {table.file} {how}") for path, how in contradictory.items()]
    left_out += [LeftOut(path, reason) for path, reason in unlabelled.items() if path not in found]
    unlisted = finding.images(source) - found.keys() - {entry.path for entry in left_out}
    left_out += [LeftOut(path, f"not listed in {table.file}") for path in unlisted]
    kept = {path: annotation for path, annotation in found.items() if path not in contradictory}
    for name in sorted(numbers.keys() - {annotation.label for annotation in kept.values()}):
        rows_of = f"{wording.count(numbers[name], 'row')} of {table.file} name{'s' * (numbers[name] == 1)}"
        lines.append(f"class {name} has no image: what {rows_of} is left out")
    lines += _doubtful(entries, reader, table)
    if unseen := reader.unseen():
        lines.append(f"{table.file} has no label {', '.join(map(repr, unseen))}, which dataset.table gives a meaning")
    say(*lines)
    return kept, left_out


def files(table: Table) -> list[str]:
    """The tables that `file` of `dataset.table` names: one, or several."""
    return [table.file] if isinstance(table.file, str) else table.file


class _Part(NamedTuple):
    """One of the tables: its path, the names of its columns (`rows.read`), its rows, and lines on what is otherwise."""

    file: str
    names: list[str]
    entries: list[rows.Row]
    lines: list[str]


def _read(source: Source, table: Table, columns: rows.Columns, may_lack: Collection[str]) -> list[_Part]:
    """The tables, each read by the names that its columns have there.

    columns: as of `rows.read`. may_lack: parameters whose columns may be in some of several tables alone. Raises
    UserError as `rows.read` does.
    """
    parts = [table.model_copy(update={"file": file}) for file in files(table)]
    if len(parts) == 1:
        names, entries, aside = rows.read(source, parts[0], columns)
        return [_Part(parts[0].file, names, entries, _aside(parts[0].file, aside))]
    fitted = [rows.fit(source, part, columns) for part in parts]
    nowhere = set.intersection(*(lacking for _, _, lacking in fitted))
    read = []
    for part, own, lacking in fitted:
        lacking = lacking.intersection(may_lack) - nowhere
        names, entries, aside = rows.read(source, part, own, lacking)
        lines = _aside(part.file, aside)
        if part.delimiter != table.delimiter:
            lines.append(f"{part.file}: read with {part.delimiter!r} between its columns")
        if "dataset.table.label" in lacking:
            lines.append(f"{part.file} has no labels, so that what it lists is left out")
        read.append(_Part(part.file, names, entries, lines))
    return read


def _apart(one: Annotation, other: Annotation) -> str:
    """How two annotations of an image contradict each other."""
    if one.label != other.label:
        return "under two classes"
    return "in two splits" if one.split != other.split else "twice, differently"


def _aside(file: str, lines: Sequence[str]) -> list[str]:
    return [f"{file}: {wording.count(len(lines), 'line')} passed over, such as {lines[0][:80]!r}"] if lines else []


def _doubtful(entries: Sequence[rows.Row], reader: Reader, table: Table) -> list[str]:
    """A line on each thing that may have been meant otherwise than it was read."""
    lines = []
    if over := [row.place for row in entries if row.over]:
        lines.append(
            f"{wording.count(len(over), 'row')} of {table.file} with more cells than its first line, such as {over[0]}"
            f": where a cell holds {table.delimiter!r}, put it in quotes, or the columns after it are shifted"
        )
    if reader.several:
        (text, number), *_ = reader.several.most_common()
        lines.append(
            f"{wording.count(reader.several.total(), 'row')} of {table.file} with a label such as {text!r} "
            f"({number:,}), read as several classes at once: if it is one class, name all in dataset.classes"
        )
    for text, number in sorted(reader.missing.items()):
        have = f"{wording.count(number, 'row')} of {table.file} {'has' if number == 1 else 'have'}"
        lines.append(f"{have} the label {text}, which is read as none: if it is a class, name all in dataset.classes")
    return lines


def read_column(source: Source, table: Table, column: str | int) -> list[tuple[str, str]]:
    """Return the images' paths in the source, each with what `column` (`dataset.group.column`) has for it.

    Rows without an image in the source, or with a cell that is empty or says NaN or the like, are left out, and those
    of a table without that column, where another one has it. Raises what `read_labels` raises.
    """
    pairs = []
    for part in _read(source, table, [("dataset.group.column", column)], {"dataset.group.column"}):
        paths, _, _ = matching.match([row.image for row in part.entries], source.names(), part.file)
        pairs += [(paths[row.image], row.cells[0]) for row in part.entries if row.image in paths]
    return [(path, cell) for path, cell in pairs if not is_missing(cell)]
