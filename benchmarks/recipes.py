"""The article's recipe against `cats_vs_dogs`, from the source to a tested classifier: InceptionV3, 2,000 images.

The article's 200 epochs are extrapolated from three, measured beside the other recipe in the same run. The photographs'
4,000 are split alike for both.
"""

import json
from statistics import median

from benchmarks.workspace import photographs, workspace
from headstart import errors

EPOCHS = 4  # the first is not measured
BEFORE = ("fetch", "split", "extract", "train_head")


def run() -> dict[str, float]:
    """Seconds of both recipes, and the test accuracy of both fine-tuned models and heads."""
    found = {}
    with workspace() as place:
        place.preset("article", **photographs(), **{"fine_tune.epochs": EPOCHS})
        before = sum(map(place.stage, BEFORE))
        epoch = median(place.epochs())
        after = place.stage("evaluate")
        found |= {"article_epoch": epoch, "article": before + 200 * epoch + after}
        found |= _accuracies(place, "article")
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs())
        found["ours"] = sum(map(place.stage, (*BEFORE, "fine_tune", "evaluate")))
        found |= _accuracies(place, "ours")
    return found


def rows() -> list[tuple[str, str, str]]:
    """The row of the benchmarks' table: figure, measured, to reach."""
    found = run()
    article, ours = found["article"], found["ours"]
    measured = (
        f"{article / ours:.0f} times ({article:,.0f} s, an epoch {found['article_epoch']:.0f} s; {ours:.0f} s); "
        f"test accuracy {found['ours_fine_tuned']:.3f} against {found['article_fine_tuned']:.3f} "
        f"after {EPOCHS} epochs, {found['article_head']:.3f} of the article's head"
    )
    return [("article's recipe over cats_vs_dogs", measured, "30 times, and more accurate")]


def _accuracies(place, name: str) -> dict[str, float]:
    test = json.loads((place.path / "metrics/test.json").read_text())
    return {f"{name}_{model}": test[model]["accuracy"] for model in ("head", "fine_tuned")}


if __name__ == "__main__":
    errors.run(lambda: print(*rows()[0], sep="\n"))
