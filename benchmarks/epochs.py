"""An epoch of fine-tuning `cats_vs_dogs`: on live views against cached activations, and without op determinism."""

from statistics import median
from typing import Any

from benchmarks.measuring import Measurement

TURNS, EPOCHS = 2, 3


def measure(measurement: Measurement) -> dict[str, Any]:
    """Seconds per epoch: cached; cached, without op determinism; live. The same layers are trained, in turns."""
    workspace, _ = measurement.extracted()
    workspace.stage("train_head")
    seconds: dict[str, list[float]] = {"cached": [], "without_determinism": [], "live": []}
    for _ in range(TURNS):
        workspace.set(measurement.parameters(**{"fine_tune.epochs": EPOCHS}))
        seconds["cached"] += workspace.stage("fine_tune").epochs()
        seconds["without_determinism"] += workspace.python("benchmarks.without_determinism").epochs()
        # One live epoch beside the first takes as long as two cached ones do four times.
        workspace.set(measurement.parameters(**{"fine_tune.epochs": 2, "fine_tune.views": "live"}))
        seconds["live"] += workspace.stage("fine_tune").epochs()
    return {name: round(median(values), 2) for name, values in seconds.items()}
