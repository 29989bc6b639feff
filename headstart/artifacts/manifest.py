"""The manifest: the one list of the images in use, which says what each row of every array is."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.base import cells, files
from headstart.base.errors import UserError

MANIFEST = Path("data/manifest.csv")
CLASSES = Path("data/classes.json")
SPLITS = ("train", "validation", "test")
NOT_DEALT = ""  # in the place of a split: of no use to the run


@dataclass(frozen=True)
class Manifest:
    """The images in use, one row each, sorted by path.

    `classes`: names, in the order of their indices; `paths`: inside the source; `labels`: int64 (n,), indices into
    `classes`; `splits`: str (n,), each one of `SPLITS`, or `NOT_DEALT`, which images have that only the folds use;
    `sha256`: of the decoded pixels (`decoding.pixel_hash`); `groups`: str (n,), equal for images that belong together
    and are never parted; an image that belongs to no other is a group of its own, named by its path; default: all of
    them; `folds`: int64 (n,), from 1, or 0 for an image in no fold, or None where there are no folds; `weights`:
    float32 (n,), what each image counts for in training and scores, or None where all count the same; `probabilities`:
    float32 (n, k), those of the k classes, of which the label is the most probable one, or None where the labels are
    certain.
    """

    classes: list[str]
    paths: list[str]
    labels: np.ndarray
    splits: np.ndarray
    sha256: list[str]
    groups: np.ndarray | None = None
    folds: np.ndarray | None = None
    weights: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.groups is None:
            object.__setattr__(self, "groups", np.array(self.paths, str))

    def of(self, rows: np.ndarray, name: str) -> np.ndarray | None:
        """The rows of `weights` or `probabilities`; None where the images have none."""
        values = getattr(self, name)
        return None if values is None else values[rows]

    def rows(self, split: str) -> np.ndarray:
        """The indices of the split's rows, ascending: int64 (k,)."""
        return np.flatnonzero(self.splits == split)

    def trained_on(self) -> np.ndarray:
        """The rows that a run may train on, ascending, the same for every fold: int64 (k,)."""
        return self.rows("train") if self.folds is None else np.flatnonzero(self.folds)

    def for_fold(self, fold: int | None) -> "Manifest":
        """The same images with the splits that the run of one fold has (`splits_by_fold`); None: as they are.

        Raises UserError where there is no such fold.
        """
        if fold is None:
            return self
        count = 0 if self.folds is None else int(self.folds.max())
        if fold > count:
            raise UserError(f"fold: got {fold}, but {MANIFEST} has {count or 'no'} folds: run `dvc repro split`")
        splits = np.array([NOT_DEALT, *splits_by_fold(fold, count)])
        return dataclasses.replace(self, splits=splits[self.folds])


def splits_by_fold(fold: int, count: int) -> list[str]:
    """The split that each of `count` folds is in the run of one of them, from 1: the next one, round, is validation."""
    splits = ["train"] * count
    splits[fold - 1], splits[fold % count] = "test", "validation"
    return splits


def read(project: Path = Path(), fold: int | None = None) -> Manifest:
    """Return the manifest that `data/manifest.csv` and `data/classes.json` hold.

    project: the folder that they lie in; default: the current one. fold: whose splits it is to have (`for_fold`).
    Raises UserError where one of them is missing, where they do not match, and where there is no such fold.
    """
    try:
        texts = [(project / path).read_text(encoding="utf-8") for path in (MANIFEST, CLASSES)]
        return parse(*texts).for_fold(fold)
    except FileNotFoundError as error:
        raise UserError(f"no {error.filename} here: run `dvc repro split` to write it") from None
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{MANIFEST} and {CLASSES} do not match ({error}): run `dvc repro --force split`") from None


def parse(table: str, classes: str) -> Manifest:
    """The manifest in the contents of a `data/manifest.csv` and a `data/classes.json`.

    Raises KeyError or ValueError where the stage split, as it is now, would not have written them.
    """
    names, (header, *lines) = json.loads(classes), cells.read(table) or [[]]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{CLASSES} is no list of names")
    if not table.endswith("\n"):
        raise ValueError("its last line has no end")
    # By columns: of a million images, rows as dictionaries would take minutes and gigabytes.
    columns = dict(zip(header, zip(*lines, strict=True) if lines else [()] * len(header), strict=True))
    del lines
    if unknown := {*columns["split"]} - {*SPLITS, NOT_DEALT}:
        raise ValueError(f"no split is named {min(unknown)}")
    indices = {name: index for index, name in enumerate(names)}
    folds = np.array([int(fold or 0) for fold in columns["fold"]], np.int64)
    given = columns["probabilities"]
    probabilities = _numbers([cell.split() for cell in given]) if any(given) else None
    if (folds < 0).any() or (probabilities is not None and probabilities.shape[1] != len(names)):
        raise ValueError("a fold below 0, or not one probability for each class")
    return Manifest(
        classes=names,
        paths=list(columns["path"]),
        labels=np.array([indices[label] for label in columns["label"]], np.int64),
        splits=np.array(columns["split"], str),
        sha256=list(columns["sha256"]),
        groups=np.array([group or path for group, path in zip(columns["group"], columns["path"], strict=True)], str),
        folds=folds if folds.any() else None,
        weights=_numbers(list(columns["weight"])),
        probabilities=probabilities,
    )


def write(manifest: Manifest, project: Path = Path()) -> None:
    """Write `data/manifest.csv` and `data/classes.json` in the folder `project`, each whole or not at all."""
    labels = (manifest.classes[label] for label in manifest.labels)
    groups = ("" if group == path else group for group, path in zip(manifest.groups, manifest.paths, strict=True))
    folds = [""] * len(manifest.paths) if manifest.folds is None else [fold or "" for fold in manifest.folds]
    header = ("path", "label", "split", "sha256", "group", "fold", "weight", "probabilities")
    columns = (manifest.paths, labels, manifest.splits, manifest.sha256, groups, folds)
    numbers = (_cells(manifest.weights, manifest), _cells(manifest.probabilities, manifest))
    rows = zip(*columns, *numbers, strict=True)
    files.write_text(project / CLASSES, json.dumps(manifest.classes, ensure_ascii=False, indent=2) + "\n")
    files.write_csv(project / MANIFEST, [header, *rows])


def _numbers(cells: list[str] | list[list[str]]) -> np.ndarray | None:
    """The cells as float32, None where they are empty."""
    return np.array(cells, "float32") if any(cells) else None


def _cells(numbers: np.ndarray | None, manifest: Manifest) -> list[str]:
    """One cell a row: a number, or several with spaces between, in as many digits as float32 needs; or empty ones."""
    if numbers is None:
        return [""] * len(manifest.paths)
    return [" ".join(map(str, row)) for row in numbers.astype("float32").reshape(len(numbers), -1)]
