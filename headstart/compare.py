"""`python -m headstart.compare`: is B better than A, or is it luck?

Experiments that differ in nothing but `seed` are one group, named by a letter. For each group: the mean test accuracy
of its runs and, of more than one seed, the standard deviation over them (of a sample, n - 1). Then the groups are
compared with one of them, say A, on the same test images and the same seeds:

For each image, the difference is the share of seeds with which B is right less the share with which A is right. If
A and B were equally good, each difference could as well have had the other sign; so the mean difference is held
against those of randomly flipped signs (the sign-flip permutation test: Fisher, The Design of Experiments, 1935,
section 21; `scipy.stats.permutation_test`, two-sided, 9,999 flips of a fixed seed). With one seed that is McNemar's
test. Of several comparisons the p-values are Holm's (Scandinavian Journal of Statistics 6, 1979).

The test asks whether other images would show the same. Whether other seeds would is what the standard deviation and
the count of seeds say; of one seed nothing is known.
"""

import csv
import io
import json
from collections.abc import Iterable
from string import ascii_uppercase

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import permutation_test

from headstart import errors, experiments
from headstart.errors import UserError
from headstart.experiments import MODELS, Run

PREDICTIONS = "metrics/predictions.csv"
FLIPS = 9_999
LUCK = 0.05
Group = dict[int, Run]  # runs by their seeds


def groups(runs: list[Run]) -> tuple[list[str], dict[str, Group]]:
    """The parameters that tell the groups apart, and the groups by their letters; A is the first run's.

    Two runs of the same parameters and seed are one run: the same inputs give the same bytes.
    """
    names = [name for name in experiments.differing(runs) if name != "seed"]
    found: dict[tuple[str, ...], Group] = {}
    for run in runs:
        key = tuple(experiments.plain(run.params.get(name)) for name in names)
        found.setdefault(key, {}).setdefault(run.params["seed"], run)
    if len(found) > len(ascii_uppercase):
        raise UserError(f"{len(found)} groups are too many to compare: give the names of some experiments")
    # DVC lists the newest experiment first.
    return names, dict(zip(ascii_uppercase, (dict(sorted(group.items())) for group in found.values()), strict=False))


def right(run: Run, model: str) -> dict[str, bool]:
    """Whether `model` (head, fine_tuned) was right, by the test image's path and label."""
    first, second, *more = json.loads(run.read(experiments.DATASET))["classes"]
    answers = {}
    for row in csv.DictReader(io.StringIO(run.read(PREDICTIONS))):
        answer = row[model] if more else second if float(row[model]) >= 0.5 else first
        answers[f"{row['image']}, {row['label']}"] = answer == row["label"]
    return answers


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The two-sided p-value of the sign-flip test on the mean of b - a.

    a, b: float (n,), for each image the share of seeds with which A, B was right.
    """
    found = permutation_test(
        (b, a),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=500,
        rng=np.random.default_rng(1),
    )
    return float(found.pvalue)


def holm(ps: Iterable[float]) -> np.ndarray:
    """Holm's p-values for several tests: float (n,), in the order of `ps`."""
    ps = np.asarray(list(ps), float)
    order, adjusted = np.argsort(ps), np.empty(len(ps))
    adjusted[order] = np.maximum.accumulate((len(ps) - np.arange(len(ps))) * ps[order]).clip(max=1)
    return adjusted


def table(names: list[str], found: dict[str, Group]) -> Table:
    """Mean accuracy ± standard deviation over the seeds of both models, a row a group."""
    drawn = Table("", *(name.replace(".", ".\n") for name in names), "seeds", *MODELS.values())
    for letter, group in found.items():
        one = next(iter(group.values()))
        cells = []
        for model in MODELS:
            values = [run.test[model]["accuracy"] for run in group.values()]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}")
        values = [experiments.plain(one.params.get(name)) for name in names]
        drawn.add_row(letter, *values, ", ".join(map(str, group)), *cells)
    return drawn


def verdicts(found: dict[str, Group], model: str, against: str = "A") -> list[str]:
    """One sentence for each group but the one that it is compared with.

    Raises UserError where the test images differ, or two groups share no seed.
    """
    first, paired = found[against], []
    for letter, group in found.items():
        if letter == against:
            continue
        seeds = [seed for seed in first if seed in group]
        if not seeds:
            raise UserError(
                f"{against} has the seeds {_seeds(first)}, {letter} has {_seeds(group)}, none in common: "
                f"run `dvc exp run --queue -S seed={','.join(map(str, first))} …` with {letter}'s parameters"
            )
        a, b = ([right(one[seed], model) for seed in seeds] for one in (first, group))
        images = a[0].keys()
        if any(answers.keys() != images for answers in a + b):
            raise UserError(
                f"{against} and {letter} were not tested on the same images: give the names of experiments that share "
                "dataset and split"
            )
        paired.append((letter, len(seeds), *(np.array([[one[i] for i in images] for one in side]) for side in (a, b))))
    ps = holm(difference(a.mean(0), b.mean(0)) for _, _, a, b in paired)
    named = f"against {against}, {MODELS[model]}"
    return [_verdict(letter, named, *pair, p) for (letter, *pair), p in zip(paired, ps, strict=True)]


def _verdict(letter: str, named: str, seeds: int, a: np.ndarray, b: np.ndarray, p: float) -> str:
    points = 100 * (b.mean() - a.mean())
    higher = int((b.mean(1) > a.mean(1)).sum() if points > 0 else (b.mean(1) < a.mean(1)).sum())
    word = "better" if points > 0 else "worse"
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    found = f"{letter} {named}, {a.shape[1]:,} test images: {points:+.2f} points, {chance}"
    if not points:
        return f"{found}: no difference."
    counted = f"{found}, {word} with {higher} of {seeds} seed{'s' if seeds > 1 else ''}"
    if p >= LUCK:
        return f"{counted}: this can be luck."
    if seeds == 1:
        return f"{counted}: {letter} is {word} on more than luck with the images, but of one seed; try others."
    if higher < seeds:
        return f"{counted}: {letter} is {word} on average, but not with every seed; try more."
    return f"{counted}: {letter} is {word}, and that is not luck."


def _seeds(group: Group) -> str:
    return ", ".join(map(str, group))


def main() -> None:
    parser = experiments.parser("Is B better than A, or is it luck?", "python -m headstart.compare")
    parser.add_argument("--model", choices=MODELS, default="fine_tuned", help="default: %(default)s")
    parser.add_argument("--against", default="A", metavar="LETTER", help="the group to compare with; default: A")
    asked = parser.parse_args()
    names, found = groups(experiments.finished(asked.rev, asked.names))
    if len(found) < 2:
        raise UserError(
            "nothing to compare: all runs have the same parameters but for the seed; try another value, such as "
            "`dvc exp run -S head.learning_rate=0.003`"
        )
    if asked.against not in found:
        raise UserError(f"--against: got {asked.against}; takes one of {', '.join(found)}")
    lines = verdicts(found, asked.model, asked.against)
    console = Console(highlight=False)
    console.print(table(names, found))
    for line in lines:
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    errors.run(main)
