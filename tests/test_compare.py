"""Is B better than A? On predictions made up for it."""

import sys

import dvc.api
import numpy as np
import pytest

from headstart import compare, experiments
from headstart.artifacts import manifest, predictions
from headstart.artifacts.results import Results
from headstart.base.errors import UserError
from headstart.evaluation import scores
from headstart.experiments import Run


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A function that makes a run: its parameters, and which of its test images its models get right.

    right: of all models, or of each by its name. text: of the predictions, instead. groups: of the images, which are
    not among the parameters.
    """
    files = {}
    monkeypatch.setattr(dvc.api, "read", lambda path, rev, encoding: files[rev, path])

    def run(right, seed=1, first_image=0, classes=("cat", "dog"), text=None, groups=None, **params):
        rev = f"rev{len(files)}"
        by_model = right if isinstance(right, dict) else {"head": right, "fine_tuned": right}
        numbers = np.arange(len(next(iter(by_model.values())))) + first_image
        labels = numbers % len(classes)
        predicted = {name: (labels + 1 - np.array(good, int)) % len(classes) for name, good in by_model.items()}
        # Of no use here: the answers are given.
        probabilities = dict.fromkeys(by_model, np.full((len(labels), len(classes)), 1 / len(classes)))
        paths = [f"{number}.png" for number in numbers]
        predictions.write(predictions.Predictions(list(classes), paths, labels, predicted, probabilities), tmp_path)
        files[rev, "metrics/predictions.csv"] = text or (tmp_path / predictions.PREDICTIONS).read_text()
        splits, hashes = np.array(["test"] * len(paths)), [f"{number:x}" for number in numbers]
        manifest.write(manifest.Manifest(list(classes), paths, labels, splits, hashes, groups), tmp_path)
        for path in (manifest.MANIFEST, manifest.CLASSES):
            files[rev, str(path)] = (tmp_path / path).read_text()
        accuracies = {name: {"accuracy": float(np.mean(good))} for name, good in by_model.items()}
        return Run(rev, rev, {"seed": seed, **params}, Results(len(labels), accuracies, {}), {})

    return run


def answers(share, images=400, seed=0):
    return np.random.default_rng(seed).random(images) < share


def verdicts(runs, model="classifier", **options):
    _, groups = compare.groups(runs)
    return compare.verdicts(groups, model, **options)


def test_runs_that_differ_in_the_seed_alone_are_one_group(made):
    runs = [made([1], seed=seed, rate=rate, epochs=5) for seed in (3, 1) for rate in (0.1, 0.2)]
    names, groups = compare.groups([*runs, made([1], seed=1, rate=0.1, epochs=5)])
    assert names == ["rate"]
    assert {letter: list(group) for letter, group in groups.items()} == {"A": [1, 3], "B": [1, 3]}
    assert {run.params["rate"] for run in groups["B"].values()} == {0.2}


@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat", "dog", "owl"), ("a,b", "c:d", 'e "f"')])
def test_a_better_one_is_better(made, classes):
    runs = [
        made(answers(share, seed=10 * seed + rate), seed, classes=classes, rate=rate)
        for seed in (1, 2, 3)
        for rate, share in ((1, 0.7), (2, 0.9))
    ]
    (line,) = verdicts(runs)
    assert line.startswith("B against A, classifier, 400 test images: +")
    assert line.endswith("p < 0.001, better with 3 of 3 seeds: B is better, and that is not luck.")
    assert verdicts(runs, against="B")[0].endswith("worse with 3 of 3 seeds: A is worse, and that is not luck.")


def test_equally_good_ones_differ_by_luck(made):
    runs = [made(answers(0.8, seed=10 * seed + rate), seed, rate=rate) for seed in (1, 2, 3) for rate in (1, 2)]
    assert verdicts(runs)[0].endswith("this can be luck.")
    same = answers(0.8)
    assert verdicts([made(same, rate=1), made(same, rate=2)]) == [
        "B against A, classifier, 400 test images: +0.00 points, p = 1: no difference."
    ]


def test_of_one_seed_the_verdict_says_so(made):
    runs = [made(answers(0.7), rate=1), made(answers(0.9), rate=2)]
    assert verdicts(runs)[0].endswith("B is better, not by luck with the images, but with one seed alone; try others.")


def test_not_every_seed_agrees(made):
    runs = [made(answers(0.7, seed=seed), seed, rate=1) for seed in (1, 2)]
    runs += [made(answers(0.95, seed=3), 1, rate=2), made(answers(0.67, seed=4), 2, rate=2)]
    assert verdicts(runs)[0].endswith(
        "better with 1 of 2 seeds: B is better on average, but not with every seed; try more."
    )


def test_one_pair_of_runs_is_mcnemars_test():
    labels = np.ones(13, int)
    a, b = np.array([0] * 6 + [1] * 7), np.array([1] * 5 + [0] * 2 + [1] * 6)
    p = scores.mcnemar(labels, {"a": a, "b": b})["p"]
    assert compare.difference(a.astype(float), b.astype(float)) == pytest.approx(p)


def test_the_same_run_under_several_seeds_is_no_more_evidence(made):
    def chance(seeds):
        runs = [made(answers(share, 60), seed, rate=share) for seed in seeds for share in (0.7, 0.8)]
        return verdicts(runs)[0].partition("p = ")[2].partition(",")[0]

    assert chance([1]) == chance([1, 2, 3, 4])


def test_images_that_belong_together_are_less_evidence(made):
    good = answers(0.7, 200)
    better = good.copy()
    better[np.flatnonzero(~good)[:10]] = True
    patients = np.array([f"patient {number}" for number in range(200)])
    patients[np.flatnonzero(better != good)] = "one patient"

    def line(groups):
        return verdicts([made(good, groups=groups, rate=1), made(better, groups=groups, rate=2)])[0]

    before = "B against A, classifier, 200 test images"
    assert line(None).startswith(f"{before}: +5.00 points, p = 0.002, better")
    assert line(patients) == f"{before} in 191 groups: +5.00 points, p = 1, better with 1 of 1 seed: this can be luck."


def test_several_comparisons_are_held_to_more():
    np.testing.assert_allclose(compare.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert compare.holm([0.9, 0.8]).max() == 1


def test_the_spread_is_that_of_the_seeds(made, capsys):
    from rich.console import Console

    runs = [made([1] * good + [0] * (10 - good), seed, rate=1) for seed, good in ((1, 6), (2, 8))]
    Console(width=120).print(compare.table(*compare.groups([*runs, made([1] * 10, 1, rate=2)])))
    text = capsys.readouterr().out
    assert text.count("0.7000 ± 0.1414") == 2 and text.count("1.0000 ") == 2 and text.count("±") == 2


def test_each_model_is_compared_and_by_default_what_each_run_delivers(made, capsys):
    from rich.console import Console

    good, better, best = answers(0.6), answers(0.8), answers(0.95)
    runs = [
        made({"head": good, "fine_tuned": better}, rate=1),
        made({"head": good, "fine_tuned": better, "averaged": best}, rate=2),
    ]
    for model, name, points in (
        ("head", "head alone", 0),
        ("fine_tuned", "fine-tuned", 0),
        ("classifier", "classifier", 100 * (best.mean() - better.mean())),
    ):
        assert verdicts(runs, model)[0].startswith(f"B against A, {name}, 400 test images: {points:+.2f} points, p ")
    with pytest.raises(UserError) as raised:
        verdicts(runs, "averaged")
    assert str(raised.value) == (
        "--model: got averaged, which rev0 does not have; takes head, fine_tuned or classifier (what each run delivers)"
    )
    Console(width=120).print(compare.table(*compare.groups(runs)))
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [row[-2].strip() for row in rows] == ["–", f"{best.mean():.4f}"]
    Console(width=120).print(compare.table(*compare.groups([runs[0], made([1], rate=2)])))
    assert "averaged" not in capsys.readouterr().out


def test_predictions_of_an_earlier_version_are_refused_in_one_line(made):
    old = made([1, 1], rate=2, text="image,label,head,fine_tuned\n0.png,cat,0.1,0.2\n1.png,dog,0.9,0.8\n")
    with pytest.raises(UserError, match=r"^rev0: metrics/predictions\.csv has the columns .*; run it again, or"):
        verdicts([old, made([1, 1], rate=1)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_image": 1}, "A and B were not tested on the same images: give the names of experiments that share"),
        ({"seed": 2}, "A has the seeds 1, B has 2, none in common: run `dvc exp run --queue -S seed=1 …`"),
    ],
)
def test_what_cannot_be_paired_is_refused(made, changes, message):
    with pytest.raises(UserError) as raised:
        verdicts([made(answers(0.7), rate=1), made(answers(0.9), rate=2, **changes)])
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_the_runs_of_single_folds_are_left_out_unless_they_are_named(made, monkeypatch, capsys):
    runs = [made(answers(0.7), rate=1), made(answers(0.9), rate=2), *(made([1], rate=1, fold=k) for k in (1, 2, 3))]
    monkeypatch.setattr(compare.experiments, "finished", lambda rev, names: runs)
    monkeypatch.setattr("sys.argv", ["compare"])
    compare.main()
    printed = capsys.readouterr().out
    assert printed.startswith("left out: 3 runs of single folds, which `python -m headstart.cross_validate` scores\n")
    assert "B against A, classifier, 400 test images" in printed
    monkeypatch.setattr("sys.argv", ["compare", "*"])
    with pytest.raises(UserError, match="were not tested on the same images"):
        compare.main()


@pytest.mark.parametrize("name", ["size-1", "notes.html", "folder.html"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.html").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    monkeypatch.setattr(sys, "argv", ["compare", "--html", name])
    monkeypatch.setattr(experiments, "finished", lambda *_: pytest.fail("it looked at the experiments first"))
    with pytest.raises(UserError, match=f"^--html: (got )?{name}"):
        compare.main()
