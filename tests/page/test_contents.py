"""What the page is made of, at sizes that no drawn run has."""

import json
import re
from types import SimpleNamespace

import markupsafe
import numpy as np
import pytest

from headstart.artifacts import dataset
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import Results
from headstart.base.errors import UserError
from headstart.base.threads import THREADS
from headstart.evaluation import trust
from headstart.page import charts, contents, notes, rendering, shown, words


def many(count=25_000, classes=3, seed=1):
    """A manifest, the predictions for a quarter of it, and an inspection and a summary that list a lot."""
    rng = np.random.default_rng(seed)
    names = [f"class {number}" for number in range(classes)]
    paths = [f"{number:06}.png" for number in range(count)]
    splits = np.array(["train", "train", "validation", "test"] * (count // 4))
    table = Manifest(
        names, paths, rng.integers(classes, size=count), splits, [f"{number:x}" for number in range(count)]
    )
    tests = table.rows("test")
    probabilities = rng.dirichlet([0.3] * classes, len(tests)).astype("float32")
    labels = table.labels[tests]
    answers = Predictions(
        names, [paths[row] for row in tests], labels, {"head": probabilities.argmax(1)}, {"head": probabilities}
    )
    suspects = [{"path": paths[row], "looks_like": names[0]} for row in table.rows("train")[:500]]
    pairs = [{"paths": [paths[row], paths[row + 1]]} for row in range(0, 1000, 2)]
    found = {"suspects": suspects, "outliers": [{"path": path} for path in paths[:500]], "alike": pairs}
    found["counts"] = {"suspects": 500, "outliers": 700}
    return table, answers, found, {"near_duplicates": [paths[:10]]}


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({}, None),
        (
            {"summary": {"classes": ["a"]}},
            "metrics/dataset.json is of other classes than data/manifest.csv, such as b: ",
        ),
        (
            {"found": {"suspects": [{"label": "b", "looks_like": "c"}]}},
            "metrics/inspection.json is of other classes than data/manifest.csv, such as c",
        ),
        (
            {"scores": {"head": {"per_class": {"a": {"images": 2}, "B": {"images": 2}}}}},
            "metrics/test.json is of other classes than data/manifest.csv, such as B",
        ),
    ],
)
def test_what_is_of_other_classes_than_the_manifest_is_refused_with_the_stage_to_run(changes, file):
    table = SimpleNamespace(classes=["b", "a"])
    given = {
        "scores": {"head": {"per_class": {"b": {"images": 2}, "a": {"images": 2}}}},
        "summary": {"classes": ["b", "a"]},
    }
    given |= {"found": {"suspects": [{"label": "b", "looks_like": "a"}]}} | changes
    arguments = table, Results(4, given["scores"], {}), given["found"], given["summary"]
    if file is None:
        return contents.refuse_others(*arguments)
    with pytest.raises(UserError, match=rf"^{re.escape(file)}.* `dvc repro --force --single-item \w+`$"):
        contents.refuse_others(*arguments)


@pytest.mark.parametrize("classes", [2, 200])
def test_each_gallery_has_so_many_images_at_most_and_each_kind_before_a_second_of_any(classes):
    table, answers, found, summary = many(classes=classes)
    galleries = shown.galleries(answers, found, summary, table)
    most = shown.MOST | {"examples": min(shown.MOST["examples"], shown.EACH * classes)}
    assert {name: len(rows) for name, rows in galleries.items()} == most
    of = dict(zip(answers.paths, zip(answers.labels, answers.predicted["head"], strict=True), strict=True))
    wrong = [tuple(of[table.paths[row]]) for row in galleries["wrong"]]
    assert all(label != guess for label, guess in wrong)
    assert len(set(wrong)) == min(len(wrong), classes * (classes - 1))
    right = [of[table.paths[row]] for row in galleries["right"]]
    assert all(label == guess for label, guess in right)
    examples = table.labels[galleries["examples"]]
    assert len(set(examples)) == min(classes, shown.MOST["examples"])
    assert set(table.splits[galleries["examples"]]) == {"train"}


def test_pictures_stop_where_the_room_ends():
    drawn = []
    pictures = rendering.within(list(range(1000)), lambda row: drawn.append(row) or "x" * 1000, most=10_500)
    assert list(pictures) == list(range(10)) and len(drawn) <= 12 + THREADS  # some are drawn ahead


