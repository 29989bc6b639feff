import io
import json
import re

import numpy as np
import pytest
from conftest import ROOT
from rich.cells import cell_len
from rich.console import Console

from headstart import report
from headstart.artifacts import calibration, dataset, inspection, results
from headstart.base import params, yaml12
from headstart.base.errors import UserError
from headstart.evaluation import curves, scores
from headstart.page import notes

SCORE = {"accuracy": 0.9024, "accuracy_low": 0.8772, "accuracy_high": 0.9229, "roc_auc": 0.9561, "loss": 0.2512}
SCORE |= {"average_precision": 0.9}
PAIR = {"only_head": 5, "only_fine_tuned": 12, "both": 500, "neither": 20, "p": 0.143463}
AVERAGING = {"only_fine_tuned": 1, "only_averaged": 4, "both": 500, "neither": 20, "p": 0.375}
FINE_TUNED = {"head": SCORE, "fine_tuned": SCORE | {"accuracy": 0.9999}}


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    """A function that gives what the report prints of some results."""
    monkeypatch.chdir(tmp_path)

    def text(scores, mcnemar):
        results.write(results.Results(1656, scores, mcnemar))
        report.main()
        return capsys.readouterr().out

    return text


def test_the_table_fits_eighty_columns_and_says_what_counts(shown):
    text = shown(FINE_TUNED, {"fine_tuning": PAIR})
    assert max(map(len, text.splitlines())) <= 80
    for words in ("1,656 test images", "0.9024", "0.8772 – 0.9229", "0.9561", "0.2512", "0.9999"):
        assert words in text
    assert (
        "The fine-tuned model is right on 12 images that the head gets wrong, and wrong on 5 that it gets right: "
        "p = 0.14 (McNemar)."
    ) in " ".join(text.split())
    for path in (results.PICTURE, results.WRONG, results.RIGHT, "metrics/predictions.csv"):
        assert str(path) in text
    assert "classifier (fine-tuned)  models/classifier.keras" in text
    assert "averag" not in text


def test_the_average_over_flips_has_its_row_and_its_sentence(shown):
    scores = FINE_TUNED | {"averaged": SCORE | {"accuracy": 0.7777}}
    text = shown(scores, {"fine_tuning": PAIR, "averaging": AVERAGING})
    assert max(map(len, text.splitlines())) <= 80
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["head alone", "fine-tuned", "averaged over flips"]
    assert "0.7777" in rows[2]
    assert (
        "The average over flips is right on 4 images that one look gets wrong, and wrong on 1 that it gets right: "
        "p = 0.38 (McNemar)."
    ) in " ".join(text.split())
    assert "classifier (averaged over flips)  models/classifier.keras" in text


def test_a_score_that_is_not_defined(shown):
    text = shown(FINE_TUNED | {"head": SCORE | {"roc_auc": None}}, {"fine_tuning": PAIR})
    row = next(line for line in text.splitlines() if "head alone" in line)
    assert "None" not in text and row.split("│")[4].strip() == "–"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only_fine_tuned": 1}, "right on 1 image that"),
        ({"only_fine_tuned": 0, "only_head": 0, "p": 1.0}, "right and wrong on the same images as the head"),
        ({"p": 0.0}, "p < 0.0001"),
        ({"groups": 300}, "p = 0.14 (McNemar, over groups)."),
    ],
)
def test_mcnemar_in_words(changes, words):
    assert words in notes.sentence("fine_tuning", PAIR | changes)


def test_without_a_run_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no metrics/test\.json here.*dvc repro"):
        report.main()


def test_where_fine_tuning_was_no_better_the_report_says_that_the_head_is_delivered(shown):
    text = shown({"head": SCORE}, {})
    assert "the classifier is the head" in text and "classifier (head alone)" in text
    averaging = {"only_head": 1, "only_head_averaged": 4, "both": 500, "neither": 20, "p": 0.375}
    text = shown({"head": SCORE, "head_averaged": SCORE}, {"head_averaging": averaging})
    assert "the classifier is the head" in text and "classifier (head averaged over flips)" in text
    assert "The average over flips is right on 4 images that one look gets wrong" in " ".join(text.split())
    assert "the classifier is the head" not in shown(FINE_TUNED, {"fine_tuning": PAIR})


