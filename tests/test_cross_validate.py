"""Every image tested once: on predictions made up for it, and through the real DVC on drawn images."""

import csv
import dataclasses
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import dvc.api
import numpy as np
import pytest
from conftest import Project
from rich.console import Console
from scipy.stats import binomtest

from headstart import cross_validate, experiments
from headstart.artifacts import corrections, dataset, manifest, predictions, results
from headstart.artifacts.manifest import Manifest
from headstart.base import yaml12
from headstart.base.errors import UserError
from headstart.evaluation import scores, trust
from headstart.experiments import Run, Task
from headstart.labels import corrections as correcting

CLASSES = ["cat", "dog"]


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A function that makes the runs of all folds: 40 images, and one more in no fold; some answers are wrong.

    delivered: what each fold's classifier is.
    """
    monkeypatch.chdir(tmp_path)
    files = {}
    monkeypatch.setattr(dvc.api, "read", lambda path, rev, encoding: files[rev, path])

    def make(count=4, delivered=("fine_tuned",) * 4, images=40, groups=None):
        labels = np.arange(images + 1) % 2
        folds = np.append(np.random.default_rng(1).permutation(np.arange(images) % count + 1), 0)
        names = [f"{number:02}.png" for number in range(images + 1)]
        splits = np.array(["train"] * images + ["test"])
        table = Manifest(CLASSES, names, labels, splits, names, groups, folds=folds)
        manifest.write(table)
        changed = {"labels": {"test": 0}, "left_out": {"test": 0}}
        dataset.write(dataset.summarize(table, images + 1, 0, [], [], ["test", "train"], corrections=changed))
        by_fold = {}
        for fold in range(1, count + 1):
            rows = table.for_fold(fold).rows("test")
            probabilities = {
                "head": answers(labels[rows], rows % 5 == 0),
                delivered[fold - 1]: answers(labels[rows], rows % 7 == 0),
            }
            predicted = {model: values.argmax(1) for model, values in probabilities.items()}
            paths = [names[row] for row in rows]
            predictions.write(predictions.Predictions(CLASSES, paths, labels[rows], predicted, probabilities))
            scored = {model: scores.score(labels[rows], values, CLASSES) for model, values in probabilities.items()}
            rev = f"rev{fold}"
            for path in (manifest.MANIFEST, manifest.CLASSES, dataset.DATASET, predictions.PREDICTIONS):
                files[rev, str(path)] = path.read_text()
            by_fold[fold] = Run(
                f"run-{fold}", rev, {"fold": fold, "seed": 1}, results.Results(len(rows), scored, {}), {}
            )
        return by_fold, files

    return make


def answers(labels, wrong):
    """Probabilities, (n, 2): 0.8 for the right class, or where `wrong` for the other one."""
    right = np.where(wrong, 1 - labels, labels)
    return np.where(np.arange(2) == right[:, None], 0.8, 0.2).astype("float32")


def test_each_image_has_the_prediction_of_its_folds_run(made):
    by_fold, _ = made(delivered=("fine_tuned", "averaged", "fine_tuned", "head_averaged"))
    pooled = cross_validate.pool(by_fold)
    rows = np.arange(40)
    assert pooled.paths == [f"{row:02}.png" for row in rows]
    np.testing.assert_array_equal(pooled.predicted["head"] != pooled.labels, rows % 5 == 0)
    np.testing.assert_array_equal(pooled.predicted["classifier"] != pooled.labels, rows % 7 == 0)
    assert np.isfinite(pooled.probabilities["classifier"]).all()
    np.testing.assert_array_equal(pooled.folds, manifest.read().folds[:40])


def test_the_numbers_are_of_all_images_together(made, capsys):
    by_fold, _ = made(delivered=("fine_tuned", "averaged", "fine_tuned", "fine_tuned"))
    pooled = cross_validate.pool(by_fold)
    summary = cross_validate.measure(pooled, by_fold)
    assert (summary["images"], summary["folds"]) == (40, 4)
    for model, wrong in (("head", 8), ("classifier", 6)):
        score, interval = summary[model], binomtest(40 - wrong, 40).proportion_ci(method="wilson")
        assert score["accuracy"] == 1 - wrong / 40
        assert (score["accuracy_low"], score["accuracy_high"]) == pytest.approx((interval.low, interval.high), abs=1e-6)
        assert score["loss"] == pytest.approx(-(wrong * np.log(0.2) + (40 - wrong) * np.log(0.8)) / 40, abs=1e-4)
        recalls = [score["per_class"][name]["recall"] for name in CLASSES]
        assert score["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-6)
        by_hand = [run.results.scores["head" if model == "head" else run.results.delivered] for run in by_fold.values()]
        accuracies = [values["accuracy"] for values in by_hand]
        assert score["by_fold"]["accuracy"] == accuracies and np.mean(accuracies) == pytest.approx(score["accuracy"])
        assert score["deviation"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1), abs=1e-6)
        assert score["roc_auc"] == pytest.approx(np.mean([values["roc_auc"] for values in by_hand]), abs=1e-6)
    assert summary["mcnemar"] == {
        "only_head": 4,
        "only_classifier": 6,
        "both": 28,
        "neither": 2,
        "p": pytest.approx(0.754, abs=1e-3),
    }
    cross_validate.write(pooled, summary)
    assert json.loads(cross_validate.SUMMARY.read_text()) == summary
    with cross_validate.TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["image", "label", "fold", "head"]
    assert [int(row["fold"]) for row in rows] == pooled.folds.tolist()
    assert sum(row["classifier"] == row["label"] for row in rows) == 34
    cross_validate.show(summary, Console(width=100))
    printed = capsys.readouterr().out
    assert "40 images, each tested once: 4 folds" in printed
    assert re.search(r"classifier │   0\.8500 │ 0\.7\d+ – 0\.9\d+ │", printed)
    assert (
        "right on 6 images that the head gets wrong, and wrong on 4 that it gets right: p = 0.75 (McNemar)" in printed
    )
    assert "It is fine-tuned in 3 folds, averaged over flips in 1 fold." in printed


def test_where_images_belong_together_the_interval_is_of_their_groups(made):
    groups = np.array([f"patient {min(row // 10, 4)}" for row in range(41)])
    by_fold, _ = made(groups=groups)
    pooled = cross_validate.pool(by_fold)
    score = cross_validate.measure(pooled, by_fold)["classifier"]
    of_groups = trust.share("accuracy", np.arange(40) % 7 != 0, groups[:40], 1)
    assert {name: score[name] for name in of_groups} == of_groups
    wilson = binomtest(34, 40).proportion_ci(method="wilson")
    assert score["accuracy_low"] != pytest.approx(wilson.low, abs=1e-3)


def test_how_many_images_were_corrected_is_written_and_said(made, capsys):
    by_fold, files = made()
    table = manifest.read()
    rows = [(1, "leave out"), (2, "leave out"), (40, "leave out")]  # the last one is in no fold
    corrections.write([corrections.Correction(table.paths[row], table.sha256[row], what, "") for row, what in rows])
    splits = np.where(np.arange(41) == 38, "test", table.splits)  # one test image of the class must remain
    done = correcting.apply(dataclasses.replace(table, splits=splits), of_test=True)
    split = dataset.summarize(done.table, 41, 0, done.left_out, [], ["test", "train"], corrections=done.counts)
    dataset.write(split)
    files["rev1", str(dataset.DATASET)] = dataset.DATASET.read_text()
    for fold, count in ((1, 2), (3, 1)):
        by_fold[fold].results.trust["corrected"] = count
    summary = cross_validate.measure(cross_validate.pool(by_fold), by_fold)
    assert summary["corrections"] == {"labels": 3, "left_out": 2}
    cross_validate.show(summary, Console(width=100))
    said = "data/corrections.csv gives 3 of these images their label and leaves out 2: corrected where a model"
    assert said in capsys.readouterr().out


def test_a_score_that_one_fold_has_not_is_none(made):
    by_fold, _ = made()
    by_fold[2].results.scores["head"]["roc_auc"] = None
    summary = cross_validate.measure(cross_validate.pool(by_fold), by_fold)
    assert summary["head"]["roc_auc"] is None and summary["classifier"]["roc_auc"] is not None


def test_runs_of_other_folds_or_images_are_refused(made):
    by_fold, files = made()
    kept = dict(files)
    files["rev3", "data/manifest.csv"] = files["rev3", "data/manifest.csv"].replace(",3,,", ",4,,", 1)
    with pytest.raises(UserError, match=r"^run-3 is of other images or folds than run-1: `dvc exp remove run-3 run-1`"):
        cross_validate.pool(by_fold)
    files.update(kept)
    files["rev2", "metrics/predictions.csv"] = kept["rev3", "metrics/predictions.csv"]
    with pytest.raises(UserError, match="^run-2 has not scored each image of fold 2 once: `dvc exp remove run-2`"):
        cross_validate.pool(by_fold)
    files["rev2", "metrics/predictions.csv"] = "image,label,head\n"
    with pytest.raises(
        UserError, match=r"^run-2: metrics/predictions\.csv has the columns of an earlier .*; run it ag"
    ):
        cross_validate.pool(by_fold)


@pytest.fixture
def asked(project, monkeypatch):
    """The project as the working directory, without DVC: the tasks there are, and what is queued."""
    monkeypatch.chdir(project.path)
    tasks, queued, done = [], [], {}
    monkeypatch.setattr(experiments, "tasks", lambda: tasks)
    monkeypatch.setattr(experiments, "queue", queued.append)
    monkeypatch.setattr(cross_validate, "runs", lambda current: done)
    return tasks, queued, done, cross_validate.wanted(4)


def task(current, fold, state, log=None):
    return Task(f"task-{fold}", state, current | {"fold": fold}, log)


def test_one_run_goes_first_and_then_those_that_are_missing(asked):
    tasks, queued, done, current = asked
    cross_validate.queue(current, first=True)
    assert queued == [{"split.folds": 4, "fold": [1]}]
    tasks.append(task(current, 1, "running"))
    cross_validate.queue(current, first=True)
    assert len(queued) == 1
    tasks[0] = task(current, 3, "queued")
    tasks += [task(current, 2, "failed"), task(current | {"seed": 9}, 4, "queued")]
    done[1] = None
    cross_validate.queue(current, first=True)
    cross_validate.queue(current, first=False)
    assert queued[1:] == [{"split.folds": 4, "fold": [2, 4]}]


def test_a_run_that_failed_is_named_with_its_reason(asked, tmp_path):
    tasks, queued, _, current = asked
    log = tmp_path / "log"
    log.write_text("a\nerror: class owl is gone\nERROR: failed to reproduce 'split'\n")
    tasks += [task(current, 2, "failed", log), task(current, 3, "running")]
    with pytest.raises(UserError) as raised:
        cross_validate.queue(current, first=False)
    assert str(raised.value).startswith(
        "0 of 4 folds have a result with these parameters, code and images: fold 1, 4: not queued; fold 2: failed with "
        "class owl is gone (all of it: `dvc queue logs task-2`); fold 3: running (`dvc exp run --run-all` goes on, "
    )
    assert queued == []


@pytest.mark.parametrize("folds", ["2", "21", "five", "-3"])
def test_another_number_of_folds_is_refused(folds, project, monkeypatch):
    monkeypatch.chdir(project.path)
    monkeypatch.setattr("sys.argv", ["cross_validate", f"--folds={folds}", "--queue=first"])
    monkeypatch.setattr(experiments, "reproduce", lambda stage: pytest.fail("it may take minutes"))
    with pytest.raises(UserError, match=f"--folds: got {folds}; takes a whole number from 3 to 20"):
        cross_validate.main()


@pytest.fixture(scope="module")
def validated(_reproduced, tmp_path_factory) -> tuple[Project, list[str]]:
    """The project after three folds, with the hashes of what its own run had written, and what was printed."""
    project = Project(tmp_path_factory.mktemp("validated") / "project")
    shutil.copytree(_reproduced, project.path)
    project.environment["COLUMNS"] = "160"
    printed = []
    for step in ("--queue=first", "--queue=rest", None):
        arguments = ["--folds=3", *([step] if step else [])]
        printed.append(project.run("python", "-m", "headstart.cross_validate", *arguments).stdout)
        if step:
            project.dvc("exp", "run", "--run-all")
    return project, printed


def test_the_folds_share_one_extraction_and_leave_the_project_as_it_was(validated):
    project, printed = validated
    for output, fold in zip(printed, ("1", "2,3"), strict=False):
        assert f"-S split.folds=3 -S fold={fold} evaluate\n" in output
    names = re.findall(r"Queued experiment '([\w-]+)'", "".join(printed[:2]))
    logs = [project.dvc("queue", "logs", name).stdout for name in names]
    for stage, times in (("split", [1, 0, 0]), ("extract", [1, 0, 0]), ("train_head", [1, 1, 1])):
        assert [log.count(f"Running stage '{stage}'") for log in logs] == times
    changed = {line[3:] for line in project.run("git", "status", "--porcelain").stdout.splitlines()}
    assert {path for path in changed if not path.startswith(".dvc/")} == {"metrics/cross_validation.json"}
    assert project.ran(project.repro()) == []


def test_every_image_is_scored_once(validated):
    project, printed = validated
    summary = json.loads((project.path / cross_validate.SUMMARY).read_text())
    with (project.path / cross_validate.TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows) and len(rows) == 32
    assert {row["image"].split("/")[0] == row["label"] for row in rows} == {True}
    assert sorted(Counter(row["fold"] for row in rows).values()) == [10, 11, 11]
    assert summary["classifier"]["accuracy"] == sum(row["classifier"] == row["label"] for row in rows) / 32
    assert "32 images, each tested once: 3 folds" in printed[2]
    assert yaml12.read(project.path / "params.yaml")["fold"] is None


def test_what_was_run_on_other_images_or_code_is_not_taken(validated, tmp_path):
    project = Project(
        Path(shutil.copytree(validated[0].path, tmp_path / "project", ignore=shutil.ignore_patterns("celery")))
    )
    again = project.run("python", "-m", "headstart.cross_validate", "--folds=3", "--queue=rest")
    assert again.stdout == ""
    image = project.path / "data/my_images/red/00.png"
    shutil.copy(image, image.with_name("99.png"))
    done = project.run("python", "-m", "headstart.cross_validate", "--folds=3", check=False)
    assert done.returncode == 1
    assert "error: 0 of 3 folds have a result with these parameters, code and images: fold 1, 2, 3: not" in done.stderr
    listed = project.run("python", "-m", "headstart.experiments").stdout
    assert re.search(r"│ +null │ +null │ +16 │", listed) and len(re.findall(r"│ +[123] │ +3 │ +1[01] │", listed)) == 3
