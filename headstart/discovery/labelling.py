"""How images are labelled, found out by trying what `dataset.labels` takes.

A layout is proposed from names and tables, then read by the code that `split` runs: what is counted here is what a run
would get.
"""

import contextlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pydantic import ValidationError

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Dataset, Table
from headstart.discovery import sniffing
from headstart.images import finding
from headstart.images.archive import Source, open_source
from headstart.labels import classes, layouts, matching
from headstart.labels.layouts import Item

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


class Layout(NamedTuple):
    """A way to read the labels of a source, and what it gives.

    settings: what `dataset` is to say, nested as in params.yaml. how: the same in words. sure: whether it can be taken
    without asking. columns: the table's other columns, by name or number, as {path: value}. notes: lines on what had to
    be guessed in reading it.
    """

    settings: dict[str, Any]
    how: str
    items: list[Item]
    left_out: list[LeftOut]
    sure: bool
    columns: dict[str | int, dict[str, str]]
    notes: str

    @property
    def counts(self) -> dict[str, int]:
        """Images by class, the classes sorted."""
        return dict(sorted(Counter(item.label for item in self.items).items()))

    @property
    def label_by_path(self) -> dict[str, str]:
        return {item.path: item.label for item in self.items}


def find_layouts(dataset: dict[str, Any], only: dict[str, str]) -> tuple[list[Layout], list[str]]:
    """Return the layouts that fit the source at `dataset["path"]`, the best first, and why others do not.

    dataset: the section of params.yaml as it is. only: what is known already: `labels`, `table` (a file in the source),
    `pattern`, `image` and `label` (the table's columns).

    Raises UserError where the source holds no images, or only an archive.
    """
    with open_source(dataset["path"]) as source:
        return _find(source, dataset, only)


def _find(source: Source, dataset: dict[str, Any], only: dict[str, str]) -> tuple[list[Layout], list[str]]:
    images = sorted(finding.images(source))
    _refuse_empty(source.names(), images, dataset["path"])
    found, reasons = [], []
    for settings, how, sure, table in _proposals(source, images, only, reasons):
        notes = io.StringIO()
        try:
            section = Dataset.model_validate({**dataset, "classes": None, "positive": None, "group": None, **settings})
            with contextlib.redirect_stdout(notes):  # of a layout that is not taken in the end, nobody wants them
                items, left_out = layouts.find_images(source, section)
                classes.order_classes((item.label for item in items), section)
        except ValidationError as error:
            reasons += [f"{how}: takes {error.errors()[0]['msg']}"] if only else []
            continue
        except UserError as error:
            # That there are no folders of classes, or one, says nothing; what a table or a chosen way lacks does.
            if table or only:
                reasons.append(f"{how}: {error}")
            continue
        columns = _columns(source, table) if table else {}
        found.append(
            Layout(
                settings,
                how,
                items,
                left_out,
                sure,
                columns,
                "".join(f"{note}\n" for note in source.notes) + notes.getvalue(),
            )
        )
    return _ranked(found, images), reasons


def _refuse_empty(names: list[str], images: list[str], path: str) -> None:
    if images:
        return
    packed = [name for name in names if name.lower().endswith(CONTAINERS)]
    if packed:
        raise UserError(
            f"{path} holds no images, but {wording.count(len(packed), 'archive')}, such as {packed[0]}: unpack it, or "
            "give its own path where it is a zip"
        )
    endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
    kinds = ", ".join(f"{count:,} with {ending}" for ending, count in endings.most_common(3))
    raise UserError(f"{path} holds no images ({wording.count(len(names), 'file')}{': ' + kinds if kinds else ''})")


Proposal = tuple[dict[str, Any], str, bool, "sniffing.Sniffed | None"]