def scored(labels, probabilities, classes):
    """What `evaluate` writes of a head with these answers, as it is read again."""
    labels, probabilities = np.array(labels), np.array(probabilities, "float32")
    score = scores.score(labels, probabilities, classes, curves.of(labels, probabilities))
    return results.Results(len(labels), {"head": score}, {})


def printed(measured, width=80, summary=None):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    report.show(measured, summary, console)
    return console.file.getvalue()


def one_line(text):
    return " ".join(text.split())


GOOD = [[0.98, 0.02]] * 153  # whatever the image shows
RARE = scored([0] * 150 + [1] * 3, GOOD, ["good", "[b]bad"])


def test_where_a_class_is_rare_the_scores_that_say_so_lead_and_each_class_has_its_recall():
    text = printed(RARE)
    header, row = (next(line for line in text.splitlines() if word in line) for word in ("accuracy ┃", "head alone"))
    assert [cell.strip() for cell in header.split("┃")[2:6]] == ["accuracy", "F1", "[b]bad", "accuracy"]
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["0.5000", "0.4950", "0.0196", "0.9804"]
    bad = next(line for line in text.splitlines() if line.startswith("│ [b]bad"))
    assert [cell.strip() for cell in bad.split("│")[2:5]] == ["3", "0.0000", "0"]
    for sentence in (
        "good has 50 times the test images of [b]bad: from 3 times on, the scores in which all classes weigh the same",
        "Every test image is called good: [b]bad is never predicted.",
        "An accuracy of 0.9804 is no more than always saying good reaches (0.9804).",
        "to the network they look alike",
    ):
        assert sentence in one_line(text)


def test_from_three_times_on_a_class_is_rare():
    for largest, leads in ((8, False), (9, True)):
        measured = scored([0] * largest + [1] * 3, [[0.9, 0.1]] * largest + [[0.1, 0.9]] * 3, ["a", "b"])
        assert notes.rare(measured) is ("balanced" in printed(measured)) is leads
        assert "never predicted" not in printed(measured) and "no more than" not in printed(measured)


def test_what_the_numbers_cannot_say_is_said():
    text = one_line(printed(scored([0], [[0.9, 0.05, 0.05]], ["a", "b", "c"])))
    assert "1 test image: too few to tell good from bad; raise split.test, or add images." in text
    assert "No test image is of b, c: no score tells of such images" in text
    assert "no more than" not in text and "never predicted" not in text
    third = scored([0, 1, 2] * 10, np.tile(np.eye(3)[[0, 1, 0]] * 0.9 + 0.03, (10, 1)), ["a", "b", "c"])
    text = one_line(printed(third))
    assert "Never predicted: c." in text and "too few" not in text
    assert "Lowest recall: c 0.00, a 1.00, b 1.00 (all classes: metrics/test.json)." in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("k", [2, 20, 200])
def test_it_fits_any_terminal_however_many_classes_there_are(k, rare, width):
    names = [f"{index:03}.划痕_Long_species_name_{index}" for index in range(k)]
    labels = np.concatenate([np.full(40 if rare and index == 0 else 4, index) for index in range(k)])
    rng = np.random.default_rng(1)
    guesses = (labels + (rng.random(len(labels)) > 0.9)) % k
    probabilities = 0.4 * rng.dirichlet(np.ones(k), len(labels)) + 0.6 * np.eye(k)[guesses]
    text = printed(scored(labels, probabilities, names), width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width and len(lines) < 45
    assert "…" not in next(line for line in lines if line.startswith("│ head"))
    assert ("macro" in text) is rare


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (None, "153 test images"),
        ({"published": []}, "153 test images, none of them used before"),
        ({}, "153 test images, none of them used before"),
        ({"published": ["test", "train"]}, "153 test images, the source's own test split, none of them used before"),
        ({"test_copies": 12}, "153 test images, 12 of them with a near copy in training"),
    ],
)
def test_that_the_test_images_are_new_is_said_only_as_far_as_it_is_known(summary, words):
    unknown = words.replace(", none of them used before", "")  # where nobody has looked
    assert notes.heading(153, summary) == unknown
    pairs = [
        {"paths": ["a", "b"], "splits": ["train", "test"]},
        {"paths": ["c", "d"], "splits": ["train", "validation"]},
    ]
    if summary and not summary.get("test_copies"):
        known = words.replace("none of them used before", "1 nearly the same as one in another split")
        assert notes.heading(153, summary, {"alike": pairs, "counts": {"alike": 2}}) == known
        more = known.replace("1 nearly", "at least 1 nearly")
        assert notes.heading(153, summary, {"alike": pairs, "counts": {"alike": 501}}) == more
    assert notes.heading(153, summary, {"alike": pairs[1:], "counts": {"alike": 1}}) == words
    assert printed(RARE, 120, summary).splitlines()[0].strip() == unknown


