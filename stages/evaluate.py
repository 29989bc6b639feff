"""Score the head and the fine-tuned model on the test split, which no earlier stage has looked at.

Writes metrics/test.json (scores of both, and McNemar's test between them), metrics/result.png (that in one picture),
metrics/plots/ (data of the curves), metrics/galleries/ (what was wrong, what was right) and metrics/predictions.csv:
image, label, and for each model

- of two classes: `head`, `fine_tuned`, the probability of class 1;
- of more: `head`, `fine_tuned`, the predicted class, and `head_probability`, `fine_tuned_probability`, its probability.
"""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headstart import (
    archive,
    charts,
    checkpoint,
    errors,
    features,
    files,
    galleries,
    images,
    manifest,
    models,
    params,
    predict,
    progress,
    scores,
)
from headstart.errors import UserError
from headstart.runtime import deterministic, keras

TEST = Path("metrics/test.json")
PREDICTIONS = Path("metrics/predictions.csv")
RESULT = Path("metrics/result.png")
PLOTS = Path("metrics/plots")
# They show the images, which are not ours to publish: DVC keeps them, not Git.
GALLERIES = Path("metrics/galleries")
BATCH = 32


def by_head(head: keras.Model, bottleneck: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The head's probabilities, (n, k) float32, for the rows of the bottleneck features (float16)."""
    starts = progress.track(range(0, len(rows), BATCH), "evaluate the head", unit="batches")
    batches = [head.predict_on_batch(bottleneck[rows[i : i + BATCH]].astype("float32")) for i in starts]
    return models.probabilities(np.concatenate(batches))


def by_classifier(source: archive.Source, paths: list[str]) -> np.ndarray:
    """The classifier's probabilities, (n, k) float32, from the images themselves, as `headstart.predict` gives them."""
    model, about = models.load(models.CLASSIFIER)
    reads = (lambda path=path: source.read(path) for path in paths)
    outcomes = predict.probabilities(model, about["size"], reads)
    rows = []
    for path, outcome in zip(paths, progress.track(outcomes, "evaluate the fine-tuned model", len(paths)), strict=True):
        if isinstance(outcome, Exception):
            raise UserError(f"{path}: {outcome}; the source has changed since it was split: run dvc repro again")
        rows.append(outcome)
    return np.stack(rows)


def predictions(paths: list[str], labels: np.ndarray, found: dict[str, np.ndarray], classes: list[str]) -> list[list]:
    """The rows of metrics/predictions.csv, its header first; `found` is each model's (n, k) probabilities."""
    rows = [["image", "label"], *([path, classes[label]] for path, label in zip(paths, labels, strict=True))]
    if len(classes) == 2:
        columns = [[name, *(f"{p:.6f}" for p in values[:, 1])] for name, values in found.items()]
    else:
        best = {name: scores.predicted(values) for name, values in found.items()}
        columns = [[name, *(classes[i] for i in best[name])] for name in found]
        columns += [
            [f"{name}_probability", *(f"{p:.6f}" for p in values[np.arange(len(labels)), best[name]])]
            for name, values in found.items()
        ]
    return [[*row, *cells] for row, *cells in zip(rows, *columns, strict=True)]


def write_plots(labels: np.ndarray, found: dict[str, np.ndarray], classes: list[str]) -> None:
    """The data that `dvc plots` draws: one file a plot and model."""
    for name, values in found.items():
        pairs = [(classes[a], classes[b]) for a, b in zip(labels, scores.predicted(values), strict=True)]
        write_table(PLOTS / "confusion" / f"{name}.csv", [("actual", "predicted"), *pairs])
        curve = scores.roc(labels, values)
        write_table(PLOTS / "roc" / f"{name}.csv", [("false_positive_rate", "true_positive_rate"), *curve])
        curve = scores.precision_recall(labels, values)
        write_table(PLOTS / "precision_recall" / f"{name}.csv", [("recall", "precision"), *curve])


def write_table(path: Path, rows: Iterable[Iterable]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    files.write_text(path, text.getvalue())


def main() -> None:
    parameters = params.load_stage("evaluate")
    checkpoint.clear()  # DVC has recorded the stages before this one
    deterministic(parameters.seed)
    table = manifest.read_manifest()
    classes, rows = table.classes, table.rows("test")
    labels, paths = table.labels[rows], [table.paths[row] for row in rows]
    head = models.load_head()
    with archive.open_source(Path(parameters.dataset.path)) as source:
        found = {
            "head": by_head(head, features.read_bottleneck(), rows),
            "fine_tuned": by_classifier(source, paths),
        }

        def picture(i: int) -> np.ndarray:
            return images.decode(source.read(paths[i]))

        galleries.wrong(GALLERIES / "wrong.png", labels, found["fine_tuned"], classes, picture)
        galleries.right(GALLERIES / "right.png", labels, found["fine_tuned"], classes, picture)
    write_plots(labels, found, classes)
    named = {"head alone": found["head"], "fine-tuned": found["fine_tuned"]}
    charts.result(RESULT, labels, named, classes)
    write_table(PREDICTIONS, predictions(paths, labels, found, classes))
    result = {name: scores.score(labels, values, classes) for name, values in found.items()}
    pair = scores.mcnemar(labels, *(scores.predicted(values) for values in found.values()))
    pair["only_head"], pair["only_fine_tuned"] = pair.pop("only_a"), pair.pop("only_b")
    result |= {"mcnemar": pair, "images": len(rows)}
    files.write_text(TEST, json.dumps(result, indent=2, sort_keys=True, allow_nan=False) + "\n")


if __name__ == "__main__":
    errors.run(main)
