"""How images are labelled, found out by trying what `dataset.labels` takes.

A layout is proposed from names and tables, then read by the code that `split` runs: what is counted here is what a run
would get.
"""

import contextlib
import io
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pydantic import ValidationError

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Dataset, Table
from headstart.base.terminal import say
from headstart.discovery import beside, ids, levels, sniffing
from headstart.discovery.reading import Layout, Reason, agree
from headstart.images import finding
from headstart.images.archive import Source, open_source
from headstart.labels import classes, layouts, matching
from headstart.labels.annotations import is_missing
from headstart.labels.layouts import Item
from headstart.labels.published import split_of

# Of file names without folder and ending, the commonest first.
PATTERNS = {
    r"(?P<label>.+)_\d+": "NAME_12",
    r"(?P<label>.+)-\d+": "NAME-12",
    r"(?P<label>.+) ?\(\d+\)": "NAME (12)",
    r"(?P<label>.+?)[ .]?\d+": "NAME12",
    r"\d+[-_ .](?P<label>.+)": "12_NAME",
    r"(?P<label>[^_]+)_.+": "NAME_…",
    r"(?P<label>[^-]+)-.+": "NAME-…",
    r".+_(?P<label>[^_]+)": "…_NAME",
    r".+-(?P<label>[^-]+)": "…-NAME",
}
CONTAINERS = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# What cameras, telephones and programs call images, whatever they show; in lower case.
IDLE = r"_?(dsc[nf]?|dji|fullsize|gopr|img|imgp|mvimg|pxl|sam|vid|wp)|wa|whatsapp.*|screen ?shots?.*|bildschirmfoto"
IDLE += r"|(image|img|photo|picture|pic|foto|bild|scan|frame|page|file|sample|untitled|unnamed|download|copy)s?"


def find_layouts(dataset: dict[str, Any], only: dict[str, Any]) -> tuple[list[Layout], list[Reason]]:
    """Return the layouts that fit the source at `dataset["path"]`, the best first, and why others do not.

    dataset: the section of params.yaml as it is, with the `classes` that are known, or None. only: what is known
    already: `labels`, `table` (a file in the source), `pattern`, `image` and `label` (the table's columns),
    `probabilities` (whether its labels are such); and the `level` of the subjects' folders, None where these are no
    level.

    Raises UserError where the source holds no images, or only an archive.
    """
    with open_source(dataset["path"]) as source:
        return _find(source, dataset, only)


def read(dataset: dict[str, Any], settings: dict[str, Any]) -> tuple[list[Item], list[LeftOut], str]:
    """Return the labelled images by the settings of a layout, what is left out, and lines on that.

    dataset: as of `find_layouts`. Raises UserError where `split` would.
    """
    with open_source(dataset["path"]) as source:
        return _read(source, dataset, settings)


def _find(source: Source, dataset: dict[str, Any], only: dict[str, Any]) -> tuple[list[Layout], list[Reason]]:
    images = sorted(finding.images(source))
    _refuse_empty(source.names(), images, dataset["path"], only.get("table"))
    _say_packed(source.names())
    found, reasons = [], []
    for proposal in _proposals(source, images, dataset["classes"], only, reasons):
        settings, how, sure, table, guessed = proposal
        told = any(layout.sure and len(layout.items) >= sniffing.ENOUGH * len(images) for layout in found)
        if guessed and told and settings["labels"] == "pattern":
            continue  # as `_ranked` would; of many images each takes seconds
        try:
            items, left_out, notes = _read(source, dataset, settings)
        except (ValidationError, UserError) as error:
            if not guessed:
                why = f"takes {error.errors()[0]['msg']}" if isinstance(error, ValidationError) else str(error)
                reasons.append(Reason(how, why, meant=table is not None))
            continue
        level = settings.get("group", {}).get("folder")
        if guessed and level is not None:
            if not levels.covers(items, level):
                continue
            sure = levels.is_told(items, level)
        if settings == {"labels": "folders"} and "labels" not in only:
            kinds = levels.are_kinds({item.label for item in items}) and not finding.masks(item.path for item in items)
            sure = not kinds
        columns = _columns(source, table) if table else {}
        found.append(Layout(settings, how, items, left_out, sure, columns, notes))
    bare = [layout for layout in found if beside.lacks_labels(layout, found)]
    found = [layout for layout in found if layout not in bare]
    ranked = _ranked(found, images)
    if not ranked:
        say(*source.notes)
    fitting = beside.with_tables_of_others(beside.with_parts(ranked, found, partial(_read, source, dataset)), found)
    unlabelled = {layout.settings["table"]["file"]: layout.label_by_path.keys() for layout in bare}
    unlabelled |= beside.bare(source, fitting, reasons)
    say(*beside.unread(source, fitting, reasons))
    if fitting and unlabelled:
        lines = (
            f"{file}: {wording.count(len(of), 'image')} without a label, left out.\n" for file, of in unlabelled.items()
        )
        fitting[0] = fitting[0]._replace(notes=fitting[0].notes + "".join(lines))
    return fitting, reasons + _too_few(found, fitting, len(images))


