"""`metrics/dataset.json`: how many images each split has, and which files were left out and why.

classes      the names of the classes, in the order of their indices
counts       the images in use: {split: {class: number}}
folds        where there are folds, the images of each: {fold: {class: number}}
found        the labelled images of the source
unused       how many of them can be used but were not needed for a split
left_out     the files that are not used, by path: [{path, reason}]
duplicates   images of equal pixels, which stay in one split: [[path, path, …]]
near_duplicates   the same of copies that were encoded anew, resized, brightened or slightly cropped
suspicious   near-duplicates of different classes: [[path, path]]
groups       how many groups the images in use are of (dataset.group); null where that is null
test_copies  test images with a copy in training, exact or near; 0 where dataset.near_duplicates is group
copies_taken_out  of the test images in the source's own folders, those of which a copy was taken out of training
published    the splits that the source's own folders fix, such as [test, train]; [] where there are none
corrections  what data/corrections.csv has changed: {labels, left_out: {split: number}}
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts import ANY, COUNT, of_form, read_json
from headstart.artifacts.manifest import SPLITS, Manifest, splits_by_fold
from headstart.base import files

DATASET = Path("metrics/dataset.json")
NEAR_DUPLICATES = Path("metrics/near_duplicates.png")  # the sets that the file lists, in pictures
COUNTS = {split: {ANY: COUNT} for split in SPLITS}
# What `read` compares with; what every such file has, and of the rest its kind.
FORM = {
    "classes": [{str}],
    "counts": COUNTS,
    "found": COUNT,
    "left_out": [{"path": {str}, "reason": {str}}],
    "folds?": {ANY: {ANY: COUNT}},
    "near_duplicates?": [[{str}]],
    "groups?": COUNT | {None},
    "test_copies?": COUNT,
    "published?": [{str}],
    "corrections?": {ANY: {ANY: COUNT}},
}


class LeftOut(NamedTuple):
    """A file of the source that is not used: its path there, and why."""

    path: str
    reason: str


def by_reason(left_out: Iterable[LeftOut]) -> list[list[LeftOut]]:
    """Return the files in groups of one kind of reason each, the largest group first; each is sorted by path.

    Reasons that differ in names, numbers or what stands in brackets are of one kind.
    """
    groups = defaultdict(list)
    for entry in sorted(left_out):
        plain = re.sub(r"\(.*?\)|\S*[/.\\\d]\S*", "…", entry.reason)
        groups[tuple(plain.split()[:4])].append(entry)
    return sorted(groups.values(), key=lambda group: -len(group))


def summarize(
    manifest: Manifest,
    found: int,
    unused: int,
    left_out: list[LeftOut],
    duplicates: list[list[str]],
    published: Iterable[str] = (),
    **facts: Any,
) -> dict[str, Any]:
    """Return what the file holds; `left_out`, `duplicates` and `published` may come in any order.

    facts: the rest of it, by its keys, as it is to be written.
    """

    def count(parts: np.ndarray, part: str | int) -> dict[str, int]:
        counts = Counter(manifest.labels[parts == part].tolist())
        return {name: counts[index] for index, name in enumerate(manifest.classes)}

    folds = manifest.folds
    by_fold = {} if folds is None else {"folds": {str(fold): count(folds, fold) for fold in range(1, folds.max() + 1)}}
    return by_fold | {
        "classes": manifest.classes,
        "counts": {split: count(manifest.splits, split) for split in SPLITS},
        "found": found,
        "unused": unused,
        "left_out": [entry._asdict() for entry in sorted(left_out)],
        "duplicates": sorted(duplicates),
        "published": sorted(published),
        **facts,
    }


def counts(summary: dict[str, Any], fold: int | None = None) -> dict[str, dict[str, int]]:
    """The images by split and class, as in the run of that fold; None: as the splits are.

    Raises ValueError where there is no such fold, and where `summarize` has not made the summary.
    """
    if fold is None:
        return checked(summary)["counts"]
    folds = checked(summary).get("folds", {})
    if fold > len(folds):
        raise ValueError(f"{DATASET} has no fold {fold}")
    sums = {split: Counter() for split in SPLITS}
    for number, split in enumerate(splits_by_fold(fold, len(folds)), 1):
        sums[split].update(folds[str(number)])
    return {split: dict(by_class) for split, by_class in sums.items()}


def write(summary: dict[str, Any], project: Path = Path()) -> None:
    """Write what `summarize` returned, whole or not at all. project: its folder; default: the current one."""
    files.write_text(project / DATASET, json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read(project: Path = Path()) -> dict[str, Any]:
    """Return what the file of `project` (default: the current folder) holds; its keys are listed above.

    Raises UserError where the file is missing, is not JSON, or is not what the stage split writes.
    """
    return read_json(project, DATASET, checked, "split")


def checked(summary: Any) -> dict[str, Any]:
    """Return `summary`, as read from JSON. Raises ValueError where `summarize` has not made it."""
    of_form(FORM, summary)
    if wrong := [split for split, of in summary["counts"].items() if of.keys() != set(summary["classes"])]:
        raise ValueError(f"counts.{wrong[0]} is of other classes")
    return summary
