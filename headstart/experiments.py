"""`python -m headstart.experiments`: the experiments that DVC keeps, with the numbers that a person wants first.

How long a run took is not among them: it takes what it can out of DVC's cache, so the time says what had run before,
not what was tried. What it costs say the notes of `headstart/base/seconds.py`; `--html` draws accuracy against that.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.api
import numpy as np
from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich.console import Console
from scmrepo.exceptions import SCMError

from headstart.artifacts import dataset, features, manifest, predictions, results
from headstart.artifacts.corrections import CORRECTIONS
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import MODELS, Results
from headstart.base import account, origin, params, seconds, yaml12
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.params import PARAMS
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.page import comparison

ASIDE = "aside-"  # how the names begin of experiments that do not get to `evaluate`
TEMPORARY = Path(".dvc/tmp")
LAST = "evaluate"  # the stage that experiments are queued up to: nobody opens the page of each
UNFINISHED = ("queued", "running", "failed")  # what DVC calls the states of an experiment without a result


@dataclass(frozen=True)
class Experiment:
    """What DVC has run, as far as it went.

    `name`: the experiment's, or the branch's; `rev`: its Git commit, or the name; `params`: all parameters by their
    dotted names.
    """

    name: str
    rev: str
    params: dict[str, Any]

    def read(self, path: Path) -> str:
        """The text of a file as this run left it, from DVC or Git; nothing is checked out. Raises UserError."""
        try:
            return dvc.api.read(str(path), rev=self.rev, encoding="utf-8")
        except (DvcException, OSError) as error:
            raise UserError(
                f"{self.name} has no {path} in Git, nor in DVC's cache ({error}): name the runs that have one, or "
                "commit the run that the others start from (`dvc repro`, then `git commit -am ...`)"
            ) from None

    def manifest(self) -> Manifest:
        """Its images, with the splits that `fold: null` has. Raises UserError where that cannot be read."""
        try:
            return manifest.parse(self.read(manifest.MANIFEST), self.read(manifest.CLASSES))
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.name}: {manifest.MANIFEST} is damaged ({error}); run it again") from None

    def lock(self) -> dict[str, Any]:
        """Its dvc.lock. Raises UserError."""
        return yaml12.parse(self.read(seconds.LOCK))

    def inputs(self, stages: set[str]) -> dict[str, str | None]:
        """The hashes of what these stages read, by path, as they stand in its dvc.lock. Raises UserError."""
        recorded = self.lock()["stages"]
        deps = [dep for name in stages & recorded.keys() for dep in recorded[name].get("deps", [])]
        # What lies on S3 has an ETag.
        return {dep["path"]: dep.get("md5", dep.get("etag")) for dep in deps}

    def averages(self, table: Manifest) -> np.ndarray:
        """As `features.averages`, of its own features. Raises UserError.

        table: its manifest. They are copied out of DVC's cache, into a folder that goes again.
        """
        with tempfile.TemporaryDirectory(dir=TEMPORARY, prefix="features-") as folder:
            try:
                files = dvc.api.DVCFileSystem(rev=self.rev)
                files.get(str(features.BOTTLENECK), str(Path(folder, features.BOTTLENECK)), recursive=True)
            except (DvcException, OSError) as error:
                raise UserError(f"{self.name} has no {features.BOTTLENECK} in DVC's cache ({error})") from None
            return features.averages(Path(folder), table)


@dataclass(frozen=True)
class Run(Experiment):
    """A finished run: an experiment, or the commit that experiments start from.

    `results`: what metrics/test.json holds; `counts`: images by split and class, as in this run.
    """

    results: Results
    counts: dict[str, dict[str, int]]

    def training_images(self) -> int:
        """How many images the run was trained on."""
        count, train = self.params.get("train_images"), self.counts["train"]
        return sum(train.values()) if count is None else count * len(train)

    def left_out_by_corrections(self) -> int:
        """How many images data/corrections.csv leaves out, but for a publisher's test images. Raises UserError."""
        summary = json.loads(self.read(dataset.DATASET))
        reasons = [entry["reason"] for entry in summary["left_out"]]
        count = sum(reason.startswith(f"left out by {CORRECTIONS}") for reason in reasons)
        # Counted by split there, but not those that only folds use.
        return count - (summary["corrections"]["left_out"]["test"] if "test" in summary["published"] else 0)

    def predictions(self) -> Predictions:
        """What its models predict for its test images. Raises UserError where that cannot be read."""
        try:
            return predictions.parse(self.read(predictions.PREDICTIONS))
        except ValueError as error:
            raise UserError(f"{self.name}: {error}; run it again, or leave it out") from None

    def dot(self, differing: list[str], group: str) -> comparison.Dot:
        """What the page of many runs shows of it. differing: the parameters to name. Raises UserError."""
        score = self.results.scores[self.results.delivered]
        given = {name: self.params.get(name) for name in differing}
        values = {name: value if is_number(value) else plain(value) for name, value in given.items()}
        interval = score["accuracy_low"], score["accuracy_high"]
        return comparison.Dot(self.name, group, score["accuracy"], *interval, seconds.of(self.lock()), values)


