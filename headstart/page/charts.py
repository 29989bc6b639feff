"""A page's charts, as Plotly draws them in the browser: each a dictionary of its data and layout."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from headstart.artifacts.manifest import SPLITS
from headstart.base import wording

WHOLE = 30  # classes whose confusion matrix is drawn; of more, those that are confused most
BLUE, ORANGE, GREEN, VIOLET, GREY = "#3b78c2", "#c2682b", "#4f9d4f", "#a05fb0", "#888888"
Chart = dict[str, Any]


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Chart:
    """The confusion matrix; a cell's `customdata` are the indices of its true and its predicted class.

    Of more than 30 classes those are shown that are confused most often.
    """
    counts = np.array(matrix)
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    shown = np.sort(np.argsort(-errors, kind="stable")[:WHOLE])
    names = [plain(name) for name in wording.labels([classes[index] for index in shown], 24)]
    counts = counts[np.ix_(shown, shown)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heat = go.Heatmap(
        z=shares.tolist(),
        x=names,
        y=names,
        text=[[f"{count:,}" if count else "" for count in row] for row in counts.tolist()],
        texttemplate="%{text}",
        customdata=[[[int(true), int(predicted)] for predicted in shown] for true in shown],
        hovertemplate="%{text} of class %{y} called %{x}<extra></extra>",
        colorscale="Blues",
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=1,
        ygap=1,
    )
    sides = {"xaxis": {"type": "category"}, "yaxis": {"autorange": "reversed", "type": "category"}}
    return chart([heat], "predicted", "true class", **sides) | {"height": min(900, 180 + 60 * len(shown))}


def reliability(bins: Sequence[dict[str, float]]) -> Chart:
    """The reliability diagram: how often the classifier is right where it is so sure."""
    ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": GREY}, name="as sure as right")
    points = go.Scatter(
        x=[part["confidence"] for part in bins],
        y=[part["accuracy"] for part in bins],
        mode="lines+markers",
        line={"color": BLUE},
        name="test images, in tenths",
        hovertemplate="sure by %{x:.3f}, right %{y:.3f}<extra></extra>",
    )
    low = min([part[name] for part in bins for name in ("confidence", "accuracy")], default=0)
    ends = [max(0, low - 0.05), 1.02]
    return chart([ideal, points], "probability", "share that is right", xaxis={"range": ends}, yaxis={"range": ends})


def curves(by_epoch: dict[str, dict[int, float]], score: str) -> Chart:
    """A score by the number of epochs that were trained, for each name of the images."""
    colours = dict(zip(by_epoch, (GREY, BLUE), strict=False))
    lines = [
        go.Scatter(x=list(values), y=list(values.values()), name=name, line={"color": colours[name]})
        for name, values in by_epoch.items()
    ]
    return chart(lines, "epoch", score)


def fragility(measured: dict[str, list[dict[str, Any]]]) -> Chart:
    """Accuracy at each strength of each corruption, from 0, the images as they are."""
    base = measured["none"][0]["accuracy"]
    marks = {"noise": "circle", "blur": "square", "jpeg": "diamond", "brightness": "cross"}
    colours = dict(zip(marks, (BLUE, ORANGE, GREEN, VIOLET), strict=True))
    lines = [
        go.Scatter(
            x=list(range(len(levels) + 1)),
            y=[base, *(level["accuracy"] for level in levels)],
            customdata=[measured["none"][0]["unlike"], *(level["unlike"] for level in levels)],
            name={"jpeg": "JPEG", "brightness": "darkness"}.get(kind, kind),
            mode="lines+markers",
            marker={"symbol": marks.get(kind, "circle")},
            line={"color": colours.get(kind, GREY)},
            hovertemplate="accuracy %{y:.2f}, unlike the training images: %{customdata:.0%}<extra></extra>",
        )
        for kind, levels in measured.items()
        if kind != "none"
    ]
    return chart(lines, "strength", "accuracy", yaxis={"range": [0, 1.02]})


def counts(by_split: dict[str, dict[str, int]], classes: Sequence[str]) -> Chart:
    """The images of each class and split; of many classes the largest and the smallest."""
    order = sorted(classes, key=lambda name: -sum(by_split[split][name] for split in by_split))
    shown = order if len(order) <= WHOLE else order[: WHOLE // 2] + order[-WHOLE // 2 :]
    names = [plain(name) for name in wording.labels(shown, 24)]
    bars = [
        go.Bar(y=names, x=[by_split[split][name] for name in shown], name=split, orientation="h", marker_color=colour)
        for split, colour in zip(SPLITS, (BLUE, GREY, ORANGE), strict=True)
    ]
    sides = {"yaxis": {"autorange": "reversed", "type": "category"}}
    return chart(bars, "images", "", **sides, barmode="stack") | {"height": 120 + 26 * len(shown)}


def plain(name: str) -> str:
    """A name as Plotly shows it letter by letter: it takes texts for HTML, and drops a tag that it does not know."""
    return html.escape(name, quote=False)


def chart(traces: list, x: str, y: str, xaxis: dict | None = None, yaxis: dict | None = None, **others) -> Chart:
    """Plotly's traces as a chart whose axes are named `x` and `y`. others: of Plotly's layout."""
    layout = go.Layout(
        template="none",
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": x}, "automargin": True, "zeroline": False, **(xaxis or {})},
        yaxis={"title": {"text": y}, "automargin": True, "zeroline": False, **(yaxis or {})},
        **others,
    )
    figure = go.Figure(traces, layout).to_plotly_json()
    return {"data": figure["data"], "layout": figure["layout"], "height": 340}
