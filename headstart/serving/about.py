"""Which classifier the server has, and what it says of it."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from headstart.artifacts import results
from headstart.artifacts.results import CLASSIFIER
from headstart.base import files
from headstart.base.errors import UserError
from headstart.serving.interface import Model
from headstart.serving.limits import Limits
from headstart.serving.project import Project

SCORES = ("accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "loss", "roc_auc")
# Of these, those that go by what the classifier calls an image.
BY_CLASS = ("accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy")


def load(path: Path) -> headstart.Classifier:
    """Return an exported classifier. Raises UserError where there is none, and for one that needs TensorFlow."""
    if not path.exists():
        raise UserError(f"no {path} here: `make export FORMAT=onnx` writes it, and `make serve` does both")
    if path.suffix == ".keras" or "saved_model" in path.parts:
        raise UserError(f"--model: got {path}, which needs TensorFlow: `make export FORMAT=onnx`, and serve that")
    return headstart.Classifier.load(path)


def is_older(classifier: headstart.Classifier, root: Path = Path()) -> bool:
    """Whether a project's classifier is another one by now than the one that this export was made of."""
    path = root / CLASSIFIER
    return path.exists() and files.sha256(path) != classifier.sha256


def describe(path: Path, classifier: headstart.Classifier, project: Project | None, limits: Limits) -> Model:
    """Return what GET /model says."""
    details, size = classifier.details, classifier.details.size
    answers = classifier.answers(np.zeros((1, size, size, 3), np.uint8))
    return Model(
        name=str(path),
        sha256=classifier.sha256,
        commit=None if project is None else _commit(project.root),
        classes=details.classes,
        size=size,
        resizing=details.resizing,
        unsure=details.rule.at_least is not None,
        unlike=answers.distances is not None,
        metrics=None if project is None else _metrics(classifier, project.root),
        corrections=project is not None,
        limits=limits._asdict(),
    )


def _metrics(classifier: headstart.Classifier, root: Path) -> dict[str, Any] | None:
    """What `evaluate` measured, where the project's classifier is this one: as it decides, where a goal says how."""
    if not (root / CLASSIFIER).exists() or is_older(classifier, root):
        return None
    try:
        measured = results.read(root)
    except UserError:
        return None
    scores = measured.scores[measured.delivered]
    if measured.by_rule:
        scores = {name: of for name, of in scores.items() if name not in BY_CLASS} | measured.trust["decision"]
    return {"images": measured.images} | {name: scores[name] for name in SCORES if name in scores}


def _commit(root: Path) -> str | None:
    """The commit that the project's result belongs to; None without Git."""
    command = ["git", "-C", root, "log", "-1", "--format=%h", "--", "dvc.lock"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
