"""Score the head, the fine-tuned model and its average over flips on the test split, which no earlier stage has seen.

Writes metrics/test.json (each model's scores, and McNemar's test of what each step brought), metrics/predictions.csv,
metrics/result.png (the result in one picture), metrics/plots/ (the data of its curves, for `dvc plots`) and
metrics/galleries/ (images that the classifier got wrong, and right).
"""

from headstart.base import watch

watch.start(__name__, lower="image.size")  # before what takes seconds to import

from functools import partial

import numpy as np

from headstart.artifacts import features, manifest, models, predictions, results
from headstart.base import checkpoint, errors, params, pictures
from headstart.base.runtime import deterministic, keras
from headstart.base.terminal import say
from headstart.classifier import decision, file, inference, joining
from headstart.evaluation import charts, curves, galleries, scores
from headstart.evaluation.lettering import Lettering
from headstart.images import archive, decoding


def by_classifier(loaded: tuple[keras.Model, dict], source: archive.Source, paths: list[str]) -> dict[str, np.ndarray]:
    """The classifier's probabilities, (n, k) float32, without and, where it averages, with its average over flips.

    By the models' names, in one pass over the images themselves. loaded: by `file.load`. Raises UserError where an
    image cannot be read.
    """
    classifier, details = loaded
    names, model = joining.parts(classifier, details["delivered"])
    answers = inference.of_source(model, details["size"], source, paths, "evaluate the classifier")
    return dict(zip(names, answers.swapaxes(0, 1), strict=True))


def measure(answers: predictions.Predictions, ranking: dict[str, curves.Curves], *weighting) -> results.Results:
    """The scores of each model (weighting: as `scores.score` takes it), and McNemar's test with the one before it."""
    labels, predicted, values, classes = answers.labels, answers.predicted, answers.probabilities, answers.classes
    pairs = {name: pair for name, pair in results.COMPARISONS.items() if predicted.keys() >= set(pair)}
    return results.Results(
        len(labels),
        {name: scores.score(labels, values[name], classes, ranking[name], *weighting) for name in predicted},
        {name: scores.mcnemar(labels, {model: predicted[model] for model in pair}) for name, pair in pairs.items()},
    )


def show(answers: predictions.Predictions, ranking: dict[str, curves.Curves], positive: int, read: galleries.Pixels):
    """Draw the pictures of a result that is written, and write the data of `dvc plots`."""
    classes, labels, delivered = answers.classes, answers.labels, list(ranking)[-1]
    for name, model in (("head", "head"), ("classifier", delivered)):
        charts.data(results.PLOTS, labels, answers.predicted[model], ranking[model], classes, name)
    shown = {results.MODELS[name]: curve for name, curve in ranking.items()}
    result = partial(charts.result, labels=labels, predicted=answers.predicted[delivered], curves=shown)
    pictures.attempt(results.PICTURE, partial(result, classes=classes, positive=positive))
    for path, gallery in ((results.WRONG, galleries.wrong), (results.RIGHT, galleries.right)):
        images = {"labels": labels, "probabilities": answers.probabilities[delivered], "read": read}
        pictures.attempt(path, partial(gallery, classes=classes, **images))
    if note := Lettering(classes).note():
        say(note)


def main() -> None:
    settings = params.load_stage("evaluate")
    checkpoint.clear()  # DVC has recorded the stages before this one
    deterministic(settings.seed)
    images = manifest.read(fold=settings.fold)
    classes, rows = images.classes, images.rows("test")
    positive = curves.positive_class(classes, settings.dataset.positive)
    labels, paths = images.labels[rows], [images.paths[row] for row in rows]
    bottleneck, classifier = features.read_bottleneck(table=images), file.load_own(classes)
    head = models.load_head(classes=len(classes), shape=bottleneck.shape[1:])
    with archive.open_source(settings.dataset.path, classifier[1]["range"]) as source:
        by_models = by_classifier(classifier, source, paths)
        probabilities = {"head": inference.of_features(head, bottleneck, rows), **by_models}
        predicted = {name: decision.predicted(values) for name, values in probabilities.items()}
        answers = predictions.Predictions(classes, paths, labels, predicted, probabilities)
        predictions.write(answers)
        ranking = {name: curves.of(labels, values, positive) for name, values in probabilities.items()}
        results.write(measure(answers, ranking, images.of(rows, "weights"), images.of(rows, "probabilities")))
        # What counts is written: from here on it is shown.
        show(answers, ranking, positive, lambda i: decoding.decode(source.read(paths[i]), source.value_range))
    checkpoint.finish("evaluate")


if __name__ == "__main__":
    errors.run(main)
