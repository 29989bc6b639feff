"""How many images do I need? On errors made up for it."""

import io
import json

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from rich.console import Console
from scipy.stats import binomtest

from headstart import cross_validate, learning_curve
from headstart.artifacts.results import Results
from headstart.base import checkpoint
from headstart.base.errors import UserError
from headstart.base.intervals import wilson
from headstart.experiments import Run


def run(size, error, seed=1, averaged=False, worth=1000, **params):
    """Tested on 1,000 images, which are as good as `worth` that are independent of each other."""
    errors = {"head": error, "fine_tuned": error / 2} | ({"averaged": error / 4} if averaged else {})
    intervals = {model: wilson(1 - wrong, worth) for model, wrong in errors.items()}
    scores = {
        model: {"accuracy": 1 - errors[model], "accuracy_low": low, "accuracy_high": high}
        for model, (low, high) in intervals.items()
    }
    return Run("", "", {"seed": seed, "train_images": size, **params}, Results(1000, scores, {}), {})


def law(sizes):
    return 0.5 * np.asarray(sizes, float) ** -0.4


SIZES = [50, 100, 250, 500, 1000]


def test_the_power_law_that_made_the_errors_is_found():
    fit = learning_curve.PowerLaw(np.array(SIZES), law(SIZES), 1000)
    assert np.exp(fit.log_a) == pytest.approx(0.5, rel=1e-3) and fit.b == pytest.approx(0.4, rel=1e-3)
    assert fit.at(2000) == pytest.approx(law(2000), rel=1e-3)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, sizes, hits = np.random.default_rng(1), np.array(SIZES), 0
    for _ in range(200):
        low, high = learning_curve.PowerLaw(sizes, rng.binomial(1000, law(sizes)) / 1000, 1000).interval(2000)
        hits += low <= law(2000) <= high
    assert 180 <= hits <= 198


@pytest.mark.parametrize(
    ("sizes", "errors"), [([50, 100], [0.2, 0.1]), ([100], [0.2]), ([50, 100, 250], [0.0, 0.0, 0.0])]
)
def test_too_little_to_fit_is_no_power_law(sizes, errors):
    with pytest.raises(ValueError):
        learning_curve.PowerLaw(np.array(sizes), np.array(errors), 1000)


def test_runs_of_other_parameters_and_of_all_images_are_no_points():
    current = {"seed": 1, "train_images": None, "rate": 0.1}
    same = [run(size, 0.1, seed, rate=0.1) for size in (100, 50) for seed in (2, 1)]
    curve = learning_curve.points([*same, run(50, 0.1, 3, rate=0.2), run(None, 0.1, rate=0.1)], current)
    assert {size: [run.params["seed"] for run in runs] for size, runs in curve.items()} == {50: [1, 2], 100: [1, 2]}
    assert list(curve) == [50, 100]


@pytest.mark.parametrize("averaged", [False, True])
def test_the_plot_and_the_words(tmp_path, capsys, averaged):
    curve = {
        size: [run(size, error, seed, averaged) for seed, error in enumerate(law(size) * np.array([0.9, 1, 1.1]))]
        for size in SIZES
    }
    fits = learning_curve.draw(tmp_path / "new/curve.png", curve)
    with Image.open(tmp_path / "new/curve.png") as image:
        image.load()
        assert np.asarray(image.convert("L")).std() > 10
    assert list(fits) == ["head", "fine_tuned", "averaged"][: 2 + averaged]
    assert fits["fine_tuned"].at(2000) == pytest.approx(fits["head"].at(2000) / 2, rel=0.02)
    sentence = learning_curve.sentence("head alone", fits["head"], 1000)
    assert sentence.startswith(
        "head alone: error = 0.5·n^-0.400; 3.15% at 1,000 per class, so twice the images would bring"
    )
    assert learning_curve.sentence("head alone", None, 1000).startswith("head alone: no power law")
    flat = learning_curve.PowerLaw(np.array(SIZES), np.array([0.1, 0.11, 0.12, 0.13, 0.14]), 1000)
    assert "brought nothing" in learning_curve.sentence("head alone", flat, 1000)
    Console(width=120).print(learning_curve.table(curve))
    assert ("averaged over flips, error" in capsys.readouterr().out) == averaged


