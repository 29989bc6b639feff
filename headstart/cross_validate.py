"""`python -m headstart.cross_validate`: how good is the recipe, tested on every image? `make cross-validate` runs it.

With `split.folds` the images are dealt out to K folds, and the experiment with `fold: k` tests on fold k, validates on
the next one, round, and trains on the other K - 2. So every image is scored once, by a model that was not trained,
chosen or calibrated on it: metrics/cross_validation.json has accuracy, balanced accuracy and loss over all images of
the head and of what each run delivers (`classifier`), and metrics/cross_validation.csv each image's prediction.

ROC AUC and average precision are means over the folds: the probabilities of different models make no common ranking
(Forman and Scholz, Apples-to-Apples in Cross-Validation Studies, SIGKDD Explorations 12, 2010).

What the 95 % interval covers: over all images as if one model had given all answers (Wilson's, or where images belong
together that of their groups, as `evaluation.trust` has it), so what other images of the same kind would change. What
it does not cover: that two models share most of their training images, and err on the same ones, which no estimate from
one cross-validation can do without bias (Bengio and Grandvalet, JMLR 5, 2004); other seeds; and that the models have
(K - 2) / K of the images to train on, so that more would be somewhat better. The standard deviation over the folds says
how much a single test split would have been luck.

Corrected images are scored like all others, and a test that was corrected where a model disagreed is a kinder one: how
many they are is counted.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from headstart import experiments
from headstart.base import files, params, wording
from headstart.base.arguments import JOBS, Parser, refuse_jobs
from headstart.base.errors import UserError
from headstart.base.tables import Table, text
from headstart.evaluation import scores, trust
from headstart.experiments import MODELS, Run, Task

SUMMARY, TABLE = Path("metrics/cross_validation.json"), Path("metrics/cross_validation.csv")
FOLDS, FEWEST, MOST = 5, 3, 20
CLASSIFIER = "classifier"  # of each run the model that its models/classifier.keras delivers
NAMES = {"head": MODELS["head"], CLASSIFIER: CLASSIFIER}
BY_FOLD = ("balanced_accuracy", "accuracy", "loss", "roc_auc", "average_precision")


@dataclass(frozen=True)
class Pooled:
    """All images that have a fold, in the order of the manifest, with what their fold's run predicts for them.

    `classes`: k names; `paths`: n, inside the source; `labels`, `folds`: int64 (n,), the folds from 1; `groups`: str
    (n,), as in the manifest; for `head` and `CLASSIFIER`: `predicted`, int64 (n,), and `probabilities`, float32 (n, k);
    `weights` and `targets`: as `scores.score` takes them.
    """

    classes: list[str]
    paths: list[str]
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    predicted: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]
    weights: np.ndarray | None
    targets: np.ndarray | None


def wanted(count: int) -> dict[str, Any]:
    """The parameters that the runs of `count` folds have in common, by their dotted names: those of params.yaml."""
    return experiments.current() | {"split.folds": count}


def runs(current: dict[str, Any]) -> dict[int, Run]:
    """The finished runs with those parameters and the code and images that lie here, by their folds."""
    try:
        finished = [run for run in experiments.finished() if _fold(run.params, current)]
    except UserError:
        return {}  # not even the commit that they start from has a result
    by_fold: dict[int, Run] = {}
    for run in experiments.of_these_inputs(finished):
        by_fold.setdefault(run.params["fold"], run)  # DVC lists the newest first
    return dict(sorted(by_fold.items()))


def queue(current: dict[str, Any], first: bool) -> None:
    """Queue the runs with those parameters that are still to be done.

    first: one alone, which computes for all of them what does not depend on the fold; nothing where that is done.
    Otherwise all that are missing; raises UserError where there is no first one yet.
    """
    done, count = runs(current), current["split.folds"]
    under_way = {_fold(task.params, current) for task in experiments.tasks() if task.state != "failed"}
    missing = [fold for fold in range(1, count + 1) if fold not in done and fold not in under_way]
    if not first and not done:
        raise UserError(unfinished(current, done))
    if first and (done or len(missing) < count):
        missing = []
    if missing:
        experiments.queue({"split.folds": count, "fold": missing[:1] if first else missing})


def unfinished(current: dict[str, Any], done: dict[int, Run]) -> str:
    """What has become of the folds without a result, in one line."""
    tasks = {fold: task for task in experiments.tasks() if (fold := _fold(task.params, current))}
    count, fates = current["split.folds"], {}
    for fold in range(1, count + 1):
        if fold not in done:
            fates.setdefault(_fate(tasks.get(fold)), []).append(fold)
    listed = "; ".join(f"fold {', '.join(map(str, folds))}: {fate}" for fate, folds in fates.items())
    return (
        f"{len(done)} of {count} folds have a result with these parameters, code and images: {listed}. "
        f"`make cross-validate FOLDS={count}` runs what is missing"
    )


def pool(by_fold: dict[int, Run]) -> Pooled:
    """What the run of its fold predicts for each image.

    Raises UserError where the runs are not of the same images and folds, or have not scored each image of their fold
    once.
    """
    first, *others = by_fold.values()
    table = first.manifest()
    for run in others:
        other = run.manifest()
        if (other.paths, other.classes) != (table.paths, table.classes) or (other.folds != table.folds).any():
            raise UserError(
                f"{run.name} is of other images or folds than {first.name}: `dvc exp remove {run.name} {first.name}`, "
                "then `make cross-validate` again"
            )
    n, k = len(table.paths), len(table.classes)
    predicted = {model: np.full(n, -1, np.int64) for model in NAMES}
    probabilities = {model: np.full((n, k), np.nan, np.float32) for model in NAMES}
    for fold, run in by_fold.items():
        rows = table.for_fold(fold).rows("test")
        answers = run.predictions()
        if answers.paths != [table.paths[row] for row in rows] or answers.classes != table.classes:
            raise UserError(f"{run.name} has not scored each image of fold {fold} once: `dvc exp remove {run.name}`")
        for model, name in (("head", "head"), (CLASSIFIER, run.results.delivered)):
            predicted[model][rows], probabilities[model][rows] = answers.predicted[name], answers.probabilities[name]
    scored = table.trained_on()
    return Pooled(
        table.classes,
        [table.paths[row] for row in scored],
        table.labels[scored],
        table.folds[scored],
        table.groups[scored],
        {model: values[scored] for model, values in predicted.items()},
        {model: values[scored] for model, values in probabilities.items()},
        table.of(scored, "weights"),
        table.of(scored, "probabilities"),
    )


def measure(pooled: Pooled, by_fold: dict[int, Run]) -> dict[str, Any]:
    """The content of metrics/cross_validation.json; every number is rounded to 6 decimals.

    images, folds (their number); for `head` and `CLASSIFIER` what `evaluation.scores.score` gives over all images, but
    the mean over the folds of roc_auc and average_precision (None where one is), by_fold (their scores) and deviation
    (over the folds, of a sample); mcnemar of the two, over groups; delivered: which model each fold's classifier is;
    corrections: as `corrected` returns it.
    """
    summary: dict[str, Any] = {"images": len(pooled.labels), "folds": len(by_fold), "corrections": corrected(by_fold)}
    seed = next(iter(by_fold.values())).params["seed"]
    for model in NAMES:
        names = {fold: run.results.delivered if model == CLASSIFIER else model for fold, run in by_fold.items()}
        of_folds = [by_fold[fold].results.scores[name] for fold, name in names.items()]
        columns = {score: [values[score] for values in of_folds] for score in BY_FOLD}
        weighting = {"weights": pooled.weights, "targets": pooled.targets}
        score = scores.score(pooled.labels, pooled.probabilities[model], pooled.classes, **weighting)
        score |= trust.share("accuracy", pooled.predicted[model] == pooled.labels, pooled.groups, seed)
        score |= {name: _mean(columns[name]) for name in ("roc_auc", "average_precision")}
        for of_class in score["per_class"].values():
            del of_class["average_precision"]  # a ranking, too
        summary[model] = score | {
            "by_fold": columns,
            "deviation": {name: round(float(np.std(columns[name], ddof=1)), 6) for name in ("accuracy", "loss")},
        }
    return summary | {
        "mcnemar": scores.mcnemar(pooled.labels, pooled.predicted, pooled.groups),
        "delivered": [run.results.delivered for run in by_fold.values()],
    }


def corrected(by_fold: dict[int, Run]) -> dict[str, int]:
    """What data/corrections.csv changed: labels, of how many images that are scored, and how many are left_out."""
    labels = sum(run.results.trust.get("corrected", 0) for run in by_fold.values())
    return {"labels": labels, "left_out": next(iter(by_fold.values())).left_out_by_corrections()}


def write(pooled: Pooled, summary: dict[str, Any]) -> None:
    """Write metrics/cross_validation.json and .csv.

    The columns are image, label, fold and, for each model, MODEL (the predicted class) and one MODEL:CLASS per class
    (its probability, 6 decimals), as in metrics/predictions.csv.
    """
    classes = pooled.classes
    columns = [[model, *(f"{model}:{name}" for name in classes)] for model in NAMES]
    table = [["image", "label", "fold", *(name for names in columns for name in names)]]
    for row, path in enumerate(pooled.paths):
        cells = [path, classes[pooled.labels[row]], pooled.folds[row]]
        for model in NAMES:
            probabilities = (f"{value:.6f}" for value in pooled.probabilities[model][row])
            cells += [classes[pooled.predicted[model][row]], *probabilities]
        table.append(cells)
    files.write_csv(TABLE, table)
    files.write_text(SUMMARY, json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n")


def show(summary: dict[str, Any], console: Console) -> None:
    """Print the table, and below it whether the classifier is better than the head."""
    title = f"{wording.count(summary['images'], 'image')}, each tested once: {summary['folds']} folds"
    rows = Table("model", title=title, title_justify="left")
    for name in ("accuracy", "95 % interval", "by fold", "balanced\naccuracy", "loss"):
        rows.add_column(name, justify="right")
    for model, name in NAMES.items():
        score = summary[model]
        lowest, highest = min(score["by_fold"]["accuracy"]), max(score["by_fold"]["accuracy"])
        interval = f"{score['accuracy_low']:.4f} – {score['accuracy_high']:.4f}"
        cells = [interval, f"{lowest:.3f} – {highest:.3f}", f"{score['balanced_accuracy']:.4f}", f"{score['loss']:.4f}"]
        rows.add_row(name, f"{score['accuracy']:.4f}", *cells)
    console.print(rows)
    pair, delivered = summary["mcnemar"], Counter(summary["delivered"])
    right, wrong = pair[f"only_{CLASSIFIER}"], pair["only_head"]
    lines = [
        f"The classifier is right on {wording.count(right, 'image')} that the head gets wrong, and wrong on {wrong:,} "
        f"that it gets right: p = {pair['p']:.2g} (McNemar{', over groups' if 'groups' in pair else ''}).",
    ]
    if any((changed := summary["corrections"]).values()):
        lines.append(
            f"data/corrections.csv gives {changed['labels']:,} of these images their label and leaves out "
            f"{changed['left_out']:,}: corrected where a model disagreed, they make the scores kinder."
        )
    of = ", ".join(f"{MODELS[model]} in {wording.count(number, 'fold')}" for model, number in delivered.items())
    for line in (*lines, f"It is {of}.", f"scores       {SUMMARY}", f"predictions  {TABLE}"):
        console.print(text(line), soft_wrap=True)


def _fold(values: dict[str, Any], current: dict[str, Any]) -> int | None:
    """The fold of a run with those parameters; None where others than `fold` are not the current ones."""
    return values.get("fold") if experiments.alike(values, current, {"fold"}) else None


def _fate(task: Task | None) -> str:
    if task is None:
        return "not queued"
    if task.state != "failed":
        return f"{task.state} (`dvc exp run --run-all` goes on, `dvc queue kill` and `dvc queue remove` drop it)"
    return f"failed with {task.last_words().removeprefix('error: ')} (all of it: `dvc queue logs {task.name}`)"


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else round(float(np.mean(values)), 6)


def main() -> None:
    parser = Parser(
        prog="python -m headstart.cross_validate",
        description="How good is the recipe, tested on every image? Score the runs of all folds, or queue them.",
    )
    parser.add_argument("--folds", metavar="K", help=f"default: split.folds, or {FOLDS} where that is null")
    parser.add_argument(
        "--queue", choices=["first", "rest"], help="queue one run, which extracts for all, or then the others"
    )
    parser.add_argument("--jobs", **JOBS)
    options = parser.parse_args()
    refuse_jobs(options.jobs)
    folds = options.folds or str(params.load().split.folds or FOLDS)
    if not folds.isdecimal() or not FEWEST <= int(folds) <= MOST:
        raise UserError(
            f"--folds: got {folds}; takes a whole number from {FEWEST} to {MOST}: one fold tests, one validates, and "
            "the others train"
        )
    current = wanted(int(folds))
    if options.queue == "first":
        experiments.reproduce("fetch")  # once for all
    if options.queue:
        return queue(current, options.queue == "first")
    done = runs(current)
    if len(done) < int(folds):
        raise UserError(unfinished(current, done))
    pooled = pool(done)
    summary = measure(pooled, done)
    write(pooled, summary)
    show(summary, Console())


if __name__ == "__main__":
    errors.run(main)
