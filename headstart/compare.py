"""`python -m headstart.compare`: is B better than A, or is it luck?

Experiments that differ in nothing but `seed` are one group, named by a letter. For each group: the mean test accuracy
of its runs and, of more than one seed, the standard deviation over them (of a sample, n - 1). Then the groups are
compared with one of them, say A, on the same test images and the same seeds, by what models/classifier.keras delivers
in each run (`--model` takes another):

For each image, the difference is the share of seeds with which B is right less the share with which A is right. If
A and B were equally good, each difference could as well have had the other sign; so the mean difference is held
against those of randomly flipped signs (the sign-flip permutation test: Fisher, The Design of Experiments, 1935,
section 21; `scipy.stats.permutation_test`, two-sided, 9,999 flips of a fixed seed). With one seed that is McNemar's
test. Where images belong together (`dataset.group`, copies), they are no independent evidence: the differences of a
group are added, and have one sign. Of several comparisons the p-values are Holm's (Scandinavian Journal of Statistics
6, 1979).

The test asks whether other images would show the same. Whether other seeds would is what the standard deviation and
the count of seeds say; of one seed nothing is known.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from rich.console import Console
from scipy.stats import permutation_test

from headstart import experiments
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.experiments import MODELS, Run, holm

CLASSIFIER = "classifier"  # of each run the model that its models/classifier.keras delivers
FLIPS = 9_999
LUCK = 0.05
Group = dict[int, Run]  # runs by their seeds


def groups(runs: list[Run]) -> tuple[list[str], dict[str, Group]]:
    """The parameters that tell the groups apart, and the groups by their letters; A is the first run's.

    Two runs of the same parameters and seed are one run: the same inputs give the same bytes.
    """
    names = [name for name in experiments.differing(runs) if name != "seed"]
    by_values: dict[tuple[str, ...], Group] = {}
    for run in runs:
        values = tuple(experiments.plain(run.params.get(name)) for name in names)
        by_values.setdefault(values, {}).setdefault(run.params["seed"], run)
    if len(by_values) > len(ascii_uppercase):
        raise UserError(
            f"got {len(by_values)} groups of experiments; takes at most {len(ascii_uppercase)}: give the names of some"
        )
    # DVC lists the newest experiment first.
    sorted_by_seed = (dict(sorted(group.items())) for group in by_values.values())
    return names, dict(zip(ascii_uppercase, sorted_by_seed, strict=False))


def right(run: Run, model: str) -> dict[str, bool]:
    """Whether `model` was right, by the test image's path and label.

    model: one of `MODELS`, or `CLASSIFIER`. Raises UserError where the run has no such model, or no readable
    predictions.
    """
    name = run.results.delivered if model == CLASSIFIER else model
    if name not in run.results.scores:
        raise UserError(
            f"--model: got {model}, which {run.name} does not have; takes {', '.join(run.results.scores)} "
            f"or {CLASSIFIER} (what each run delivers)"
        )
    answers = run.predictions()
    correct = answers.predicted[name] == answers.labels
    labels = (answers.classes[label] for label in answers.labels)
    images = (f"{path}, {label}" for path, label in zip(answers.paths, labels, strict=True))
    return dict(zip(images, correct.tolist(), strict=True))


def together(run: Run) -> dict[str, str]:
    """The group of each image, named as `right` does, as the run's manifest has it. Raises UserError."""
    table = run.manifest()
    names = (f"{path}, {table.classes[label]}" for path, label in zip(table.paths, table.labels, strict=True))
    return dict(zip(names, table.groups.tolist(), strict=True))


