"""Experiments through the real DVC: a queue, the table, the diffs, the comparison and the learning curve."""

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, Project, data_of
from PIL import Image
from rich.console import Console
from ruamel.yaml import YAML

from headstart import experiments
from headstart.artifacts import results
from headstart.base import yaml12
from headstart.base.errors import UserError

# Another batch size makes extraction run again: once, and not for each size.
COMMON = {"extract.batch_size": 16}


@pytest.fixture(scope="module")
def queued(_reproduced, tmp_path_factory) -> Project:
    """The project after a queue of two experiments, size-1 and size-2, of two and four training images per class."""
    project = Project(tmp_path_factory.mktemp("queued") / "project")
    shutil.copytree(_reproduced, project.path)
    project.set(COMMON)
    project.commit("Larger batches")
    # The images are in no repository: what is queued gets a copy.
    queue = ["exp", "run", "--queue", "-C", "data/my_images", "-n", "size", "-S", "train_images=2,4"]
    project.dvc(*queue, "evaluate")  # nothing here looks at the page
    project.dvc("exp", "run", "--run-all")
    return project


@pytest.fixture
def tried(queued, tmp_path) -> Project:
    """A copy of it to change. A worker of the queue may still be writing its marks when the runs are done."""
    ignore = shutil.ignore_patterns("celery")
    return Project(Path(shutil.copytree(queued.path, tmp_path / "project", ignore=ignore)))


def module(project, name, *arguments, check=True):
    project.environment["COLUMNS"] = "160"
    return project.run("python", "-m", f"headstart.{name}", *arguments, check=check)


def test_two_queued_runs_extract_once(queued):
    logs = [queued.dvc("queue", "logs", name).stdout for name in ("size-1", "size-2")]
    assert [log.count("Running stage 'train_head'") for log in logs] == [1, 1]
    assert [log.count("Running stage 'extract'") for log in logs] == [1, 0]
    assert [log.count("Running stage 'split'") for log in logs] == [0, 0]


