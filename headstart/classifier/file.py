"""The classifier's file: one archive that holds all that is needed to predict."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts import models, results
from headstart.artifacts.value_range import checked
from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.runtime import keras
from headstart.classifier import decision, unlike
from headstart.classifier.unlike import Known
from headstart.images import decoding, ranges
from headstart.images.ranges import Range

# What a classifier file says of itself, beside what Keras reads.
DETAILS = "headstart.json"
KNOWN = "training_images.npy"
CLASSIFIER = results.CLASSIFIER  # where `calibrate` writes the project's own
NETWORK = Path("models/network.keras")  # where `fine_tune` writes what it chose, before it is calibrated
GOALS = ("accuracy", "balanced_accuracy", "recall", "precision", "costs")


class Rule(NamedTuple):
    """How a classifier decides.

    `temperature`: of its probabilities; None before it is calibrated. `goal`: as `decision.goal`; `of`: the class whose
    recall or precision it is about. `threshold`: of two classes, the probability of `of` from which on it is taken.
    `costs`: as `decision.predicted` takes them, lists of lists. `at_least`: as `decision.possible` takes it, and
    `coverage`, how often the true class is then among the possible ones; None where one class is always named.
    """

    temperature: float | None = None
    goal: str = "accuracy"
    of: str | None = None
    threshold: float | None = None
    costs: list[list[float]] | None = None
    coverage: float | None = None
    at_least: float | None = None

    def tempered(self, probabilities: np.ndarray) -> np.ndarray:
        """What the classifier makes of its network's probabilities: as `decision.tempered`; float32."""
        return decision.tempered(probabilities, self.temperature or 1.0).astype("float32")

    def predicted(self, probabilities: np.ndarray) -> np.ndarray:
        """The class of each image: as `decision.predicted`."""
        return decision.predicted(probabilities, None if self.costs is None else np.array(self.costs))

    def possible(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes remain possible: as `decision.possible`; the predicted one alone where none is kept open."""
        at_least = np.inf if self.at_least is None else self.at_least
        return decision.possible(probabilities, self.predicted(probabilities), at_least)


class Details(NamedTuple):
    """What a classifier says of itself.

    `classes`: the names of the k classes, in their order. `size`: of its images, in pixels. `delivered`: which of
    `artifacts.results.MODELS` it is. `value_range`: as the images were decoded for it. `axes`: those that it averages
    over (`joining.averaged`). `rule`: how it decides. `known`: of its training images; None: it cannot tell.
    """

    classes: list[str]
    size: int
    delivered: str
    value_range: Range | None = None
    axes: tuple[int, ...] = ()
    rule: Rule = Rule()
    known: Known | None = None


def save(model: keras.Model, path: Path, details: Details) -> None:
    """Write a classifier, the same bytes for the same weights; whole or not at all.

    model: uint8 RGB (n, size, size, 3) to (n, 1) or (n, k).
    """
    said = {"classes": details.classes, "size": details.size, "resizing": decoding.RESIZING}
    said |= {"delivered": details.delivered, "axes": list(details.axes), "rule": details.rule._asdict()}
    additions = {}
    if details.value_range is not None:
        said["range"] = details.value_range._asdict()
    if details.known is not None:
        said["unlike"] = {"limit": details.known.limit, "nearest": unlike.NEAREST}
        file = io.BytesIO()
        np.save(file, details.known.features.astype("float16"))
        additions[KNOWN] = file.getvalue()
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
            details = _details(archive)
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


def _details(archive: zipfile.ZipFile) -> Details:
    """What a classifier says of itself. Raises ValueError where it is not what `save` writes."""
    said = json.loads(archive.read(DETAILS))
    said = said if isinstance(said, dict) else {}
    classes, size, axes = said.get("classes"), said.get("size"), said.get("axes", [])
    if not isinstance(classes, list) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{DETAILS} in it names no classes")
    if len(set(classes)) != len(classes):
        raise ValueError(f"{DETAILS} in it names a class twice")
    if type(size) is not int or size < 1:
        raise ValueError(f"{DETAILS} in it does not say the size of an image")
    if said.get("delivered") not in results.MODELS:
        raise ValueError(f"{DETAILS} in it does not say which model it is")
    if axes not in ([], [1], [2], [1, 2]):
        raise ValueError(f"{DETAILS} in it averages over axes that no image has")
    value_range = ranges.of_fields(checked(said.get("range")))
    rule, known = _rule(said.get("rule", {}), classes), _known(said.get("unlike"), archive)
    return Details(classes, size, said["delivered"], value_range, tuple(axes), rule, known)


def _rule(said: Any, classes: list[str]) -> Rule:
    if not isinstance(said, dict) or said.keys() - set(Rule._fields):
        raise ValueError(f"{DETAILS} in it does not say how it decides")
    rule = Rule(**said)
    for name in ("temperature", "threshold", "coverage", "at_least"):
        value = said.get(name)
        if value is not None and not (isinstance(value, float | int) and 0 <= value < np.inf):
            raise ValueError(f"{DETAILS} in it has a {name} that is no number from 0 on")
    if rule.temperature == 0 or rule.goal not in GOALS or rule.of not in (None, *classes):
        raise ValueError(f"{DETAILS} in it does not say how it decides")
    if rule.costs is not None:
        costs = np.array(rule.costs, "float64")
        if costs.shape != (len(classes), len(classes)) or not np.isfinite(costs).all():
            raise ValueError(f"{DETAILS} in it has costs of other classes")
    return rule


def _known(said: Any, archive: zipfile.ZipFile) -> Known | None:
    if said is None:
        return None
    features = np.load(io.BytesIO(archive.read(KNOWN)), allow_pickle=False)
    limit = said["limit"]
    if features.ndim != 2 or features.dtype != np.float16 or not len(features) or not np.isfinite(features).all():
        raise ValueError(f"{KNOWN} in it holds no features")
    if not isinstance(limit, float) or not np.isfinite(limit):
        raise ValueError(f"{DETAILS} in it does not say from where on an image is unlike others")
    return Known(features, limit)


def _compare(model: keras.Model, details: Details) -> None:
    """Raises ValueError where a model is not what its details say."""
    shape, size, units = model.input.shape[1:], details.size, models.units(len(details.classes))
    if tuple(shape) != (size, size, 3) or model.input.dtype != "uint8":
        raise ValueError(f"its network takes {model.input.dtype} images of {tuple(shape)}, not uint8 {size, size, 3}")
    if model.output.shape[-1] != units:
        given = model.output.shape[-1]
        raise ValueError(f"its network gives {given} numbers an image, {len(details.classes)} classes want {units}")
