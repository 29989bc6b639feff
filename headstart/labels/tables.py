"""Labels from a table in the source, such as a CSV file with a column of images and one of labels."""

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import matching, rows
from headstart.labels.rows import Row

_MARKS = {"0": False, "0.0": False, "false": False, "": False, "1": True, "1.0": True, "true": True}


def read_labels(source: Source, table: Table) -> tuple[dict[str, str], list[LeftOut]]:
    """Return the label of each image by path, and the images that the table or the source leaves out.

    table: the section `dataset.table` of params.yaml. Images are named in it relative to its own folder; those that are
    written otherwise, such as by the paths of another machine, are found where they can be only one file, and one line
    says how many (`matching`). Where there are several label columns, which hold 1 for an image's class and 0 for the
    others, their names are the classes.

    Raises UserError where the table is not in the source, is no text, or lacks what `table` says is in it.
    """
    several = isinstance(table.label, list)
    columns = [("dataset.table.label", column) for column in (table.label if several else [table.label])]
    names, entries = rows.read(source, table, columns)
    files, left_out, ways = matching.match([row.image for row in entries], source.names(), table.file)
    print("".join(f"{way}\n" for way in ways), end="")
    labels, contradictory, unlabelled = {}, set(), {}
    for row in entries:
        value, reason = (
            _marked(row, names, table.file) if several else (row.cells[0], f"listed in {table.file} without a label")
        )
        label = _class(value, row, table, first=row is entries[0])
        if (path := files.get(row.image)) is None:
            continue
        if not label:
            unlabelled[path] = reason
        elif labels.setdefault(path, label) != label:
            contradictory.add(path)
    left_out += [LeftOut(path, f"listed in {table.file} under two classes") for path in contradictory]
    left_out += [LeftOut(path, reason) for path, reason in unlabelled.items() if path not in labels]
    known = labels.keys() | {entry.path for entry in left_out}
    unlisted = finding.images(source) - known
    left_out += [LeftOut(path, f"not listed in {table.file}") for path in unlisted]
    return {path: label for path, label in labels.items() if path not in contradictory}, left_out


def read_column(source: Source, table: Table, column: str | int) -> list[tuple[str, str]]:
    """Return the images' paths in the source, each with what `column` (`dataset.group.column`) has for it.

    Rows without an image in the source, or with an empty cell, are left out. Raises what `read_labels` raises.
    """
    _, entries = rows.read(source, table, [("dataset.group.column", column)])
    files, _, _ = matching.match([row.image for row in entries], source.names(), table.file)
    return [(files[row.image], row.cells[0]) for row in entries if row.image in files and row.cells[0]]


def _class(value: str | None, row: Row, table: Table, first: bool) -> str | None:
    """The class that the value of a label, or the name of a column of labels, stands for; None where there is none."""
    if value is None or table.values is None:
        return value or None
    if value not in table.values:
        header = "set dataset.table.header to true if it names the columns; " if first and not table.header else ""
        raise UserError(
            f"{row.place}: the label {value!r} is not in dataset.table.values "
            f"({', '.join(map(repr, table.values))}); {wording.did_you_mean(value, table.values)}{header}"
            "add it there, or set it to null, where the labels are the classes"
        )
    return table.values[value]


def _marked(row: Row, names: list[str], file: str) -> tuple[str | None, str]:
    """The column that has a 1 among zeros; or None, and why there is no such one."""
    marked = []
    for name, cell in zip(names, row.cells, strict=True):
        if cell.lower() not in _MARKS:
            raise UserError(
                f"{row.place}: got {cell!r} in the column {name}; a list of columns as dataset.table.label takes 1 for "
                "the image's class and 0 for the others: name the one column of the label, or correct the table"
            )
        if _MARKS[cell.lower()]:
            marked.append(name)
    if len(marked) > 1:
        return None, f"of several classes at once in {file} ({', '.join(marked)}), where an image has one"
    return (marked[0], "") if marked else (None, f"of none of the classes in {file}")