def _proposals(source: Source, images: list[str], only: dict[str, str], reasons: list[str]) -> Iterator[Proposal]:
    """What to try, and in words; whether it can be taken unasked; and the table."""
    kind = only.get("labels") or ("pattern" if "pattern" in only else "table" if "table" in only else None)
    if kind in ("table", None):
        yield from _tables(source, images, only, reasons)
    if kind in ("folders", None):
        yield {"labels": "folders"}, "the folders' names", True, None
        for level in (-1, 0):
            beside = "the folders below them" if level else "the outermost folders"
            settings = {"labels": "folders", "group": {"folder": level}}
            yield settings, f"the folders' names, where {beside} are subjects", level == -1, None
    if kind in ("prefix", None):
        yield {"labels": "prefix"}, "the file names up to the first full stop", True, None
    if kind in ("pattern", None):
        for pattern, shape in {only["pattern"]: "as given"}.items() if "pattern" in only else PATTERNS.items():
            settings = {"labels": "pattern", "pattern": pattern}
            yield settings, f"the file names, by {pattern} ({shape})", "pattern" in only, None


def _tables(source: Source, images: list[str], only: dict[str, str], reasons: list[str]) -> Iterator[Proposal]:
    keys = {sniffing.key(name) for name in images}
    tables = [name for name in source.names() if name.lower().endswith(sniffing.TABLES)]
    if "table" in only and only["table"] not in tables:
        hint = wording.did_you_mean(only["table"], source.names())
        raise UserError(f"--table: {only['table']} is no table in the source; {hint}name a file inside it")
    for file in [only["table"]] if "table" in only else tables:
        given = {name: only[name] for name in ("image", "label") if name in only}
        table = sniffing.sniff(source, file, keys, given)
        if isinstance(table, str):
            reasons.append(f"{file}: {table}")
            continue
        optional = {name: field.default for name, field in Table.model_fields.items() if not field.is_required()}
        section = table.settings | optional
        columns = f"image {section['image']}, label {_listed(section['label'])}"
        yield {"labels": "table", "table": section}, f"the table {file} ({columns})", table.named or bool(only), table


def _listed(label: Any) -> str:
    return ", ".join(map(str, label)) if isinstance(label, list) else str(label)


def _columns(source: Source, table: sniffing.Sniffed) -> dict[str | int, dict[str, str]]:
    files, _, _ = matching.match(table.images, source.names(), table.settings["file"])
    paths = [files.get(name) for name in table.images]
    return {
        name: {path: cell for path, cell in zip(paths, cells, strict=True) if path and cell}
        for name, cells in table.columns.items()
    }


def _ranked(found: list[Layout], images: list[str]) -> list[Layout]:
    """The layouts that label enough images, in enough classes but not too many; the best first."""
    by_folder = next((layout for layout in found if layout.settings == {"labels": "folders"}), None)

    def rank(layout: Layout) -> tuple:
        kind = layout.settings["labels"]
        if kind == "table":
            # A column of another name is taken where the folders say the same.
            agrees = by_folder is not None and _agree(layout, by_folder)
            return (0 if layout.sure or agrees else 3), -len(layout.items)
        return {"folders": 1, "prefix": 2, "pattern": 4}[kind], 0

    fitting = []
    for layout in sorted(found, key=rank):
        counts = list(layout.counts.values())
        enough = len(layout.items) >= 0.2 * len(images)
        if layout.settings["labels"] in ("prefix", "pattern"):
            enough = len(layout.items) >= 0.9 * len(images) and len(counts) <= max(2, len(layout.items) // 4)
            shared = sum(count for count in counts if count >= 3) >= 0.8 * len(layout.items)
            enough = enough and (shared or layout.sure)
        # Names have patterns of many kinds: they say something only where nothing else does, and the commonest counts.
        idle = layout.settings["labels"] == "pattern" and any(other.sure for other in fitting)
        if enough and not idle and not any(_agree(layout, other) for other in fitting):
            fitting.append(layout._replace(sure=layout.sure or rank(layout)[0] == 0 or _is_plain(layout)))
    return fitting


def _agree(one: Layout, other: Layout) -> bool:
    """Whether both put the images that both label into the same classes, whatever these are called."""
    labels, others = one.label_by_path, other.label_by_path
    pairs = {(labels[path], others[path]) for path in labels.keys() & others.keys()}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs}) > 1


def _is_plain(layout: Layout) -> bool:
    """Whether a table has no other column; whether classes in file names are words, not numbers of subjects or days."""
    if layout.settings["labels"] == "table":
        return not layout.columns
    return layout.settings["labels"] == "pattern" and not any(re.search(r"\d", name) for name in layout.counts)
