"""The project that the server runs in: what people correct is written there, and its training images are shown."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import headstart
from headstart.artifacts import corrections, manifest
from headstart.artifacts.corrections import CORRECTIONS, SENT, Correction
from headstart.artifacts.manifest import CLASSES, Manifest
from headstart.base import files, params
from headstart.base.errors import UserError
from headstart.base.params import PIPELINE
from headstart.classifier import familiar
from headstart.images import archive, decoding
from headstart.images.archive import Source, Unreadable
from headstart.images.decoding import Broken
from headstart.serving import photos

SMALL = 160  # pixels: the longer side of a training image that is shown
LETTERS = 500  # of a name or a reason


@dataclass(frozen=True)
class Project:
    """A project whose classes are the classifier's, in the folder `root`."""

    classes: list[str]
    root: Path = Path()

    def correct(self, data: bytes, label: str, by: str, why: str, most: int) -> tuple[str, str]:
        """Write a correction, and the image with it; return the path that it names, and what to say of it.

        data: the image file, which goes to data/corrections/ under the hash of its pixels; what is there stays.
        most: as `photos.kind` takes it. Of one image the last correction counts; what it replaces is said. Raises
        `Broken` for an image that cannot be read, and UserError where data/corrections.csv cannot be.
        """
        ending = photos.ENDINGS[photos.kind(data, most)]
        sha256 = decoding.examine(data).sha256
        place = SENT / f"{sha256}.{ending}"
        by, why = (" ".join(text.split())[:LETTERS] for text in (by, why))
        with corrections.alone(self.root):
            if not (self.root / place).exists():
                with files.whole(self.root / place) as part:
                    part.write_bytes(data)
            path = self._path_in_source(sha256) or place.as_posix()
            written = corrections.read(self.root)
            replaced = [old for old in written if old.sha256 == sha256]
            kept = [old for old in written if old.sha256 != sha256]
            corrections.write([*kept, Correction(path, sha256, "label", label, by, why)], self.root)
        said = f"Saved in {CORRECTIONS}, with the image in {SENT}/: dvc repro says what becomes of it."
        gone = ", ".join(f"{old.label or old.action}{f' by {old.by}' if old.by else ''}" for old in replaced)
        return path, said + (f" It replaces: {gone}." if gone else "")

    def table(self) -> Manifest | None:
        """Return the project's manifest, of the fold that params.yaml names; None where there is none."""
        try:
            return manifest.read(self.root, params.load(self.root).fold)
        except UserError:
            return None

    def _path_in_source(self, sha256: str) -> str | None:
        table = self.table()
        return None if table is None or sha256 not in table.sha256 else table.paths[table.sha256.index(sha256)]


def find(classes: list[str], root: Path = Path()) -> Project | None:
    """Return the project in a folder; None where there is none, or one with other classes than the classifier's."""
    try:
        known = json.loads((root / CLASSES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Project(classes, root) if (root / PIPELINE).is_file() and known == classes else None


class TrainingImages:
    """The training images that a classifier keeps to compare others with, in their source, which stays open."""

    def __init__(self, table: Manifest, rows: np.ndarray, source: Source):
        self._table, self._rows, self._source = table, rows, source
        self._picture = functools.lru_cache(maxsize=len(rows))(self._drawn)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, number: int) -> bytes:
        """Return the file of a known image. Raises Unreadable."""
        return self._source.read(self._table.paths[self._rows[number]])

    def hash(self, number: int) -> str:
        """Return the hash of a known image's pixels."""
        return self._table.sha256[self._rows[number]]

    def shown(self, number: int) -> dict[str, str]:
        """Return path, class and picture of a known image; the picture is empty where it cannot be read any more."""
        row = self._rows[number]
        label = self._table.classes[self._table.labels[row]]
        return {"path": self._table.paths[row], "class": label, "picture": self._picture(number)}

    def close(self) -> None:
        """Close the source."""
        self._source.__exit__(None, None, None)

    def _drawn(self, number: int) -> str:
        try:
            return photos.picture(self.read(number), SMALL, self._source.value_range)
        except (Unreadable, Broken):
            return ""


def training_images(project: Project, classifier: headstart.Classifier) -> TrainingImages | None:
    """Return the training images that a classifier compares others with; None where the project has not all of them.

    Whether they are its own is tried out: the first, the last and one between them have to be nearest to themselves.
    """
    table = project.table()
    if table is None:
        return None
    try:
        settings = params.load(project.root)
        rows, _ = familiar.rows(table, settings.seed)
        source = archive.open_source(project.root / settings.dataset.path, classifier.details.value_range)
    except UserError:
        return None
    images = TrainingImages(table, rows, source)
    if not _is_own(images, classifier):
        images.close()
        return None
    return images


def _is_own(images: TrainingImages, classifier: headstart.Classifier) -> bool:
    tried, details = sorted({0, len(images) // 2, len(images) - 1}), classifier.details
    try:
        pixels = [decoding.read(images.read(at), details.square, details.value_range) for at in tried]
    except (Unreadable, Broken):
        return False
    nearest = classifier.answers(np.stack(pixels)).nearest
    if nearest is None:
        return False
    found = [int(of[0]) for of in nearest]
    return all(it < len(images) and images.hash(it) == images.hash(at) for at, it in zip(tried, found, strict=True))
