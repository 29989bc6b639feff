"""The images of each class and split as a person reads them: a table, a line on rare classes, what was left out."""

from typing import Any

from rich.console import Console

from headstart.artifacts.dataset import DATASET, NEAR_DUPLICATES, LeftOut, by_reason
from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.tables import Table, text

WHOLE = 20  # classes whose rows are all printed; of more, the largest and the smallest
ENDS = 5  # how many of each
SHOWN = 4  # reasons for leaving files out, the commonest first
RARE = 0.1  # a class with this share, or less, of the largest one's training images is rare


def show(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print the counts, one row per class, advice where a class is rare, and why files were left out.

    summary: what `dataset.summarize` returns. console: default: standard output.
    """
    console = console or Console(highlight=False)
    console.print(table(summary))
    if len(summary["classes"]) > WHOLE:
        console.print(text(f"the counts of all classes are in {DATASET}"), soft_wrap=True)
    if rare := advice(summary["counts"]["train"]):
        console.print(text(rare), soft_wrap=True)
    for line in together(summary):
        console.print(text(line), soft_wrap=True)
    left_out = summary["left_out"]
    unused = wording.count(summary["unused"], "image")
    place = f" (the list is in {DATASET}):" if left_out else ""
    line = f"{unused} not needed for the splits, {wording.count(len(left_out), 'file')} left out{place}"
    console.print(text(line), soft_wrap=True)
    kinds = by_reason(LeftOut(**entry) for entry in left_out)
    for files in kinds[:SHOWN]:
        more = f" (and {len(files) - 1:,} more of the kind)" if len(files) > 1 else ""
        console.print(text(f"  {files[0].path}: {files[0].reason}{more}"), soft_wrap=True)
    if len(kinds) > SHOWN:
        console.print("  …")


def together(summary: dict[str, Any]) -> list[str]:
    """What belongs together, a line each: groups, near-duplicates, and copies of test images."""
    lines, near = [], summary.get("near_duplicates")
    if summary.get("groups") is not None:
        lines.append(f"the images are of {wording.count(summary['groups'], 'group')} (dataset.group)")
    if near:
        torn = len(summary["suspicious"])
        labels = f", {wording.count(torn, 'pair')} of different classes: look for wrong labels there" if torn else ""
        lines.append(
            f"{wording.count(sum(map(len, near)), 'image')} in {wording.count(len(near), 'set')} of near-duplicates"
            f"{labels} (the list is in {DATASET}, pictures in {NEAR_DUPLICATES})"
        )
    if summary.get("test_copies"):
        lines.append(f"{wording.count(summary['test_copies'], 'test image')} with a copy in training, near or exact")
    if summary.get("copies_taken_out"):
        images = wording.count(summary["copies_taken_out"], "test image")
        lines.append(f"{images} had a copy in the source's own training folder: it was taken out of there")
    return lines


def table(summary: dict[str, Any]) -> Table:
    """Images per class and split; of more than 20 classes, the five largest and the five smallest."""
    counts, names = summary["counts"], summary["classes"]
    totals = {name: sum(counts[split][name] for split in SPLITS) for name in names}
    ranked = sorted(names, key=lambda name: -totals[name])
    rows = Table("class", show_footer=True)
    rows.columns[0].footer = wording.count(len(names), "class")
    for split in SPLITS:
        rows.add_column(split, f"{sum(counts[split].values()):,}", justify="right", no_wrap=True)
    shown = names if len(names) <= WHOLE else [*ranked[:ENDS], *ranked[-ENDS:]]
    for number, (name, first) in enumerate(zip(shown, wording.labels(shown), strict=True)):
        if len(shown) < len(names) and number == ENDS:
            rows.add_row(f"… {len(names) - len(shown):,} between")
        rows.add_row(first, *(f"{counts[split][name]:,}" for split in SPLITS))
    return rows


def advice(training: dict[str, int]) -> str | None:
    """One line where a class has a tenth or less of the largest one's training images; None where none has.

    training: how many images each class has to train on.
    """
    largest, smallest = max(training, key=training.get), min(training, key=training.get)
    rare = [name for name, count in training.items() if count <= RARE * training[largest]]
    if not rare:
        return None
    others = f", and {len(rare) - 1:,} more have a tenth of it or less" if len(rare) > 1 else ""
    return (
        f"class {wording.label(smallest)} has {wording.count(training[smallest], 'training image')}, "
        f"{wording.label(largest)} has {training[largest]:,}{others}: accuracy alone says little here; "
        "head.class_weights and fine_tune.class_weights: balanced let every class weigh the same, and "
        "fine_tune.select_by: balanced_accuracy chooses by all of them"
    )