@pytest.mark.parametrize("count", [25_000, 400_000])
def test_a_page_of_many_images_with_large_heat_maps_is_no_larger_than_8_mb(count):
    table, answers, found, summary = many(count, classes=2)
    galleries = shown.galleries(answers, found, summary, table)
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (rendering.SIDE, rendering.SIDE, 3), dtype=np.uint8)  # nothing is larger
    rows = list(dict.fromkeys(row for of in galleries.values() for row in of))
    text, heat = rendering.picture(noise), dict.fromkeys(rows, "x" * 3000)
    measured = Results(len(answers.labels), {}, {}, {"decision": {"goal": "accuracy"}})

    def data(pictures):
        images = contents.of_images(table, answers, pictures, heat, dict.fromkeys(rows, rows[:4]))
        return {"images": images, "two": contents.threshold(answers, measured, 1)}

    pictures = rendering.within(rows, lambda _: text, rendering.room(data(dict.fromkeys(rows, ""))))
    whole = data(pictures)
    assert len(pictures) > 30 and sum(whole["two"]["counts"]) == len(answers.labels)
    assert len(rendering.script(whole["two"])) < 100_000
    plotly = len(rendering.plotly.offline.get_plotlyjs().encode())
    assert plotly + len(rendering.script(whole).encode()) + rendering.REST <= 8_000_000


def test_no_text_ends_the_script():
    data = {"</script><script>alert(1)</script>": ["<!--", "&", "\u2028"]}
    text = rendering.script(data)
    assert not re.search("[<>&\u2028]", text) and json.loads(text) == data


def test_backticks_are_code_and_nothing_else_is_obeyed():
    assert rendering.marked("run `dvc <repro>` now") == markupsafe.Markup("run <code>dvc &lt;repro&gt;</code> now")
    assert rendering.marked("a ` and <b>") == "a ` and &lt;b&gt;"


def test_of_200_classes_those_that_are_confused_most_are_drawn():
    matrix = np.eye(200, dtype=int) * 5
    matrix[150, 151] = 4
    chart = charts.confusion(matrix.tolist(), [f"c{number}" for number in range(200)])
    heat = chart["data"][0]
    assert len(heat["x"]) == charts.WHOLE and {"c150", "c151"} <= set(heat["x"])
    at = heat["y"].index("c150"), heat["x"].index("c151")
    assert heat["text"][at[0]][at[1]] == "4" and heat["customdata"][at[0]][at[1]] == [150, 151]


def score(recall=0.76, images=100, predicted=90, precision=0.8):
    by_class = {
        "good": {"images": 200, "recall": 0.95, "predicted": 210, "precision": 0.9},
        "bad": {"images": images, "recall": recall, "predicted": predicted, "precision": precision},
    }
    return {"per_class": by_class, "accuracy": 0.9, "accuracy_low": 0.86, "accuracy_high": 0.93}


def numbers(found=76, images=100, right=72, predicted=90, each=1):
    """As `trust.by_class` has them of the class bad; `each` images belong together."""
    of_recall, of_precision = ((np.arange(count) < share) for share, count in ((found, images), (right, predicted)))
    groups = np.arange(max(images, predicted)) // each
    shares = trust.share("recall", of_recall, groups[:images], 1)
    shares |= trust.share("precision", of_precision, groups[:predicted], 1)
    return {"good": {}, "bad": {"images": images, "predicted": predicted, **shares}}


def test_the_headline_says_what_it_means_for_a_hundred_images():
    measured = Results(300, {"head": score()}, {})
    assert words.headline(measured, numbers(), "bad") == [
        "Of 100 images of bad, it finds 67 to 83.",
        "Of 100 images that it calls bad, 71 to 87 are.",
        "Of 100 new images like the test images, it gets 86 to 93 right.",
    ]
    never = Results(300, {"head": score(precision=None, predicted=0, recall=0.0)}, {})
    assert len(words.headline(never, numbers(found=0, right=0, predicted=0), "bad")) == 2


