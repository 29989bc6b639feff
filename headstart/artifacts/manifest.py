"""The manifest: the one list of the images in use, which says what each row of every array is."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError

MANIFEST = Path("data/manifest.csv")
CLASSES = Path("data/classes.json")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Manifest:
    """The images in use, one row each, sorted by path.

    `classes`: names, in the order of their indices; `paths`: inside the source; `labels`: int64 (n,), indices into
    `classes`; `splits`: str (n,), each one of `SPLITS`; `sha256`: of the decoded pixels (`decoding.pixel_hash`);
    `groups`: str (n,), equal for images that belong together and are never parted; an image that belongs to no other
    is a group of its own, named by its path; default: all of them.
    """

    classes: list[str]
    paths: list[str]
    labels: np.ndarray
    splits: np.ndarray
    sha256: list[str]
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.groups is None:
            object.__setattr__(self, "groups", np.array(self.paths, str))

    def rows(self, split: str) -> np.ndarray:
        """The indices of the split's rows, ascending: int64 (k,)."""
        return np.flatnonzero(self.splits == split)


def read(project: Path = Path()) -> Manifest:
    """Return the manifest that `data/manifest.csv` and `data/classes.json` hold.

    project: the folder that they lie in; default: the current one. Raises UserError where one of them is missing, and
    where they do not match.
    """
    try:
        classes = json.loads((project / CLASSES).read_text(encoding="utf-8"))
        with (project / MANIFEST).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        indices = {name: index for index, name in enumerate(classes)}
        return Manifest(
            classes=classes,
            paths=[row["path"] for row in rows],
            labels=np.array([indices[row["label"]] for row in rows], np.int64),
            splits=np.array([row["split"] for row in rows], str),
            sha256=[row["sha256"] for row in rows],
            groups=np.array([row["group"] or row["path"] for row in rows], str),
        )
    except FileNotFoundError as error:
        raise UserError(f"no {error.filename} here: run `dvc repro split` to write it") from None
    except (KeyError, ValueError) as error:
        raise UserError(f"{MANIFEST} and {CLASSES} do not match ({error}): run `dvc repro --force split`") from None


def write(manifest: Manifest, project: Path = Path()) -> None:
    """Write `data/manifest.csv` and `data/classes.json` in the folder `project`, each whole or not at all."""
    labels = (manifest.classes[label] for label in manifest.labels)
    groups = ("" if group == path else group for group, path in zip(manifest.groups, manifest.paths, strict=True))
    rows = zip(manifest.paths, labels, manifest.splits, manifest.sha256, groups, strict=True)
    files.write_text(project / CLASSES, json.dumps(manifest.classes, ensure_ascii=False, indent=2) + "\n")
    files.write_csv(project / MANIFEST, [("path", "label", "split", "sha256", "group"), *rows])
