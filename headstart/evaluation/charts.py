"""The result without any of the images: in one picture, and as the data that `dvc plots` draws."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from headstart.base import files
from headstart.classifier import decision
from headstart.evaluation import figures, scores


def result(path: Path, labels: np.ndarray, probabilities: dict[str, np.ndarray], classes: Sequence[str]) -> None:
    """Draw the confusion matrix of the last model, and the ROC and precision-recall curves of all, as one PNG.

    Args:
        path: the PNG to write.
        labels: (n,) int, the true classes as indices into `classes`.
        probabilities: (n, k) float of each model, by the name to show.
        classes: the k names.
    """
    figure = figures.empty(13, 4)
    confusion, roc, precision_recall = figure.subplots(1, 3)
    last = list(probabilities)[-1]
    matrix = ConfusionMatrixDisplay.from_predictions(
        [classes[label] for label in labels],
        [classes[label] for label in decision.predicted(probabilities[last])],
        labels=list(classes),
        ax=confusion,
        colorbar=False,
        cmap="Blues",
        xticks_rotation=45 if len(classes) > 4 else 0,
    )
    matrix.ax_.set(title=f"{last}: {len(labels):,} test images")
    for words in (*matrix.ax_.get_xticklabels(), *matrix.ax_.get_yticklabels()):
        words.set_parse_math(False)  # a class may be named with dollar signs
    for name, values in probabilities.items():
        score = scores.score(labels, values, classes)
        for axes, curve, area in (
            (roc, scores.roc, score["roc_auc"]),
            (precision_recall, scores.precision_recall, score["average_precision"]),
        ):
            if points := curve(labels, values):
                axes.plot(*zip(*points, strict=True), label=name if area is None else f"{name}, {area:.4f}")
    roc.set(title="ROC curve (AUC)", xlabel="false positive rate", ylabel="true positive rate")
    precision_recall.set(title="Precision–recall curve (average precision)", xlabel="recall", ylabel="precision")
    for axes in (roc, precision_recall):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="lower center")
    figures.save(figure, path)


def data(folder: Path, labels: np.ndarray, probabilities: dict[str, np.ndarray], classes: Sequence[str]) -> None:
    """Write confusion/NAME.csv, roc/NAME.csv and precision_recall/NAME.csv in `folder` for each model's NAME.

    Columns: actual, predicted (one row per image); false_positive_rate, true_positive_rate; recall, precision. A curve
    that is not defined, where the images are all of one class, is a header alone. Arguments as in `result`.
    """
    for name, values in probabilities.items():
        pairs = [(classes[a], classes[b]) for a, b in zip(labels, decision.predicted(values), strict=True)]
        files.write_csv(folder / "confusion" / f"{name}.csv", [("actual", "predicted"), *pairs])
        columns = ("false_positive_rate", "true_positive_rate")
        files.write_csv(folder / "roc" / f"{name}.csv", [columns, *scores.roc(labels, values)])
        columns = ("recall", "precision")
        files.write_csv(
            folder / "precision_recall" / f"{name}.csv", [columns, *scores.precision_recall(labels, values)]
        )
