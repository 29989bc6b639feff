"""`python -m headstart.compare_backbones NAME NAME…`: which network suits my images? `make compare-backbones` runs it.

For each network one experiment goes up to `train_head`, one after the other, so that their seconds can be compared:
`fine_tune.views: live` and `fine_tune.cut: 0` leave no views and no activations to compute, whatever layers a network
has, and the head is the logistic regression on averaged features. Nothing of it stays but what DVC's cache holds, and a
note of each result in .dvc/tmp/backbones, by which the same command goes on where it was stopped: a note counts where
code, images and parameters are those that lie here now.

Accuracy is that of cross-validation on the images of training and validation together: each is predicted by a
regression that has seen neither it nor its group (`logistic.out_of_fold`, up to five folds). To choose a network is a
choice like that of an epoch, so the test images are left out of it. Validation alone is a few images: a third as many
make an interval 1.7 times as wide, a tenth as many 3 times. The penalty is chosen on the same folds, which flatters
each network by about the same little. The features are scaled by one number, while the head of a run also tries to
scale each by its own. Labels count as certain, and images all the same.

The 95 % interval is Wilson's. The best is compared with each of the others by McNemar's test on the same images (exact,
two-sided; of several the p-values are Holm's). Where images belong together, both are over groups (`evaluation.trust`,
`evaluation.scores.chance`). Where p is not below 0.05 the images do not show which is better, which
is not to say that both are equally good. Seconds are those of the stages `extract`, for all images, and `train_head`,
their starts included, as they took when they ran on this machine; images/s are those of `extract` without its start.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from sklearn.metrics import log_loss

from headstart import experiments
from headstart.base import figures, files, origin, params, seconds, wording
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.discovery import networks
from headstart.evaluation import scores, trust
from headstart.experiments import Experiment
from headstart.training import logistic

PICTURE = Path("metrics/backbones.png")
NOTES = Path(".dvc/tmp/backbones")
FOLDERS, RUNS = Path(".dvc/tmp/exps/standalone"), Path(".dvc/tmp/exps/run")  # of DVC's experiments, and what it notes
LUCK = 0.05
# What is the same for every network.
HEAD_ALONE = {
    "fold": None,
    "train_images": None,
    "head.solver": "logistic",
    "head.pooling": "average",
    "head.hidden": [],
    "head.views": False,
    "fine_tune.views": "live",
    "fine_tune.cut": 0,
}
COMMA = re.compile(
    r",\s*(?=(?:hub:)?[A-Za-z]\w*(?:[@=,]|\s*$))"
)  # before a name: the path of a file may have some, too
ELSEWHERE = ("pypi:", "https://", "s3://", "hf://", "kaggle://")  # where weights may come from
HUB_SIZE = 224  # pixels, where none is given: no list says what KerasHub's weights were published for
UNREAD = ("augment", "fine_tune", "decision")  # sections that such an experiment does not depend on
EXTRACTED = re.compile(r"extract: ([\d,]+) images in ([\d.]+) s")
SHOWN = re.compile(r"(fetch|decoding|extract|train_head|left out)\b.*:")


class Candidate(NamedTuple):
    """A network to try: `size` in pixels; `weights` and `sha256` as the parameters of `backbone` have them."""

    name: str
    size: int
    weights: str
    sha256: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.size}"

    @property
    def backbone(self) -> dict[str, Any]:
        """The section of params.yaml."""
        return {"name": self.name, "weights": self.weights, "sha256": self.sha256, "scaling": "native"}

    @property
    def parameters(self) -> dict[str, Any]:
        """What its experiment has in params.yaml, by dotted names; `backbone` as a whole, where a list may stand."""
        return HEAD_ALONE | {"backbone": self.backbone, "image.size": self.size}

    @property
    def work(self) -> float | None:
        """Multiply-adds of an image, about; None of KerasHub's, which nobody has counted."""
        of = networks.measured().get(self.name)
        return of and of.multiply_adds * (self.size / of.size) ** 2


