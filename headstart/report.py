"""The short table at the end of a run: python -m headstart.report"""

from collections.abc import Callable
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from headstart.artifacts import dataset, results
from headstart.artifacts.predictions import PREDICTIONS
from headstart.artifacts.results import AVERAGED, CLASSIFIER, MODELS, Results
from headstart.base import errors, params, wording
from headstart.base.errors import UserError
from headstart.base.tables import Table, text
from headstart.base.terminal import say

# How McNemar's test is reported: the later model, and what the earlier one is called in the same sentence.
SENTENCES = {"fine_tuning": ("The fine-tuned model", "the head"), "averaging": ("The average over flips", "one look")}
SENTENCES["head_averaging"] = SENTENCES["averaging"]


# From this many times as many test images in the largest class as in the smallest on, accuracy is what the largest one
# makes of it: the report then leads with the scores in which all classes weigh the same, and shows each class.
RARE = 3
INTERVAL = "95 % interval"
Columns = dict[str, Callable[[dict], str]]  # what to write of the numbers, by the column's heading
FEW = 10  # test images that tell nothing
CLASSES = 10  # whose rows are all shown; of more, those with the lowest recall


def table(measured: Results, title: str, width: int = 80) -> Table:
    """One row per model: accuracy with its interval, ROC AUC and loss; where classes are rare, first what shows them.

    width: columns of the terminal; what does not fit is left out from the right.
    """
    models = [(MODELS[model], score) for model, score in measured.scores.items()]
    if rare(measured):
        return _fitting("model", _rare_columns(measured), models, width, title)
    return _fitting("model", _columns(), models, width, title)


def rare(measured: Results) -> bool:
    """Whether the largest class has at least three times as many test images as the smallest that has any."""
    images = [numbers["images"] for numbers in _tested(measured).values()]
    return bool(images) and max(images) >= RARE * min(images)


def classes(measured: Results, width: int = 80) -> Table:
    """What the delivered model makes of each class: one row per class, of more than ten those of the lowest recall."""
    tested = _tested(measured)
    lowest = sorted(tested, key=lambda name: (tested[name]["recall"], tested[name]["images"]))[:CLASSES]
    shown = tested if len(tested) <= CLASSES else lowest
    columns = {
        "test\nimages": lambda numbers: f"{numbers['images']:,}",
        "recall": lambda numbers: _four(numbers["recall"]),
        "predicted": lambda numbers: f"{numbers['predicted']:,}",
        "precision": lambda numbers: _four(numbers["precision"]),
        "average\nprecision": lambda numbers: _four(numbers["average_precision"]),
    }
    names = wording.labels(list(shown), 30)
    return _fitting("class", columns, [(name, tested[of]) for name, of in zip(names, shown, strict=True)], width)


def notes(measured: Results) -> list[str]:
    """What a reader should know of these numbers, one sentence each."""
    score, tested = measured.scores[measured.delivered], _tested(measured)
    sentences = []
    if measured.images < FEW:
        images = wording.count(measured.images, "test image")
        sentences.append(f"{images}: too few to tell good from bad; raise split.test, or add images.")
    if "weighted_accuracy" in score:
        weighted = ", ".join(
            f"{MODELS[model]} {numbers['weighted_accuracy']:.4f}" for model, numbers in measured.scores.items()
        )
        sentences.append(f"Accuracy where the images count for what they weigh in the manifest: {weighted}.")
    if missing := [name for name in score.get("per_class", ()) if name not in tested]:
        sentences.append(
            f"No test image is of {_named(missing)}: no score tells of such images; the test split needs some."
        )
    predicted = [name for name, numbers in score.get("per_class", {}).items() if numbers["predicted"]]
    never = [name for name in tested if name not in predicted]
    if len(predicted) == 1 and never:
        what = f"{_named(never)} is never" if len(never) == 1 else "no other class is ever"
        sentences.append(f"Every test image is called {_named(predicted)}: {what} predicted.")
        if score["roc_auc"] == 0.5:
            sentences.append(
                "No image is ranked above another: to the network they look alike. Are they black, or blank (see the "
                "galleries), or are its weights random?"
            )
    elif never:
        sentences.append(f"Never predicted: {_named(never)}.")
    share = max((numbers["images"] for numbers in tested.values()), default=0) / measured.images
    if share < 1 and tested and score["accuracy"] <= share + 1e-6:
        largest = max(tested, key=lambda name: tested[name]["images"])
        sentences.append(
            f"An accuracy of {score['accuracy']:.4f} is no more than always saying {_named([largest])} reaches "
            f"({share:.4f})."
        )
    return sentences


