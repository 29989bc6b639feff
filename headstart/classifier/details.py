"""What a classifier says of itself, and how it decides: as JSON beside its network, which is not needed to read it."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts import results
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.value_range import checked
from headstart.classifier import decision, unlike
from headstart.classifier.unlike import Known
from headstart.images import decoding, ranges
from headstart.images.decoding import Square
from headstart.images.ranges import Range

# What files say of `resizing` that are older than the choice.
EARLIER = "bilinear, antialiased, to a square, aspect ratio not kept"
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

    def decided(self, answers: Predictions) -> Predictions:
        """The same answers, but what the delivered model, the last one, calls an image is what this rule makes of it.

        The likeliest class is what they have already: a table's six decimals may not tell it any more.
        """
        if self.costs is None:
            return answers
        model, probabilities = list(answers.probabilities.items())[-1]
        return replace(answers, predicted=answers.predicted | {model: self.predicted(probabilities)})

    def possible(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes remain possible: as `decision.possible`; the predicted one alone where none is kept open."""
        at_least = np.inf if self.at_least is None else self.at_least
        return decision.possible(probabilities, self.predicted(probabilities), at_least)


class Details(NamedTuple):
    """What a classifier says of itself.

    `classes`: the names of the k classes, in their order. `size`: of its images, in pixels. `delivered`: which of
    `artifacts.results.MODELS` it is. `value_range`: as the images were decoded for it. `axes`: those that it averages
    over (`joining.averaged`). `rule`: how it decides. `known`: of its training images; None: it cannot tell.
    `resizing`: how its images became squares, one of `decoding.RESIZING`.
    """

    classes: list[str]
    size: int
    delivered: str
    value_range: Range | None = None
    axes: tuple[int, ...] = ()
    rule: Rule = Rule()
    known: Known | None = None
    resizing: str = "stretch"

    @property
    def square(self) -> Square:
        """What images become for it."""
        return Square(self.size, self.resizing)


def fields(details: Details) -> dict[str, Any]:
    """Return details as JSON takes them, without the features of training images: `parse` reads them."""
    said = {"classes": details.classes, "size": details.size, "resizing": details.resizing}
    said |= {"delivered": details.delivered, "axes": list(details.axes), "rule": details.rule._asdict()}
    if details.value_range is not None:
        said["range"] = details.value_range._asdict()
    if details.known is not None:
        said["unlike"] = {"limit": details.known.limit, "nearest": unlike.NEAREST}
        said["unlike"] |= {"widths": list(details.known.widths)} if details.known.widths else {}
    return said


def parse(said: Any, features: np.ndarray | None) -> Details:
    """Return the details of which `fields` made `said`.

    features: of the training images that the classifier keeps, float16 (m, c); None: they are elsewhere. Raises
    ValueError where it is anything else.
    """
    said = said if isinstance(said, dict) else {}
    classes, size, axes = said.get("classes"), said.get("size"), said.get("axes", [])
    resizing = str(said.get("resizing", "stretch")).replace(EARLIER, "stretch")
    if not isinstance(classes, list) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError("it names no classes")
    if len(set(classes)) != len(classes):
        raise ValueError("it names a class twice")
    if type(size) is not int or size < 1:
        raise ValueError("it does not say the size of an image")
    if said.get("delivered") not in results.MODELS:
        raise ValueError("it does not say which model it is")
    if resizing not in decoding.RESIZING:
        raise ValueError("it does not say how images become squares")
    if axes not in ([], [1], [2], [1, 2]):
        raise ValueError("it averages over axes that no image has")
    value_range = ranges.of_fields(checked(said.get("range")))
    rule, known = _rule(said.get("rule", {}), classes), _known(said.get("unlike"), features)
    return Details(classes, size, said["delivered"], value_range, tuple(axes), rule, known, resizing)


def _rule(said: Any, classes: list[str]) -> Rule:
    if not isinstance(said, dict) or said.keys() - set(Rule._fields):
        raise ValueError("it does not say how it decides")
    rule = Rule(**said)
    for name in ("temperature", "threshold", "coverage", "at_least"):
        value = said.get(name)
        if value is not None and not (isinstance(value, float | int) and 0 <= value < np.inf):
            raise ValueError(f"it has a {name} that is no number from 0 on")
    if rule.temperature == 0 or rule.goal not in GOALS or rule.of not in (None, *classes):
        raise ValueError("it does not say how it decides")
    if rule.costs is not None:
        costs = np.array(rule.costs, "float64")
        if costs.shape != (len(classes), len(classes)) or not np.isfinite(costs).all():
            raise ValueError("it has costs of other classes")
    return rule


def _known(said: Any, features: np.ndarray | None) -> Known | None:
    if said is None or features is None:
        return None
    limit, widths = said["limit"], said.get("widths", [])  # none in files from before there were several backbones
    if features.ndim != 2 or features.dtype != np.float16 or not len(features) or not np.isfinite(features).all():
        raise ValueError("it keeps no features of training images")
    if not isinstance(limit, float) or not np.isfinite(limit):
        raise ValueError("it does not say from where on an image is unlike others")
    whole = type(widths) is list and all(type(width) is int and width > 0 for width in widths)
    if not whole or (widths and sum(widths) != features.shape[1]):
        raise ValueError("it does not say how wide the parts of its features are")
    return Known(features, limit, tuple(widths))