def test_the_table_has_what_a_person_wants_first(queued):
    shown = list(csv.DictReader(io.StringIO(queued.dvc("exp", "show", "--csv").stdout)))
    accuracy = {row["Experiment"]: row["fine_tuned.accuracy"] for row in shown}
    assert {"size-1", "size-2"} <= accuracy.keys()
    done = module(queued, "experiments")
    for name, images in (("size-1", 4), ("size-2", 8)):
        row = next(line for line in done.stdout.splitlines() if name in line)
        assert re.search(rf"│ +{images} │", row)
        assert f"{float(accuracy[name]):.4f} (" in row
    assert "8 test images, TinyNet, conv3_relu" in done.stdout
    only = module(queued, "experiments", "*-2").stdout
    assert "size-2" in only and "size-1" not in only
    queued.environment["COLUMNS"] = "80"
    narrow = queued.run("python", "-m", "headstart.experiments").stdout
    assert max(map(len, narrow.splitlines())) <= 80 and len(re.findall(r"\(\d\.\d{3}–\d\.\d{3}\)", narrow)) == 4
    queued.environment["COLUMNS"] = "40"
    assert len(re.findall(r"\(\d\.\d{3}–\d\.\d{3}\)", queued.run("python", "-m", "headstart.experiments").stdout)) == 4
    unknown = module(queued, "experiments", "seize-1", check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.splitlines()[-1].startswith(
        "error: no finished experiment of this commit is named seize-1; there are: size"
    )


def test_a_commit_whose_parameters_were_not_run_is_left_out(queued):
    # Its metrics are of batches of 8, its params.yaml says 16.
    done = module(queued, "experiments")
    assert re.search(r"^left out \w+: extract\.batch_size in its params\.yaml is not what was run$", done.stderr, re.M)
    before = module(queued, "experiments", "--rev", "HEAD~1")
    assert before.stderr == "" and "size-1" not in before.stdout and "16 │" in before.stdout


@pytest.mark.parametrize(
    ("ran", "now", "name"),
    [
        ({"dataset.group": None}, {"dataset": {"group": {"folder": 0}}}, "dataset.group"),
        (
            {"decision": {"costs": {"a": {"b": 5}}}},
            {"decision": {"costs": {"a": {"b": 5, "c": 2}}}},
            "decision.costs.a.c",
        ),
        ({"decision": {"costs": {"a": {"b": 5}}}}, {"decision": {"costs": None}}, "decision.costs.a.b"),
        ({"dataset.group": None, "head": {"hidden": []}}, {"dataset": {"group": None}, "head": {"hidden": []}}, None),
        ({"head": {"hidden": []}}, {"head": {"hidden": []}, "header": 1}, None),
    ],
)
def test_a_section_in_the_place_of_null_is_another_parameter(ran, now, name, monkeypatch):
    lock = json.dumps({"stages": {"split": {"params": {"params.yaml": ran}}}})
    monkeypatch.setattr(experiments.dvc.api, "read", lambda path, rev, encoding: lock)
    state = SimpleNamespace(rev="1", data=SimpleNamespace(params={"params.yaml": {"data": now}}))
    if name is None:
        return experiments._check_params(state)
    with pytest.raises(ValueError, match=f"^{name} in its params.yaml is not what was run$"):
        experiments._check_params(state)


def test_what_a_queue_does_not_run_does_not_say_what_a_run_was_of(reproduced, monkeypatch):
    """After a correction alone, committed without a run, `inspect` and `report` have read another file in dvc.lock."""
    monkeypatch.chdir(reproduced.path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", reproduced.environment["DVC_SITE_CACHE_DIR"])
    lock = yaml12.read(Path("dvc.lock"))
    monkeypatch.setattr(experiments.Experiment, "lock", lambda self: lock)
    runs = [experiments.Run("a", "a", {}, None, {})]

    def read_by(stage, path):
        return next(dep for dep in lock["stages"][stage]["deps"] if dep["path"] == path)

    assert experiments.of_these_inputs(runs) == runs
    for stage in ("inspect", "report"):
        read_by(stage, "data/corrections.csv")["md5"] = read_by(stage, "headstart/base")["md5"] = "0" * 32
    assert experiments.of_these_inputs(runs) == runs
    images = read_by("evaluate", "data/my_images")
    images["etag"] = images.pop("md5")  # as of what lies on S3
    assert experiments.of_these_inputs(runs) == runs
    read_by("split", "data/corrections.csv")["md5"] = "0" * 32
    assert experiments.of_these_inputs(runs) == []


def charts_of(path):
    """The charts in a page: their points, by the name of each."""
    return {
        name: {
            run: point
            for trace in chart["data"]
            if "text" in trace
            for run, *point in zip(trace["text"], trace["x"], trace["y"], strict=True)
        }
        for name, chart in data_of(path)["charts"].items()
    }


def test_a_page_has_accuracy_against_what_a_run_costs_wherever_it_ran(tried):
    done = module(tried, "experiments", "--html")
    assert done.stdout.splitlines()[-1] == "The page: metrics/experiments.html"
    page = tried.path / "metrics/experiments.html"
    assert "metrics/experiments.html" not in tried.run("git", "status", "--short").stdout
    seconds, by_value = charts_of(page).values()
    # size-2 took its extraction out of the cache; what that cost is known all the same.
    assert seconds.keys() == by_value.keys() == {"size-1", "size-2"}
    for name, (cost, accuracy) in seconds.items():
        (data,) = re.findall(rf">{name}</th>.*?</tr>", page.read_text(), re.DOTALL)
        assert 0 < cost < 2000 and f"{accuracy:.4f} (" in data
    assert {name: value for name, (value, _) in by_value.items()} == {"size-1": 2, "size-2": 4}


def test_a_page_of_a_comparison_says_what_the_terminal_says_and_replaces_no_other_file(tried):
    done = module(tried, "compare", "size-1", "size-2", "--html", "my page.html")
    sentence = done.stdout.splitlines()[-2]
    text = (tried.path / "my page.html").read_text()
    assert f"<p>{html.escape(sentence)}</p>" in text and ">A</th>" in text
    module(tried, "compare", "size-1", "size-2", "--html", "my page.html")
    notes = tried.path / "notes.html"
    notes.write_text("<p>My notes")
    for command in ("compare", "experiments"):
        refused = module(tried, command, "size-1", "size-2", "--html", "notes.html", check=False)
        assert refused.returncode == 1 and refused.stderr.splitlines()[-1] == (
            "error: --html: got notes.html, which is a file of something else: give another name, or remove it"
        )
        assert not refused.stdout
        folder = module(tried, command, "size-1", "size-2", "--html", "metrics", check=False)
        assert folder.returncode == 1 and folder.stderr.splitlines()[-1].startswith("error: --html: got metrics; takes")
        swallowed = module(tried, command, "--html", "size-1", check=False)
        assert swallowed.stderr.endswith(
            "got size-1; takes a name that ends with .html: names of experiments stand before it\n"
        )
    assert notes.read_text() == "<p>My notes"


def test_what_went_on_where_it_stopped_or_ran_elsewhere_has_no_seconds(tried):
    notes = tried.path / ".dvc/tmp/seconds.csv"
    notes.write_bytes(notes.read_bytes().replace(b",fine_tune,", b",other,") + b"0123456789abcdef,fine_t")
    module(tried, "experiments", "--html", "a.html")
    text = (tried.path / "a.html").read_text()
    assert "seconds" not in charts_of(tried.path / "a.html")
    (untimed,) = re.findall(r"or were interrupted: (.*)\.</p>", text)
    assert sorted(untimed.split(", ")) == ["size-1", "size-2"]


def test_a_run_of_an_earlier_version_is_left_out_by_name(reproduced):
    path = reproduced.path / results.TEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"mcnemar": content["mcnemar"]["fine_tuning"]}))
    reproduced.commit("As version 0.1.0 wrote it")
    branch = reproduced.run("git", "branch", "--show-current").stdout.strip()
    for name in ("experiments", "compare", "learning_curve"):
        done = module(reproduced, name, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"left out {branch}: metrics/test.json is not what the stage evaluate writes (it is in the form of an "
            "earlier version of Headstart); run it again",
            "error: no run has a result to show: `dvc exp run`, or `dvc repro` and `git commit`, makes one",
        ]


