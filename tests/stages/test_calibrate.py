"""The stage calibrate, on what a run of the drawn project has left."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.artifacts import calibration, manifest, predictions, results
from headstart.artifacts.results import CLASSIFIER
from headstart.base.errors import UserError
from headstart.classifier import decision, file, joining, unlike
from headstart.images import decoding
from headstart.images.decoding import Square
from headstart.page import notes
from stages import calibrate


@pytest.fixture
def run(reproduced, monkeypatch):
    """A project in which everything has run, as the working directory."""
    monkeypatch.chdir(reproduced.path)
    return reproduced


def images(paths):
    return np.stack([decoding.read(Path("data/my_images", path).read_bytes(), Square(32)) for path in paths])


def test_the_classifier_is_the_network_at_a_temperature_that_knows_its_training_images(run):
    network, before = file.load(file.NETWORK)
    classifier, details = file.load(CLASSIFIER)
    table, written = manifest.read(), json.loads(calibration.CALIBRATION.read_text())
    assert before.rule.temperature is None
    assert before.known.limit == details.known.limit
    np.testing.assert_array_equal(before.known.features, details.known.features)
    assert details.rule.temperature == pytest.approx(written["temperature"], abs=1e-6)
    pixels = images(table.paths)
    given = decision.probabilities(network.predict(pixels, verbose=0))
    sure = decision.probabilities(classifier.predict(pixels, verbose=0))
    np.testing.assert_allclose(sure, decision.tempered(given, details.rule.temperature), atol=1e-5)
    both = joining.with_features(classifier, details.axes, details.rule.temperature)
    _, features = both.predict(pixels, verbose=0)
    train = features[table.rows("train")]
    np.testing.assert_allclose(details.known.features, unlike.unit(train), atol=2e-3)
    assert not unlike.is_unlike(features[table.rows("validation")], details.known).any()
    assert written["unlike"]["images"] == len(train)


def test_what_it_goes_by_are_images_that_were_not_trained_on(run):
    answers = predictions.parse(predictions.VALIDATION.read_text(), predictions.VALIDATION)
    table = manifest.read()
    assert answers.paths == [table.paths[row] for row in table.rows("validation")]
    written = json.loads(calibration.CALIBRATION.read_text())
    assert written["images"] == len(answers.paths) and written["at_least"] == 0.0, "8 images leave all open"


def test_another_decision_trains_nothing_and_reaches_the_classifier(run):
    run.set({"decision.goal": "recall", "decision.of": "red", "decision.at_least": 0.9, "decision.coverage": None})
    done = run.repro()
    assert run.ran(done) == ["calibrate", "evaluate", "report"]
    _, details = file.load(CLASSIFIER)
    assert (details.rule.goal, details.rule.of, details.rule.at_least) == ("recall", "red", None)
    assert (
        f"calibrate: red from a probability of {decision.shown(details.rule.threshold)} on (decision.goal: recall)"
        in done.stdout
    )
    assert "calibrate: WARNING: a recall of 0.9 takes 9 images of red to set it on: there are 4; add" in done.stdout
    assert "A recall of 0.9 takes 9 images of red to set it on" in Path("metrics/report.html").read_text()
    measured = json.loads(Path("metrics/test.json").read_text())
    assert measured["decision"]["threshold"] == details.rule.threshold
    assert {"recall", "recall_low", "precision_high"} <= measured["decision"].keys() and "possible" not in measured


def test_twice_the_same_bytes(run):
    before = CLASSIFIER.read_bytes(), calibration.CALIBRATION.read_bytes()
    run.stage("calibrate", check=True)
    assert (CLASSIFIER.read_bytes(), calibration.CALIBRATION.read_bytes()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no metrics/validation\.csv here: run `dvc repro fine_tune`"),
        ("", r"metrics/validation\.csv has the columns of an earlier version"),
        ("image,label,head,head:a,head:b\nx,a,a,1,0\n", "is of other classes"),
        ("image,label,head,head:blue,head:red\nx,blue,blue,1,0\n", r"metrics/validation\.csv is of other images"),
    ],
)
def test_a_damaged_table_is_one_line(run, content, message):
    predictions.VALIDATION.unlink()
    if content is not None:
        predictions.VALIDATION.write_text(content)
    with pytest.raises(UserError, match=message):
        calibrate.main()


def test_a_recall_holds_where_the_table_rounds_probabilities_to_one(run):
    """Of a classifier that is very sure the table has 1.000000 where it says 0.9999996: a threshold must take that."""
    header, first, *lines = predictions.VALIDATION.read_text().splitlines()
    image, label, _, *_ = first.split(",")
    assert label == "blue", "one that is certain and wrong: it makes the temperature high"
    rows = [header, f"{image},blue,red,0.000000,1.000000"]
    for line in lines:
        image, label, _, *_ = line.split(",")
        rows.append(f"{image},{label},{label},{label != 'red':d}.000000,{label == 'red':d}.000000")
    predictions.VALIDATION.write_text("\n".join(rows) + "\n")
    run.set({"decision.goal": "recall", "decision.of": "red"})
    calibrate.main()
    _, details = file.load(CLASSIFIER)
    assert details.rule.temperature > 1.5
    sure = details.rule.tempered(np.array([[4e-7, 1 - 4e-7]]))
    assert sure[0, 1] >= details.rule.threshold > 0.5 and details.rule.predicted(sure)[0] == 1


@pytest.mark.parametrize("goal", ["accuracy", "balanced_accuracy", "recall"])
def test_a_positive_class_that_is_none_is_refused_before_it_is_tested(run, goal):
    run.set({"dataset.positive": "rd", "decision.goal": goal})
    with pytest.raises(UserError, match=r"^dataset\.positive: got rd; did you mean red\? takes blue or red"):
        calibrate.main()


def test_many_images_of_few_groups_are_few(run, capsys):
    table = manifest.read()
    groups = np.array([f"patient {row % 3}" for row in range(len(table.paths))])
    manifest.write(dataclasses.replace(table, groups=groups))
    run.set({"decision.coverage": 0.8})
    calibrate.main()
    warning = "a decision.coverage of 0.8 takes 4 groups of images that were not trained on, not 3: nothing is promised"
    assert f"WARNING: {warning}" in capsys.readouterr().out
    assert json.loads(calibration.CALIBRATION.read_text())["groups"] == 3
    assert any(warning[1:] in line for line in notes.warnings(results.read())), "the page and the card have it, too"
