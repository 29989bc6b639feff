"""A run of a preset from the source to the tested classifier: scores, accuracies per epoch, seconds per stage."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Measurement
from headstart.artifacts import models, predictions, results
from headstart.artifacts.results import MODELS, SCORES

# The models that the published tables have columns of; which of them is delivered is chosen anew in each run.
PUBLISHED = {model: MODELS[model] for model in ("head", "fine_tuned", "averaged")}


def measure(measurement: Measurement) -> dict[str, Any]:
    """Run all stages of the measurement, and return what a run gave.

    seconds      of each stage, with the start of Python
    megabytes    of the features
    validation   {head, fine_tune}: accuracy and loss after each epoch, from 0, the untrained model; and the kept epoch
    epochs       the seconds of each epoch of fine-tuning but the first
    test         the scores of each model, as in metrics/test.json
    trust        how far the delivered one can be relied on, as there, but for the diagram and the corrupted images
    right        of each model, which test images it got right: bits in the order of the manifest, in hexadecimal
    """
    workspace, seconds = measurement.extracted()
    if "inspect" in measurement.stages:
        seconds["inspect"] = workspace.stage("inspect").seconds
    seconds["train_head"] = workspace.stage("train_head").seconds
    numbers = {"megabytes": round(workspace.megabytes(), 1), "validation": {"head": _curves(workspace.path, "head")}}
    if "fine_tune" in measurement.stages:
        work = workspace.stage("fine_tune")
        seconds["fine_tune"] = work.seconds
        numbers["epochs"] = [round(epoch, 2) for epoch in work.epochs()]
        numbers["validation"]["fine_tune"] = _curves(workspace.path, "fine_tune")
    if "report" in measurement.stages:
        seconds |= {stage: workspace.stage(stage).seconds for stage in ("calibrate", "evaluate", "report")}
        numbers |= {"test": _scores(workspace.path), "right": _right(workspace.path)}
        trust = results.read(workspace.path).trust
        numbers["trust"] = {name: of for name, of in trust.items() if name not in ("reliability", "fragility")}
    return {"seconds": {stage: round(value, 1) for stage, value in seconds.items()}} | numbers


NUDGES = 3


def nudged(measurement: Measurement) -> dict[str, Any]:
    """Fine-tune the same head again, each of its weights off by a millionth; return the delivered test accuracies.

    What differs between them is the noise of fine-tuning: another processor's arithmetic would do as much.
    """
    workspace, _ = measurement.extracted()
    workspace.stage("train_head")
    file, accuracies = workspace.path / models.HEAD, []
    head = file.read_bytes()
    for number in range(1, NUDGES + 1):
        file.write_bytes(head)
        model, rng = models.load_head(workspace.path), np.random.default_rng(number)
        model.set_weights([array * (1 + 1e-6 * rng.standard_normal(array.shape)) for array in model.get_weights()])
        models.save(model, file)
        for stage in ("fine_tune", "calibrate", "evaluate"):
            workspace.stage(stage)
        measured = results.read(workspace.path)
        accuracies.append(measured.scores[measured.delivered]["accuracy"])
    return {"accuracy": accuracies}


def test(numbers: dict[str, Any]) -> results.Results:
    """The test results in the numbers that `measure` returned."""
    return results.parse(numbers["test"])


def right(numbers: dict[str, Any], model: str) -> np.ndarray:
    """Which test images the model got right: bool (n,), in the order of the manifest.

    Of a run that does not have the model, the one that it delivers.
    """
    images = numbers["test"]["images"]
    bits = numbers["right"][model if model in numbers["right"] else test(numbers).delivered]
    return np.array([bit == "1" for bit in f"{int(bits, 16):0{images}b}"])


def kept(numbers: dict[str, Any], of: str, score: str) -> float:
    """A validation score (accuracy, loss) of the epoch that the head or fine-tuning (head, fine_tune) kept."""
    curves = numbers["validation"][of]
    return curves[score][curves["kept"]]


def _curves(path: Path, folder: str) -> dict[str, Any]:
    curves = {}
    for score in ("accuracy", "loss"):
        with (path / f"metrics/{folder}/plots/metrics/validation/{score}.tsv").open() as file:
            curves[score] = [round(float(row[score]), 6) for row in csv.DictReader(file, delimiter="\t")]
    return curves | {"kept": json.loads((path / f"metrics/{folder}/metrics.json").read_text())["kept_epoch"]}


def _scores(path: Path) -> dict[str, Any]:
    measured = results.read(path)
    names = (*SCORES, "weighted_accuracy")  # where images have weights
    scores = {
        model: {name: values[name] for name in names if name in values} for model, values in measured.scores.items()
    }
    return {**scores, "mcnemar": measured.mcnemar, "images": measured.images}


def _right(path: Path) -> dict[str, str]:
    answers = predictions.parse((path / predictions.PREDICTIONS).read_text(encoding="utf-8"))
    correct = {model: values == answers.labels for model, values in answers.predicted.items()}
    return {model: f"{int(''.join(map(str, bits.astype(int))), 2):x}" for model, bits in correct.items()}
