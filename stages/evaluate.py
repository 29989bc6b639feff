"""Score the head, the fine-tuned model and its average over flips on the test split, which no earlier stage has seen.

Writes metrics/test.json (each model's scores, McNemar's test of what each step brought, and how far the delivered one
can be relied on), metrics/predictions.csv, metrics/result.png (the result in one picture), metrics/plots/ (the data of
its curves, for `dvc plots`) and metrics/galleries/ (images that the classifier got wrong, and right).
"""

from headstart.base import watch

watch.start(__name__, lower="image.size")  # before what takes seconds to import

from functools import partial

from headstart.artifacts import corrections, dataset, features, manifest, models, predictions, results
from headstart.base import checkpoint, errors, params, pictures
from headstart.base.runtime import deterministic
from headstart.base.terminal import say
from headstart.classifier import decision, file, inference, joining
from headstart.classifier.details import Rule
from headstart.evaluation import charts, curves, fragility, galleries, trust
from headstart.evaluation.lettering import Lettering
from headstart.images import archive, batches, decoding


def show(answers: predictions.Predictions, ranking: dict[str, curves.Curves], rule: Rule, positive: int, read):
    """Draw the pictures of a result that is written, and write the data of `dvc plots`: the delivered, by its rule."""
    classes, labels, delivered, decided = answers.classes, answers.labels, list(ranking)[-1], rule.decided(answers)
    for name, model, of in (("head", "head", answers), ("classifier", delivered, decided)):
        charts.data(results.PLOTS, labels, of.predicted[model], ranking[model], classes, name)
    shown = {results.MODELS[name]: curve for name, curve in ranking.items()}
    result = partial(charts.result, labels=labels, predicted=decided.predicted[delivered], curves=shown)
    pictures.attempt(results.PICTURE, partial(result, classes=classes, positive=positive, goal=rule.goal))
    for path, gallery in ((results.WRONG, galleries.wrong), (results.RIGHT, galleries.right)):
        pictures.attempt(path, partial(gallery, answers=decided, read=read))
    if note := Lettering(classes).note():
        say(note)


def corrected(table: manifest.Manifest, fold: int | None) -> int:
    """How many test images data/corrections.csv changed.

    Of a fold, how many it gives their label: split counts by its own splits, and what is left out is in no fold.
    """
    if fold is None:
        return sum(counts.get("test", 0) for counts in dataset.read().get("corrections", {}).values())
    given = {entry.sha256: entry.label for entry in corrections.read() if entry.action == "label"}
    return sum(given.get(table.sha256[row]) == table.classes[table.labels[row]] for row in table.rows("test"))


def main() -> None:
    settings = params.load_stage("evaluate")
    checkpoint.clear()  # DVC has recorded the stages before this one
    deterministic(settings.seed)
    table = manifest.read(fold=settings.fold)
    classes, rows = table.classes, table.rows("test")
    positive = decision.positive_class(classes, settings.dataset.positive)
    labels, paths = table.labels[rows], [table.paths[row] for row in rows]
    bottleneck, (classifier, details) = features.read_bottleneck(table=table), file.load_own(classes)
    head = models.load_head(classes=len(classes), shape=bottleneck.shape[1:])
    names, model = joining.parts(classifier, details.delivered, details.axes)
    what, engine = "evaluate the classifier", settings.extract.engine
    with archive.open_source(settings.dataset.path, details.value_range) as source:
        *given, vectors = inference.of_source(model, details.square, source, paths, what, engine)
        plain = {name: decision.probabilities(values) for name, values in zip(names, given, strict=True)}
        tempered = {name: details.rule.tempered(values) for name, values in plain.items()}
        (of_head,) = inference.of_rows(head, bottleneck, rows, "evaluate the head")
        probabilities = {"head": decision.probabilities(of_head), **tempered}
        predicted = {name: decision.predicted(values) for name, values in probabilities.items()}
        answers = predictions.Predictions(classes, paths, labels, predicted, probabilities)
        ranking = {name: curves.of(labels, values, positive) for name, values in probabilities.items()}
        measured = trust.measure(answers, ranking, table, rows, settings.seed)
        relied = trust.of_delivered(answers, plain[names[-1]], vectors, details, table.groups[rows], settings.seed)
        _, look = joining.parts(classifier, details.delivered, ())
        read = partial(decoding.decode, value_range=source.value_range)
        of_test = (labels, details.known, settings.seed)
        relied["fragility"] = fragility.measure(
            inference.runner(look, engine), lambda i: batches.pixels(source, paths[i], details.square), *of_test
        )
        if tests := corrected(table, settings.fold):
            relied["corrected"] = tests
        predictions.write(answers)
        results.write(results.Results(len(labels), *measured, relied))
        # What counts is written: from here on it is shown.
        show(answers, ranking, details.rule, positive, lambda i: read(source.read(paths[i])))
    checkpoint.finish("evaluate")


if __name__ == "__main__":
    errors.run(main)
