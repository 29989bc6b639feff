"""What people have decided about single images, applied to what split has dealt.

The images are dealt out by the labels that the source has, and corrected afterwards: so every image stays in its split,
and what a correction brings is not mixed up with another draw.
"""

import dataclasses
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from headstart.artifacts import corrections
from headstart.artifacts.corrections import CORRECTIONS, SENT, Correction
from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import SPLITS, Manifest
from headstart.base import wording
from headstart.base.errors import UserError

NOT_ADDED = (
    f"of images that were sent to the server and lie in {SENT.as_posix()}/: to train on one, put a copy of it into the "
    "source, as an image of its label"
)


class Corrected(NamedTuple):
    """What `apply` makes of a manifest: the new one, the images that are left out, and what to say.

    `counts`: {labels, left_out: {split: number}}, for metrics/dataset.json.
    """

    table: Manifest
    left_out: list[LeftOut]
    lines: list[str]
    counts: dict[str, dict[str, int]]


def apply(table: Manifest, of_test: bool) -> Corrected:
    """Return the manifest with the corrections of data/corrections.csv.

    of_test: whether test images are corrected too (`dataset.correct_test`). A correction is of a picture: one that was
    renamed, and an exact copy, are corrected with it. Where no image in use has its pixels it is passed over and said;
    one of an image that was sent to the server holds from when the source has a copy of it.

    Raises UserError where the file is no such table, for a class that does not exist, for two corrections that
    contradict each other, and where a class would have no image left in a split.
    """
    written = corrections.read()
    decided, passed = _by_pixels(table, written), _passed(table, written)
    labels, kept = table.labels.copy(), np.ones(len(table.paths), bool)
    counts = {"labels": dict.fromkeys(SPLITS, 0), "left_out": dict.fromkeys(SPLITS, 0)}
    for row, sha256 in enumerate(table.sha256):
        correction, split = decided.get(sha256), table.splits[row]
        if correction is None or correction.action == "keep":
            continue
        if split == "test" and not of_test:
            passed["of test images, which are corrected with dataset.correct_test: true alone"].append(table.paths[row])
            continue
        what = "labels" if correction.action == "label" else "left_out"
        if what == "left_out":
            kept[row] = False
        elif table.classes[labels[row]] == correction.label:
            continue
        else:
            labels[row] = table.classes.index(correction.label)
        if split in SPLITS:
            counts[what][split] += 1
    corrected = _chosen(dataclasses.replace(table, labels=labels, probabilities=_certain(table, labels)), kept)
    _refuse_empty(table, corrected)
    left_out = [
        LeftOut(table.paths[row], f"left out by {CORRECTIONS}" + _reason(decided[table.sha256[row]]))
        for row in np.flatnonzero(~kept)
    ]
    return Corrected(corrected, left_out, _lines(counts, passed), counts)


def _passed(table: Manifest, written: list[Correction]) -> defaultdict[str, list[str]]:
    """The images whose corrections are passed over, by the reason."""
    passed, in_use = defaultdict(list), dict(zip(table.paths, table.sha256, strict=True))
    pixels = set(table.sha256)
    for correction in written:
        if correction.sha256 in pixels:
            continue
        if correction.path in in_use:
            passed["of images that show something else by now"].append(correction.path)
        elif _was_sent(correction):
            passed[NOT_ADDED].append(correction.path)
        else:
            passed["of images that are not in use"].append(correction.path)
    return passed


def _was_sent(correction: Correction) -> bool:
    return correction.path.startswith(f"{SENT.as_posix()}/")


def _certain(table: Manifest, labels: np.ndarray) -> np.ndarray | None:
    """The probabilities of the classes, where an image whose label was changed is of its new class for certain."""
    if table.probabilities is None:
        return None
    certain = np.eye(len(table.classes), dtype="float32")[labels]
    return np.where((labels != table.labels)[:, None], certain, table.probabilities)


def _by_pixels(table: Manifest, written: list[Correction]) -> dict[str, Correction]:
    pixels, decided = set(table.sha256), {}
    for correction in written:
        if correction.sha256 not in pixels:
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
                f"{CORRECTIONS} says two things of the same picture, {_said(before)} and {_said(correction)}: keep one"
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
        for split in SPLITS:
            had, has = (((table.labels == label) & (table.splits == split)).any() for table in (before, after))
            if had and not has:
                raise UserError(
                    f"{CORRECTIONS} takes the last {split} image of class {name} away: keep one, or add images"
                )


def _said(correction: Correction) -> str:
    return f"{correction.path}: {correction.label or correction.action}{_reason(correction)}"


def _reason(correction: Correction) -> str:
    said = [text for text in (correction.why, f"by {correction.by}" if correction.by else "") if text]
    return f" ({', '.join(said)})" if said else ""


def _lines(counts: dict[str, dict[str, int]], passed: dict[str, list[str]]) -> list[str]:
    lines, changed, left_out = [], sum(counts["labels"].values()), sum(counts["left_out"].values())
    if changed or left_out:
        what = f"{wording.count(changed, 'label')} changed, {wording.count(left_out, 'image')} left out"
        tests = counts["labels"]["test"] + counts["left_out"]["test"]
        lines.append(f"{CORRECTIONS}: {what}" + (f", {tests:,} of them of the test split" if tests else ""))
    for why, paths in sorted(passed.items()):
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")
        lines.append(f"{CORRECTIONS}: {wording.count(len(paths), 'correction')} {why}: {shown}")
    return lines
