"""The classifier's file: one archive that holds all that is needed to predict."""

import io
import json
import zipfile
from pathlib import Path

from headstart.artifacts import models
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.images import decoding, ranges
from headstart.images.ranges import Range

# What a classifier file says of itself, beside what Keras reads.
DETAILS = "headstart.json"


def save(model: keras.Model, path: Path, classes: list[str], delivered: str, value_range: Range | None = None) -> None:
    """Write a classifier, the same bytes for the same weights; whole or not at all.

    model: uint8 RGB (n, size, size, 3) to (n, 1) or (n, k). classes: the names of the k classes, in their order.
    delivered: which of `artifacts.results.MODELS` it is. value_range: as the images were decoded for it.
    """
    details = {"classes": classes, "size": model.input.shape[1], "resizing": decoding.RESIZING, "delivered": delivered}
    if value_range is not None:
        details["range"] = value_range._asdict()
    models.save(model, path, {DETAILS: json.dumps(details, indent=2, ensure_ascii=False)})


def load(path: Path) -> tuple[keras.Model, dict]:
    """Returns a classifier and its details, as `save` took them: `classes`, `size`, `resizing`, `delivered`, `range`.

    The model takes uint8 RGB (n, size, size, 3). Raises UserError for a file that is missing or no classifier.
    """
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro`, `dvc checkout` (brings back the last one) or `dvc pull`")
    try:
        with zipfile.ZipFile(path) as archive:
            details = json.load(io.TextIOWrapper(archive.open(DETAILS), "utf-8"))
        details["range"] = ranges.of_fields(details.get("range"))
        return keras.saving.load_model(path, compile=False), details
    except models.DAMAGED as error:
        raise UserError(f"{path} is not a classifier that Headstart wrote: {error}") from None
