"""What an export gives on its own runtime, beside what the classifier gives: metrics/exports.json."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.threads import THREADS
from headstart.classifier.details import Details
from headstart.evaluation import scores, trust

EXPORTS = Path("metrics/exports.json")
IMAGES = 200  # of the test split, by which an export and the classifier are compared
MOST = 5_000  # of it, by which it is told what 8 bits cost: all are in memory
NEAR = 1e-4  # how far a probability of float32 may be from the classifier's


class Given(NamedTuple):
    """What a classifier gave for n images: `probabilities`, (n, k), and `distances`, (n,), NaN where it has none."""

    probabilities: np.ndarray
    distances: np.ndarray


def run(path: Path, pixels: np.ndarray) -> tuple[Given, dict[str, Any]]:
    """Return what a classifier gives alone, and what it takes.

    path: as `Classifier.load` takes it. pixels: uint8 (n, size, size, 3). What it takes: `bytes`, of its files;
    `start_seconds`, from nothing to the first answer; `images_per_second`, after that, on all cores.
    """
    with tempfile.TemporaryDirectory() as folder:
        images, written = Path(folder, "images.npy"), Path(folder, "answers.npz")
        np.save(images, pixels)
        start = time.time()
        command = [sys.executable, "-m", "headstart.delivery.alone", str(path), str(images), str(written)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise UserError(f"{path} does not run: {last.removeprefix('error: ')}")
        answers = np.load(written)
        taken = {
            "bytes": size(path),
            "start_seconds": round(float(answers["first"]) - start, 2),
            "images_per_second": round(len(pixels) / float(answers["seconds"]), 1),
        }
        return Given(answers["probabilities"], answers["distances"]), taken


def size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder that make up its network."""
    if path.is_file():
        return path.stat().st_size
    return sum(of.stat().st_size for of in path.rglob("*") if of.is_file() and of.suffix not in (".py", ".jpg", ".pyc"))


def compared(details: Details, limit: float | None, own: Given, given: Given) -> dict[str, Any]:
    """Return how an export's answers differ from the classifier's own.

    `agreement`: how many of the `images` both call the same; `same_possible`: of how many the same classes remain
    possible; `same_unlike`: of how many both say whether they are unlike the training images, by `limit`;
    `largest_difference`: of all probabilities.
    """
    rule, ours, theirs = details.rule, own.probabilities, given.probabilities
    far = [np.zeros(len(ours), bool) if limit is None else of.distances > limit for of in (own, given)]
    return {
        "images": len(ours),
        "agreement": int((rule.predicted(ours) == rule.predicted(theirs)).sum()),
        "same_possible": int((rule.possible(ours) == rule.possible(theirs)).all(axis=1).sum()),
        "same_unlike": int((far[0] == far[1]).sum()),
        "largest_difference": float(f"{np.abs(ours - theirs).max():.2g}"),
    }


def cost(
    details: Details, own: np.ndarray, given: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return what rounding costs: the export's accuracy with its 95 % interval, the classifier's, McNemar's test.

    own, given: the probabilities of both, (n, k). labels: int64 (n,), the true classes. groups, seed: as `trust.share`
    takes them; interval and test are over groups where images belong together.
    """
    predicted = {"classifier": details.rule.predicted(own), "export": details.rule.predicted(given)}
    return {
        **trust.share("accuracy", predicted["export"] == labels, groups, seed),
        "classifier_accuracy": round(float((predicted["classifier"] == labels).mean()), 6),
        "mcnemar": scores.mcnemar(labels, predicted, groups),
    }


def read(sha256: str) -> dict[str, dict[str, Any]]:
    """Return what was measured of the exports of the classifier with this hash, by their names; empty where nothing."""
    try:
        said = json.loads(EXPORTS.read_text(encoding="utf-8"))
        return said["exports"] if said["classifier"] == sha256 else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}  # it is measured anew


def write(sha256: str, exports: dict[str, dict[str, Any]]) -> None:
    """Write what was measured, whole or not at all, with the number of cores that it was measured on."""
    ordered = {"classifier": sha256, "cores": THREADS, "exports": dict(sorted(exports.items()))}
    files.write_text(EXPORTS, json.dumps(ordered, indent=2) + "\n")