def test_many_files_left_out_are_said_once_more():
    summary = {
        "published": [],
        "found": 100,
        "left_out": [{"path": str(number), "reason": "x"} for number in range(11)],
    }
    assert "11 files of the source left out: metrics/dataset.json says why." in printed(RARE, 80, summary)
    assert "left out" not in printed(RARE, 80, summary | {"found": 110})


def test_what_helps_a_rare_class_is_said_unless_it_is_set():
    values = yaml12.read(ROOT / "params.yaml")
    values["dataset"]["classes"] = None
    summary = {"classes": ["bad", "good"], "counts": {"train": {"bad": 6, "good": 300}}}
    weights, positive = notes.help_for_rare(summary, params.check(values))
    assert weights == (
        "To let every class weigh the same, try head.class_weights and fine_tune.class_weights: balanced, and "
        "fine_tune.select_by: balanced_accuracy."
    )
    assert positive.startswith("With dataset.positive: bad the curves")
    values["dataset"]["positive"], values["head"]["class_weights"] = "bad", "balanced"
    assert notes.help_for_rare(summary, params.check(values)) == []
    values["head"]["class_weights"] = "none"
    assert notes.help_for_rare(summary | {"counts": {"train": {"bad": 31, "good": 300}}}, params.check(values)) == []


def test_the_scores_are_shown_without_what_split_wrote(shown, tmp_path):
    assert "1,656 test images\n" in shown({"head": SCORE}, {}).replace(" \n", "\n").replace("  ", "")
    (tmp_path / dataset.DATASET).write_text('{"published": ["test"], "classes": ["a", "b"], "counts": {}}')
    said = shown({"head": SCORE}, {})
    assert "none of them" not in said and "0.9024" in said
    assert "metrics/dataset.json is damaged (it lacks found, left_out): run `dvc repro" in said


DAMAGED = [
    (dataset.DATASET, {"counts": None}, r"counts is null\): run `dvc repro --force --single-item split`"),
    (inspection.INSPECTION, {"alike": None}, r"alike is null\): run `dvc repro --force --single-item inspect`"),
    (inspection.INSPECTION, {"warnings": [3]}, r"warnings\[0\] is 3\): run `dvc repro --force --single-item inspect`"),
    (inspection.INSPECTION, {"elsewhere": {"a": 2}}, r"elsewhere\.a is 2, which is not from 0 to 1\): run .* inspect`"),
]


