"""The short table at the end of a run: python -m headstart.report"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from headstart.artifacts import dataset, inspection, manifest, results
from headstart.artifacts.predictions import PREDICTIONS
from headstart.artifacts.results import CLASSIFIER, MODELS, PAGE, Results
from headstart.base import params, seconds, wording, yaml12
from headstart.base.errors import UserError
from headstart.base.tables import Table, text
from headstart.base.terminal import say
from headstart.page import CARD, notes

INTERVAL = "95 % interval"
Columns = dict[str, Callable[[dict], str]]  # what to write of the numbers, by the column's heading
CLASSES = 10  # whose rows are all shown; of more, those with the lowest recall


def table(measured: Results, title: str, width: int = 80) -> Table:
    """One row per model: accuracy with its interval, ROC AUC and loss; where classes are rare, first what shows them.

    width: columns of the terminal; what does not fit is left out from the right.
    """
    models = [(MODELS[model], score) for model, score in measured.scores.items()]
    if notes.rare(measured):
        return _fitting("model", _rare_columns(measured), models, width, title)
    return _fitting("model", _columns(), models, width, title)


def classes(measured: Results, width: int = 80) -> Table:
    """What the delivered model makes of each class: one row per class, of more than ten those of the lowest recall."""
    tested = notes.tested(measured)
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


def show(
    measured: Results, summary: dict[str, Any] | None, console: Console, found: dict[str, Any] | None = None
) -> None:
    """Print the table, below it what each further step brought, and what a reader should know of the numbers.

    summary: what `dataset.read` returns; found: what `inspection.read` does; None where it is missing.
    """
    console.print(table(measured, notes.heading(measured.images, summary, found), console.width))
    for line in notes.steps(measured):
        console.print(text(line))
    if notes.rare(measured):
        console.print(classes(measured, console.width))
        console.print(text(_why_rare(measured)))
    elif len(tested := notes.tested(measured)) > 2 and any(numbers["recall"] < 1 for numbers in tested.values()):
        lowest = sorted(tested.items(), key=lambda entry: entry[1]["recall"])[:3]
        names = wording.labels([name for name, _ in lowest], 30)
        recalls = ", ".join(f"{name} {of['recall']:.2f}" for name, (_, of) in zip(names, lowest, strict=True))
        console.print(text(f"Lowest recall: {recalls} (all classes: {results.TEST})."))
    for line in notes.warnings(measured) + notes.relied(measured):
        console.print(text(line))
    left_out, files = len((summary or {}).get("left_out", ())), (summary or {}).get("found", 0)
    if left_out > 0.1 * files:
        console.print(text(f"{wording.count(left_out, 'file')} of the source left out: {dataset.DATASET} says why."))


def main() -> None:
    measured = results.read()
    console = Console(highlight=False)
    files = {dataset.DATASET: dataset.read, params.PARAMS: params.load, inspection.INSPECTION: inspection.read}
    summary, settings, found = (_or_none(*of) for of in files.items())
    fold = settings and settings.fold
    if fold is not None:
        cut = _or_none(manifest.MANIFEST, lambda: manifest.read(fold=fold))
        summary = notes.of_fold(summary, cut, fold) if summary and cut else None
    show(measured, summary, console, found)
    if since := _since():
        console.print(text(f"Of an earlier run: {'; '.join(since)}. `dvc repro` makes these numbers anew."))
    lines = notes.inspected(found) if found and fold is None else []  # inspect knows of no fold
    for line in lines + (notes.help_for_rare(summary, settings) if summary and settings else []):
        console.print(text(line))
    places = {
        "all of it on a page": PAGE,
        "the result in a picture": results.PICTURE,
        "what it got wrong": results.WRONG,
        "what it got right": results.RIGHT,
        "predictions": PREDICTIONS,
        f"classifier ({MODELS[measured.delivered]})": CLASSIFIER,
        "its model card": CARD,
    }
    if took := _seconds():
        console.print(text(f"Seconds of each stage, when it ran on this machine: {took}"))
    width = max(map(len, places))
    for what, path in places.items():
        say(f"{what:<{width}}  {path}{'' if path.exists() else '  (not here)'}")
    if not all(path.exists() for path in places.values()):
        say("Not here: `make pull` brings it if it was pushed, `dvc repro` makes it.")


def _or_none(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns; None where its file is missing or, which is said, damaged: the scores are shown anyway."""
    if not path.exists():
        return None
    try:
        return read()
    except UserError as error:
        say(str(error))
        return None


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
    tested = notes.tested(measured)
    rarest = min(tested, key=lambda name: tested[name]["images"])
    return {
        "balanced\naccuracy": lambda score: _four(score.get("balanced_accuracy")),
        "macro\nF1": lambda score: _four(score.get("macro_f1")),
        f"average\nprecision,\n{wording.label(rarest, 12)}": lambda score: _four(
            score["per_class"][rarest]["average_precision"]
        ),
        **_columns(),
    }


