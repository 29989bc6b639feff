"""Is B better than A? On predictions made up for it."""

import json

import dvc.api
import numpy as np
import pytest

from headstart import compare, scores
from headstart.errors import UserError
from headstart.experiments import Run


@pytest.fixture
def made(monkeypatch):
    """A function that makes a run: its parameters, and which of its test images both models get right."""
    files = {}
    monkeypatch.setattr(dvc.api, "read", lambda path, rev, encoding: files[rev, path])

    def run(right, seed=1, first_image=0, classes=("cat", "dog"), **params):
        rev = f"rev{len(files)}"
        rows = ["image,label,head,fine_tuned"]
        for number, good in enumerate(right, first_image):
            label = number % len(classes)
            answer = label if good else (label + 1) % len(classes)
            cell = classes[answer] if len(classes) > 2 else f"{(0.1, 0.5)[answer]:.6f}"
            rows.append(f"{number}.png,{classes[label]},{cell},{cell}")
        files[rev, "metrics/predictions.csv"] = "\n".join(rows) + "\n"
        files[rev, "metrics/dataset.json"] = json.dumps({"classes": classes})
        accuracy = {"accuracy": float(np.mean(right))}
        test = {"head": accuracy, "fine_tuned": accuracy, "images": len(right)}
        return Run(rev, rev, {"seed": seed, **params}, test, {})

    return run


def answers(share, images=400, seed=0):
    return np.random.default_rng(seed).random(images) < share


def told(runs, **options):
    _, found = compare.groups(runs)
    return compare.verdicts(found, "fine_tuned", **options)


def test_runs_that_differ_in_the_seed_alone_are_one_group(made):
    runs = [made([1], seed=seed, rate=rate, epochs=5) for seed in (3, 1) for rate in (0.1, 0.2)]
    names, found = compare.groups([*runs, made([1], seed=1, rate=0.1, epochs=5)])
    assert names == ["rate"]
    assert {letter: list(group) for letter, group in found.items()} == {"A": [1, 3], "B": [1, 3]}
    assert {run.params["rate"] for run in found["B"].values()} == {0.2}


@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat", "dog", "owl")])
def test_a_better_one_is_better(made, classes):
    runs = [
        made(answers(share, seed=10 * seed + rate), seed, classes=classes, rate=rate)
        for seed in (1, 2, 3)
        for rate, share in ((1, 0.7), (2, 0.9))
    ]
    (line,) = told(runs)
    assert line.startswith("B against A, fine-tuned, 400 test images: +")
    assert line.endswith("p < 0.001, better with 3 of 3 seeds: B is better, and that is not luck.")
    assert told(runs, against="B")[0].endswith("worse with 3 of 3 seeds: A is worse, and that is not luck.")


def test_equally_good_ones_differ_by_luck(made):
    runs = [made(answers(0.8, seed=10 * seed + rate), seed, rate=rate) for seed in (1, 2, 3) for rate in (1, 2)]
    assert told(runs)[0].endswith("this can be luck.")
    same = answers(0.8)
    assert told([made(same, rate=1), made(same, rate=2)]) == [
        "B against A, fine-tuned, 400 test images: +0.00 points, p = 1: no difference."
    ]


def test_of_one_seed_the_verdict_says_so(made):
    runs = [made(answers(0.7), rate=1), made(answers(0.9), rate=2)]
    assert told(runs)[0].endswith("B is better on more than luck with the images, but of one seed; try others.")


def test_not_every_seed_agrees(made):
    runs = [made(answers(0.7, seed=seed), seed, rate=1) for seed in (1, 2)]
    runs += [made(answers(0.95, seed=3), 1, rate=2), made(answers(0.67, seed=4), 2, rate=2)]
    assert told(runs)[0].endswith(
        "better with 1 of 2 seeds: B is better on average, but not with every seed; try more."
    )


def test_one_pair_of_runs_is_mcnemars_test():
    labels = np.ones(13, int)
    a, b = np.array([0] * 6 + [1] * 7), np.array([1] * 5 + [0] * 2 + [1] * 6)
    assert compare.difference(a.astype(float), b.astype(float)) == pytest.approx(scores.mcnemar(labels, a, b)["p"])


def test_the_same_run_under_several_seeds_is_no_more_evidence(made):
    def chance(seeds):
        runs = [made(answers(share, 60), seed, rate=share) for seed in seeds for share in (0.7, 0.8)]
        return told(runs)[0].partition("p = ")[2].partition(",")[0]

    assert chance([1]) == chance([1, 2, 3, 4])


def test_several_comparisons_are_held_to_more():
    np.testing.assert_allclose(compare.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert compare.holm([0.9, 0.8]).max() == 1


def test_the_spread_is_that_of_the_seeds(made, capsys):
    from rich.console import Console

    runs = [made([1] * good + [0] * (10 - good), seed, rate=1) for seed, good in ((1, 6), (2, 8))]
    names, found = compare.groups([*runs, made([1] * 10, 1, rate=2)])
    Console(width=120).print(compare.table(names, found))
    text = capsys.readouterr().out
    assert text.count("0.7000 ± 0.1414") == 2 and text.count("1.0000 ") == 2 and text.count("±") == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_image": 1}, "A and B were not tested on the same images: give the names of experiments that share"),
        ({"seed": 2}, "A has the seeds 1, B has 2, none in common: run `dvc exp run --queue -S seed=1 …`"),
    ],
)
def test_what_cannot_be_paired_is_refused(made, changes, message):
    with pytest.raises(UserError) as raised:
        told([made(answers(0.7), rate=1), made(answers(0.9), rate=2, **changes)])
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)