def joined_in(path: str) -> ids.Joined | None:
    """Return what the tables of the source there say together by the numbers that they give images, or None."""
    with open_source(path) as source:
        images = sorted(finding.images(source))
        tables = [name for name in source.names() if name.lower().endswith(sniffing.TABLES)]
        return ids.find(source, sorted({*tables} - sniffing.sidecars(tables, images)), sniffing.index(images))


def _read(source: Source, dataset: dict[str, Any], settings: dict[str, Any]) -> tuple[list[Item], list[LeftOut], str]:
    """The labelled images by these settings, what is left out, and lines on that. Raises ValidationError, UserError."""
    notes = io.StringIO()
    section = Dataset.model_validate({**dataset, "positive": None, "group": None, **settings})
    with contextlib.redirect_stdout(notes):  # of a layout that is not taken in the end, nobody wants them
        items, left_out = layouts.find_images(source, section)
        _refuse_classes(items, section)
    return items, left_out, "".join(f"{note}\n" for note in source.notes) + notes.getvalue()


def _refuse_classes(items: list[Item], section: Dataset) -> None:
    """Raise UserError where there is one class, or two differ in case alone and are not the classes that are known."""
    labels = [item.label for item in items]
    if section.classes is not None and {*map(classes.clean, section.classes)} != {*labels}:
        section = section.model_copy(update={"classes": None})  # `start` says what is wrong with their names
    classes.order_classes(labels, section)


def _too_few(found: list[Layout], ranked: list[Layout], images: int) -> list[Reason]:
    """Why tables of labels are not taken that could be read, and say something else than the layouts that are."""
    return [
        Reason(layout.how, f"it names {len(layout.items):,} of {wording.count(images, 'image')}, too few", meant=True)
        for layout in found
        if layout.settings["labels"] == "table" and layout.sure
        if not any(layout.how == other.how or agree(layout, other) for other in ranked)
    ]


def _say_packed(names: list[str]) -> None:
    packed = [name for name in names if name.lower().endswith(CONTAINERS)]
    if packed:
        archives = f"{wording.count(len(packed), 'archive')}, such as {packed[0]}"
        say(f"Not looked into: {archives}. What has images is to be unpacked.")


def _refuse_empty(names: list[str], images: list[str], path: str, table: str | None) -> None:
    if images:
        return
    if table is not None:
        raise UserError(
            f"{path} holds no images beside the table {table}: give the folder that holds both, with --table and the "
            "table's path in it"
        )
    packed = [name for name in names if name.lower().endswith(CONTAINERS)]
    if packed:
        raise UserError(
            f"{path} holds no images, but {wording.count(len(packed), 'archive')}, such as {packed[0]}: unpack it, or "
            "give its own path where it is a zip"
        )
    endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
    kinds = ", ".join(f"{count:,} with {ending}" for ending, count in endings.most_common(3))
    kinds = f"{wording.count(len(names), 'file')}{': ' + kinds if kinds else ''}"
    inside = next((ending for ending, _ in endings.most_common() if ending in sniffing.OTHERS), None)
    told = f": images in {inside} are not read: write each as a file of its own, into a folder of its class"
    raise UserError(f"{path} holds no images ({kinds}){told * bool(inside)}")


class Proposal(NamedTuple):
    """What to try: settings of `dataset`; the same in words; whether it can be taken unasked; the table, if it is one.

    guessed: whether it is one of many guesses, of which nobody wants to know why they do not fit.
    """

    settings: dict[str, Any]
    how: str
    sure: bool
    table: sniffing.Sniffed | None = None
    guessed: bool = False


