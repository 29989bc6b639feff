"""What several tables, lists and folders say of the images of a source, written into one table of it."""

import csv
import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.discovery import ids, labelling
from headstart.discovery.reading import Layout, Reason
from headstart.images.archive import Source, open_source
from headstart.labels import matching
from headstart.labels.published import split_of, split_of_table

COLUMNS = ("image", "label", "split")


def write(dataset: dict[str, Any], only: dict[str, Any], name: str) -> None:
    """Write the table `name` into the folder `dataset["path"]`: a row for each image with its path, label and split.

    dataset, only: as of `labelling.find_layouts`. What it is made of is tables that belong together by numbers (`ids`);
    or else the layout that is found, with the tables of other images and the lists of splits that it passes over. A
    split is empty where nothing says one.

    Raises UserError where the source is no folder, where it has such a file, and where there is nothing to join.
    """
    folder = Path(dataset["path"])
    if not folder.is_dir():
        raise UserError(f"--join: {folder} is no folder, so nothing is written into it: unpack it, and give the folder")
    if not name.endswith(".csv") or Path(name).name != name or (folder / name).exists():
        there = f"; --table {shlex.quote(name)} takes the one that is there" if (folder / name).is_file() else ""
        raise UserError(f"--join: got {name}; takes a name that ends in .csv and that no file in {folder} has{there}")
    if joined := labelling.joined_in(dataset["path"]):
        made_of, rows = joined.files, _by_ids(joined)
    else:
        best, lists = _found(dataset, only)
        with open_source(dataset["path"]) as source:
            made_of, rows = _by_layout(source, best, lists)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # cells as they are, since they are read as such
    writer.writerows([COLUMNS, *sorted(rows)])
    files.write_text(folder / name, text.getvalue())
    meaning = f" ({joined.meaning})" if joined and joined.meaning else ""
    say(f"{folder / name}: written, of {', '.join(made_of)}{meaning}.")


def _found(dataset: dict[str, Any], only: dict[str, Any]) -> tuple[Layout, list[Reason]]:
    layouts, reasons = labelling.find_layouts(dataset, only)
    lists = [reason for reason in reasons if reason.of_split]
    if not layouts or not (layouts[0].beside or lists):
        raise UserError(f"--join: nothing in {dataset['path']} is to be joined: leave it out")
    return layouts[0], lists


def _by_ids(joined: ids.Joined) -> Iterator[tuple[str, str, str]]:
    for path, label in joined.labels.items():
        yield path, label, joined.splits[path]


def _by_layout(source: Source, best: Layout, lists: list[Reason]) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The names of what the table is made of, and its rows; where a list has an image, the split is the list's."""
    listed = {}
    for reason in lists:
        for path in matching.match(reason.bare, source.names(), reason.how)[0].values():
            listed.setdefault(path, set()).add(split_of_table(reason.how))
    rows = []
    for layout in (best, *best.beside):
        table = layout.settings.get("table", {}).get("file", "")
        for item in layout.items:
            folders = [split_of(part) for part in reversed(item.path.split("/")[:-1])]
            split = next(filter(None, [*listed.get(item.path, ()), item.split, *folders]), None)
            split = split or (split_of_table(table) if isinstance(table, str) else None)
            if len(listed.get(item.path, ())) < 2:  # what is in two splits is in none
                rows.append((item.path, item.label, split or ""))
    return [*(layout.how for layout in (best, *best.beside)), *(reason.how for reason in lists)], rows