def _since() -> list[str]:
    """What is not as it was when the numbers were made; nothing where dvc.lock does not say how it was."""
    try:
        ran = {stage: of for stage, of in yaml12.read(seconds.LOCK)["stages"].items() if stage != "report"}
        now, names = yaml12.read(params.PARAMS), {}
        for of in ran.values():
            for name, then in of.get("params", {}).get(str(params.PARAMS), {}).items():
                value = now
                for part in name.split("."):
                    value = value.get(part) if isinstance(value, dict) else None
                names |= dict.fromkeys(_differing(then, value, name))
        test = next(out for out in ran["evaluate"]["outs"] if out["path"] == str(results.TEST))
        images = next(dep for dep in ran["split"]["deps"] if dep["path"] == now["dataset"]["path"])
        others = hashlib.md5(results.TEST.read_bytes(), usedforsecurity=False).hexdigest() != test["md5"]
        sizes = _sizes(Path(images["path"]))
        moved = sizes is not None and (len(sizes), sum(sizes)) != (images.get("nfiles", 1), images["size"])
    except (UserError, AttributeError, KeyError, TypeError, StopIteration):
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    said = [f"params.yaml has another {', '.join(list(names)[:3])}{more} by now"] if names else []
    said += [f"{images['path']} has other images by now"] if moved else []
    return said + ([f"{results.TEST} is not the one that {seconds.LOCK} names"] if others else [])


def _differing(then: Any, now: Any, name: str) -> list[str]:
    """The dotted names of the values that differ."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return [name] if then != now else []
    keys = dict.fromkeys([*then, *now])
    return [of for key in keys for of in _differing(then.get(key), now.get(key), f"{name}.{key}")]


def _sizes(path: Path) -> list[int] | None:
    """The bytes of a file, or of each in a folder; None where it is not here, or has links to folders in it."""
    if not path.exists():
        return None
    if path.is_file():
        return [path.stat().st_size]
    sizes = []
    for folder, folders, names in os.walk(path):
        if any(Path(folder, name).is_symlink() for name in folders):
            return None
        sizes += [Path(folder, name).stat().st_size for name in names]
    return sizes


def _seconds() -> str:
    """What each stage took when it ran here, and of which nothing is known; empty where it is not of any."""
    try:
        took, order = seconds.of(yaml12.read(seconds.LOCK)), yaml12.read(params.PIPELINE)["stages"]
    except (UserError, AttributeError, KeyError, TypeError):  # no dvc.lock, or a damaged one: the scores are shown
        return ""
    known = ", ".join(f"{stage} {took[stage]:,.0f}" for stage in order if stage in took)
    # As of `inspect` in a clone whose images have not changed: it comes out of Git.
    unknown = ", ".join(stage for stage in order if stage not in took)
    return known and f"{known}.{f' Not known of {unknown}: taken over, or interrupted.' if unknown else ''}"


def _why_rare(measured: Results) -> str:
    tested = notes.tested(measured)
    smallest, largest = (pick(tested, key=lambda name: tested[name]["images"]) for pick in (min, max))
    times = tested[largest]["images"] / tested[smallest]["images"]
    times = f"{times:.1f}" if times < 10 else f"{times:,.0f}"
    all_classes = f" All classes: {results.TEST}." if len(tested) > CLASSES else ""
    return (
        f"{wording.label(largest, 30)} has {times} times the test images of {wording.label(smallest, 30)}: from "
        f"{notes.RARE} times on, the scores in which all classes weigh the same come first.{all_classes}"
    )


def _four(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    errors.run(main)