def _proposals(
    source: Source, images: list[str], names: list[str] | None, only: dict[str, Any], reasons: list[Reason]
) -> Iterator[Proposal]:
    """What to try; names: of the classes, where they are known."""
    of_a_table = {"table", "image", "label", "probabilities"} & only.keys()
    kind = only.get("labels") or ("pattern" if "pattern" in only else "table" if of_a_table else None)
    if kind in ("table", None):
        yield from _tables(source, images, names, only, reasons)
    if kind in ("folders", None):
        level = only.get("level")
        if level is None:
            # That images lie in no folder needs no saying.
            flat = kind is None and not any("/" in name for name in images)
            yield Proposal({"labels": "folders"}, "the folders' names", True, guessed=flat)
        else:
            how = f"the folders' names, where those at level {level} are subjects"
            yield Proposal({"labels": "folders", "group": {"folder": level}}, how, True)
        for level, place in levels.of_subjects(images).items() if "level" not in only else ():
            how = f"the folders' names, where {place} are subjects"
            yield Proposal({"labels": "folders", "group": {"folder": level}}, how, False, guessed=True)
    if kind is None and (found := levels.between(images)):
        how = f"the folders' names, by {found.pattern}"
        yield Proposal({"labels": "pattern", "pattern": found.pattern}, how, not found.masks, guessed=True)
    elif kind is None and (pattern := levels.nested(images)):
        how = f"the folders' names, by {pattern}, whatever is above them"
        yield Proposal({"labels": "pattern", "pattern": pattern}, how, True, guessed=True)
    if kind in ("prefix", None):
        how = "the file names up to the first full stop"
        yield Proposal({"labels": "prefix"}, how, kind is not None, guessed=kind is None)
    if kind in ("pattern", None):
        given = "pattern" in only
        for pattern, shape in {only["pattern"]: "as given"}.items() if given else PATTERNS.items():
            how = f"the file names, by {pattern} ({shape})"
            yield Proposal({"labels": "pattern", "pattern": pattern}, how, given, guessed=not given)


def _tables(
    source: Source, images: list[str], classes: list[str] | None, only: dict[str, Any], reasons: list[Reason]
) -> Iterator[Proposal]:
    names = source.names()
    tables = [name for name in names if name.lower().endswith(sniffing.TABLES)]
    given = only.get("table")
    wanted = [] if given is None else [given] if given in tables else [name.strip() for name in given.split(",")]
    for name in (name for name in wanted if name not in tables):
        hint = (
            wording.did_you_mean(name, {*names} - {name}) or f"takes a file that ends in {', '.join(sniffing.TABLES)}: "
        )
        raise UserError(f"--table: {name} is no table in the source; {hint}name a file inside it")
    unread = [name for name in names if name.lower().endswith((*sniffing.SPREADSHEETS, *sniffing.OTHERS))]
    unread = [name for name in unread if not posixpath.basename(name).startswith("~$")]  # Excel's mark of an open file
    sidecars = set() if "table" in only else sniffing.sidecars([*tables, *unread], images)
    if aside := sidecars.intersection(tables):
        example = f"such as {min(aside)}"
        say(f"{len(aside):,} files with the name of an image each, {example}, are passed over; --table takes one.")
    index = sniffing.index(images)
    if not wanted and (together := ids.find(source, sorted({*tables} - sidecars), index)):
        why = f"belong together by the numbers that they give images: {beside.JOIN} writes one table of them"
        reasons.append(Reason(beside.listed(together.files), why, meant=True))
        tables = [file for file in tables if file not in together.files]
    for file in wanted or [file for file in tables if file not in sidecars]:
        if "table" not in only and "submission" in file.lower():
            say(f"{file} is passed over, since by its name it is to be filled in; --table takes it.")
            continue
        given = {name: only[name] for name in ("image", "label") if name in only}
        table = sniffing.sniff(source, file, index, given, "probabilities" in only, classes)
        if isinstance(table, sniffing.Refused):
            reasons.append(_refused(source, file, index, table))
            continue
        optional = {name: field.default for name, field in Table.model_fields.items() if not field.is_required()}
        section = optional | table.settings
        columns = f"image {section['image']}, label {_listed(section['label'])}"
        columns += ", a probability" * section["probabilities"]
        how = f"the table {file} ({columns})"
        yield Proposal({"labels": "table", "table": section}, how, table.named or bool(only.keys() - {"level"}), table)
    if "table" not in only:
        column = next((name for name in ("label", "image") if name in only), None)
        if column and not tables and not together:
            raise UserError(f"--{column}: got {only[column]}, but the source has no table")
        if aside := sorted(sidecars.intersection(unread)):
            how = f"{wording.count(len(aside), 'file')} with the name of an image each, such as {aside[0]}"
            reasons.append(Reason(how, "not read: write their labels into one CSV, a row for each image"))
        for file in sorted({*unread} - sidecars):
            meant = file.lower().endswith(sniffing.SPREADSHEETS)
            reasons.append(Reason(file, sniffing.AS_CSV if meant else sniffing.AS_ROWS, meant))


