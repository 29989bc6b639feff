"""Labels from a table in the source, such as a CSV file with a column of images and one of labels."""

from collections import Counter
from collections.abc import Sequence

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.params import Table
from headstart.base.terminal import say
from headstart.images import finding
from headstart.images.archive import Source
from headstart.labels import matching, rows
from headstart.labels.annotations import Annotation, Reader, is_missing


def read_labels(
    source: Source, table: Table, classes: Sequence[str] | None = None
) -> tuple[dict[str, Annotation], list[LeftOut]]:
    """Return what the table says of each image, by path, and the images that the table or the source leaves out.

    table, classes: the parameters `dataset.table` and `dataset.classes`. Images are named in the table relative to its
    own folder; those that are written otherwise, such as by the paths of another machine, are found where they can be
    only one file (`matching`). Of several label columns, which hold 1 for an image's class and 0 for the others, the
    names are the classes.

    One printed line each says in which way paths are written otherwise, which classes have no image, which lines above
    or below the rows are none, and which values of the parameters do not occur.

    Raises UserError where the table is not in the source, is no text, or lacks what `table` says is in it.
    """
    reader = Reader(table, classes)
    names, entries, aside = rows.read(source, table, reader.columns)
    files, left_out, lines = matching.match([row.image for row in entries], source.names(), table.file)
    reader.look_over(entries)
    found, contradictory, unlabelled, numbers = {}, {}, {}, Counter()
    for row in entries:
        annotation = reader.read(row, names)
        path = files.get(row.image)
        if isinstance(annotation, Annotation):
            numbers[annotation.label] += 1
            if path and (other := found.setdefault(path, annotation)) != annotation:
                contradictory[path] = "under two classes" if other.label != annotation.label else "twice, differently"
        elif path:
            unlabelled[path] = annotation
    left_out += [LeftOut(path, f"listed in {table.file} {how}") for path, how in contradictory.items()]
    left_out += [LeftOut(path, reason) for path, reason in unlabelled.items() if path not in found]
    known = found.keys() | {entry.path for entry in left_out}
    unlisted = finding.images(source) - known
    left_out += [LeftOut(path, f"not listed in {table.file}") for path in unlisted]
    kept = {path: annotation for path, annotation in found.items() if path not in contradictory}
    for name in sorted(numbers.keys() - {annotation.label for annotation in kept.values()}):
        number = wording.count(numbers[name], "row")
        lines.append(
            f"class {name} has no image: what {number} of {table.file} name{'s' * (numbers[name] == 1)} is left out"
        )
    if aside:
        lines.append(f"{table.file}: {wording.count(len(aside), 'line')} passed over, such as {aside[0][:80]!r}")
    lines += _doubtful(entries, reader, table)
    if unseen := reader.unseen():
        lines.append(f"{table.file} has no label {', '.join(map(repr, unseen))}, which dataset.table gives a meaning")
    say(*lines)
    return kept, left_out


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

    Rows without an image in the source, or with a cell that is empty or says NaN or the like, are left out. Raises what
    `read_labels` raises.
    """
    _, entries, _ = rows.read(source, table, [("dataset.group.column", column)])
    files, _, _ = matching.match([row.image for row in entries], source.names(), table.file)
    pairs = [(row.image, row.cells[0]) for row in entries]
    return [(files[image], cell) for image, cell in pairs if image in files and not is_missing(cell)]
