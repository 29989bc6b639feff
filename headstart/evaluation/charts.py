"""The result without any of the images: in one picture, and as the data that `dvc plots` draws."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from headstart.base import figures, files, wording
from headstart.evaluation.curves import Curves
from headstart.evaluation.lettering import LEFT, Lettering

SMALL = 6  # classes whose confusion matrix fits beside the curves as it is
WHOLE = 20  # classes whose confusion matrix can be read at all; of more, the most confused pairs are shown
PAIRS = 15  # how many


def result(
    path: Path,
    labels: np.ndarray,
    predicted: np.ndarray,
    curves: dict[str, Curves],
    classes: Sequence[str],
    positive: int = 1,
    goal: str = "accuracy",
) -> None:
    """Draw the confusion matrix of the last model, and the ROC and precision-recall curves of all, as one PNG.

    Of more than 20 classes, the pairs that are confused most often stand in for the matrix.

    Args:
        path: the PNG to write.
        labels: (n,) int, the true classes as indices into `classes`.
        predicted: (n,) int, what the last model predicts.
        curves: of each model, by the name to show.
        classes: the k names.
        positive: of two classes, the one that the curves are of.
        goal: by what the last model decides; where it is not the likeliest class, the picture says so.
    """
    k, lettering = len(classes), Lettering(classes)
    with lettering.used():
        figure = figures.empty(*((13, 4) if k <= SMALL else (17, 7)))
        confusion, roc, precision_recall = figure.subplots(1, 3, width_ratios=(1 if k <= SMALL else 1.4, 1, 1))
        matrix = confusion_matrix(labels, predicted, labels=np.arange(k))
        title = f"{list(curves)[-1]}: {wording.count(len(labels), 'test image')}"
        if k <= WHOLE:
            _draw_matrix(confusion, matrix, wording.labels(lettering.shown, 16))
        else:
            _draw_pairs(confusion, matrix, wording.labels(lettering.shown, 22))
            title += f", most confused of {k} classes"
        title += "" if goal == "accuracy" else f"\nby decision.goal: {goal}"
        confusion.set(title=title)
        for name, model in curves.items():
            both = (roc, model.roc, model.roc_auc), (precision_recall, model.precision_recall, model.average_precision)
            for axes, points, area in both:
                if points:
                    axes.plot(*zip(*points, strict=True), label=f"{name}, {area:.4f}")
        roc.set(title="ROC curve (AUC)", xlabel="false positive rate", ylabel="true positive rate")
        precision_recall.set(title="Precision–recall curve (average precision)", xlabel="recall", ylabel="precision")
        whose = f"of {wording.label(lettering.shown[positive], 16)}" if k == 2 else "mean of the classes"
        for axes in (roc, precision_recall):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(loc="lower center", title=whose)
        figures.save(figure, path)


def data(
    folder: Path, labels: np.ndarray, predicted: np.ndarray, curves: Curves, classes: Sequence[str], name: str
) -> None:
    """Write confusion/NAME.csv, roc/NAME.csv and precision_recall/NAME.csv in `folder` for the model called `name`.

    Columns: actual, predicted (one row per image); false_positive_rate, true_positive_rate; recall, precision. A curve
    that is not defined, where the images are all of one class, is a header alone. Of more than 20 classes, those that
    are seldom confused are called `(others)`, or no browser could draw their matrix. Other arguments as in `result`.
    """
    # `dvc plots` puts them into the script of a page, which a name with </script> would end; the joiner has no width.
    names = dict(enumerate(name.replace("<", "<\u2060") for name in classes))
    if len(classes) > WHOLE:
        matrix = confusion_matrix(labels, predicted, labels=np.arange(len(classes)))
        np.fill_diagonal(matrix, 0)
        seldom = np.argsort(-(matrix.sum(0) + matrix.sum(1)), kind="stable")[WHOLE:]
        names |= dict.fromkeys(seldom.tolist(), "(others)")
    pairs = [(names[a], names[b]) for a, b in zip(labels.tolist(), predicted.tolist(), strict=True)]
    files.write_csv(folder / "confusion" / f"{name}.csv", [("actual", "predicted"), *pairs])
    files.write_csv(folder / "roc" / f"{name}.csv", [("false_positive_rate", "true_positive_rate"), *curves.roc])
    files.write_csv(folder / "precision_recall" / f"{name}.csv", [("recall", "precision"), *curves.precision_recall])


def _draw_matrix(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    k = len(names)
    text_kw = {"fontsize": 10 if k <= SMALL else 7}
    display = ConfusionMatrixDisplay(matrix, display_labels=names)
    display.plot(ax=axes, colorbar=False, cmap="Blues", text_kw=text_kw)
    for text in display.text_.ravel() if k > SMALL else []:
        text.set_visible(text.get_text() != "0")
    axes.tick_params(labelsize=10 if k <= SMALL else 8)
    turned = 90 if k > SMALL else 45 if k > 4 or max(map(len, names)) > 10 else 0
    axes.tick_params("x", rotation=turned)
    if turned == 45:  # a long name ends below its column, and does not reach under the next one
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")


def _draw_pairs(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Bars of how many images of a class are taken for another one, the most first."""
    images, wrong = matrix.sum(axis=1), matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [(a, b) for a, b in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[a, b]]
    counts = [int(wrong[pair]) for pair in pairs]
    bars = axes.barh(range(len(pairs)), counts, color="C0")
    axes.bar_label(
        bars, [f"{count:,} of {images[a]:,}" for count, (a, _) in zip(counts, pairs, strict=True)], padding=3
    )
    axes.set_yticks(range(len(pairs)), [f"{LEFT}{names[a]} {LEFT}→ {LEFT}{names[b]}" for a, b in pairs], fontsize=8)
    axes.set(xlabel="images, label → prediction", ylim=(PAIRS - 0.5, -0.5), xlim=(0, 1.25 * max(counts, default=1)))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if not pairs:
        axes.text(0.5, 0.5, "none confused", transform=axes.transAxes, ha="center", color="gray", fontsize=16)
