"""metrics/predictions.csv: what each model predicts for each test image.

metrics/validation.csv likewise, of the images by which the classifier was chosen: those of validation, or of training
too, each by a model of a fold without it.

Columns: image, label, then for each model MODEL (the predicted class) and one MODEL:CLASS per class (its probability,
6 decimals). No model's name has a colon, so the first one ends it, whatever the class is called; commas, quotes and
line ends in a name are quoted as in any CSV; what looks like a formula is guarded (`headstart.base.cells`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.base import cells, files

PREDICTIONS = Path("metrics/predictions.csv")
VALIDATION = Path("metrics/validation.csv")


@dataclass(frozen=True)
class Predictions:
    """Images, test images in the order of the manifest, and what each model predicts for them.

    `classes`: k names, in the order of their indices; `paths`: n, inside the source; `labels`: int64 (n,), indices into
    `classes`; by the models' names: `predicted`, int64 (n,), the predicted class, and `probabilities`, float32 (n, k).
    """

    classes: list[str]
    paths: list[str]
    labels: np.ndarray
    predicted: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]


def write(predictions: Predictions, project: Path = Path(), file: Path = PREDICTIONS) -> None:
    """Write one of the two files in the folder `project`, whole or not at all."""
    classes = predictions.classes
    table = [_columns(predictions.probabilities, classes)]
    for row, (path, label) in enumerate(zip(predictions.paths, predictions.labels, strict=True)):
        line = [path, classes[label]]
        for model, probabilities in predictions.probabilities.items():
            line += [classes[predictions.predicted[model][row]], *(f"{value:.6f}" for value in probabilities[row])]
        table.append(line)
    files.write_csv(project / file, table)


def parse(text: str, file: Path = PREDICTIONS) -> Predictions:
    """The predictions in `text`, the content of one of the two files.

    Raises ValueError where its stage, as it is now, would not have written it.
    """
    header, *rows = cells.read(text) or [[]]
    models = [column for column in header[2:] if ":" not in column]
    classes = [column.partition(":")[2] for column in header if column.startswith(f"{models[0]}:")] if models else []
    if not classes or header != _columns(models, classes):
        raise ValueError(f"{file} has the columns of an earlier version of Headstart, or was damaged")
    index = {name: number for number, name in enumerate(classes)}
    try:
        lines = [dict(zip(header, row, strict=True)) for row in rows]
        return Predictions(
            classes,
            [row["image"] for row in lines],
            np.array([index[row["label"]] for row in lines], np.int64),
            {model: np.array([index[row[model]] for row in lines], np.int64) for model in models},
            {
                model: np.array([[row[f"{model}:{name}"] for name in classes] for row in lines], np.float32)
                for model in models
            },
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error})") from None


def _columns(models: Iterable[str], classes: list[str]) -> list[str]:
    columns = ["image", "label"]
    for model in models:
        columns += [model, *(f"{model}:{name}" for name in classes)]
    return columns