@dataclass(frozen=True)
class Task:
    """An experiment in DVC's queue without a result: `state` is queued, running or failed; `log`: its output's file."""

    name: str
    state: str
    params: dict[str, Any]
    log: Path | None

    def last_words(self) -> str:
        """The last error in its log, or else the last line; empty where there is no log."""
        if self.log is None or not self.log.exists():
            return ""
        return _last_words(self.log.read_text(encoding="utf-8", errors="replace").splitlines())


def finished(rev: str | None = None, names: list[str] | None = None) -> list[Run]:
    """The runs that have a result: the commit `rev` (default: HEAD), then the experiments that start from it.

    names: names or patterns (`rate-*`) of those to take, in this order; default: all.

    A run whose result is not of its parameters, or in the form of an earlier version, is left out and named on
    standard error. Raises UserError where none is left.
    """
    runs = []
    for baseline in _baselines(rev):
        # What is still running has the metrics of the commit that it started from.
        done = [entry for entry in baseline.experiments or [] if _state(entry) not in UNFINISHED]
        done = [entry for entry in done if not (entry.name or "").startswith(ASIDE)]
        for state in (baseline, *(experiment.revs[0] for experiment in done)):
            # A commit before the first run has no metrics yet.
            if _data(state):
                name = state.name or state.rev[:7]
                try:
                    if state is baseline:
                        _check_params(state)
                    runs.append(_run(name, state))
                except ValueError as error:
                    say(f"left out {name}: {error}", file=sys.stderr)
    if not runs:
        raise UserError("no run has a result to show: `dvc exp run`, or `dvc repro` and `git commit`, makes one")
    return _named(runs, names) if names else runs


def tasks() -> list[Task]:
    """The experiments of this commit in DVC's queue that have no result, those that failed last at the end."""
    listed = []
    for entry in [entry for baseline in _baselines() for entry in baseline.experiments or []]:
        if (state := _state(entry)) in UNFINISHED:
            local, of = entry.executor.local, entry.revs[0]
            log = Path(local.log) if local and local.log else None
            values = of.data.params.get(str(PARAMS), {}).get("data", {}) if of.data else {}
            listed.append(Task(entry.name or of.rev[:7], state, flat(values), log))
    return sorted(listed, key=lambda task: task.log.stat().st_mtime if task.log and task.log.exists() else 0)


def queue(swept: dict[str, Any]) -> None:
    """Queue experiments for `dvc exp run --run-all`, up to `LAST`: one for each combination of parameters' values.

    swept: by a parameter's name a value, or a list of values. Raises UserError where DVC refuses.
    """
    values = {name: value if isinstance(value, list) else [value] for name, value in swept.items()}
    settings = [part for name, value in values.items() for part in ("-S", f"{name}={','.join(map(plain, value))}")]
    command = ["dvc", "exp", "run", "--queue", *_copied(), *settings, LAST]
    say(" ".join(["$", *command]))
    if subprocess.run([sys.executable, "-m", *command]).returncode:
        raise UserError("DVC did not queue these runs and says why above: mend that and run this again")


def reproduce(stage: str) -> None:
    """Run the pipeline up to `stage` in this folder. Raises UserError where that fails."""
    if subprocess.run([sys.executable, "-m", "dvc", "repro", stage]).returncode:
        raise UserError(f"`dvc repro {stage}` failed and says why above: mend that and run this again")


