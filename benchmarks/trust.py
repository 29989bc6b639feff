"""What the report's warnings are worth: labels that were flipped on purpose, and images that show something else."""

import dataclasses
from typing import Any

import numpy as np

from benchmarks import workspace
from benchmarks.measuring import Measurement
from headstart.artifacts import features, manifest, results
from headstart.artifacts.results import CLASSIFIER
from headstart.classifier import file, inference, joining, unlike
from headstart.images import archive
from headstart.inspection import mislabelled

FLIPPED, FIRST, FOREIGN = 40, 60, 500  # training images; suspects that a person looks at; images of the other source


def flipped(measurement: Measurement) -> dict[str, Any]:
    """Flip the labels of 40 training images: how many are among the first 60 suspects and among all of them.

    Beside them, how many suspects there are, and how many with the labels as they are.
    """
    place, _ = measurement.extracted()
    table = manifest.read(place.path)
    vectors, (labels, wrong) = features.averages(place.path, table), _flipped(table, measurement.seed)
    found = mislabelled.find(vectors, dataclasses.replace(table, labels=labels), measurement.seed)
    rows, before = [suspect.row for suspect in found], mislabelled.find(vectors, table, measurement.seed)
    return {
        "first": len(wrong & set(rows[:FIRST])),
        "found": len(wrong & set(rows)),
        "suspects": len(rows),
        "before": len(before),
    }


def corrected(measurement: Measurement) -> dict[str, float]:
    """The test accuracy of what is delivered with 40 labels flipped, and after a person went through 60 suspects.

    `clean`: with no label flipped. `corrected`: labels that the person put right, who knows the right one of each.
    """
    place, _ = measurement.extracted()
    table = manifest.read(place.path)
    labels, wrong = _flipped(table, measurement.seed)
    vectors = features.averages(place.path, table)
    found = mislabelled.find(vectors, dataclasses.replace(table, labels=labels), measurement.seed)
    put_right = sorted(wrong & {suspect.row for suspect in found[:FIRST]})
    after = labels.copy()
    after[put_right] = table.labels[put_right]
    scores = {}
    for name, given in (("before", labels), ("after", after), ("clean", table.labels)):
        manifest.write(dataclasses.replace(table, labels=given), place.path)
        for stage in ("train_head", "fine_tune", "calibrate", "evaluate"):
            place.stage(stage)
        measured = results.read(place.path)
        scores[name] = measured.scores[measured.delivered]["accuracy"]
    return {"corrected": len(put_right), **scores}


def foreign(measurement: Measurement, other: str) -> dict[str, float]:
    """The share of the test images, and of 500 images of another preset, that a classifier marks as unlike its own."""
    place, _ = measurement.extracted()
    for stage in ("train_head", "fine_tune", "calibrate"):
        place.stage(stage)
    classifier, details = file.load(place.path / CLASSIFIER)
    model = joining.with_features(classifier, details.axes, details.rule.temperature)

    def share(source: archive.Source, paths: list[str]) -> float:
        _, vectors = inference.of_source(model, details.square, source, paths, "look")
        return round(float(unlike.is_unlike(vectors, details.known).mean()), 4)

    table = manifest.read(place.path)
    with archive.open_source(place.path / measurement.parameters()["dataset"]["path"]) as source:
        own = share(source, [table.paths[row] for row in table.rows("test")])
    values = workspace.parameters(other, {})
    with workspace.temporary(values) as fetched:
        fetched.stage("fetch")
        with archive.open_source(fetched.path / values["dataset"]["path"]) as source:
            images = [name for name in source.names() if name.lower().endswith((".png", ".jpg"))]
            drawn = np.random.default_rng(1).choice(len(images), FOREIGN, replace=False)
            return {"own": own, "foreign": share(source, [images[at] for at in sorted(drawn)])}


def _flipped(table: manifest.Manifest, seed: int) -> tuple[np.ndarray, set[int]]:
    """The labels with those of 40 training images flipped, and the rows of these."""
    chosen = np.random.default_rng(seed).choice(table.rows("train"), FLIPPED, replace=False)
    labels = table.labels.copy()
    labels[chosen] = (labels[chosen] + 1) % len(table.classes)
    return labels, set(chosen.tolist())
