"""Tables beside the best layout: of other splits, with other columns, without labels, and of other images."""

import itertools
import posixpath
import shlex
from collections.abc import Callable, Collection, Sequence
from typing import Any

from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.discovery.reading import Layout, Reason, agree
from headstart.discovery.sniffing import TABLES
from headstart.images.archive import Source
from headstart.labels import matching, rows
from headstart.labels.layouts import Item
from headstart.labels.published import split_of_table

JOIN = "--join joined.csv"  # the option that writes what several tables say into one
SHARED = 0.1  # share of its images that a table of a split has in common with that of another one by mistake, at most
Reading = Callable[[dict[str, Any]], tuple[list[Item], list[LeftOut], str]]  # `_read`, of one source


def with_parts(ranked: list[Layout], found: list[Layout], read: Reading) -> list[Layout]:
    """The same layouts, the first with the others where it is one of several tables of the same columns.

    Those of one split each, by their names, are read together; on others there is a note. Where folders say the same as
    all of these tables do, they come first, since they label the images of all.
    """
    if not ranked or ranked[0].settings["labels"] != "table":
        return ranked
    best, *others = _with_split_tables(ranked, found)
    parts = [
        layout
        for layout in found
        if _form(layout) == _form(best) and layout.how != best.how and _of_others(layout, best)
    ]
    if not parts:
        return _with_other_columns(best, others, found)
    by_folder = next((layout for layout in found if layout.settings == {"labels": "folders"}), None)
    known = [layout.how for layout in parts]
    others = [layout for layout in others if layout.how not in known]
    same = by_folder and all(agree(layout, by_folder) for layout in [best, *parts])
    best, parts, why = _joined(best, parts, read)
    if same:  # and the folders have all of them
        files, dealt = best.settings["table"]["file"], {item.split for item in by_folder.items} == {None}
        if isinstance(files, list) and dealt:
            note = f"{listed(files)} fix splits, and are not read: --table {shlex.quote(','.join(files))} takes them.\n"
            by_folder = by_folder._replace(notes=by_folder.notes + note)
        return [by_folder, *others]
    left = [layout for layout in found if layout.how not in known]
    if not parts:
        return _with_other_columns(best, others, left)
    files = " and ".join(layout.settings["table"]["file"] for layout in parts[:3])
    more = wording.count(sum(len(layout.items) for layout in parts), "other image")
    note = f"{files}: labels of {more}, by the same columns. "
    taken = "One table is" if isinstance(best.settings["table"]["file"], str) else "The splits' tables are"
    note += f"{taken} read{why}: to use all of them, put their rows into one.\n"
    return _with_other_columns(best._replace(notes=best.notes + note, beside=parts), others, left)


def _with_split_tables(ranked: list[Layout], found: list[Layout]) -> list[Layout]:
    """The same layouts, the first, a table, with a note where others say splits of its images.

    As trainval.txt beside list.txt, these have the same columns, a split each by their names, and the same labels.
    """
    best, labels = ranked[0], ranked[0].label_by_path.items()
    named = {layout.settings["table"]["file"]: layout for layout in found if _form(layout) == _form(best)}
    named = {
        file: layout for file, layout in named.items() if split_of_table(file) and layout.label_by_path.items() < labels
    }
    files = sorted(named, key=lambda file: SPLITS.index(split_of_table(file)))
    paths = [item.path for layout in named.values() for item in layout.items]
    told = {*map(split_of_table, files)}
    if len(told) < 2 or "train" not in told or len({*paths}) < len(paths):
        return ranked
    note = f"{listed(files)} fix splits of these images, and are not read: --table {shlex.quote(','.join(files))} takes"
    known = [layout.how for layout in named.values()]
    best = best._replace(notes=f"{best.notes}{note} them.\n")
    return [best, *(layout for layout in ranked[1:] if layout.how not in known)]


def _form(layout: Layout) -> dict[str, Any]:
    """What tables that are read as one have in common (`rows.fit`)."""
    table = layout.settings.get("table", {})
    label = table.get("label")  # of several columns, in any order
    label = sorted(label, key=str) if isinstance(label, list) else label
    if not table.get("header"):
        return table | {"file": None, "label": label}
    image, label = (rows.plain(name) if isinstance(name, str) else name for name in (table["image"], label))
    return table | {"file": None, "delimiter": None, "image": image, "label": label}


def _with_other_columns(best: Layout, others: list[Layout], found: list[Layout]) -> list[Layout]:
    """The table and the other layouts, but for tables of other images in the same classes: on each of these a note."""
    note, known, beside = "", [], []
    for layout in (layout for layout in found if layout.settings["labels"] == "table"):
        if layout.counts.keys() <= best.counts.keys() and not layout.label_by_path.keys() & best.label_by_path.keys():
            known.append(layout.how)
            count = wording.count(len(layout.items), "other image")
            read = best.settings["table"]["file"]
            note += f"{layout.how}: labels of {count}, which are left out: to use these, name its columns as those of "
            note += f"{read if isinstance(read, str) else listed(read)}, or {JOIN} writes one table of both.\n"
            beside.append(layout)
    best = best._replace(notes=best.notes + note, beside=[*best.beside, *beside])
    return [best, *(layout for layout in others if layout.how not in known)]


