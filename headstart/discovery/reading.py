"""A way to read the labels of a source, and what it gives; or why it is not taken."""

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from headstart.artifacts.dataset import LeftOut
from headstart.discovery import sniffing
from headstart.images import finding
from headstart.labels import classes
from headstart.labels.layouts import Item


class Layout(NamedTuple):
    """A way to read the labels of a source, and what it gives.

    settings: what `dataset` is to say, nested as in params.yaml. how: the same in words. sure: whether it can be taken
    without asking. columns: the table's other columns, by name or number, as {path: value}. notes: lines on what had to
    be guessed in reading it. beside: tables of other images in the same classes, which are not read with it.
    """

    settings: dict[str, Any]
    how: str
    items: list[Item]
    left_out: list[LeftOut]
    sure: bool
    columns: dict[str | int, dict[str, str]]
    notes: str
    beside: Sequence["Layout"] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Images by class, the classes in alphabetical order, numbers from the smallest on."""
        counts = Counter(item.label for item in self.items)
        return {name: counts[name] for name in classes.in_order(counts)}

    @property
    def label_by_path(self) -> dict[str, str]:
        return {item.path: item.label for item in self.items}

    @property
    def masks(self) -> dict[str, str]:
        """The images that are masks of others by their names, each with that one; a table lists none."""
        return finding.masks(item.path for item in self.items) if self.settings["labels"] != "table" else {}

    @property
    def in_paths(self) -> bool:
        """Whether it is a pattern for paths, which tells classes by folders."""
        return self.settings["labels"] == "pattern" and "/" in self.settings["pattern"]

    def other_labels(self) -> list[str | int]:
        """The columns whose names say that they are labels, and which say something else than the one that is read."""
        labels, found = self.label_by_path, []
        for name, cells in self.columns.items():
            pairs = {(labels[path], cell) for path, cell in cells.items() if path in labels}
            apart = len(pairs) > len({label for label, _ in pairs}) or len(pairs) > len({cell for _, cell in pairs})
            if re.fullmatch(sniffing.LABELS, str(name).lower()) and len({cell for _, cell in pairs}) > 1 and apart:
                found.append(name)
        return found

    def without_masks(self) -> str | None:
        """A pattern for paths that gives the same classes and matches no mask; None where there is none."""
        if self.settings != {"labels": "folders"}:
            return None
        (folder, name), (place, other) = (
            posixpath.split(finding.without_ending(path)) for path in min(self.masks.items())
        )
        if folder != place:  # which are the classes
            return None
        ending = re.escape(re.sub(r"\d+$", "", name.removeprefix(other)))
        return rf"(.*/)?(?P<label>[^/]+)/(?!.*{ending})[^/]+"


class Reason(NamedTuple):
    """Why a way to read the labels is not taken.

    meant: it is a table that looks as if it had the labels. bare: the images that a table names without a label, as
    they are written there. splits: the split of each of these; where it is but a list of them, that of its name; empty
    where nothing says one.
    """

    how: str
    why: str
    meant: bool = False
    bare: Sequence[str] = ()
    splits: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.how}: {self.why}"


def agree(one: Layout, other: Layout) -> bool:
    """Whether both put the images that both label into the same classes, whatever these are called."""
    labels, others = one.label_by_path, other.label_by_path
    pairs = {(labels[path], others[path]) for path in labels.keys() & others.keys()}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs}) > 1