@pytest.mark.parametrize(("path", "change", "words"), DAMAGED)
def test_a_damaged_file_is_named_and_the_scores_are_shown(reproduced, monkeypatch, capsys, path, change, words):
    monkeypatch.chdir(reproduced.path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    report.main()
    said = capsys.readouterr().out
    assert re.search(f"^{path} is damaged \\({words}$", said, re.MULTILINE) and "head alone" in said


@pytest.mark.parametrize("content", ["[]", "null", '{"set_on": 3}'])
def test_a_damaged_calibration_ends_it_in_one_line(shown, tmp_path, content):
    (tmp_path / "metrics").mkdir()
    (tmp_path / calibration.CALIBRATION).write_text(content)
    with pytest.raises(UserError, match=r"^metrics/calibration\.json is damaged .* --single-item calibrate`$"):
        shown({"head": SCORE}, {})


def test_what_is_missing_takes_nothing_else_from_the_report(reproduced):
    """Before `inspect` has run, what `split` knows of the test images is said all the same."""
    whole = reproduced.run("python", "-m", "headstart.report").stdout
    (reproduced.path / inspection.INSPECTION).rename(reproduced.path / "aside.json")
    try:
        without = reproduced.run("python", "-m", "headstart.report").stdout
    finally:
        (reproduced.path / "aside.json").rename(reproduced.path / inspection.INSPECTION)
    assert without.splitlines()[0].strip() == whole.splitlines()[0].partition(",")[0]
    assert {*without.splitlines()[1:]} <= {*whole.splitlines()[1:]}


def test_what_inspect_warns_of_and_which_files_are_not_here_is_said(reproduced):
    content = (reproduced.path / inspection.INSPECTION).read_text()
    found = json.loads(content) | {"warnings": ["two pairs lie in two splits"]}
    (reproduced.path / inspection.INSPECTION).write_text(json.dumps(found))
    (reproduced.path / results.PAGE).rename(reproduced.path / "aside.html")
    try:
        said = reproduced.run("python", "-m", "headstart.report").stdout
    finally:
        (reproduced.path / inspection.INSPECTION).write_text(content)
        (reproduced.path / "aside.html").rename(reproduced.path / results.PAGE)
    assert "\nTwo pairs lie in two splits.\n" in said
    assert said.count("(not here)") == 1 and "metrics/report.html  (not here)\n" in said
    assert said.endswith("Not here: `make pull` brings it if it was pushed, `dvc repro` makes it.\n")
    assert "not here" not in reproduced.run("python", "-m", "headstart.report").stdout


def test_the_seconds_of_each_stage_are_said_where_they_are_known(reproduced):
    reproduced.environment["COLUMNS"] = "300"
    said = reproduced.run("python", "-m", "headstart.report").stdout
    (line,) = re.findall("^Seconds of each stage, when it ran on this machine: (.*)\\.$", said, re.MULTILINE)
    took = dict(part.split() for part in line.split(", "))
    assert list(took)[:3] == ["fetch", "split", "extract"] and len(took) == 9
    assert 1 <= float(took["fine_tune"]) < 2000
    notes = reproduced.path / ".dvc/tmp/seconds.csv"
    kept = notes.read_text()
    notes.write_text("".join(row for row in kept.splitlines(True) if ",inspect," not in row))
    partly = reproduced.run("python", "-m", "headstart.report").stdout
    assert f"{took['report']}. Not known of inspect: taken over, or interrupted.\n" in partly
    notes.write_text(kept)
    reproduced.set({"fine_tune.learning_rate": 0.0002})
    assert line in reproduced.run("python", "-m", "headstart.report").stdout
    for content in ("", "[]", "stages: {fetch: 1}", ": ["):
        (reproduced.path / "dvc.lock").write_text(content)
        assert reproduced.run("python", "-m", "headstart.report").stdout == said.replace(
            f"Seconds of each stage, when it ran on this machine: {line}.\n", ""
        )


def test_what_has_changed_since_the_run_is_said(reproduced):
    def said():
        return " ".join(reproduced.run("python", "-m", "headstart.report").stdout.split())

    assert "earlier run" not in said()
    before = (reproduced.path / "params.yaml").read_text()
    reproduced.set({"fine_tune.learning_rate": 0.0002, "head.dropout": 0.1})
    change = "Of an earlier run: params.yaml has another head.dropout, fine_tune.learning_rate by now"
    assert f"{change}. `dvc repro` makes these numbers anew." in said()
    (reproduced.path / "params.yaml").write_text(before)
    (reproduced.path / "data/my_images/red/00.png").unlink()
    assert "Of an earlier run: data/my_images has other images by now. `dvc repro`" in said()
    path = reproduced.path / results.TEST
    path.write_text(path.read_text() + "\n")
    assert "other images by now; metrics/test.json is not the one that dvc.lock names." in said()
    for content in ("", "[]", "stages: {fetch: 1}", ": ["):
        (reproduced.path / "dvc.lock").write_text(content)
        assert "earlier run" not in said()