def _refused(source: Source, file: str, index: sniffing.Index, table: sniffing.Refused) -> Reason:
    """Why a table is not taken, and what it says of splits all the same."""
    named = next(filter(None, map(split_of, re.split(r"[-_. ]", posixpath.basename(file)))), None)
    listed = sniffing.listed(source, file, index) if named else []
    return Reason(file, table.why, table.meant, listed or table.images, [named] * len(listed) or table.splits)


def _listed(label: Any) -> str:
    return ", ".join(map(str, label)) if isinstance(label, list) else str(label)


def _columns(source: Source, table: sniffing.Sniffed) -> dict[str | int, dict[str, str]]:
    files, _, _ = matching.match(table.images, source.names(), table.settings["file"])
    paths = [files.get(name) for name in table.images]
    return {
        name: {path: cell for path, cell in zip(paths, cells, strict=True) if path and not is_missing(cell)}
        for name, cells in table.columns.items()
    }


def _ranked(found: list[Layout], images: list[str]) -> list[Layout]:
    """The layouts that label enough images, in enough classes but not too many; the best first."""
    by_folder = next((layout for layout in found if layout.settings == {"labels": "folders"}), None)

    listed = any("table" in layout.settings and len(layout.items) > len(images) / 2 for layout in found)

    def rank(layout: Layout) -> tuple:
        kind = layout.settings["labels"]
        if kind == "table":
            # A column of another name is taken where the folders say the same.
            agrees = by_folder is not None and agree(layout, by_folder)
            return (0 if layout.sure or agrees else 3), False, -len(layout.items)
        # Of two levels of folders, the one that is told to be the classes, else the one with fewer names; before that
        # one without folders of masks. And a table of most images may tell more than folders.
        in_paths = 4 if listed and layout.sure else 1
        # Folders of kinds of files come last.
        doubtful = 1 if layout.sure else 2 if "group" in layout.settings else 5
        place = {"folders": doubtful, "prefix": 2, "pattern": in_paths if layout.in_paths else 4}[kind]
        return place, not layout.sure, len(layout.counts)

    fitting = []
    for layout in sorted(found, key=rank):
        counts = list(layout.counts.values())
        in_names = layout.settings["labels"] in ("prefix", "pattern")
        # What is given, such as a pattern that leaves masks out, counts however few images it labels.
        enough = len(layout.items) >= sniffing.ENOUGH * len(images) or (in_names and layout.sure)
        if in_names and not layout.sure:
            labelled = {posixpath.dirname(item.path) for item in layout.items}  # not Kaggle's test1, without labels
            there = sum(posixpath.dirname(path) in labelled for path in images)
            enough = enough and len(layout.items) >= 0.9 * there and len(counts) <= max(2, len(layout.items) // 4)
            enough = enough and sum(count for count in counts if count >= 3) >= 0.8 * len(layout.items)
        # Names have patterns of many kinds: they say something only where nothing else does, and the commonest counts.
        idle = layout.settings["labels"] == "pattern" and any(other.sure for other in fitting)
        without_masks = layout.in_paths and not layout.sure  # which others say the same with
        if enough and not idle and (without_masks or not any(agree(layout, other) for other in fitting)):
            fitting.append(layout._replace(sure=layout.sure or rank(layout)[0] == 0 or _is_plain(layout)))
    return fitting


def _is_plain(layout: Layout) -> bool:
    """Whether a table has no other column; whether classes in file names are words of their own.

    Numbers may be subjects or days, and what cameras call all images, or what splits are called, says nothing.
    """
    kind, names = layout.settings["labels"], layout.counts
    if kind == "table":
        return not layout.columns
    idle = [name for name in names if re.search(r"\d", name) or split_of(name) or re.fullmatch(IDLE, name.lower())]
    return kind in ("prefix", "pattern") and not idle and not layout.in_paths
