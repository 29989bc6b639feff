"""Score the head, the fine-tuned model and its average over flips on the test split, which no earlier stage has seen.

Writes metrics/test.json (each model's scores, and McNemar's test of what each step brought), metrics/predictions.csv,
metrics/result.png (the result in one picture), metrics/plots/ (the data of its curves, for `dvc plots`) and
metrics/galleries/ (images that the classifier got wrong, and right).
"""

import numpy as np

from headstart.artifacts import features, manifest, models, predictions, results
from headstart.base import checkpoint, errors, params, progress
from headstart.base.runtime import deterministic, keras
from headstart.classifier import decision, file, inference, joining
from headstart.evaluation import charts, galleries, scores
from headstart.images import archive, decoding

BATCH = 32


def by_head(head: keras.Model, bottleneck: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The head's probabilities, (n, k) float32, for the rows of the bottleneck features (float16)."""
    starts = progress.track(range(0, len(rows), BATCH), "evaluate the head", unit="batch")
    batches = [head.predict_on_batch(bottleneck[rows[i : i + BATCH]].astype("float32")) for i in starts]
    return decision.probabilities(np.concatenate(batches))


def by_classifier(source: archive.Source, paths: list[str]) -> dict[str, np.ndarray]:
    """The classifier's probabilities, (n, k) float32, without and, where it averages, with its average over flips.

    By the models' names, in one pass over the images themselves. Raises UserError where one cannot be read.
    """
    classifier, details = file.load(results.CLASSIFIER)
    names, model = joining.parts(classifier, details["delivered"])
    answers = inference.of_source(model, details["size"], source, paths, "evaluate the classifier")
    return dict(zip(names, answers.swapaxes(0, 1), strict=True))


def measure(answers: predictions.Predictions) -> results.Results:
    """The scores of each model, and McNemar's test of each with the one before it."""
    labels, predicted = answers.labels, answers.predicted
    pairs = {name: pair for name, pair in results.COMPARISONS.items() if predicted.keys() >= set(pair)}
    return results.Results(
        len(labels),
        {name: scores.score(labels, values, answers.classes) for name, values in answers.probabilities.items()},
        {name: scores.mcnemar(labels, {model: predicted[model] for model in pair}) for name, pair in pairs.items()},
    )


def main() -> None:
    settings = params.load_stage("evaluate")
    checkpoint.clear()  # DVC has recorded the stages before this one
    deterministic(settings.seed)
    images = manifest.read()
    classes, rows = images.classes, images.rows("test")
    labels, paths = images.labels[rows], [images.paths[row] for row in rows]
    head = models.load_head()
    with archive.open_source(settings.dataset.path) as source:
        probabilities = {"head": by_head(head, features.read_bottleneck(), rows), **by_classifier(source, paths)}
        predicted = {name: decision.predicted(values) for name, values in probabilities.items()}
        answers = predictions.Predictions(classes, paths, labels, predicted, probabilities)
        predictions.write(answers)
        measured = measure(answers)
        results.write(measured)

        def picture(i: int) -> np.ndarray:
            return decoding.decode(source.read(paths[i]))

        # What counts is written: from here on it is shown.
        delivered = probabilities[measured.delivered]
        charts.data(results.PLOTS, labels, {"head": probabilities["head"], "classifier": delivered}, classes)
        shown = {results.MODELS[name]: values for name, values in probabilities.items()}
        charts.result(results.PICTURE, labels, shown, classes)
        galleries.wrong(results.WRONG, labels, delivered, classes, picture)
        galleries.right(results.RIGHT, labels, delivered, classes, picture)


if __name__ == "__main__":
    errors.run(main)