@contextmanager
def aside(values: dict[str, Any], stage: str, heard: Callable[[str], None]) -> Iterator[Experiment]:
    """Run an experiment up to `stage`, here and now, in a folder of its own, and yield it; afterwards it is removed.

    What it wrote stays in DVC's cache. An experiment that does not get to `evaluate` has the metrics of the commit that
    it starts from, so that it must not be listed among the others.

    values: by parameters' names. heard: takes each line that it prints. Raises UserError with its last words.
    """
    account.require()
    name = f"{ASIDE}{os.getpid()}-{time.time_ns() // 10**6}"
    overrides = []
    for parameter, value in values.items():
        # Hydra would merge a section into the one that is there, and fails on a list.
        is_section = isinstance(value, dict)
        overrides += [f"~{parameter}"] if is_section else []
        overrides.append(f"{'+' if is_section else ''}{parameter}={_quoted(value)}")
    # In a fresh clone dvc.lock tells of pictures that no cache has, and DVC, which looks at all plots, fails on them.
    overrides += [f"{seconds.LOCK}:~stages.{other}" for other in _recorded() - _upstream(stage)]
    settings = [part for override in overrides for part in ("-S", override)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *_copied(), *settings, stage]
    lines = []
    try:
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
        # A group of its own: Ctrl-C reaches DVC and its stage once, and this waits for their end.
        with subprocess.Popen(command, start_new_session=True, **output) as process:
            try:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    heard(lines[-1])
            except BaseException:
                os.killpg(process.pid, signal.SIGINT)
                process.wait()
                raise
        if process.returncode:
            raise UserError(_last_words(lines).removeprefix("error: ") or "DVC does not say why")
        yield Experiment(name, name, current() | values)
    finally:
        subprocess.run([sys.executable, "-m", "dvc", "exp", "remove", "--quiet", name], capture_output=True)


def current() -> dict[str, Any]:
    """The parameters in params.yaml by their dotted names, checked: as they stand there, like those of a `Run`."""
    params.load()
    return flat(yaml12.read(PARAMS))


def alike(one: dict[str, Any], other: dict[str, Any], free: set[str]) -> bool:
    """Whether two sets of parameters, by their dotted names, are the same but for the `free` ones."""
    return all(one.get(name) == other.get(name) for name in {*one, *other} - free)


def of_these_inputs(runs: list[Run]) -> list[Run]:
    """The runs whose code and images are those that lie here now. Raises UserError where the images are gone.

    Those of the stages up to `LAST`: what a queue does not run has its entries in dvc.lock from an earlier run.
    """
    given, stages = inputs(), _upstream(LAST)
    return [run for run in runs if given.items() <= run.inputs(stages).items()]


def inputs() -> dict[str, str]:
    """The hashes of what stages up to `LAST` read and none of them writes, by path: code, images. Raises UserError."""
    try:
        with Repo() as repo:
            written, stages = [Path(out.fs_path) for out in repo.index.outs], _upstream(LAST)
            deps = [dep for dep in repo.index.deps if dep.stage.addressing in stages]
            read = {dep.def_path: dep for dep in deps if not isinstance(dep, ParamsDependency)}
            return {
                path: dep.get_hash().value
                for path, dep in read.items()
                if not any(Path(dep.fs_path).is_relative_to(out) for out in written)
            }
    except (DvcException, OSError) as error:
        raise UserError(f"DVC cannot read what the stages depend on: {error}") from None


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


def is_number(value: Any) -> bool:
    """Whether a parameter's value is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def scored(runs: list[Run]) -> list[str]:
    """The models that at least one of the runs has, in the order of `MODELS`."""
    return [model for model in MODELS if any(model in run.results.scores for run in runs)]


def cells(runs: list[Run]) -> tuple[list[str], list[list[str]]]:
    """Headings and one row per run: what differs, training images, each model's test accuracy with its interval."""
    names = [name for name in differing(runs) if name != "train_images"]  # it has its own column
    models, rows = scored(runs), []
    for run in runs:
        accuracies = [
            f"{score['accuracy']:.4f} ({score['accuracy_low']:.3f}–{score['accuracy_high']:.3f})" if score else "–"
            for score in map(run.results.scores.get, models)
        ]
        values = [plain(run.params.get(name)) for name in names]
        rows.append([run.name, *values, f"{run.training_images():,}", *accuracies])
    return ["experiment", *names, "training images", *(f"{MODELS[model]} accuracy" for model in models)], rows


