"""`python -m headstart.experiments`: the experiments that DVC keeps, with the numbers that a person wants first.

How long a run took is not among them: it takes what it can out of DVC's cache, so the time says what had run before,
not what was tried; and a time in the metrics would make every run differ. `dvc queue logs NAME` has it, and
`dvc exp show` says when a run was made.
"""

import argparse
import fnmatch
import json
import sys
from dataclasses import dataclass
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from scmrepo.exceptions import SCMError

from headstart import errors
from headstart.errors import UserError

TEST, DATASET = "metrics/test.json", "metrics/dataset.json"
MODELS = {"head": "head alone", "fine_tuned": "fine-tuned"}


@dataclass(frozen=True)
class Run:
    """A finished run: an experiment, or the commit that experiments start from.

    `name`: the experiment's, or the branch's; `rev`: its Git commit; `params`: all parameters by their
    dotted names; `test`: the numbers in metrics/test.json; `counts`: images by split and class.
    """

    name: str
    rev: str
    params: dict[str, Any]
    test: dict[str, Any]
    counts: dict[str, dict[str, int]]

    def training_images(self) -> int:
        """How many images the run was trained on."""
        count, train = self.params.get("train_images"), self.counts["train"]
        return sum(train.values()) if count is None else count * len(train)

    def read(self, path: str) -> str:
        """The text of a file as this run left it, from DVC or Git; nothing is checked out."""
        try:
            return dvc.api.read(path, rev=self.rev, encoding="utf-8")
        except (DvcException, OSError) as error:
            raise UserError(f"{self.name} has no {path} ({error}): run it again, or leave it out") from None


def finished(rev: str | None = None, names: list[str] | None = None) -> list[Run]:
    """The runs that have a result: the commit `rev` (default: HEAD), then the experiments that start from it.

    names: names or patterns (`rate-*`) of those to take, in this order; default: all.

    Raises UserError where there is none.
    """
    try:
        with Repo() as repo:
            baselines = repo.experiments.show(revs=rev, hide_queued=True, hide_failed=True, hide_workspace=True)
    except (DvcException, SCMError) as error:
        raise UserError(f"DVC cannot list the experiments: {error}") from None
    states = []
    for baseline in baselines:
        if stale := _stale(baseline):
            print(f"left out {baseline.name}: {stale}", file=sys.stderr)
        else:
            states.append(baseline)
        states += [one.revs[0] for one in baseline.experiments or []]
    runs = []
    for state in states:
        # A commit before the first run has no metrics yet.
        test, dataset = (_data(state, path) for path in (TEST, DATASET))
        if test and dataset:
            values = flat(state.data.params["params.yaml"]["data"])
            name = state.name or state.rev[:7]
            runs.append(Run(name, state.rev, values, test, dataset["counts"]))
    if not runs:
        raise UserError("no run has a result yet: `dvc exp run`, or `dvc repro` and `git commit`, makes one")
    if names:
        unknown = [name for name in names if not fnmatch.filter([run.name for run in runs], name)]
        if unknown:
            raise UserError(
                f"no finished experiment of this commit is named {unknown[0]}; there are: {_listed(runs)} "
                "(--rev COMMIT takes those that start from another)"
            )
        named = [run for name in names for run in runs if fnmatch.fnmatch(run.name, name)]
        runs = list({run.rev: run for run in named}.values())
    return runs


def flat(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by their dotted names."""
    values = {}
    for name, value in section.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return values


def differing(runs: list[Run]) -> list[str]:
    """The parameters that are not the same in all runs, in the order of params.yaml."""
    names = dict.fromkeys(name for run in runs for name in run.params)
    return [name for name in names if len({plain(run.params.get(name)) for run in runs}) > 1]


def plain(value: Any) -> str:
    """A parameter's value as one writes it in params.yaml."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def table(runs: list[Run]) -> Table:
    """One row a run: what differs, training images, and the test accuracy of both models with its 95 % interval."""
    names = [name for name in differing(runs) if name != "train_images"]  # it has its own column
    same = [plain(runs[0].params[name]) for name in ("backbone.name", "fine_tune.cut") if name not in names]
    tests = sorted({run.test["images"] for run in runs})
    drawn = Table(
        title=", ".join([f"{' or '.join(f'{count:,}' for count in tests)} test images", *same]), title_justify="left"
    )
    drawn.add_column("experiment")
    for name in names:
        drawn.add_column(name.replace(".", ".\n"), justify="right")
    drawn.add_column("training\nimages", justify="right")
    for name in MODELS.values():
        drawn.add_column(f"{name}\naccuracy", justify="right", min_width=13)  # an interval is never cut short
    for run in runs:
        accuracies = [
            f"{score['accuracy']:.4f} ({score['accuracy_low']:.3f}–{score['accuracy_high']:.3f})"
            for score in (run.test[key] for key in MODELS)
        ]
        values = [plain(run.params.get(name)) for name in names]
        drawn.add_row(run.name, *values, f"{run.training_images():,}", *accuracies)
    return drawn


def parser(description: str, prog: str) -> argparse.ArgumentParser:
    """Command-line arguments that say which runs: names, and --rev."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument("names", nargs="*", metavar="EXPERIMENT", help="names or patterns ('rate-*'); default: all")
    made.add_argument("--rev", metavar="COMMIT", help="the commit that the experiments start from; default: HEAD")
    return made


def main() -> None:
    arguments = parser("The finished experiments, with their test accuracy.", "python -m headstart.experiments")
    asked = arguments.parse_args()
    Console(highlight=False).print(table(finished(asked.rev, asked.names)))


def _data(state: Any, path: str) -> dict | None:
    return None if state.data is None else state.data.metrics.get(path, {}).get("data")


def _stale(state: Any) -> str | None:
    """Why the metrics of a commit are not of its parameters; an experiment's always are."""
    if not _data(state, TEST):
        return None
    try:
        lock = YAML(typ="safe", pure=True).load(dvc.api.read("dvc.lock", rev=state.rev, encoding="utf-8"))
    except (DvcException, OSError):
        return "it has metrics, but no dvc.lock that says of what"
    values = flat(state.data.params["params.yaml"]["data"])
    for stage in lock["stages"].values():
        for name, value in flat(stage.get("params", {}).get("params.yaml", {})).items():
            if values.get(name) != value:
                return f"{name} in its params.yaml is not what was run"
    return None


def _listed(runs: list[Run]) -> str:
    return ", ".join(run.name for run in runs)


if __name__ == "__main__":
    errors.run(main)
