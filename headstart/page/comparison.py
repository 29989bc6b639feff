"""Many runs on one page: accuracy against seconds, and by each parameter that differs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from headstart.base import files, wording
from headstart.base.errors import UserError
from headstart.page import charts, rendering

STAGES = ("extract", "train_head", "fine_tune", "calibrate")  # those that make a classifier
COLOURS = (charts.BLUE, charts.ORANGE, charts.GREEN, charts.VIOLET, charts.GREY)
OURS = '<meta name="generator" content="headstart">'


class Dot(NamedTuple):
    """A run: what it delivers has `accuracy` on the test images, with a 95 % interval from `low` to `high`.

    group: the name of those that are compared as one. seconds: by stage, of those that are known. values: by the name
    of each parameter that differs its value, a number or a text.
    """

    name: str
    group: str
    accuracy: float
    low: float
    high: float
    seconds: dict[str, float]
    values: dict[str, float | str]

    def total(self) -> float | None:
        """The seconds of all of `STAGES`; None where one is unknown."""
        return sum(self.seconds[stage] for stage in STAGES) if self.seconds.keys() >= set(STAGES) else None


def check(path: Path) -> None:
    """Raise UserError where `path` is no name of a page, or a file of something else, before there is a page for it."""
    if path.suffix != ".html":
        raise UserError(f"--html: got {path}; takes a name that ends with .html: names of experiments stand before it")
    try:
        ours = not path.exists() or OURS in path.read_text(encoding="utf-8", errors="replace")[:1000]
    except OSError as error:
        raise UserError(f"--html: {path} cannot be written ({error}): give another name") from None
    if not ours:
        raise UserError(f"--html: got {path}, which is a file of something else: give another name, or remove it")


def write(
    path: Path,
    title: str,
    lines: Sequence[str],
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
    dots: Sequence[Dot],
) -> None:
    """Write a page to `path`. lines: what stands below the title. table: headings, and rows.

    Raises UserError as `check` does, and where `path` cannot be written.
    """
    check(path)
    try:
        timed = [dot for dot in dots if dot.total() is not None]
        parameters = list(dots[0].values)
        drawn = {"seconds": _seconds(timed)} if timed else {}
        drawn |= {f"parameter-{number}": _by(name, dots) for number, name in enumerate(parameters)}
        facts = {
            "title": title,
            "lines": lines,
            "untimed": ", ".join(dot.name for dot in dots if dot.total() is None),
            "stages": ", ".join(STAGES),
            "parameters": parameters,
            "headings": table[0],
            "rows": table[1],
        }
        files.write_text(path, rendering.page("comparison", **facts, data={"charts": drawn}))
    except OSError as error:
        raise UserError(f"--html: {path} cannot be written ({error}): give another name") from None


def _by(name: str, dots: Sequence[Dot]) -> charts.Chart:
    """Accuracy by the value of a parameter: each run, and the mean over those of one value."""
    values = [dot.values[name] for dot in dots]
    numbers = not any(isinstance(value, str) for value in values)
    order = sorted(set(values)) if numbers else list(dict.fromkeys(map(str, values)))
    values = values if numbers else list(map(str, values))
    shown = {value: value if numbers else charts.plain(value) for value in order}
    accuracies = np.array([dot.accuracy for dot in dots])
    runs = go.Scatter(
        x=[shown[value] for value in values],
        y=accuracies.tolist(),
        text=[charts.plain(dot.name) for dot in dots],
        name="run",
        mode="markers",
        marker={"size": 9, "color": charts.BLUE},
        hovertemplate="%{text}: %{x}, accuracy %{y:.4f}<extra></extra>",
    )
    mean = go.Scatter(
        x=list(shown.values()),
        y=[float(accuracies[[value == of for value in values]].mean()) for of in order],
        name="mean",
        mode="lines+markers",
        line={"color": charts.ORANGE},
        marker={"symbol": "x"},
    )
    # Learning rates and the like are tried by factors.
    factors = numbers and order[0] > 0 and order[-1] >= 20 * order[0]
    axis = {"type": "log" if factors else "linear" if numbers else "category"}
    ends = [float(accuracies.min()) - 0.02, min(float(accuracies.max()) + 0.02, 1.01)]
    return charts.chart([mean, runs], "value", "test accuracy", xaxis=axis, yaxis={"range": ends})


def _seconds(dots: Sequence[Dot]) -> charts.Chart:
    """The accuracy of runs, with its interval, against the seconds that they took; a colour for each group."""
    traces = []
    for number, group in enumerate(dict.fromkeys(dot.group for dot in dots)):
        of = [dot for dot in dots if dot.group == group]
        traces.append(
            go.Scatter(
                x=[dot.total() for dot in of],
                y=[dot.accuracy for dot in of],
                error_y={
                    "type": "data",
                    "array": [dot.high - dot.accuracy for dot in of],
                    "arrayminus": [dot.accuracy - dot.low for dot in of],
                    "thickness": 1,
                },
                name=charts.plain(wording.label(group, 40)),
                text=[charts.plain(dot.name) for dot in of],
                mode="markers",
                marker={"size": 10, "color": COLOURS[number % len(COLOURS)], "symbol": number % 8},
                hovertemplate="%{text}: accuracy %{y:.4f} in %{x:,.0f} s<extra></extra>",
            )
        )
    return charts.chart(traces, "seconds", "test accuracy", xaxis={"rangemode": "tozero"})