def test_a_run_that_scored_the_head_alone_is_listed(reproduced):
    path = reproduced.path / results.TEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: content[name] for name in ("head", "images")} | {"mcnemar": {}}))
    reproduced.commit("Fine-tuning was no better")
    done = module(reproduced, "experiments")
    assert done.stderr == ""
    assert f"│ {content['head']['accuracy']:.4f} (" in done.stdout


def run(name, **accuracies):
    scores = {
        model: {"accuracy": x, "accuracy_low": x - 0.1, "accuracy_high": x + 0.1} for model, x in accuracies.items()
    }
    params = {"backbone.name": "MobileNet", "fine_tune.cut": 0, "train_images": 4, "head.dropout": name}
    return experiments.Run(name, name, params, results.Results(8, scores, {}), {"train": {"cat": 9, "dog": 9}})


def test_the_table_has_the_models_that_a_run_has(capsys):
    def rows(*runs):
        Console(width=160).print(experiments.table(list(runs)))
        lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
        return [[cell.strip() for cell in line.split("│")[4:-1]] for line in lines]

    plain, averaged = run("a", head=0.5, fine_tuned=0.6), run("b", head=0.5, fine_tuned=0.6, averaged=0.7)
    head, fine_tuned = "0.5000 (0.400–0.600)", "0.6000 (0.500–0.700)"
    assert rows(plain, averaged) == [[head, fine_tuned, "–"], [head, fine_tuned, "0.7000 (0.600–0.800)"]]
    assert rows(plain, run("c", head=0.5, fine_tuned=0.6)) == [[head, fine_tuned], [head, fine_tuned]]


def test_metrics_and_plots_of_two_experiments_are_held_against_each_other(queued):
    changes = json.loads(queued.dvc("metrics", "diff", "size-1", "size-2", "--json").stdout)
    assert {"old", "new", "diff"} <= changes["metrics/test.json"]["fine_tuned.loss"].keys()
    page = queued.dvc("plots", "diff", "size-1", "size-2", "-o", "page").stdout.strip()
    html = Path(page.removeprefix("file://")).read_text()
    assert "size-1" in html and "size-2" in html and "ROC curve, test images" in html


