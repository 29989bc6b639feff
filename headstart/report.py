"""The short table at the end of a run: python -m headstart.report"""

from typing import Any

from rich.console import Console
from rich.table import Table

from headstart.artifacts import results
from headstart.artifacts.predictions import PREDICTIONS
from headstart.artifacts.results import AVERAGED, CLASSIFIER, MODELS, Results
from headstart.base import errors, wording

# How McNemar's test is reported: the later model, and what the earlier one is called in the same sentence.
SENTENCES = {"fine_tuning": ("The fine-tuned model", "the head"), "averaging": ("The average over flips", "one look")}
SENTENCES["head_averaging"] = SENTENCES["averaging"]


def table(measured: Results) -> Table:
    """Accuracy with its interval, ROC AUC and loss, one row per model."""
    title = f"{wording.count(measured.images, 'test image')}, none of them used before"
    rows = Table("model", title=title, title_justify="left")
    for name in ("accuracy", "95 % interval", "ROC AUC", "loss"):
        rows.add_column(name, justify="right")
    for model, score in measured.scores.items():
        auc = "–" if score["roc_auc"] is None else f"{score['roc_auc']:.4f}"
        interval = f"{score['accuracy_low']:.4f} – {score['accuracy_high']:.4f}"
        rows.add_row(MODELS[model], f"{score['accuracy']:.4f}", interval, auc, f"{score['loss']:.4f}")
    return rows


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


def show(measured: Results, console: Console) -> None:
    """Print the table, and below it what each further step brought."""
    console.print(table(measured))
    for comparison, pair in measured.mcnemar.items():
        console.print(sentence(comparison, pair))
    if measured.delivered in ("head", AVERAGED["head"]):
        console.print("Fine-tuning was no better on the validation images: the classifier is the head.")


def main() -> None:
    measured = results.read()
    console = Console(highlight=False)
    show(measured, console)
    places = {
        "the result in a picture": results.PICTURE,
        "what it got wrong": results.WRONG,
        "what it got right": results.RIGHT,
        "predictions": PREDICTIONS,
        f"classifier ({MODELS[measured.delivered]})": CLASSIFIER,
    }
    width = max(map(len, places))
    for what, path in places.items():
        console.print(f"{what:<{width}}  {path}", soft_wrap=True)


if __name__ == "__main__":
    errors.run(main)