class Outcome(NamedTuple):
    """What came of a network.

    right: bool (n,), whether each image of training and validation is predicted rightly; loss: the mean cross-entropy,
    in nats; extract, train_head: seconds, None where nobody noted them; speed: images/s of `extract` without its start,
    None where DVC had it in its cache. groups: int (n,), equal for images that belong together; None: none do.
    """

    right: np.ndarray
    loss: float
    extract: float | None
    train_head: float | None
    speed: float | None = None
    groups: np.ndarray | None = None

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        groups = np.arange(len(self.right)) if self.groups is None else self.groups
        found = trust.share("accuracy", self.right, groups, seed=0)
        return found["accuracy_low"], found["accuracy_high"]

    @property
    def seconds(self) -> float | None:
        return None if None in (self.extract, self.train_head) else self.extract + self.train_head


Outcomes = dict[Candidate, Outcome]


def candidates(texts: Sequence[str], weights: str | None) -> list[Candidate]:
    """The networks that are named, NAME, NAME@SIZE or NAME=WEIGHTS, several in one text with commas between them.

    weights: of those that name none; None: what `networks.PUBLISHED` says. Raises UserError for an unknown name, a size
    that is none, a file that is not there, fewer than two networks, and one that is named twice.
    """
    parts = [part for text in texts for part in _parted(text) if part]
    named = [_candidate(part, weights) for part in parts]
    shown = list(map(str, named))
    twice = next((text for text in shown if shown.count(text) > 1), None)
    if twice is not None:
        raise UserError(f"got {twice} twice; takes each network once at one size: name another, or another size")
    if len(named) < 2:
        raise UserError(
            f"got {f'{named[0]} alone' if named else 'no network'}; takes two or more to compare, such as "
            "NAMES=EfficientNetLite0,MobileNetV2: `python -m headstart.backbones` lists them"
        )
    return named


def measure(experiment: Experiment) -> Outcome:
    """What came of an experiment that has got to `train_head`.

    Raises UserError where a class has too few images to be cross-validated, and what `Experiment.averages` raises.
    """
    table, seed = experiment.manifest(), experiment.params["seed"]
    rows = np.flatnonzero(np.isin(table.splits, ("train", "validation")))
    _, positions = np.unique(table.labels[rows], return_inverse=True)
    names, groups = np.unique(table.groups[rows], return_inverse=True)
    averages = experiment.averages(table)
    probabilities = logistic.out_of_fold(averages, rows, positions, table.groups[rows], seed)
    if probabilities is None:
        counts = np.bincount(np.unique(np.stack([positions, groups]), axis=1)[0])  # groups of each class
        mine = positions == counts.argmin()
        least, images = table.classes[table.labels[rows][mine][0]], wording.count(int(mine.sum()), "image")
        raise UserError(
            f"class {least} has {images} in training and validation, in {wording.count(int(counts.min()), 'group')}; "
            "cross-validation takes two of each class, in two groups: add some, or take the class out"
        )
    loss = float(log_loss(positions, probabilities, labels=np.arange(positions.max() + 1)))
    took = seconds.of(experiment.lock())
    together = groups if len(names) < len(rows) else None
    right = probabilities.argmax(1) == positions
    return Outcome(right, loss, took.get("extract"), took.get("train_head"), groups=together)


def run(wanted: Sequence[Candidate]) -> tuple[Outcomes, dict[Candidate, str]]:
    """What came of each network, and of those that failed why. What is noted already is not run again."""
    current, inputs = experiments.current(), experiments.inputs()
    places = {candidate: _note(candidate, current, inputs) for candidate in wanted}
    done = {candidate: outcome for candidate, place in places.items() if (outcome := _read(place)) is not None}
    left, failed, forecast = [candidate for candidate in wanted if candidate not in done], {}, _Forecast()
    for number, candidate in enumerate(left, 1):
        say(f"{number}/{len(left)} {candidate}{forecast.of(left[number - 1 :])}", file=sys.stderr)
        began, heard = time.monotonic(), _Heard()
        try:
            with _tidied(), experiments.aside(candidate.parameters, "train_head", heard) as experiment:
                done[candidate] = measure(experiment)._replace(speed=heard.speed)
        except UserError as error:
            failed[candidate] = str(error)
            say(f"{candidate} failed: {error}", file=sys.stderr)
            continue
        _write(places[candidate], done[candidate])
        forecast.add(candidate, done[candidate], time.monotonic() - began)
    return done, failed


