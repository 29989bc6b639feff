"""Which column of a table says what split an image is of, and whether images can be dealt out by it."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Any

from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.discovery import labelling, sniffing
from headstart.discovery.reading import Layout
from headstart.labels import splitting
from headstart.labels.published import split_of, split_of_cell


def find(layout: Layout, sizes: Split) -> tuple[str | int | None, Iterator[str]]:
    """Return the column of splits to take, None where there is none; and a line on each that is not taken.

    sizes: what the splits that no row names are to take of the others. Of several columns that can be taken the first
    one is, where all of them say the same.
    """
    columns = [name for name in sniffing.split_columns(layout.columns) if not _is_known(layout, name)]
    faults = {name: _fault(layout, name, sizes) for name in columns}
    fitting = [name for name in columns if faults[name] is None]
    said = {name: _said(layout, name) for name in fitting}
    if any(said[name] != said[fitting[0]] for name in fitting):
        for name in fitting:
            other = next(other for other in fitting if said[other] != said[name])
            faults[name] = f"{other} says other splits: --split {_option(name)} takes this one"
        fitting = []
    lines = (
        f"The column {name} ({values(layout, name)}) is not read: {fault}." for name, fault in faults.items() if fault
    )
    return (fitting[0] if fitting else None), lines


def take(layout: Layout, dataset: dict[str, Any], name: str | int) -> Layout:
    """Return the layout with the splits that the column `name` of its table says.

    dataset: as of `labelling.find_layouts`. Raises UserError where a cell says no split, and for splits without train.
    """
    settings = layout.settings | {"table": layout.settings["table"] | {"split": name}}
    items, left_out, notes = labelling.read(dataset, settings)
    known = layout.notes.splitlines()
    notes = layout.notes + "".join(f"{line}\n" for line in notes.splitlines() if line not in known)
    return layout._replace(settings=settings, items=items, left_out=left_out, notes=notes)


def named(layout: Layout, given: str) -> str | int:
    """The column of the table that is given by name or number. Raises UserError where it is none of the others."""
    columns = {str(name): name for name in layout.columns}
    if given not in columns:
        takes = f"a column ({', '.join(columns)})" if columns else "a column of a table"
        raise UserError(f"--split: got {given}; {wording.did_you_mean(given, columns)}takes {takes}, or none")
    return columns[given]


def values(layout: Layout, name: str | int) -> str:
    """The values in a column with their counts, the commonest first, as a line has them."""
    counts = Counter(layout.columns[name].values()).most_common()
    more = f", and {len(counts) - 3:,} more" if len(counts) > 3 else ""
    return ", ".join(f"{value} {count:,}" for value, count in counts[:3]) + more


def meaning(layout: Layout, name: str | int) -> str:
    """What the values of a column of yes and no stand for, in brackets after a blank; nothing for one of names."""
    cells = sorted({*layout.columns[name].values()}, reverse=True)
    if any(map(split_of, cells)):
        return ""
    return f" ({', '.join(f'{cell}: {split_of_cell(str(name), cell)}' for cell in cells)})"


def _option(name: str | int) -> str:
    return shlex.quote(str(name))


def _said(layout: Layout, name: str | int) -> dict[str, str | None]:
    """The split that the column says of each image that it has a cell for; None where a cell says none."""
    return {path: split_of_cell(str(name), cell) for path, cell in layout.columns[name].items()}


def _is_known(layout: Layout, name: str | int) -> bool:
    """Whether the images have just the splits that the column says, as by their folders."""
    known = {item.path: item.split for item in layout.items}
    return None not in known.values() and known.items() <= _said(layout, name).items()


def _fault(layout: Layout, name: str | int, sizes: Split) -> str | None:
    """Why a column cannot be taken for that of splits unasked; None where it can."""
    said, takes = _said(layout, name), f"--split {_option(name)} takes it"
    cells = layout.columns[name]
    unknown = [cells[item.path] for item in layout.items if said.get(item.path, "") is None]
    if unknown:
        return f"{unknown[0]} is none of train, validation and test, nor val, dev, testing or the like"
    if {item.split for item in layout.items} != {None}:
        return f"splits are fixed otherwise; {takes}"
    if re.fullmatch(r"(?i)(is)?[\s_-]*valid", str(name)) and "validation" not in layout.columns[name].values():
        return f"it may say what is valid, or what is for validation; {takes} for that"
    if lacking := sum(item.path not in said for item in layout.items):
        return f"{wording.count(lacking, 'image')} {'has' if lacking == 1 else 'have'} no split in it; {takes}"
    splits = sorted({said[item.path] for item in layout.items}, key=SPLITS.index)
    if len(splits) < 2 or "train" not in splits:
        return f"it says {' and '.join(splits)} alone"
    counts = Counter((said[item.path], item.label) for item in layout.items)
    for part, wanted in splitting.plan(set(splits), sizes).items():
        for label in layout.counts:
            if counts[part, label] < len(wanted):
                have = wording.count(counts[part, label], "image")
                return f"class {label} has {have} of {part} in it, too few, so all images are dealt out anew"
    return None