def heading(images: int, summary: dict[str, Any] | None) -> str:
    """How many test images there are, and whether they were used before as far as is known.

    summary: what `dataset.read` returns; None where it is missing.
    """
    words = [wording.count(images, "test image")]
    if summary is None:
        return words[0]
    if "test" in summary.get("published", ()):
        words.append("the source's own test split")
    copies = summary.get("test_copies", 0)
    words.append(f"{copies:,} of them with a near copy in training" if copies else "none of them used before")
    return ", ".join(words)


def sentence(comparison: str, pair: dict[str, Any]) -> str:
    """McNemar's test of one of `results.COMPARISONS` in words; `pair` is what `Results.mcnemar` has of it."""
    later, earlier = SENTENCES[comparison]
    worse, better = (pair[f"only_{model}"] for model in results.COMPARISONS[comparison])
    if not better + worse:
        return f"{later} is right and wrong on the same images as {earlier}."
    p = "p < 0.0001" if pair["p"] < 0.0001 else f"p = {pair['p']:.2g}"
    return (
        f"{later} is right on {wording.count(better, 'image')} that {earlier} gets wrong, "
        f"and wrong on {worse:,} that it gets right: {p} (McNemar)."
    )


def show(measured: Results, summary: dict[str, Any] | None, console: Console) -> None:
    """Print the table, below it what each further step brought, and what a reader should know of the numbers.

    summary: what `dataset.read` returns; None where it is missing.
    """
    console.print(table(measured, heading(measured.images, summary), console.width))
    for comparison, pair in measured.mcnemar.items():
        console.print(text(sentence(comparison, pair)))
    if measured.delivered in ("head", AVERAGED["head"]):
        console.print(text("Fine-tuning was no better on the validation images: the classifier is the head."))
    if rare(measured):
        console.print(classes(measured, console.width))
        console.print(text(_why_rare(measured)))
    elif len(tested := _tested(measured)) > 2 and any(numbers["recall"] < 1 for numbers in tested.values()):
        lowest = sorted(tested.items(), key=lambda entry: entry[1]["recall"])[:3]
        names = wording.labels([name for name, _ in lowest], 30)
        recalls = ", ".join(f"{name} {of['recall']:.2f}" for name, (_, of) in zip(names, lowest, strict=True))
        console.print(text(f"Lowest recall: {recalls} (all classes: {results.TEST})."))
    for line in notes(measured):
        console.print(text(line))
    left_out, found = len((summary or {}).get("left_out", ())), (summary or {}).get("found", 0)
    if left_out > 0.1 * found:
        console.print(text(f"{wording.count(left_out, 'file')} of the source left out: {dataset.DATASET} says why."))


def main() -> None:
    measured = results.read()
    console = Console(highlight=False)
    try:
        summary, settings = dataset.read(), params.load()
    except UserError:  # the scores are shown all the same
        summary, settings = None, None
    show(measured, summary, console)
    for line in help_for_rare(summary, settings) if summary else []:
        console.print(text(line))
    places = {
        "the result in a picture": results.PICTURE,
        "what it got wrong": results.WRONG,
        "what it got right": results.RIGHT,
        "predictions": PREDICTIONS,
        f"classifier ({MODELS[measured.delivered]})": CLASSIFIER,
    }
    width = max(map(len, places))
    for what, path in places.items():
        say(f"{what:<{width}}  {path}")


