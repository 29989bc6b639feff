"""The result in one picture, without any of the images: confusion matrix, ROC and precision-recall curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from headstart import files, scores


def result(path: Path, labels: np.ndarray, found: dict[str, np.ndarray], classes: Sequence[str]) -> None:
    """Draw the scores of some models on the same images; the last one's confusion matrix.

    path: the PNG to write. labels: (n,) int. found: (n, k) float probabilities by the model's name.
    """
    figure = Figure(figsize=(12, 4), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    confusion, roc, precision_recall = figure.subplots(1, 3)
    *_, (last, values) = found.items()
    matrix = ConfusionMatrixDisplay.from_predictions(
        [classes[label] for label in labels],
        [classes[label] for label in scores.predicted(values)],
        labels=list(classes),
        ax=confusion,
        colorbar=False,
        cmap="Blues",
        xticks_rotation=45 if len(classes) > 4 else 0,
    )
    matrix.ax_.set(title=f"{last}: {len(labels):,} test images")
    for name, probabilities in found.items():
        score = scores.score(labels, probabilities, classes)
        for axes, curve, number in (
            (roc, scores.roc, score["roc_auc"]),
            (precision_recall, scores.precision_recall, score["average_precision"]),
        ):
            if points := curve(labels, probabilities):
                axes.plot(*zip(*points, strict=True), label=f"{name}, {number:.4f}" if number else name)
    roc.set(title="ROC, area", xlabel="false positive rate", ylabel="true positive rate")
    precision_recall.set(title="Precision and recall, average", xlabel="recall", ylabel="precision")
    for axes in (roc, precision_recall):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower center")
    with files.whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
