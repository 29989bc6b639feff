"""What hashing arrays and syncing outputs costs: the stages of a run with that and without it, in turns."""

from functools import partial
from typing import Any

from benchmarks import measuring
from benchmarks.measuring import Measurement

TURNS = 2
STAGES = measuring.STAGES[measuring.STAGES.index("extract") :]


def measure(measurement: Measurement) -> dict[str, Any]:
    """The seconds of these stages, means of two turns; one epoch of fine-tuning, which checks nothing.

    The last turn is one with checks: others measure with the arrays that it leaves.
    """
    workspace, _ = measurement.extracted()
    seconds = {"checked": [], "unchecked": []}
    for turn in range(TURNS):
        for name in list(seconds)[:: -1 if turn % 2 else 1]:
            run = workspace.stage if name == "checked" else partial(workspace.python, "benchmarks.without_checks")
            seconds[name].append(sum(run(stage).seconds for stage in STAGES))
    return {name: round(sum(values) / TURNS, 1) for name, values in seconds.items()}
