"""What hashing arrays and syncing outputs costs: the stages of a run with that and without it, in turns."""

from typing import Any

from benchmarks.measuring import Measurement

TURNS = 2
STAGES = ("extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report")


def measure(measurement: Measurement) -> dict[str, Any]:
    """The seconds of these stages, means of two turns; one epoch of fine-tuning, which checks nothing."""
    workspace, _ = measurement.extracted()
    seconds = {"checked": [], "unchecked": []}
    for turn in range(TURNS):
        for name in list(seconds)[:: 1 if turn % 2 else -1]:
            module = "stages.{}" if name == "checked" else "benchmarks.without_checks {}"
            works = [workspace.python(*module.format(stage).split()) for stage in STAGES]
            seconds[name].append(sum(work.seconds for work in works))
    return {name: round(sum(values) / TURNS, 1) for name, values in seconds.items()}
