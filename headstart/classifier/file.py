"""The classifier's file: one archive that holds all that is needed to predict."""

import json
import zipfile
from pathlib import Path
from typing import Any

from headstart.artifacts import models, results
from headstart.artifacts.value_range import checked
from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.runtime import keras
from headstart.images import decoding, ranges
from headstart.images.ranges import Range

# What a classifier file says of itself, beside what Keras reads.
DETAILS = "headstart.json"
CLASSIFIER = results.CLASSIFIER  # where `fine_tune` writes the project's own


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
        model = models.load(path)
        with doubted(), zipfile.ZipFile(path) as archive:
            details = _details(json.loads(archive.read(DETAILS)))
            _compare(model, details)
    except Damaged as error:
        own = (
            "; run `make check`, then `dvc repro --force --single-item fine_tune`" if path == results.CLASSIFIER else ""
        )
        raise UserError(f"{path} is not a classifier that Headstart wrote: {error}{own}") from None
    return model, details


def load_own(classes: list[str]) -> tuple[keras.Model, dict]:
    """Returns what `load` does, of the classifier that `fine_tune` wrote.

    Raises UserError, too, where it tells other classes apart than these, which are the manifest's.
    """
    classifier, details = load(results.CLASSIFIER)
    if details["classes"] != classes:
        raise UserError(
            f"{results.CLASSIFIER} tells other classes apart than data/classes.json names: run `dvc repro fine_tune`"
        )
    return classifier, details


def _details(details: Any) -> dict:
    """What a classifier says of itself. Raises ValueError where it is not what `save` writes."""
    known = details if isinstance(details, dict) else {}
    classes, size = known.get("classes"), known.get("size")
    if not isinstance(classes, list) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{DETAILS} in it names no classes")
    if len(set(classes)) != len(classes):
        raise ValueError(f"{DETAILS} in it names a class twice")
    if type(size) is not int or size < 1:
        raise ValueError(f"{DETAILS} in it does not say the size of an image")
    if known.get("delivered") not in results.MODELS:
        raise ValueError(f"{DETAILS} in it does not say which model it is")
    return details | {"range": ranges.of_fields(checked(known.get("range")))}


def _compare(model: keras.Model, details: dict) -> None:
    """Raises ValueError where a model is not what its details say."""
    shape, size, units = model.input.shape[1:], details["size"], models.units(len(details["classes"]))
    if tuple(shape) != (size, size, 3) or model.input.dtype != "uint8":
        raise ValueError(f"its network takes {model.input.dtype} images of {tuple(shape)}, not uint8 {size, size, 3}")
    if model.output.shape[-1] != units:
        given = model.output.shape[-1]
        raise ValueError(f"its network gives {given} numbers an image, {len(details['classes'])} classes want {units}")