def test_an_experiment_is_applied_or_becomes_a_branch(tried):
    classifier = tried.path / "models/classifier.keras"
    before = classifier.read_bytes()
    tried.dvc("exp", "apply", "size-2")
    assert YAML(typ="safe").load(tried.path / "params.yaml")["train_images"] == 4
    assert classifier.read_bytes() != before
    assert tried.ran(tried.repro("evaluate")) == []
    tried.dvc("exp", "branch", "size-1", "two-images")
    assert "\ntrain_images: 2 " in tried.run("git", "show", "two-images:params.yaml").stdout


def test_a_run_in_the_workspace_takes_the_features_of_the_queue(tried):
    done = tried.dvc("exp", "run", "-n", "here", "-S", "train_images=3", "train_head")
    assert tried.ran(done) == ["train_head"]
    listed = csv.DictReader(io.StringIO(tried.dvc("exp", "show", "--csv").stdout))
    assert {row["Experiment"]: row["train_images"] for row in listed}["here"] == "3"


def test_two_experiments_are_compared_without_checking_them_out(queued):
    before = queued.run("git", "status", "--porcelain").stdout
    done = module(queued, "compare")
    assert queued.run("git", "status", "--porcelain").stdout == before
    assert done.stdout.count(" ± ") == 0
    last = done.stdout.splitlines()[-1]
    assert re.match(
        r"B against A, classifier, 8 test images: [+-]\d+\.\d\d points, p = .*(luck|others|difference)", last
    )
    alone = module(queued, "compare", "size-1", check=False)
    assert alone.returncode == 1
    assert alone.stderr.splitlines()[-1].startswith("error: nothing to compare: all runs have the same parameters")


def test_the_learning_curve_is_drawn_and_only_what_is_missing_is_queued(tried):
    done = module(tried, "learning_curve")
    assert done.stdout.count("no power law, which takes three sizes") == 2
    assert re.search(r"│ 4 +│ 1 ", done.stdout)
    with Image.open(tried.path / "metrics/learning_curve.png") as image:
        image.load()
        assert min(image.size) > 300

    done = module(tried, "learning_curve", "--queue", "--sizes", "2,4,8,100,1000", "--seeds", "1")
    assert "left out: 100, 1,000 per class, since class blue has 8 training images" in done.stdout
    commands = [line for line in done.stdout.splitlines() if line.startswith("$")]
    assert commands == ["$ dvc exp run --queue --copy-paths data/my_images -S train_images=8 -S seed=1 evaluate"]
    assert tried.dvc("queue", "status").stdout.count("Queued") == 1

    tried.set({"head.dropout": 0.5})
    other = module(tried, "learning_curve", check=False)
    assert other.returncode == 1
    assert "error: no experiment with train_images and these parameters, code and images yet" in other.stderr
    tried.set({"head.dropout": 0.0})
    assert "│ 4 " in module(tried, "learning_curve").stdout
    shutil.copy(tried.path / "data/my_images/red/00.png", tried.path / "data/my_images/red/99.png")
    assert module(tried, "learning_curve", check=False).stderr == other.stderr, "its runs are of other images"


def test_live_metrics_grow_while_a_stage_trains(reproduced):
    reproduced.set({"head.epochs": 100_000})
    curve = reproduced.path / "metrics/head/plots/metrics/validation/loss.tsv"
    before = curve.read_text().count("\n")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train_head"],
        cwd=reproduced.path,
        env=reproduced.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            first = grown(curve, before, process)
            page = reproduced.dvc("plots", "show", "-o", "page").stdout.strip()
            assert '"step": "' + str(first - 2) in Path(page.removeprefix("file://")).read_text()
            assert grown(curve, first, process) > first
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def grown(curve: Path, lines: int, process: subprocess.Popen) -> int:
    """The lines of the file once they are more than `lines`, written by a stage that is still at work."""
    start = time.monotonic()
    while time.monotonic() - start < 120:
        assert process.poll() is None
        count = curve.read_text().count("\n") if curve.exists() else 0
        if count > lines:
            return count
        time.sleep(0.05)
    raise AssertionError(f"{curve} does not grow")


def test_images_at_a_relative_path_outside_are_not_queued(tmp_path, monkeypatch):
    """A queued run has another folder, from which such a path leads elsewhere."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Project(tmp_path).set({"dataset.source": None, "dataset.path": "../mine", "dataset.sha256": None})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=rf"^dataset.path: got ../mine, .*put the whole path there, {tmp_path.parent}/mine"
    ):
        experiments.queue({"fold": [1, 2]})