def heading(runs: list[Run]) -> str:
    """What all runs have in common, in one line."""
    names = differing(runs)
    same = [_backbones(runs[0])] if {"backbone", "backbone.name"}.isdisjoint(names) else []
    same += [plain(runs[0].params[name]) for name in ("fine_tune.cut",) if name not in names]
    counts = " or ".join(f"{count:,}" for count in sorted({run.results.images for run in runs}))
    return ", ".join([f"{counts} test images", *same])


def _backbones(run: Run) -> str:
    """The names of the backbones: `backbone` is one section, or a list of them."""
    several = run.params.get("backbone")
    return " and ".join(of["name"] for of in several) if several else plain(run.params["backbone.name"])


def table(runs: list[Run]) -> Table:
    """The same as the terminal has it."""
    (first, *headings), rows = cells(runs)
    shown = Table(title=heading(runs), title_justify="left")
    shown.add_column(first)
    for name in headings:
        broken = "\n".join(name.rsplit(" ", 1)).replace(".", ".\n")
        # An interval is never cut short.
        shown.add_column(broken, justify="right", min_width=13 if name.endswith(" accuracy") else None)
    for row in rows:
        shown.add_row(*row)
    return shown


def page(
    path: Path, title: str, lines: list[str], cells: tuple[list[str], list[list[str]]], dots: list[comparison.Dot]
) -> None:
    """Write a page of many runs, with those lines, that table and a dot for each. Raises UserError."""
    comparison.write(path, title, lines, cells, dots)


def holm(ps: Iterable[float]) -> np.ndarray:
    """Holm's p-values for several tests: float (n,), in the order of `ps`."""
    ps = np.asarray(list(ps), float)
    order, adjusted = np.argsort(ps), np.empty(len(ps))
    adjusted[order] = np.maximum.accumulate((len(ps) - np.arange(len(ps))) * ps[order]).clip(max=1)
    return adjusted


def add_html(arguments: argparse.ArgumentParser, default: str) -> None:
    """Add `--html` to a parser: the file to write a page to; with no name that is `default`."""
    arguments.add_argument(
        "--html", nargs="?", type=Path, const=Path(default), metavar="FILE", help=f"write a page to FILE ({default})"
    )


def parser(description: str, prog: str) -> argparse.ArgumentParser:
    """A parser of the command-line arguments that say which runs to take: names, and --rev."""
    arguments = Parser(prog=prog, description=description)
    arguments.add_argument("names", nargs="*", metavar="EXPERIMENT", help="names or patterns ('rate-*'); default: all")
    arguments.add_argument("--rev", metavar="COMMIT", help="the commit that the experiments start from; default: HEAD")
    return arguments


def main() -> None:
    arguments = parser("The finished experiments, with their test accuracy.", "python -m headstart.experiments")
    add_html(arguments, "metrics/experiments.html")
    options = arguments.parse_args()
    if options.html:
        comparison.check(options.html)  # before the work
    runs, console = finished(options.rev, options.names), Console(highlight=False)
    rows = table(runs)
    # Where it cannot be folded into the width, the terminal breaks its lines: rich would cut off the last columns.
    narrowest = console.measure(rows, options=console.options.update(width=1000)).minimum
    console.width = max(console.width, narrowest)
    console.print(rows)
    if options.html:
        names = differing(runs)
        dots = [run.dot(names, "run") for run in runs]
        page(options.html, "Experiments", [heading(runs)], cells(runs), dots)
        say(f"The page: {options.html}")


def _baselines(rev: str | None = None) -> list[Any]:
    """The commit `rev` (default: HEAD) with its experiments, as DVC lists them."""
    account.require()
    try:
        with Repo() as repo:
            return repo.experiments.show(revs=rev, hide_workspace=True)
    except (DvcException, SCMError) as error:
        raise UserError(f"DVC cannot list the experiments: {error}") from None