def test_the_headline_of_images_that_belong_together_is_as_wide_as_that_of_their_groups():
    measured, by_class = Results(300, {"head": score()}, {}), numbers(found=75, each=25)
    said = words.headline(measured, by_class, "bad")
    low, high = (round(100 * by_class["bad"][f"recall_{end}"]) for end in ("low", "high"))
    assert said[0] == f"Of 100 images of bad, it finds {low} to {high}." and high - low > 50


def test_the_headline_is_of_the_decision_where_a_goal_sets_the_threshold():
    decided = {"goal": "recall", "of": "bad", "threshold": 0.0, "accuracy_low": 0.7, "accuracy_high": 0.8}
    decided |= {"recall_low": 0.91, "recall_high": 0.98, "precision_low": None, "precision_high": None}
    measured = Results(300, {"head": score()}, {}, {"decision": decided})
    assert words.headline(measured, numbers(), "good") == [
        "Of 100 images of bad, it finds 91 to 98.",
        "Of 100 new images like the test images, it gets 70 to 80 right.",
    ]
    answers = many(count=1200, classes=2)[1]
    decided["of"] = answers.classes[0]
    assert contents.threshold(answers, measured, 1)["threshold"] == 0.0


def test_before_the_slider_is_moved_the_page_counts_what_the_classifier_calls():
    values = np.array([0.0002, 0.0004, 0.0003100004, 0.9], "float32")
    probabilities, labels = np.stack([1 - values, values], axis=1), np.array([0, 1, 0, 1])
    answers = Predictions(
        ["good", "bad"], list("abcd"), labels, {"head": np.array([0, 1, 0, 1])}, {"head": probabilities}
    )
    decided = {"goal": "recall", "of": "bad", "threshold": 0.00031000043}
    two = contents.threshold(answers, Results(4, {}, {}, {"decision": decided}), 1)
    assert (two["shown"], two["called"], two["truth"]) == ("0.00031", [0, 1, 1], [0, 1, 1])
    assert (two["values"], two["counts"]) == ([0.0, 0.0, 0.9], [2, 1, 1])


def test_at_each_step_of_the_slider_the_images_are_counted_that_reach_it():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.random(3000).round(6), np.arange(1001) / 1000]).astype("float32")
    probabilities, labels = np.stack([1 - values, values], axis=1), rng.integers(2, size=len(values))
    answers = Predictions(
        ["good", "bad"], list(map(str, labels)), labels, {"head": probabilities.argmax(1)}, {"head": probabilities}
    )
    two = contents.threshold(answers, Results(len(labels), {}, {}, {"decision": {"goal": "accuracy"}}), 1)
    counts, truth, reached = (np.array(two[name]) for name in ("counts", "truth", "values"))
    for step in range(1001):
        for true in (0, 1):
            exact = (values.astype("float64").round(6) >= step / 1000) & (labels == true)
            assert counts[(reached >= step / 1000) & (truth == true)].sum() == exact.sum()


def test_what_was_asked_for_and_is_missed_is_said():
    answers = many(count=1200, classes=2)[1]
    decided = {"goal": "recall", "of": "class 1", "recall": 0.75, "recall_low": 0.52, "recall_high": 0.92}
    measured = Results(10, {"head": score()}, {}, {"decision": decided})
    wanted = SimpleNamespace(goal="recall", at_least=0.99)
    missed = "A recall of 0.99 or more of class 1 is asked for, and it is 0.750 on the test images (0.520 – 0.920)."
    assert words.of_decision(measured, answers, wanted) == [missed]
    wanted.at_least = 0.9
    assert words.of_decision(measured, answers, wanted) == []
    answers.predicted["head"][:] = 1
    assert words.of_decision(measured, answers, SimpleNamespace(goal="costs")) == [
        "By decision.goal: costs, every test image is called class 1."
    ]


def test_the_loss_is_drawn_at_the_epoch_that_it_is_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, text in (
        ("train", "step\tloss\n1\t0.5\n2\t0.4\n"),
        ("validation", "step\tloss\n0\t0.7\n1\t0.6\n2\t0.5\n"),
    ):
        path = tmp_path / f"metrics/head/plots/metrics/{split}/loss.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    measured = Results(10, {}, {}, {"reliability": [], "fragility": {"none": [{"accuracy": 1.0}]}})
    answers = many(count=1200)[1]
    summary = {"counts": {split: dict.fromkeys(answers.classes, 1) for split in ("train", "validation", "test")}}
    train, validation = contents.of_charts(measured, answers, summary)["head"]["data"]
    assert (list(train["x"]), list(validation["x"])) == ([1, 2], [0, 1, 2])