@contextmanager
def _tidied() -> Iterator[None]:
    """Afterwards remove what is left of the folders of this process's experiments.

    DVC removes them itself, but not where Ctrl-C comes in the seconds in which it makes one: then that stays, for good.
    """
    before, own = set(FOLDERS.glob("tmp*")), f"{experiments.ASIDE}{os.getpid()}-"
    try:
        yield
    finally:
        names = {}
        for path in RUNS.glob("*/*.run"):
            with suppress(OSError, ValueError, LookupError, TypeError):  # its writing was cut short, too
                note = json.loads(path.read_text(encoding="utf-8"))
                names[note["root_dir"]] = note["name"] or ""
        for folder in set(FOLDERS.glob("tmp*")) - before:
            if names.get(str(folder.resolve()), own).startswith(own):
                shutil.rmtree(folder, ignore_errors=True)


def ranked(outcomes: Outcomes) -> list[Candidate]:
    """The networks, the most accurate first, of equally accurate ones that with the lower loss."""
    return sorted(outcomes, key=lambda candidate: (-outcomes[candidate].accuracy, outcomes[candidate].loss))


def against_best(outcomes: Outcomes) -> dict[Candidate, float]:
    """For each network but the best, the p-value of McNemar's test against it, Holm's."""
    best, *others = ranked(outcomes)
    of = outcomes[best]
    ps = [scores.chance(of.right, outcomes[candidate].right, of.groups) for candidate in others]
    return dict(zip(others, map(float, experiments.holm(ps)), strict=True))


