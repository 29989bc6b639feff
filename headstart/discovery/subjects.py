"""What may belong together: a patient, module or burst that shows in file names, or in a column of a table."""

import re
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from headstart.discovery.labelling import Layout

NUMBERED = r"(?P<group>[^/]*\d)[^/\d]+\d+[^/\d]*$"  # all that a name has before its last number: P012 of P012_3.png
SIZED = r"\d+ ?[xX×] ?\d+[^/\d]*$"  # names that end in a size in pixels, which numbers no shot
NAMES = (
    "patient|subject|person|writer|author|speaker|animal|donor|participant|individual|case|study|series|session|visit|"
    "lesion|specimen|slide|module|panel|part|plant|tree|plot|site|hospital|lot|batch|burst|video|clip|scene|sequence"
)
FEWEST = 3  # subjects of a class: one for each split


class Subject(NamedTuple):
    """A candidate for `dataset.group`.

    group: what to set. how: the same in words. count: of different subjects. example: one of them. sure: whether it can
    be taken without asking.
    """

    group: dict[str, Any]
    how: str
    count: int
    example: str
    sure: bool


def find_subjects(layout: Layout) -> list[Subject]:
    """Return the candidates for `dataset.group`, the best first."""
    labels, subjects = layout.label_by_path, []
    for name, cells in layout.columns.items():
        named = re.fullmatch(rf"({NAMES})(_?(id|no|nr|name|number|index))?", str(name).lower())
        numbers = all(re.fullmatch(r"[-+.\d]+", cell) for cell in cells.values())
        if (named or not numbers) and _fits(cells, labels):
            subjects.append(_subject({"column": name}, f"the column {name}", cells, named is not None))
    matches = {path: re.search(NUMBERED, path) for path in labels if not re.search(SIZED, path)}
    groups = {path: match["group"] for path, match in matches.items() if match}
    if len(groups) >= 0.8 * len(labels) and _fits(groups, labels):
        days = sum(bool(re.search(r"\d{6}", name)) for name in set(groups.values())) > len(set(groups.values())) / 2
        sure = not days and not _scattered(groups, labels)
        subjects.append(_subject({"pattern": NUMBERED}, "the file names", groups, sure))
    return sorted(subjects, key=lambda subject: not subject.sure)


def _subject(group: dict[str, Any], how: str, names: dict[str, str], sure: bool) -> Subject:
    return Subject(group, how, len(set(names.values())), min(names.values()), sure)


def _scattered(names: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether most names that come more than once have one image per class, as where each class is numbered anew."""
    classes = defaultdict(list)
    for path, name in names.items():
        classes[name].append(labels[path])
    repeated = [found for found in classes.values() if len(found) > 1]
    return sum(len(set(found)) == len(found) for found in repeated) > len(repeated) / 2


def _fits(names: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether most images share a name with others, no name is the class, and every class has names enough to split."""
    sizes = Counter(names.values())
    together = sum(size for size in sizes.values() if size > 1)
    by_class = defaultdict(set)
    for path, name in names.items():
        by_class[labels[path]].add(name)
    enough = by_class.keys() == set(labels.values()) and min(map(len, by_class.values())) >= FEWEST
    return enough and together >= 0.6 * len(labels) and len(sizes) >= 2 * len(by_class)
