"""The classifier's file: one archive that holds all that is needed to predict."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from headstart.artifacts import models, results
from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.runtime import keras
from headstart.classifier.details import Details, fields, parse

# What a classifier file says of itself, beside what Keras reads.
DETAILS = "headstart.json"
KNOWN = "training_images.npy"
CLASSIFIER = results.CLASSIFIER  # where `calibrate` writes the project's own
NETWORK = Path("models/network.keras")  # where `fine_tune` writes what it chose, before it is calibrated


def save(model: keras.Model, path: Path, details: Details) -> None:
    """Write a classifier, the same bytes for the same weights; whole or not at all.

    model: uint8 RGB (n, size, size, 3) to (n, 1) or (n, k).
    """
    additions = {}
    if details.known is not None:
        file = io.BytesIO()
        np.save(file, details.known.features.astype("float16"))
        additions[KNOWN] = file.getvalue()
    said = fields(details)
    models.save(model, path, {DETAILS: json.dumps(said, indent=2, ensure_ascii=False).encode()} | additions)


def load(path: Path) -> tuple[keras.Model, Details]:
    """Returns a classifier, which takes uint8 RGB (n, size, size, 3), and its details.

    Raises UserError for a file that is missing or no classifier.
    """
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro`, `dvc checkout` (brings back the last one) or `dvc pull`")
    try:
        model = models.load(path)
        with doubted(), zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read(DETAILS))
            details = parse(said, _known(archive) if isinstance(said, dict) and said.get("unlike") else None)
            _compare(model, details)
    except Damaged as error:
        stage = {CLASSIFIER: "calibrate", NETWORK: "fine_tune"}.get(path)
        own = f"; run `make check`, then `dvc repro --force --single-item {stage}`" if stage else ""
        raise UserError(f"{path} is not a classifier that Headstart wrote: {error}{own}") from None
    return model, details


def load_own(classes: list[str], path: Path = CLASSIFIER) -> tuple[keras.Model, Details]:
    """Returns what `load` does, of a classifier that a stage wrote.

    Raises UserError, too, where it tells other classes apart than these, which are the manifest's.
    """
    classifier, details = load(path)
    if details.classes != classes:
        raise UserError(f"{path} tells other classes apart than data/classes.json names: run `dvc repro fine_tune`")
    return classifier, details


def _known(archive: zipfile.ZipFile) -> np.ndarray:
    return np.load(io.BytesIO(archive.read(KNOWN)), allow_pickle=False)


def _compare(model: keras.Model, details: Details) -> None:
    """Raises ValueError where a model is not what its details say."""
    shape, size, units = model.input.shape[1:], details.size, models.units(len(details.classes))
    if tuple(shape) != (size, size, 3) or model.input.dtype != "uint8":
        raise ValueError(f"its network takes {model.input.dtype} images of {tuple(shape)}, not uint8 {size, size, 3}")
    if model.output.shape[-1] != units:
        given = model.output.shape[-1]
        raise ValueError(f"its network gives {given} numbers an image, {len(details.classes)} classes want {units}")