def table(outcomes: Outcomes) -> Table:
    """One row per network, the best first."""
    ps, counts = against_best(outcomes), networks.measured()
    rows = Table()
    rows.add_column("backbone", no_wrap=True)
    rows.add_column("size", justify="right", no_wrap=True)
    for heading in ("accuracy (95 %)", "log\nloss", "p", "seconds", "images\nper s", "params,\nmillion"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for candidate in ranked(outcomes):
        of = outcomes[candidate]
        low, high = of.interval
        cells = [
            f"{of.accuracy:.4f} ({low:.3f}–{high:.3f})",
            f"{of.loss:.4f}",
            _chance(ps[candidate]).removeprefix("p ").removeprefix("= ") if candidate in ps else "",
        ]
        cells += ["–" if of.seconds is None else f"{of.seconds:,.0f}"]
        cells += ["–" if of.speed is None else f"{of.speed:,.1f}"]
        counted = counts.get(candidate.name)
        cells += ["–" if counted is None else f"{counted.parameters / 1e6:.1f}"]
        rows.add_row(candidate.name, str(candidate.size), *cells)
    return rows


def sentences(outcomes: Outcomes) -> list[str]:
    """Which network is the best, which quicker ones are no worse by the evidence, and how to take one."""
    best, *others = ranked(outcomes)
    of, ps = outcomes[best], against_best(outcomes)
    test = "McNemar" if of.groups is None else "over groups of images that belong together"
    lines = [
        f"{best} is right on the most: {int(of.right.sum()):,} of {wording.count(len(of.right), 'image')} of training "
        f"and validation, each predicted by a head that has not seen it. p: against it ({test})."
    ]
    quicker = [one for one in others if None not in (outcomes[one].seconds, of.seconds)]
    quicker = [one for one in quicker if outcomes[one].seconds < of.seconds]
    told = [f"{one} ({outcomes[one].seconds:,.0f} s, not {of.seconds:,.0f}; {_chance(ps[one])})" for one in quicker]
    alike = [text for one, text in zip(quicker, told, strict=True) if ps[one] >= LUCK]
    worse = [text for one, text in zip(quicker, told, strict=True) if ps[one] < LUCK]
    if alike:
        lines.append(f"Quicker, and no worse as far as these images can tell: {', '.join(alike)}.")
    if worse:
        lines.append(f"Quicker, but worse, and that is not luck: {', '.join(worse)}.")
    if not quicker and others:
        lines.append("None of the others is quicker." if of.seconds is not None else "How long they took nobody noted.")
    chosen = {f"backbone.{name}": value for name, value in best.backbone.items()} | {"image.size": best.size}
    settings = ", ".join(f"{name}: {experiments.plain(value)}" for name, value in chosen.items())
    return [
        *lines,
        f"To take it, in params.yaml: {settings}; and a fine_tune.cut of its own (of one that it has not, `make repro` "
        "says which there are).",
    ]


def draw(path: Path, outcomes: Outcomes) -> None:
    """Write accuracy with its interval against seconds as a PNG; a network whose seconds nobody noted is left out."""
    figure = figures.empty(8, 5)
    axes = figure.subplots()
    for number, candidate in enumerate(ranked(outcomes)):
        of = outcomes[candidate]
        if of.seconds is not None:
            low, high = (100 * end for end in of.interval)
            middle = 100 * of.accuracy
            bar = {"fmt": "os^Dv"[number % 5], "color": f"C{number % 10}", "capsize": 3, "label": str(candidate)}
            axes.errorbar(of.seconds, middle, [[middle - low], [high - middle]], **bar)
    images = len(next(iter(outcomes.values())).right)
    axes.set(
        xlabel="seconds of extract and train_head",
        ylabel=f"accuracy of cross-validation, % of {wording.count(images, 'image')}",
        title="Backbones, the head alone",
    )
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper")
    figures.save(figure, path)


class _Heard:
    """Of what an experiment prints, shows how far it is; `speed`: the images/s that `extract` gave at its end."""

    def __init__(self):
        self.speed: float | None = None

    def __call__(self, line: str) -> None:
        if SHOWN.match(line):
            say(f"  {line}", file=sys.stderr)
        if (ended := EXTRACTED.match(line)) and float(ended[2]):
            self.speed = int(ended[1].replace(",", "")) / float(ended[2])


class _Forecast:
    """How long the networks took so far, to say how long those that are left will."""

    def __init__(self):
        self._work = self._extract = self._else = 0.0
        self._count = 0

    def add(self, candidate: Candidate, outcome: Outcome, took: float) -> None:
        if candidate.work is None:
            return
        extract = min(took, outcome.extract or 0.0)
        self._work, self._extract = self._work + candidate.work, self._extract + extract
        self._else, self._count = self._else + took - extract, self._count + 1

    def of(self, left: Sequence[Candidate]) -> str:
        """By the multiplications of each network; nothing before the first is done, or where they are not known."""
        if not self._count or any(of.work is None for of in left):
            return ""
        one, total = (
            sum(self._extract / self._work * of.work + self._else / self._count for of in part)
            for part in (left[:1], left)
        )
        rest = f", and {wording.duration(total)} for all that are left" if len(left) > 1 else ""
        return f": about {wording.duration(one)}{rest}"


def _parted(text: str) -> list[str]:
    return [part.strip() for part in COMMA.split(text)] if "=" in text else re.split(r"[,\s]+", text.strip())


def _candidate(text: str, weights: str | None) -> Candidate:
    named, is_given, given = text.partition("=")
    name, at, size = named.partition("@")
    known = networks.measured()
    if name not in known and not origin.is_of_hub(name):
        hint = wording.did_you_mean(name, known, cutoff=0.4)
        raise UserError(
            f"got {name}; {hint}takes the names that `python -m headstart.backbones` lists, and hub:NAME of KerasHub"
        )
    usual = known[name].size if name in known else HUB_SIZE
    if at and not (size.isdecimal() and 16 <= int(size) <= 2048):
        raise UserError(f"got {named}; takes a size from 16 to 2048 pixels after @, such as {name}@{usual}")
    pixels, published = int(size) if at else usual, networks.PUBLISHED.get(name)
    if published is not None and not is_given and weights is None:
        return Candidate(name, pixels, published.weights, published.sha256)
    return Candidate(name, pixels, _weights(name, given or weights or networks.IMAGENET), None)


def _weights(name: str, given: str) -> str:
    """What `backbone.weights` takes in any folder. Raises UserError for what is not here, and what no network takes."""
    if given == networks.IMAGENET and origin.is_of_hub(name):
        raise UserError(
            f"got {name} without weights; takes those of KerasHub's networks after =, such as {name}=hf://owner/name, "
            "kaggle://…, a folder or random"
        )
    if given not in ("random", networks.IMAGENET) and not given.startswith(ELSEWHERE):
        if not (Path(given).is_file() or origin.is_preset(given)):
            raise UserError(
                f"got {name}={given}; no file is at {given}: takes one of weights after =, or imagenet or random"
            )
        given = str(Path(given).resolve())
    origin.refuse_ending(given, name)
    return given


def _note(candidate: Candidate, current: dict[str, Any], inputs: dict[str, str]) -> Path:
    """Where what came of a network is noted, by all that it depends on."""
    values = {name: value for name, value in current.items() if name.partition(".")[0] != "backbone"}
    values |= candidate.parameters
    read = {name: value for name, value in values.items() if name.partition(".")[0] not in UNREAD}
    key = hashlib.sha256(json.dumps([read, inputs, _hashed(candidate.weights)], sort_keys=True).encode())
    key = key.hexdigest()[:16]
    return NOTES / f"{candidate}-{key}.json"


def _hashed(weights: str) -> str | dict[str, str] | None:
    """The hash of a file, or of each in a folder; None of what is not here."""
    path = Path(weights)
    if not path.is_dir():
        return files.sha256(path) if path.is_file() else None
    return {str(file.relative_to(path)): files.sha256(file) for file in path.rglob("*") if file.is_file()}


def _read(note: Path) -> Outcome | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        groups = None if found["groups"] is None else np.array(found["groups"], int)
        right = np.array([int(digit) for digit in found["right"]], bool)
        return Outcome(**found | {"right": right, "groups": groups})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _write(note: Path, outcome: Outcome) -> None:
    right = "".join(str(int(is_right)) for is_right in outcome.right)
    groups = None if outcome.groups is None else outcome.groups.tolist()
    files.write_text(note, json.dumps(outcome._asdict() | {"right": right, "groups": groups}) + "\n")


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def main() -> int:
    parser = Parser(
        prog="python -m headstart.compare_backbones",
        description="Which network suits my images? The head alone on each, by cross-validation; `python -m "
        "headstart.backbones` lists the networks.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME[@SIZE][=WEIGHTS]",
        help="two or more networks, also with commas between them; SIZE in pixels, default: what the weights were "
        f"published for, {HUB_SIZE} for hub:NAME; WEIGHTS: a file, or what backbone.weights takes",
    )
    parser.add_argument(
        "--weights", metavar="WEIGHTS", help="of networks that name none: imagenet, or random to try it out"
    )
    options = parser.parse_args()
    wanted = candidates(options.names, options.weights or None)
    dataset = params.load().dataset
    if dataset.source is not None and not Path(dataset.path).exists():
        experiments.reproduce("fetch")  # once for all
    outcomes, failed = run(wanted)
    if outcomes:
        console, rows = Console(highlight=False), table(outcomes)
        console.width = max(console.width, console.measure(rows, options=console.options.update(width=1000)).maximum)
        console.print(rows)
        if len(outcomes) > 1:
            say(*sentences(outcomes))
        draw(PICTURE, outcomes)
        say(f"in a picture: {PICTURE}")
    return max([errors.fail(f"{candidate}: {why}") for candidate, why in failed.items()], default=0)


if __name__ == "__main__":
    errors.run(main)
