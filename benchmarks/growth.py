"""What grows as the images become more, drawn ones of 64x64 pixels: each stage, and DVC with nothing to do."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import first_run, workspace
from benchmarks.measuring import Measurement

COUNTS = (2_000, 25_000, 200_000)
COMMANDS = ("dvc status", "dvc repro")
VALUES = {
    "dataset.source": None,
    "dataset.sha256": None,
    "dataset.path": "images.zip",
    "dataset.labels": "folders",
    "dataset.classes": None,
    "split.train": 0.8,
    "split.validation": 0.1,
    "split.test": 0.1,
    "image.size": 64,
    "backbone.weights": "random",
    "backbone.sha256": None,
    "fine_tune.cut": "block8",
    "fine_tune.views": 2,
    "fine_tune.epochs": 1,
    "head.epochs": 1,
}


def draw(path: Path, count: int) -> None:
    """Write a zip of `count` images of noise, half of them of each class."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
            archive.writestr(f"{'even' if number % 2 else 'odd'}/{number:06}.png", file.getvalue())


def measure(measurement: Measurement, count: int) -> dict[str, Any]:
    """Seconds and MB of anonymous memory at most of each stage on `count` images; seconds of `COMMANDS` after it."""
    numbers = {}
    with workspace.temporary(measurement.parameters()) as place:
        draw(place.path / "images.zip", count)
        for stage in measurement.stages:
            work = place.stage(stage)
            numbers[stage] = {"seconds": round(work.seconds, 1), "megabytes": work.peak}
        shutil.copy(workspace.ROOT / "data/corrections.csv", place.path / "data")
        for command in ("git init -q", "dvc init -q", "dvc config cache.type hardlink", "dvc commit -q -f"):
            first_run.seconds(place.path, *command.split())
        for command in COMMANDS:
            numbers[command] = {"seconds": round(first_run.seconds(place.path, *command.split()), 1)}
    return numbers
