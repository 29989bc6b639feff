"""What the report's warnings are worth: labels that were flipped on purpose, and images that show something else."""

import dataclasses
from typing import Any

import numpy as np

from benchmarks import workspace
from benchmarks.measuring import Measurement
from headstart.artifacts import features, manifest
from headstart.artifacts.results import CLASSIFIER
from headstart.classifier import file, inference, joining, unlike
from headstart.images import archive
from headstart.inspection import mislabelled

FLIPPED, FIRST, FOREIGN = 40, 60, 500  # training images; suspects that a person looks at; images of the other source
BLOCK = 256


def flipped(measurement: Measurement) -> dict[str, Any]:
    """Flip the labels of 40 training images: how many are among the first 60 suspects and among all of them.

    Beside them, how many suspects there are, and how many with the labels as they are.
    """
    place, _ = measurement.extracted()
    table = manifest.read(place.path)
    written = features.read_bottleneck(place.path, table)
    blocks = (written[at : at + BLOCK].astype("float32") for at in range(0, len(written), BLOCK))
    vectors = np.concatenate([block.mean(axis=(1, 2)) for block in blocks])
    chosen = np.random.default_rng(measurement.seed).choice(table.rows("train"), FLIPPED, replace=False)
    labels = table.labels.copy()
    labels[chosen] = (labels[chosen] + 1) % len(table.classes)
    found = mislabelled.find(vectors, dataclasses.replace(table, labels=labels), measurement.seed)
    rows, wrong = [suspect.row for suspect in found], set(chosen.tolist())
    before = mislabelled.find(vectors, table, measurement.seed)
    return {
        "first": len(wrong & set(rows[:FIRST])),
        "found": len(wrong & set(rows)),
        "suspects": len(rows),
        "before": len(before),
    }


def foreign(measurement: Measurement, other: str) -> dict[str, float]:
    """The share of the test images, and of 500 images of another preset, that a classifier marks as unlike its own."""
    place, _ = measurement.extracted()
    for stage in ("train_head", "fine_tune", "calibrate"):
        place.stage(stage)
    classifier, details = file.load(place.path / CLASSIFIER)
    model = joining.with_features(classifier, details.axes, details.rule.temperature)

    def share(source: archive.Source, paths: list[str]) -> float:
        _, vectors = inference.of_source(model, details.size, source, paths, "look")
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
