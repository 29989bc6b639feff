"""Which column of a table says what split an image is of, and whether images can be dealt out by it."""

import contextlib
import io
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Dataset, Split
from headstart.discovery import labelling, sniffing
from headstart.discovery.reading import Layout
from headstart.discovery.rehearsal import validated
from headstart.images.archive import open_source
from headstart.labels import groups, splitting
from headstart.labels.published import are_marks, split_of, split_of_cell


def find(
    layout: Layout, dataset: dict[str, Any], sizes: Split, group: Callable[[], dict[str, Any] | None]
) -> tuple[str | int | None, Iterator[str]]:
    """Return the column of splits to take, None where there is none; and a line on each that is not taken.

    dataset: as of `labelling.find_layouts`. sizes: what the splits that no row names are to take of the others. group:
    returns what `dataset.group` is to be; called only where a column can be taken. Of several that can be the first one
    is, where all of them say the same, and none where it parts what belongs together.
    """
    marks = [name for name, cells in layout.columns.items() if are_marks(str(name), cells.values())]
    columns = dict.fromkeys([*sniffing.split_columns(layout.columns), *marks])
    columns = [name for name in columns if not _is_known(layout, name)]
    faults = {name: _parted(layout, marks, name) or _fault(layout, name, sizes) for name in columns}
    if None in faults.values():
        pairs = _groups(layout, dataset, group())
        faults |= {name: _torn(layout, name, pairs) for name, fault in faults.items() if fault is None}
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


def _parted(layout: Layout, marks: list[str | int], name: str | int) -> str | None:
    """Why one of several columns of yes and no, such as is_train, is_val and is_test, says no splits by itself."""
    for other in marks if name in marks else ():
        if _said(layout, other) != _said(layout, name):
            return f"{other} says other splits: write what both say into one column of train, validation and test"
    return None


def _groups(layout: Layout, dataset: dict[str, Any], group: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The images that belong together, as `groups.find_groups` has them."""
    section = validated(Dataset, dataset | layout.settings | {"positive": None, "group": group})
    with contextlib.redirect_stdout(io.StringIO()), open_source(section.path) as source:  # `split` will say it
        return groups.find_groups(source, layout.items, section)


def _torn(layout: Layout, name: str | int, pairs: list[tuple[str, str]]) -> str | None:
    """Why a column is not taken that has images of one group in several splits; None where it has not."""
    said, splits = _said(layout, name), defaultdict(set)
    for path, group in pairs:
        splits[group].add(said[path])
    if torn := sorted(group for group, of in splits.items() if len(of) > 1):
        have = f"{wording.count(len(torn), 'group')} of what belongs together {'has' if len(torn) == 1 else 'have'}"
        return (
            f"{have} images in several of its splits, such as {torn[0]}; --split {_option(name)} --group none takes it"
        )
    return None


def _fault(layout: Layout, name: str | int, sizes: Split) -> str | None:
    """Why a column cannot be taken for that of splits unasked; None where it can."""
    said, takes = _said(layout, name), f"--split {_option(name)} takes it"
    cells = layout.columns[name]
    unknown = [cells[item.path] for item in layout.items if said.get(item.path, "") is None]
    if unknown:
        like = "nor val, dev, testing or the like: if it is a split, write one of these in its place"
        return f"{unknown[0]} is none of train, validation and test, {like}"
    if {item.split for item in layout.items} != {None}:
        return f"splits are fixed otherwise; {takes}"
    if re.fullmatch(r"(?i)(is)?[\s_-]*valid", str(name)) and "validation" not in layout.columns[name].values():
        return f"it may say what is valid, or what is for validation; {takes} for that"
    if split_of(str(name)) and are_marks(str(name), cells.values()):
        return f"it may say what is for {split_of(str(name))}, or something else of the images; {takes} for that"
    splits = sorted({said[item.path] for item in layout.items if item.path in said}, key=SPLITS.index)
    if len(splits) < 2 or "train" not in splits:
        return f"it says {' and '.join(splits) or 'nothing'} alone of the images that have a label"
    if lacking := sum(item.path not in said for item in layout.items):
        have = f"{wording.count(lacking, 'image')} {'has' if lacking == 1 else 'have'} no split in it"
        return f"{have}; {takes}, and leaves {'it' if lacking == 1 else 'them'} out"
    counts = Counter((said[item.path], item.label) for item in layout.items)
    for part, wanted in splitting.plan(set(splits), sizes).items():
        for label in layout.counts:
            if counts[part, label] < len(wanted):
                have = wording.count(counts[part, label], "image")
                return f"class {label} has {have} of {part} in it, too few, so all images are dealt out anew"
    return None