def difference(a: np.ndarray, b: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The two-sided p-value of the sign-flip test on the mean of b - a.

    a, b: float (n,), for each image the share of seeds with which A, B was right. groups: (n,), equal for images that
    belong together, which have one sign; default: none do.
    """
    apart = b - a
    if groups is not None:
        apart = np.bincount(np.unique(groups, return_inverse=True)[1], apart)
    apart = apart[np.abs(apart) > 1e-9]  # where A and B are as good, no sign can be flipped
    if len(apart) < 2:  # a difference alone is as far from 0 with either sign
        return 1.0
    test = permutation_test(
        (apart,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=500,
        rng=np.random.default_rng(1),
    )
    return float(test.pvalue)


def cells(names: list[str], groups: dict[str, Group]) -> tuple[list[str], list[list[str]]]:
    """Headings and one row per group: parameters, seeds, each model's mean accuracy ± standard deviation over them."""
    models = experiments.scored([run for group in groups.values() for run in group.values()])
    rows = []
    for letter, group in groups.items():
        first = next(iter(group.values()))
        values = [experiments.plain(first.params.get(name)) for name in names]
        rows.append([letter, *values, ", ".join(map(str, group)), *(_accuracy(group, model) for model in models)])
    return ["group", *names, "seeds", *(MODELS[model] for model in models)], rows


def table(names: list[str], groups: dict[str, Group]) -> Table:
    """The same as the terminal has it."""
    (_, *headings), rows = cells(names, groups)
    shown = Table("", *(heading.replace(".", ".\n") for heading in headings))
    for row in rows:
        shown.add_row(*row)
    return shown


def page(path: Path, names: list[str], groups: dict[str, Group], sentences: list[str]) -> None:
    """Write the comparison to `path` as a page. Raises UserError as `experiments.page` does."""
    dots = []
    for letter, group in groups.items():
        first = next(iter(group.values()))
        values = ", ".join(f"{name} {experiments.plain(first.params.get(name))}" for name in names)
        dots += [run.dot(names, f"{letter}: {values}") for run in group.values()]
    experiments.page(path, "Is B better than A, or is it luck?", sentences, cells(names, groups), dots)


def verdicts(groups: dict[str, Group], model: str, against: str = "A") -> list[str]:
    """One sentence for each group but the one that it is compared with.

    model, errors: as in `right`. Raises UserError also where the test images differ, or two groups share no seed.
    """
    first, pairs = groups[against], []
    group_of = together(next(iter(first.values())))
    for letter, group in groups.items():
        if letter == against:
            continue
        seeds = [seed for seed in first if seed in group]
        if not seeds:
            raise UserError(
                f"{against} has the seeds {_seeds(first)}, {letter} has {_seeds(group)}, none in common: "
                f"run `dvc exp run --queue -S seed={','.join(map(str, first))} …` with {letter}'s parameters"
            )
        a, b = ([right(runs[seed], model) for seed in seeds] for runs in (first, group))
        images = a[0].keys()
        if any(answers.keys() != images for answers in a + b):
            raise UserError(
                f"{against} and {letter} were not tested on the same images: give the names of experiments that share "
                "dataset and split"
            )
        sides = (np.array([[answers[image] for image in images] for answers in side]) for side in (a, b))
        pairs.append((letter, len(seeds), np.array([group_of.get(image, image) for image in images]), *sides))
    ps = holm(difference(a.mean(0), b.mean(0), of) for _, _, of, a, b in pairs)
    comparison = f"against {against}, {MODELS.get(model, model)}"
    return [_verdict(letter, comparison, *pair, p) for (letter, *pair), p in zip(pairs, ps, strict=True)]


def _accuracy(group: Group, model: str) -> str:
    accuracies = [run.results.scores[model]["accuracy"] for run in group.values() if model in run.results.scores]
    if not accuracies:
        return "–"
    spread = f" ± {np.std(accuracies, ddof=1):.4f}" if len(accuracies) > 1 else ""
    return f"{np.mean(accuracies):.4f}{spread}"


def _verdict(
    letter: str, comparison: str, seeds: int, groups: np.ndarray, a: np.ndarray, b: np.ndarray, p: float
) -> str:
    points = 100 * (b.mean() - a.mean())
    higher = int((b.mean(1) > a.mean(1)).sum() if points > 0 else (b.mean(1) < a.mean(1)).sum())
    word = "better" if points > 0 else "worse"
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    count = len(np.unique(groups))
    images = f"{a.shape[1]:,} test images" + (f" in {count:,} groups" if count < len(groups) else "")
    measured = f"{letter} {comparison}, {images}: {points:+.2f} points, {chance}"
    if not points:
        return f"{measured}: no difference."
    counted = f"{measured}, {word} with {higher} of {wording.count(seeds, 'seed')}"
    if p >= LUCK:
        return f"{counted}: this can be luck."
    if seeds == 1:
        return f"{counted}: {letter} is {word}, not by luck with the images, but with one seed alone; try others."
    if higher < seeds:
        return f"{counted}: {letter} is {word} on average, but not with every seed; try more."
    return f"{counted}: {letter} is {word}, and that is not luck."


def _seeds(group: Group) -> str:
    return ", ".join(map(str, group))


def main() -> None:
    parser = experiments.parser("Is B better than A, or is it luck?", "python -m headstart.compare")
    parser.add_argument(
        "--model",
        choices=[CLASSIFIER, *MODELS],
        default=CLASSIFIER,
        help="the model to compare; default: %(default)s, what each run delivers (averaged over flips, or fine-tuned)",
    )
    parser.add_argument("--against", default="A", metavar="LETTER", help="the group to compare with; default: A")
    experiments.add_html(parser, "metrics/comparison.html")
    options = parser.parse_args()
    if options.html:
        experiments.comparison.check(options.html)  # before the work
    runs = experiments.finished(options.rev, options.names)
    # Folds are tested on different images.
    compared = runs if options.names else [run for run in runs if run.params.get("fold") is None]
    if compared != runs:
        left_out = wording.count(len(runs) - len(compared), "run")
        say(f"left out: {left_out} of single folds, which `python -m headstart.cross_validate` scores")
    names, by_letter = groups(compared)
    if len(by_letter) < 2:
        raise UserError(
            "nothing to compare: all runs have the same parameters but for the seed; try another value, such as "
            "`dvc exp run -S head.learning_rate=0.003`"
        )
    if options.against not in by_letter:
        raise UserError(f"--against: got {options.against}; takes one of {', '.join(by_letter)}")
    sentences = verdicts(by_letter, options.model, options.against)
    if any(run.params.get("decision.goal", "accuracy") != "accuracy" for run in compared):
        sentences.append(
            "All of this is of the likeliest class, whatever decision.goal is: metrics/test.json has both."
        )
    Console().print(table(names, by_letter))
    for sentence in sentences:
        say(sentence)
    if options.html:
        page(options.html, names, by_letter, sentences)
        say(f"The page: {options.html}")


if __name__ == "__main__":
    errors.run(main)