def _copied() -> list[str]:
    """What tells DVC to copy the user's images into the folder of an experiment: what neither Git nor DVC keeps.

    What `fetch` brought it gets from DVC. Raises UserError where dataset.path leads elsewhere from there.
    """
    source = Path(params.load().dataset.path)
    if source.parts[:1] == ("..",):
        raise UserError(
            f"dataset.path: got {source}, which leads elsewhere from the folder that a queued run has: put the whole "
            f"path there, {source.resolve()}, and run `make repro` once"
        )
    elsewhere = source.is_absolute() or origin.is_remote(source)
    return [] if elsewhere or source.is_relative_to("data/raw") else ["--copy-paths", str(source)]


def _recorded() -> set[str]:
    """The stages that dvc.lock tells of."""
    return {*yaml12.read(seconds.LOCK).get("stages", {})} if seconds.LOCK.exists() else set()


def _upstream(stage: str) -> set[str]:
    """A stage, and those whose outs it reads, directly or not."""
    declared = {name: params.declaration(name) for name in yaml12.read(params.PIPELINE)["stages"]}
    found, left = set(), [stage]
    while left:
        found.add(name := left.pop())
        read = [Path(dep) for dep in declared[name].deps]
        for other in declared.keys() - found:
            if any(dep.is_relative_to(out) for out in declared[other].outs for dep in read):
                left.append(other)
    return found


def _quoted(value: Any) -> str:
    """A parameter's value as Hydra's grammar, by which DVC reads it, takes it: what has a = in it stands in quotes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_quoted(inside)}" for key, inside in value.items()) + "}"
    if not isinstance(value, str) or re.fullmatch(r"[\w./-]+", value):
        return plain(value)
    return "'" + value.replace("'", r"\'") + "'"


def _last_words(lines: list[str]) -> str:
    """The last error among lines of output, or else the last line; empty where there is none."""
    lines = [line for line in lines if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")


def _state(entry: Any) -> str | None:
    return entry.executor.state if entry.executor else None


def _data(state: Any) -> dict | None:
    return None if state.data is None else state.data.metrics.get(str(results.TEST), {}).get("data")


def _run(name: str, state: Any) -> Run:
    values = flat(state.data.params[str(PARAMS)]["data"])
    try:
        # Where the head alone was scored nothing is compared, and DVC drops an empty section.
        measured = results.parse({"mcnemar": {}} | _data(state))
    except ValueError as error:
        raise ValueError(f"{error}; run it again") from None
    try:
        summary = json.loads(dvc.api.read(str(dataset.DATASET), rev=state.rev, encoding="utf-8"))
    except (DvcException, OSError, RecursionError) as error:
        raise ValueError(f"it has no {dataset.DATASET} ({error})") from None
    return Run(name, state.rev, values, measured, dataset.counts(summary, values.get("fold")))


def training_images() -> dict[str, int]:
    """Returns how many training images each class has, as `split` has counted them last."""
    return dataset.read()["counts"]["train"]


def _check_params(state: Any) -> None:
    """Raises ValueError where the metrics of a commit are not of its parameters; an experiment's always are."""
    try:
        lock = yaml12.parse(dvc.api.read("dvc.lock", rev=state.rev, encoding="utf-8"))
    except (DvcException, OSError):
        raise ValueError("it has metrics, but no dvc.lock that says of what") from None
    except UserError as error:
        raise ValueError(f"its dvc.lock is {error}") from None
    values = flat(state.data.params["params.yaml"]["data"])
    for stage in lock["stages"].values():
        ran = stage.get("params", {}).get("params.yaml", {})
        then = flat(ran)
        # What was null and is a section now, or has an entry more, has other names: dataset.group.folder.
        now = {name: value for name, value in values.items() if any(f"{name}.".startswith(f"{of}.") for of in ran)}
        if other := [name for name in then | now if then.get(name, ...) != now.get(name, ...)]:
            raise ValueError(f"{other[0]} in its params.yaml is not what was run")


def _named(runs: list[Run], names: list[str]) -> list[Run]:
    """The runs that `names` or patterns name, in their order, each once."""
    there = [run.name for run in runs]
    if unknown := [name for name in names if not fnmatch.filter(there, name)]:
        raise UserError(
            f"no finished experiment of this commit is named {unknown[0]}; there are: {', '.join(there)} "
            "(--rev COMMIT takes those that start from another)"
        )
    matches = [run for name in names for run in runs if fnmatch.fnmatch(run.name, name)]
    return list({run.rev: run for run in matches}.values())


if __name__ == "__main__":
    errors.run(main)
