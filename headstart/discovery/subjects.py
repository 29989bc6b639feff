"""What may belong together: a patient, module or burst that shows in file names, in folders, or in a table's column."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from headstart.discovery import levels
from headstart.discovery.reading import Layout
from headstart.images.finding import without_ending
from headstart.labels import classes
from headstart.labels.layouts import folder_at

NUMBERED = r"(?P<group>[^/]*\d)[^/\d]+\d+[^/\d]*$"  # all that a name has before its last number: P012 of P012_3.png
# The same where names end in .jp2 or the like, whose 2 numbers no shot.
_JP2 = r"(?i:\.j(p2|2[kc]))"
OF_JP2 = rf"(?P<group>[^/]*\d)(?!{_JP2}$)[^/\d]+\d+[^/\d]*{_JP2}?$"
SIZED = r"\d+ ?[xX×] ?\d+[^/\d]*$"  # names, without ending, that end in a size in pixels, which numbers no shot
# All that a path has before what marks a copy made for augmentation: x of x_aug3.png and x.rf.0a1….jpg; no month.
COPIED = r"(?s)^(?P<group>.+?)(?P<copy>[-_ .]+(aug|AUG|[Aa]ugmented)[-_ ]?\d{0,3}|\.rf\.[0-9a-f]{16,})?"
COPIED += r"(\.[A-Za-z]\w{2,4})?\Z"
# What subjects are called. Of two columns, the one that comes first here is taken: a patient has studies and visits.
NAMES = "patient pid mrn subject person writer author speaker animal donor participant individual case study series"
NAMES += " session visit lesion specimen slide module panel part plant tree plot site hospital lot batch burst video"
NAMES = tuple(f"{NAMES} clip scene sequence".split())
SUFFIXES = "id|uid|instance ?uid|no|nr|number|name|index|code"
FEWEST = 3  # subjects of a class: one for each split
SHARED = 0.6  # share of the images that have a subject in common, where no name says that it is one


class Subject(NamedTuple):
    """A candidate for `dataset.group`.

    group: what to set. how: the same in words. count: of different subjects. example: one of them. sure: whether it can
    be taken without asking. rank: the place of its name in NAMES. lacks: why it is not taken though its name says that
    it is a subject; None where it can be taken. dealt: whether `split` can deal it out, if it is taken all the same.
    """

    group: dict[str, Any]
    how: str
    count: int
    example: str
    sure: bool
    rank: int
    lacks: str | None
    dealt: bool = True


def find_subjects(layout: Layout) -> list[Subject]:
    """Return the candidates for `dataset.group`, the best first."""
    labels = layout.label_by_path
    found = [*_in_columns(layout, labels), *_in_names(labels, {item.path: item.split for item in layout.items})]
    if layout.settings["labels"] != "folders":  # where all folders but the subjects' have a meaning of their own
        found += _in_folders(layout, labels)
    return sorted(found, key=lambda subject: (not subject.sure, subject.rank))


def _in_columns(layout: Layout, labels: dict[str, str]) -> Iterator[Subject]:
    for name, cells in layout.columns.items():
        rank = _rank(rf"({{}})( ?({SUFFIXES}))?", str(name))
        numbers = all(re.fullmatch(r"[-+.\d]+", cell) for cell in cells.values())
        if rank is not None or not numbers:
            yield from _candidates({"column": name}, f"the column {name}", cells, labels, rank)


def _in_folders(layout: Layout, labels: dict[str, str]) -> Iterator[Subject]:
    depths, known = {path.count("/") for path in labels}, []
    inwards = range(max(depths))
    for level in [*inwards, *(~level for level in inwards if len(depths) > 1)]:
        names = {path: folder for path in labels if (folder := folder_at(path, level))}
        folders = Counter(names.values())
        ranks = {name: rank for name in folders if (rank := _rank(r"({})(?![a-z]).*", name)) is not None}
        called = sum(folders[name] for name in ranks) >= levels.COVERED * len(labels)
        rank = min(ranks.values()) if called else None
        if names in known or not levels.covers(layout.items, level) or _numbered_anew(names, level):
            continue
        known.append(names)
        if rank is not None or levels.numbered(folders):
            yield from _candidates({"folder": level}, f"the folders at level {level}", names, labels, rank)


def _in_names(labels: dict[str, str], splits: dict[str, str | None]) -> Iterator[Subject]:
    found = {path: re.search(COPIED, path) for path in labels}
    if any(match["copy"] for match in found.values()):
        how = "the file names, but for what marks copies of an image,"
        names = {path: match["group"] for path, match in found.items()}
        yield from _candidates({"pattern": COPIED}, how, names, labels, len(NAMES))
    pattern = OF_JP2 if any(re.search(f"{_JP2}$", path) for path in labels) else NUMBERED
    matches = {path: re.search(pattern, path) for path in labels if not re.search(SIZED, without_ending(path))}
    groups = {path: match["group"] for path, match in matches.items() if match}
    if len(groups) < 0.8 * len(labels):
        return
    names = set(groups.values())
    days = sum(bool(re.search(r"\d{6}", name)) for name in names) > len(names) / 2
    for subject in _candidates({"pattern": pattern}, "the file names", groups, labels, None):
        sure = not subject.lacks and not days and not _scattered(groups, labels) and not _crossing(groups, splits)
        yield subject._replace(sure=sure)


def _rank(shape: str, name: str) -> int | None:
    """The place in NAMES of the word that a name has; None where it has none of them.

    shape: a pattern for the whole name in lower-case words, as in `study instance uid`, with {} for NAMES.
    """
    words = re.sub(r"([a-z\d])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", name)
    words = re.sub(r"[\W_]+", " ", words).strip().lower()
    found = re.fullmatch(shape.format("|".join(NAMES)), words)
    return NAMES.index(found[1]) if found else None


def _candidates(
    group: dict[str, Any], how: str, names: dict[str, str], labels: dict[str, str], rank: int | None
) -> Iterator[Subject]:
    """The candidate that the names of subjects by path make, if they do; rank: of what they are called, if it is."""
    names = {path: name for path, name in names.items() if path in labels}
    if names == labels:
        return
    example = min(names.values(), default="")
    names = {path: classes.same(name) for path, name in names.items()}  # as `split` takes them
    named, kinds = rank is not None, set(names.values())
    together = sum(size for size in Counter(names.values()).values() if size > 1)
    if len(kinds) < 2 or together < (1 if named else SHARED * len(labels)):
        return
    # An image without a name is a subject of its own; that nobody named any in a class is odd only in a guess.
    of_all = {path: names.get(path, path) for path in labels}
    lacks, dealt = (
        _lacks(of_all if named else names, labels),
        min(map(len, _by_class(of_all, labels).values())) >= FEWEST,
    )
    if named or not lacks or _is_one_class(names, labels):
        yield Subject(group, how, len(kinds), example, named and not lacks, rank if named else len(NAMES), lacks, dealt)


def _lacks(names: dict[str, str], labels: dict[str, str]) -> str | None:
    """Why there are too few subjects to deal out in every class, or so few that they may be the classes; else None."""
    by_class = _by_class(names, labels)
    fewest = min(by_class, key=lambda name: len(by_class[name]))
    if len(by_class[fewest]) == 1:
        return f"class {fewest} is of one of them alone, so that no split can hold it in training and in test"
    if (count := len(by_class[fewest])) < FEWEST:
        return f"class {fewest} has {count} of them, and takes {FEWEST}, one each for train, validation and test"
    if len(set(names.values())) < 2 * len(by_class):
        return f"{len(by_class)} classes take {2 * len(by_class)} of them at least"
    return None


def _by_class(names: dict[str, str], labels: dict[str, str]) -> dict[str, set[str]]:
    """The subjects of each class, in alphabetical order."""
    by_class = {name: set() for name in sorted(set(labels.values()))}
    for path, name in names.items():
        by_class[labels[path]].add(name)
    return by_class


def _is_one_class(names: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a class is of one subject alone, where others are of several, none of which is in two classes."""
    counts = [len(subjects) for subjects in _by_class(names, labels).values()]
    return min(counts) == 1 and 2 * len(counts) <= sum(counts) == len(set(names.values()))


def _numbered_anew(names: dict[str, str], level: int) -> bool:
    """Whether the folders at that level are numbered anew in each of many folders above, as studies of patients are."""
    above = defaultdict(set)
    for path, name in names.items():
        above[name].add(tuple(path.split("/")[:-1][:level]))
    return len(set().union(*above.values())) > len(above) and sum(len(by) > 1 for by in above.values()) > len(above) / 2


def _crossing(names: dict[str, str], splits: dict[str, str | None]) -> bool:
    """Whether most names are in several of the publisher's splits, as angles are, where subjects would leak."""
    by_name = defaultdict(set)
    for path, name in names.items():
        by_name[name].add(splits[path])
    return sum(len(found) > 1 for found in by_name.values()) > len(by_name) / 2


def _scattered(names: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether most names that come more than once have one image per class, as where each class is numbered anew."""
    by_name = defaultdict(list)
    for path, name in names.items():
        by_name[name].append(labels[path])
    repeated = [found for found in by_name.values() if len(found) > 1]
    return sum(len(set(found)) == len(found) for found in repeated) > len(repeated) / 2
