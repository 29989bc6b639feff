"""What people have decided about single images, applied to what split has dealt.

The images are dealt out by the labels that the source has, and corrected afterwards: so every image stays in its split,
and what a correction brings is not mixed up with another draw.
"""

import dataclasses
from collections import Counter

import numpy as np

from headstart.artifacts.corrections import CORRECTIONS, Correction
from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import Manifest
from headstart.base import wording
from headstart.base.errors import UserError


def apply(table: Manifest, corrections: list[Correction], of_test: bool) -> tuple[Manifest, list[LeftOut], list[str]]:
    """Return the manifest with the corrections, the images that they leave out, and what to say about them.

    of_test: whether test images are corrected too (`dataset.correct_test`). An exact copy of an image is corrected with
    it. A correction whose image is not in use, or shows something else by now, is passed over and said.

    Raises UserError for a class that does not exist, for two corrections that contradict each other, and where a class
    would have no training image left.
    """
    decided = _by_pixels(table, corrections)
    labels, kept, passed = table.labels.copy(), np.ones(len(table.paths), bool), Counter()
    in_use = dict(zip(table.paths, table.sha256, strict=True))
    for correction in corrections:
        if correction.path not in in_use:
            passed["of images that are not in use"] += 1
        elif in_use[correction.path] != correction.sha256:
            passed["of images that show something else by now"] += 1
    done = Counter()
    for row, sha256 in enumerate(table.sha256):
        if (correction := decided.get(sha256)) is None or correction.action == "keep":
            continue
        if table.splits[row] == "test" and not of_test:
            passed["of test images, which stay as they are: dataset.correct_test"] += 1
        elif correction.action == "label":
            done["labels"] += bool(labels[row] != table.classes.index(correction.label))
            labels[row] = table.classes.index(correction.label)
        else:
            kept[row] = False
            done["left out"] += 1
            done["test"] += bool(table.splits[row] == "test")
    probabilities = table.probabilities
    if probabilities is not None:
        changed = labels != table.labels
        probabilities = np.where(changed[:, None], np.eye(len(table.classes), dtype="float32")[labels], probabilities)
    corrected = _chosen(dataclasses.replace(table, labels=labels, probabilities=probabilities), kept)
    _refuse_empty(table, corrected)
    left_out = [
        LeftOut(table.paths[row], f"left out by {CORRECTIONS}" + _reason(decided[table.sha256[row]]))
        for row in np.flatnonzero(~kept)
    ]
    return corrected, left_out, _lines(done, passed)


def _by_pixels(table: Manifest, corrections: list[Correction]) -> dict[str, Correction]:
    known = set(zip(table.paths, table.sha256, strict=True))
    decided: dict[str, Correction] = {}
    for correction in corrections:
        if (correction.path, correction.sha256) not in known:
            continue
        if correction.action == "label" and correction.label not in table.classes:
            hint = wording.did_you_mean(correction.label, table.classes)
            raise UserError(
                f"{CORRECTIONS}, {correction.path}: got the label {correction.label}; {hint}takes "
                f"{', '.join(table.classes)}"
            )
        before = decided.setdefault(correction.sha256, correction)
        if (before.action, before.label) != (correction.action, correction.label):
            raise UserError(
                f"{CORRECTIONS} says two things of the same picture, {before.path} and {correction.path}: keep one"
            )
    return decided


def _chosen(table: Manifest, kept: np.ndarray) -> Manifest:
    rows = np.flatnonzero(kept)
    return dataclasses.replace(
        table,
        paths=[table.paths[row] for row in rows],
        sha256=[table.sha256[row] for row in rows],
        **{
            name: None if getattr(table, name) is None else getattr(table, name)[rows]
            for name in ("labels", "splits", "groups", "folds", "weights", "probabilities")
        },
    )


def _refuse_empty(before: Manifest, after: Manifest) -> None:
    for label, name in enumerate(before.classes):
        for split in ("train", "validation", "test"):
            had, has = (((table.labels == label) & (table.splits == split)).any() for table in (before, after))
            if had and not has:
                raise UserError(
                    f"{CORRECTIONS} takes the last {split} image of class {name} away: keep one, or add images"
                )


def _reason(correction: Correction) -> str:
    said = [text for text in (correction.why, f"by {correction.by}" if correction.by else "") if text]
    return f" ({', '.join(said)})" if said else ""


def _lines(done: Counter, passed: Counter) -> list[str]:
    lines = []
    if done["labels"] or done["left out"]:
        what = [
            wording.count(done["labels"], "label") + " changed",
            wording.count(done["left out"], "image") + " left out",
        ]
        lines.append(f"{CORRECTIONS}: {', '.join(what)}")
    lines += [f"{CORRECTIONS}: {wording.count(number, 'correction')} {why}" for why, number in sorted(passed.items())]
    return lines
