"""What an inspection found, as metrics/inspection.json has it, and in words."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from headstart.artifacts.inspection import INSPECTION, LOOKS, MOST, in_words
from headstart.artifacts.manifest import NOT_DEALT, Manifest
from headstart.base import wording
from headstart.inspection import shift
from headstart.inspection.mislabelled import Suspect

NAMED = 3  # classes that come from elsewhere, each in a warning of its own


def of(
    table: Manifest,
    suspects: list[Suspect],
    outliers: list[tuple[int, float]],
    alike: list[tuple[int, int, float]],
    looks: dict[str, list[int]],
    areas: dict[str, float],
    lost: bool = False,
    near_duplicates: Iterable[list[str]] = (),
) -> dict[str, Any]:
    """Return what `artifacts.inspection` lists; positions are rows of the manifest. lost: as `neighbours.are_lost`.

    near_duplicates: the sets that `split` knows of. Where it left one in training and test (`dataset.near_duplicates:
    ignore`), it has counted the copies: they are no find.
    """
    paths, classes, splits = table.paths, table.classes, table.splits
    across = _across(table, alike, near_duplicates)
    lists = {"suspects": suspects, "outliers": outliers, "alike": across, **looks}
    counts = {name: len(entries) for name, entries in lists.items()}
    found = {
        "suspects": [
            {
                "path": paths[suspect.row],
                "label": classes[table.labels[suspect.row]],
                "looks_like": classes[suspect.looks_like],
                "probability": round(suspect.probability, 4),
                "own_probability": round(suspect.own_probability, 4),
            }
            for suspect in suspects[:MOST]
        ],
        "outliers": [{"path": paths[row], "times": round(times, 2)} for row, times in outliers[:MOST]],
        "alike": [
            {"paths": [paths[row] for row in pair], "splits": [str(splits[row]) for row in pair]}
            for pair in across[:MOST]
        ],
        "looks": {name: [paths[row] for row in rows[:MOST]] for name, rows in looks.items()},
        "elsewhere": {name: round(area, 4) for name, area in areas.items()},
    }
    warnings = _elsewhere(found["elsewhere"])
    if lost:
        warnings.append(
            "the network's features are so small that float16, as which they are kept, holds next to nothing of them: "
            "no head can tell classes apart by these; take weights that were trained, or another backbone"
        )
    if across:
        pair = " and ".join(found["alike"][0]["paths"])
        pairs = wording.count(len(across), "pair")
        warnings.append(f"{pairs} of nearly the same image lie in two splits, such as {pair}: {_cost(table, across)}")
    return {**found, "warnings": warnings, "counts": counts}


def _across(
    table: Manifest, alike: list[tuple[int, int, float]], near_duplicates: Iterable[list[str]]
) -> list[tuple[int, int]]:
    """The pairs that lie in two splits, and that neither the groups nor these sets account for."""
    paths, splits, sets = table.paths, table.splits, {}
    for number, of in enumerate(near_duplicates):
        sets |= dict.fromkeys(of, number)
    found = []
    for first, second, _ in alike:
        pair = {str(splits[first]), str(splits[second])}
        in_none = len(pair) < 2 or NOT_DEALT in pair  # in no split of this run, so in no two
        same = sets.get(paths[first], paths[first]) == sets.get(paths[second], paths[second])
        if not in_none and table.groups[first] != table.groups[second] and not (same and pair == {"train", "test"}):
            found.append((first, second))
    return found


def _cost(table: Manifest, across: list[tuple[int, int]]) -> str:
    """What pairs across splits are worth: at most, each test image in one is right because of the other alone."""
    tests = table.rows("test")
    copied = np.isin(tests, np.array(across).ravel())
    if not copied.any():
        return "none of them is a test image, so that the scores hold, and validation alone is too high"
    images = f"{copied.sum():,} of {wording.count(len(tests), 'test image')}"
    return f"with {images} in them, they make accuracy too high by {copied.mean():.4f} at most"


def _elsewhere(areas: dict[str, float]) -> list[str]:
    far = sorted(((area, name) for name, area in areas.items() if area >= shift.WARN), reverse=True)
    warnings = [
        f"the test images of class {name} come from elsewhere than its training images: a classifier tells them apart "
        f"(area {area:.2f}), so validation says little about them"
        for area, name in far[:NAMED]
    ]
    if len(far) > NAMED:
        others = wording.count(len(far) - NAMED, "other class")
        warnings.append(f"the test images of {others} come from elsewhere, too: elsewhere in {INSPECTION} has them all")
    return warnings


def lines(found: dict[str, Any]) -> list[str]:
    """Return what is said at the end of the stage: each kind in a line, with an example, and the warnings."""
    counts, said = found["counts"], []
    if counts["suspects"]:
        first = found["suspects"][0]
        images = wording.count(counts["suspects"], "label")
        why = f"{first['label']}; looks like {first['looks_like']}"
        said.append(f"{images} may be wrong, such as that of {first['path']} ({why})")
    if counts["outliers"]:
        images = wording.count(counts["outliers"], "image")
        said.append(f"{images} unlike all others, such as {found['outliers'][0]['path']}")
    for name in LOOKS:
        if counts[name]:
            said.append(f"{in_words(counts[name], name)}, such as {found['looks'][name][0]}")
    said = said or ["nothing odd about the images and their labels"]
    return [*said, *(f"WARNING: {line}" for line in found["warnings"]), f"The whole lists: {INSPECTION}"]