def test_what_next_names_the_class_that_is_missed_most():
    found = {"counts": {"suspects": 3, "alike": 0, "outliers": 0}}
    measured = Results(300, {"head": score()}, {}, {"decision": {"goal": "accuracy"}})
    first, second, third = words.what_next(measured, found)
    assert first.startswith("Look at the labels that may be wrong (3;")
    assert second.startswith("Add images of bad:") and "decision.goal" in third


def test_of_a_fold_the_page_counts_its_images_and_says_what_is_of_other_splits():
    names, paths = ["a", "b"], [f"{number}.png" for number in range(12)]
    splits = np.array(["train"] * 8 + ["test"] * 4)
    folds = np.arange(12) % 3 + 1
    table = Manifest(names, paths, np.arange(12) % 2, splits, paths, folds=folds)
    near = [[paths[0], paths[1]], [paths[3], paths[6]]]  # of folds 1 and 2, and twice of 1
    facts = {"near_duplicates": near, "groups": None, "test_copies": 0}
    facts["corrections"] = {"labels": {"train": 1, "validation": 0, "test": 2}}
    summary = dataset.summarize(table, 12, 0, [], [], ("test",), **facts)
    assert notes.of_fold(summary, table, None) is summary
    of_fold = notes.of_fold(summary, table.for_fold(1), 1)
    assert of_fold["counts"] == dataset.counts(summary, 1) and sum(of_fold["counts"]["test"].values()) == 4
    assert notes.heading(4, of_fold) == "4 test images, those of fold 1"
    third = notes.of_fold(summary, table.for_fold(2), 2)  # tested on fold 2, trained on fold 1
    assert notes.heading(4, third) == "4 test images, those of fold 2, 1 of them with a near copy in training"
    found = {"warnings": ["2 pairs lie in two splits"], "looks": {}, "counts": {}}
    said = contents.facts(of_fold, found)
    assert any(line.startswith("This is the run of fold 1. Labels that may be wrong") for line in said)
    assert "3 images changed by data/corrections.csv." in said
    measured = Results(100, {"head": score()}, {})
    assert (
        words.warnings(measured, found, of_fold, {})[0] == "Of the splits of `fold: null`: 2 pairs lie in two splits."
    )
    assert words.warnings(measured, found, summary, {})[0] == "2 pairs lie in two splits."


def test_what_is_never_predicted_and_missed_is_what_the_rule_never_predicts_and_misses():
    by_class = score(recall=0.0, predicted=0, precision=None)
    measured = Results(300, {"head": by_class}, {}, {"decision": {"goal": "balanced_accuracy"}})
    found = {"warnings": [], "counts": dict.fromkeys(("suspects", "alike", "outliers"), 0)}
    summary = {"left_out": [], "found": 300}
    rule = {
        "good": {"images": 200, "predicted": 150, "recall": 0.7},
        "bad": {"images": 100, "predicted": 150, "recall": 1},
    }
    assert words.warnings(measured, found, summary, rule) == []
    (line,) = words.what_next(measured, found, rule)
    assert line.startswith("Add images of good: there it misses most.")
    never = rule | {"third": {"images": 1, "predicted": 0, "recall": 0}}
    by_class["per_class"]["third"] = {"images": 1, "predicted": 0, "recall": 0.0, "precision": None}
    assert words.warnings(measured, found, summary, never) == ["Never predicted: third."]


def test_a_name_is_shown_letter_by_letter_in_a_chart():
    names = ["<5 mm>", "<6 mm>", "a & b"]
    heat = charts.confusion([[3, 1, 0], [0, 2, 0], [0, 0, 5]], names)["data"][0]
    assert list(heat["x"]) == list(heat["y"]) == ["&lt;5 mm&gt;", "&lt;6 mm&gt;", "a &amp; b"]
    counted = charts.counts({split: dict.fromkeys(names, 1) for split in ("train", "validation", "test")}, names)
    assert list(counted["data"][0]["y"]) == list(heat["y"])