def _of_others(one: Layout, other: Layout) -> bool:
    """Whether a table is of other images than another; of two splits by their names, but for a few by mistake."""
    shared = len(one.label_by_path.keys() & other.label_by_path)
    told = {split_of_table(layout.settings["table"]["file"]) for layout in (one, other)}
    few = SHARED * min(len(one.items), len(other.items))
    return not shared or (len(told - {None}) == 2 and shared <= few)


def _joined(best: Layout, parts: list[Layout], read: Reading) -> tuple[Layout, list[Layout], str]:
    """The best table with those of other splits, read as one; the parts that are left; and why, where none is joined.

    An image of two splits is then left out.
    """
    by_file = {layout.settings["table"]["file"]: layout for layout in [best, *parts]}
    files = sorted(filter(split_of_table, by_file), key=lambda file: SPLITS.index(split_of_table(file)))
    tables = [by_file[file] for file in files]
    paths = [item.path for layout in tables for item in layout.items]
    few = SHARED * min((len(layout.items) for layout in tables), default=0)
    if best not in tables or len(tables) == 1 or len(paths) - len({*paths}) > few:
        return best, parts, ""
    settings = best.settings | {"table": best.settings["table"] | {"file": files}}
    try:
        items, left_out, notes = read(settings)
    except UserError as error:  # such as splits without training
        return best, parts, f", since all cannot be ({error})"
    columns = {name: {} for name in best.columns}
    for name, layout in itertools.product(columns, tables):
        own = [other for other in layout.columns if rows.plain(str(other)) == rows.plain(str(name))]
        columns[name] |= layout.columns[own[0]] if len(own) == 1 else layout.columns.get(name, {})
    how = f"the tables {listed(files)} ({best.how.partition(' (')[2]}"
    joined = best._replace(settings=settings, how=how, items=items, left_out=left_out, columns=columns, notes=notes)
    return joined, [layout for layout in parts if layout not in tables], ""


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def with_tables_of_others(ranked: list[Layout], found: list[Layout]) -> list[Layout]:
    """The same layouts, the first with a note on each table that has labels of other images alone, in the same classes.

    As Tiny ImageNet has one of its validation images, beside folders of its training images.
    """
    if not ranked or ranked[0].settings["labels"] == "table":
        return ranked
    best, note, beside = ranked[0], "", []
    labels, kinds, told = best.label_by_path, best.counts.keys(), []
    for layout in (layout for layout in found if layout.settings["labels"] == "table"):
        if layout.counts.keys() <= kinds and not layout.label_by_path.keys() & labels:
            told.append(layout.how)
            count = wording.count(len(layout.items), "other image")
            note += (
                f"{layout.settings['table']['file']}: labels of {count}, which are left out: to use these, put each "
            )
            note += f"into the folder of its class, or {JOIN} writes one table of both.\n"
            beside.append(layout)
    best = best._replace(notes=best.notes + note, beside=beside)
    return [best, *(layout for layout in ranked[1:] if layout.how not in told)]


def lacks_labels(layout: Layout, found: list[Layout]) -> bool:
    """Whether a table has columns of another one alone, not that of its labels, and other images: as Kaggle's tests."""

    def names(layout: Layout) -> set[str | int]:
        label = layout.settings["table"]["label"]
        return {*label} if isinstance(label, list) else {label}

    if not layout.settings.get("table", {}).get("header"):
        return False
    own = {*names(layout), *layout.columns}
    return any(
        own <= other.columns.keys() - names(other)
        and other.settings["table"]["image"] == layout.settings["table"]["image"]
        and not other.label_by_path.keys() & layout.label_by_path.keys()
        for other in found
        if "table" in other.settings
    )


def bare(source: Source, fitting: list[Layout], reasons: list[Reason]) -> dict[str, Collection[str]]:
    """The images that have no label where tables name them, nor elsewhere, by table; one line says lists of splits."""
    names, bare, lists = source.names(), {}, []
    for reason in (reason for reason in reasons if reason.bare):
        paths = {*matching.match(reason.bare, names, reason.how)[0].values()}
        if fitting and paths and fitting[0].label_by_path.keys().isdisjoint(paths):
            bare[reason.how] = paths
        elif reason.splits:
            lists.append(reason.how)
    if lists:
        files = listed(lists[:3])
        say(
            f"Not read: {files}, {'which says' if len(lists) == 1 else 'which say'} the images' splits. Images of a "
            f"fixed split lie in folders, train/ and test/, or in a table with a column of splits: {JOIN} writes one."
        )
    return bare


def unread(source: Source, fitting: list[Layout], reasons: list[Reason]) -> list[str]:
    """A line on each table that is not read beside the best one, though by its name it is of a split."""
    if not fitting or fitting[0].settings["labels"] != "table":
        return []
    files = {*source.names()}  # what belongs together is several
    names = [(reason, posixpath.basename(reason.how)) for reason in reasons if not reason.bare and reason.how in files]
    return [f"Not read: {reason}." for reason, name in names if name.endswith(TABLES) and split_of_table(name)]
