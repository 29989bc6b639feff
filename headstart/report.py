"""The short table at the end of a run: python -m headstart.report"""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from headstart import errors
from headstart.errors import UserError

TEST = Path("metrics/test.json")
NAMES = {"head": "head alone", "fine_tuned": "fine-tuned"}
WHERE = {
    "the result in a picture": Path("metrics/result.png"),
    "what it got wrong": Path("metrics/galleries/wrong.png"),
    "what it got right": Path("metrics/galleries/right.png"),
    "predictions": Path("metrics/predictions.csv"),
    "classifier": Path("models/classifier.keras"),
}


def table(result: dict) -> Table:
    """Accuracy with its interval, ROC AUC and loss of both models, from what stands in metrics/test.json."""
    drawn = Table(title=f"{result['images']:,} test images, none of them used before", title_justify="left")
    drawn.add_column("model")
    for name in ("accuracy", "95 % interval", "ROC AUC", "loss"):
        drawn.add_column(name, justify="right")
    for key, name in NAMES.items():
        one = result[key]
        auc = "–" if one["roc_auc"] is None else f"{one['roc_auc']:.4f}"
        interval = f"{one['accuracy_low']:.4f} – {one['accuracy_high']:.4f}"
        drawn.add_row(name, f"{one['accuracy']:.4f}", interval, auc, f"{one['loss']:.4f}")
    return drawn


def in_words(pair: dict) -> str:
    """McNemar's test between head and fine-tuned model as one sentence."""
    better, worse = pair["only_fine_tuned"], pair["only_head"]
    if not better + worse:
        return "Both models are right and wrong on the same images."
    p = "p < 0.0001" if pair["p"] < 0.0001 else f"p = {pair['p']:.2g}"
    return (
        f"The fine-tuned model is right on {_images(better)} that the head gets wrong, "
        f"and wrong on {worse:,} that it gets right: {p} (McNemar)."
    )


def main() -> None:
    try:
        result = json.loads(TEST.read_text(encoding="utf-8"))
        lines = [table(result), in_words(result["mcnemar"])]
    except FileNotFoundError:
        raise UserError(f"no {TEST} here: `dvc repro` makes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{TEST} is not what the stage evaluate writes ({error!r}): run `dvc repro`") from None
    console = Console(highlight=False)
    for line in lines:
        console.print(line)
    width = max(map(len, WHERE))
    for what, path in WHERE.items():
        console.print(f"{what:<{width}}  {path}", soft_wrap=True)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


if __name__ == "__main__":
    errors.run(main)
