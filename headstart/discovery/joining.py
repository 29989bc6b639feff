"""What several tables, lists and folders say of the images of a source, written into one table of it."""

import contextlib
import csv
import io
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.base import files, wording
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
    split is empty where nothing says one, and where nothing says any there is no such column. A line says how many rows
    name no image of the source, and how many images are left out, since they are listed in two splits.

    Raises UserError where the source is no folder, where it has such a file, and where there is nothing to join.
    """
    folder = Path(dataset["path"])
    if not folder.is_dir():
        raise UserError(f"--join: {folder} is no folder, so nothing is written into it: unpack it, and give the folder")
    if not name.endswith(".csv") or Path(name).name != name or (folder / name).exists():
        there = f"; --table {shlex.quote(name)} takes the one that is there" if (folder / name).is_file() else ""
        raise UserError(f"--join: got {name}; takes a name that ends in .csv and that no file in {folder} has{there}")
    if joined := labelling.joined_in(dataset["path"]):
        made_of, rows, lines = joined.files, [*_by_ids(joined)], _missing(joined.missing, joined.files[0])
    else:
        best, lists = _found(dataset, only)
        with open_source(dataset["path"]) as source:
            made_of, rows, lines = _by_layout(source, best, lists)
    text, width = io.StringIO(), 3 if any(split for _, _, split in rows) else 2
    writer = csv.writer(text, lineterminator="\n")  # cells as they are, since they are read as such
    writer.writerows(row[:width] for row in [COLUMNS, *sorted(rows)])
    files.write_text(folder / name, text.getvalue())
    meaning = f" ({joined.meaning})" if joined and joined.meaning else ""
    say(f"{folder / name}: written, of {', '.join(made_of)}{meaning}.", *lines)


def _missing(images: Sequence[str], table: str) -> list[str]:
    """A line on the rows of a table whose image is none of the source, or could be several."""
    if not images:
        return []
    named = wording.count(len(images), "image")
    return [f"{table}: {named} not found, such as {images[0]}: left out."]


def _found(dataset: dict[str, Any], only: dict[str, Any]) -> tuple[Layout, list[Reason]]:
    with contextlib.redirect_stdout(io.StringIO()):  # that lists are not read
        layouts, reasons = labelling.find_layouts(dataset, only)
    lists = [reason for reason in reasons if reason.splits]
    if not layouts or not (layouts[0].beside or lists):
        raise UserError(f"--join: nothing in {dataset['path']} is to be joined: leave it out")
    return layouts[0], lists


def _by_ids(joined: ids.Joined) -> Iterator[tuple[str, str, str]]:
    for path, label in joined.labels.items():
        yield path, label, joined.splits[path]


def _by_layout(
    source: Source, best: Layout, lists: list[Reason]
) -> tuple[list[str], list[tuple[str, str, str]], list[str]]:
    """The names of what the table is made of; its rows; and lines on what is left out.

    Where a list, or a table of splits, has an image, the split is that one's.
    """
    told, lines = defaultdict(set), []
    for reason in lists:
        found, _, _ = matching.match(reason.bare, source.names(), reason.how)
        lines += _missing([image for image in reason.bare if image not in found], reason.how)
        for image, split in zip(reason.bare, reason.splits, strict=True):
            told[found.get(image)].add(split)
    rows, torn = [], []
    for layout in (best, *best.beside):
        table = layout.settings.get("table", {}).get("file", "")
        for item in layout.items:
            folders = [split_of(part) for part in reversed(item.path.split("/")[:-1])]
            split = next(filter(None, [*told[item.path], item.split, *folders]), None)
            split = split or (split_of_table(table) if isinstance(table, str) else None)
            if len(told[item.path]) < 2:
                rows.append((item.path, item.label, split or ""))
            else:
                torn.append(item.path)
    if torn:
        lines.append(f"{wording.count(len(torn), 'image')} in two splits, such as {torn[0]}: left out.")
    return [*(layout.how for layout in (best, *best.beside)), *(reason.how for reason in lists)], rows, lines