def test_an_interval_is_wilsons(capsys):
    Console(width=120).print(
        learning_curve.table({50: [run(50, error, seed) for seed, error in ((1, 0.1), (2, 0.12))]})
    )
    interval = binomtest(110, 1000).proportion_ci(method="wilson")
    assert f"11.0% ({interval.low:.1%}–{interval.high:.1%})" in capsys.readouterr().out


def test_where_images_belong_together_intervals_and_forecast_are_as_wide_as_those_of_the_runs(tmp_path):
    curve, grouped = ({size: [run(size, float(law(size)), worth=worth)] for size in SIZES} for worth in (1000, 40))
    console = Console(width=120, file=io.StringIO())
    console.print(learning_curve.table({50: grouped[50]}))
    low, high = wilson(float(law(50)), 40)
    assert f"{law(50):.1%} ({low:.1%}–{high:.1%})" in console.file.getvalue()
    ends = [learning_curve.draw(tmp_path / "a.png", of)["head"].interval(2000) for of in (curve, grouped)]
    assert ends[1][1] / ends[1][0] > 4 * ends[0][1] / ends[0][0]


def test_no_error_at_all_is_drawn(tmp_path):
    curve = {size: [run(size, 0.0)] for size in SIZES}
    assert learning_curve.draw(tmp_path / "curve.png", curve) == {"head": None, "fine_tuned": None}


@pytest.mark.parametrize("arguments", [["--sizes", "50,many"], ["--sizes", "0"], ["--seeds", ""]])
def test_what_is_no_whole_number_is_refused(arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["learning_curve", "--queue", *arguments])
    monkeypatch.setattr(learning_curve.experiments, "reproduce", lambda stage: pytest.fail("it may take hours"))
    with pytest.raises(
        UserError, match=f"{arguments[0]}: got '{arguments[1]}'; takes whole numbers from [01] on, separated by commas"
    ):
        learning_curve.main()


@pytest.mark.parametrize("command", [learning_curve, cross_validate])
@pytest.mark.parametrize("jobs", ["abc", "0", "-1", "1.5", ""])
def test_what_is_no_number_of_jobs_is_refused_before_anything_runs(command, jobs, project, monkeypatch):
    monkeypatch.chdir(project.path)
    monkeypatch.setattr(
        "sys.argv", ["command", "--queue", *(["first"] * (command is cross_validate)), f"--jobs={jobs}"]
    )
    monkeypatch.setattr(command.experiments, "reproduce", lambda stage: pytest.fail("it may take hours"))
    with pytest.raises(UserError, match=f"--jobs: got '{jobs}'; takes a whole number from 1 on"):
        command.main()


def test_without_a_split_there_is_nothing_to_queue(tmp_path, monkeypatch, capsys):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no metrics/dataset\.json here: run `dvc repro split`"):
        learning_curve.queue([50], [1])
    (tmp_path / "metrics").mkdir()
    counts = {"train": {"cat": 40, "dog": 49}} | {split: {"cat": 9, "dog": 9} for split in ("validation", "test")}
    (tmp_path / "metrics/dataset.json").write_text(
        json.dumps({"classes": ["cat", "dog"], "counts": counts, "found": 89, "left_out": []})
    )
    monkeypatch.setattr(learning_curve.experiments, "queue", lambda *_: pytest.fail("something was queued"))
    for name in ("extract-1", "fine_tune-1"):
        (checkpoint.CHECKPOINTS / name).mkdir(parents=True)
        (checkpoint.CHECKPOINTS / name / checkpoint.FINISHED).touch()
    learning_curve.queue([50, 1000], [1])
    output = capsys.readouterr().out
    assert output == "left out: 50, 1,000 per class, since class cat has 40 training images\n"
    assert [path.name for path in checkpoint.CHECKPOINTS.iterdir()] == ["fine_tune-1"]


def test_where_runs_deliver_different_models_the_classifier_has_a_curve_of_its_own(tmp_path):
    curve = {size: [run(size, float(law(size)), averaged=size > 100)] for size in (50, 100, 250)}
    console = Console(width=160, file=io.StringIO())
    console.print(learning_curve.table(curve))
    assert "head alone, error" in console.file.getvalue() and "classifier, error" in console.file.getvalue()
    assert "averaged" not in console.file.getvalue()
    delivered = [float(law(size)) / (4 if size > 100 else 2) for size in curve]
    assert [f"{error:.1%}" in console.file.getvalue() for error in delivered] == [True] * 3
    assert set(learning_curve.draw(tmp_path / "c.png", curve)) == {"head", "fine_tuned", "delivered"}
