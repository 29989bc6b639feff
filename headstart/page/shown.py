"""Which images the page shows, by galleries."""

from typing import Any

import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions

# How many images each gallery has at most; those before come first where the page has no room for all.
MOST = {"wrong": 60, "suspects": 60, "unsure": 24, "alike": 40, "outliers": 24, "right": 24, "examples": 96}
EACH = 4  # examples of a class


def galleries(
    answers: Predictions, found: dict[str, Any], summary: dict[str, Any], table: Manifest
) -> dict[str, list[int]]:
    """Return the rows of the images in each gallery, in the order of `MOST`.

    answers: of the test images, the delivered model last. found: as `artifacts.inspection` reads it. summary: as
    `artifacts.dataset`. Of what is wrong each confusion is there before any comes twice, the surest first.
    """
    rows = {path: row for row, path in enumerate(table.paths)}
    tests = np.array([rows[path] for path in answers.paths], int)
    probabilities = list(answers.probabilities.values())[-1]
    guesses, surety = list(answers.predicted.values())[-1], probabilities.max(axis=1)
    wrong, right = np.flatnonzero(guesses != answers.labels), np.flatnonzero(guesses == answers.labels)
    pairs = [path for pair in found["alike"] for path in pair["paths"]]
    copies = [path for near in summary.get("near_duplicates", []) for path in near[:4]]
    by_gallery = {
        "wrong": tests[_each_first(wrong, answers.labels[wrong] * len(table.classes) + guesses[wrong], surety)],
        "suspects": [rows[suspect["path"]] for suspect in found["suspects"] if suspect["path"] in rows],
        "unsure": tests[np.argsort(surety, kind="stable")],
        "alike": [rows[path] for path in [*pairs, *copies] if path in rows],
        "outliers": [rows[outlier["path"]] for outlier in found["outliers"] if outlier["path"] in rows],
        "right": tests[_each_first(right, answers.labels[right], np.zeros(len(answers.labels)))],
        "examples": _examples(table),
    }
    return {name: list(map(int, by_gallery[name][:most])) for name, most in MOST.items()}


def _each_first(positions: np.ndarray, kinds: np.ndarray, surety: np.ndarray) -> np.ndarray:
    """The positions, the surest first, but the first of each kind before the second of any."""
    order = np.argsort(-surety[positions], kind="stable")
    places, seen = np.zeros(len(positions), int), {}
    for at in order:
        places[at] = seen[kinds[at]] = seen.get(kinds[at], -1) + 1
    return positions[np.lexsort((-surety[positions], places))]


def _examples(table: Manifest) -> list[int]:
    """Training images of each class, one of each before a second of any."""
    rows = [table.rows("train")[table.labels[table.rows("train")] == label] for label in range(len(table.classes))]
    return [int(of[at]) for at in range(EACH) for of in rows if at < len(of)]