def help_for_rare(summary: dict[str, Any], settings: params.Params) -> list[str]:
    """What to set where a class has a tenth or less of another's training images; nothing that is set already.

    summary: what `dataset.read` returns.
    """
    training, lines = summary["counts"]["train"], []
    if min(training.values()) > max(training.values()) / 10:
        return lines
    weights = {f"{name}.class_weights": getattr(settings, name).class_weights for name in ("head", "fine_tune")}
    if "balanced" not in weights.values():
        also = settings.fine_tune.select_by != "balanced_accuracy"
        chosen = ", and fine_tune.select_by: balanced_accuracy" if also else ""
        lines.append(f"To let every class weigh the same, try {' and '.join(weights)}: balanced{chosen}.")
    rarest = min(training, key=training.get)
    if len(training) == 2 and rarest != (settings.dataset.positive or summary["classes"][-1]):
        lines.append(
            f"With dataset.positive: {wording.label(rarest)} the curves and average precision would be of that class."
        )
    return lines


def _fitting(first: str, columns: Columns, rows: list[tuple[str, dict]], width: int, title: str | None = None) -> Table:
    """A table of the columns that fit into the width, those on the left before those on the right."""
    columns = dict(columns)
    while True:
        table = Table(first, title=title, title_justify="left")
        for name in columns:
            # An interval may be broken after its dash, and nothing else.
            whole = None if name == INTERVAL else max(map(cell_len, name.splitlines()))
            table.add_column(name, justify="right", no_wrap=whole is not None, min_width=whole)
        for name, numbers in rows:
            table.add_row(name, *(show(numbers) for show in columns.values()))
        wide = Console(width=1000)
        if len(columns) == 1 or wide.measure(table).minimum <= width:
            return table
        columns.popitem()


def _columns() -> Columns:
    return {
        "accuracy": lambda score: _four(score["accuracy"]),
        INTERVAL: lambda score: f"{score['accuracy_low']:.4f} – {score['accuracy_high']:.4f}",
        "ROC AUC": lambda score: _four(score["roc_auc"]),
        "loss": lambda score: _four(score["loss"]),
    }


def _rare_columns(measured: Results) -> Columns:
    tested = _tested(measured)
    rarest = min(tested, key=lambda name: tested[name]["images"])
    return {
        "balanced\naccuracy": lambda score: _four(score["balanced_accuracy"]),
        "macro\nF1": lambda score: _four(score["macro_f1"]),
        f"average\nprecision,\n{wording.label(rarest, 12)}": lambda score: _four(
            score["per_class"][rarest]["average_precision"]
        ),
        **_columns(),
    }


def _why_rare(measured: Results) -> str:
    tested = _tested(measured)
    smallest, largest = (pick(tested, key=lambda name: tested[name]["images"]) for pick in (min, max))
    times = tested[largest]["images"] / tested[smallest]["images"]
    times = f"{times:.1f}" if times < 10 else f"{times:,.0f}"
    all_classes = f" All classes: {results.TEST}." if len(tested) > CLASSES else ""
    return (
        f"{wording.label(largest, 30)} has {times} times the test images of {wording.label(smallest, 30)}: from "
        f"{RARE} times on, the scores in which all classes weigh the same come first.{all_classes}"
    )


def _tested(measured: Results) -> dict[str, dict[str, Any]]:
    """The numbers of the delivered model by class, of the classes that have test images."""
    score = measured.scores[measured.delivered]
    return {name: numbers for name, numbers in score.get("per_class", {}).items() if numbers["images"]}


def _named(names: list[str]) -> str:
    shown = wording.labels(names[:5], 30)
    return ", ".join(shown) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _four(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    errors.run(main)
