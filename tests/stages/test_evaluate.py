import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, put_array
from PIL import Image

from headstart.artifacts import corrections, dataset, features, manifest, models, predictions, results
from headstart.base import checkpoint, params
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.classifier import decision, file, joining
from headstart.classifier.details import Details, Rule
from headstart.images import decoding
from headstart.images.decoding import Square
from stages import evaluate

SIZE = 16
OUTPUTS = (results.TEST, predictions.PREDICTIONS, results.PICTURE, results.PLOTS, results.WRONG.parent)
BLUE, RED = np.array([40, 40, 200]), np.array([200, 40, 40])
# A flip of the columns; the classifier looks at the left half alone.
COLUMNS = (2,)


def dense(inputs, outputs, kernel):
    """A model that ends in a dense layer with these weights, as wide as the number of classes asks for."""
    units = kernel.shape[1]
    layer, features = keras.layers.Dense(units, "sigmoid" if units == 1 else "softmax"), joining.FEATURES
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Identity(name=features)(outputs))
    model = keras.Model(inputs, layer(pooled), name="classifier")
    layer.set_weights([kernel, np.zeros(units)])
    return model


def photo(path, left, right, rng):
    """Writes an image of two colours with some noise, and returns its mean, from 0 to 1."""
    colours = np.where(np.arange(30)[:, None] < 15, left, right)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(colours + rng.integers(-30, 30, (20, 30, 3)), 0, 255).astype("uint8")
    Image.fromarray(pixels).save(path)
    return decoding.read(path.read_bytes(), Square(SIZE)).mean(axis=(0, 1)) / 255


def project(classes, colours, mistake, axes=()):
    """A project with 12 images per class in a folder; only the last 6 of each class are test images.

    The classifier goes by the colour of the left half, and averages over flips along `axes`; the left half of the first
    test image has a little of another colour. The head goes by features that are the colour of the whole image, but
    wrong for image `mistake` of the test split, and for every image that is not in it.
    """
    settings = (ROOT / "params.yaml").read_text().replace("data/raw/elpv-dataset.zip", "photos")
    Path("params.yaml").write_text(settings.replace("[functional, defective]", "null"))
    declared = "[dataset, seed, fold, extract.engine]"
    Path("dvc.yaml").write_text(f"stages:\n  evaluate:\n    cmd: none\n    params: {declared}\n")
    rng, paths, means = np.random.default_rng(1), [], []
    for label, name in enumerate(classes):
        for i in range(12):
            paths.append(f"{name}/{i:02}.png")
            left = right = colours[label]
            if (label, i) == (0, 6):
                left = 0.4 * colours[0] + 0.6 * colours[1]
            means.append(photo(Path("photos", paths[-1]), left, right, rng))
    splits = np.array((["train"] * 6 + ["test"] * 6) * len(classes))
    labels, means = np.repeat(np.arange(len(classes)), 12), np.array(means, "float16")
    manifest.write(manifest.Manifest(list(classes), paths, labels, splits, [f"{i:064}" for i in range(len(paths))]))
    means[splits != "test"] = means[splits != "test"][::-1]
    means[np.flatnonzero(splits == "test")[mistake]] = 1 - means[np.flatnonzero(splits == "test")[mistake]]
    put_array(features.BOTTLENECK / "plain.npy", np.tile(means[:, None, None], (1, 2, 2, 1)))
    kernel = 4 * np.array([[1], [0], [-1]]) if len(classes) == 2 else 8 * np.eye(3)
    inputs = keras.Input((2, 2, 3))
    models.save(dense(inputs, inputs, kernel), models.HEAD)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    left = keras.layers.Cropping2D(((0, 0), (0, SIZE // 2)))(keras.layers.Rescaling(1 / 255)(inputs))
    save(joining.averaged(dense(inputs, left, kernel), axes), axes, classes)
    dataset.write(dataset.summarize(manifest.read(), len(paths), 0, [], []))


def save(network, axes, classes=("blue", "red"), temperature=1.0, **others):
    rule = Rule(temperature, **others)
    details = Details(list(classes), SIZE, "averaged", axes=tuple(axes), rule=rule)
    file.save(joining.calibrated(network, temperature), results.CLASSIFIER, details)


def two(axes=()):
    project(["blue", "red"], [BLUE, RED], mistake=2, axes=axes)


def table(path):
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def predicted():
    with predictions.PREDICTIONS.open(newline="", encoding="utf-8") as text:
        return predictions.parse(text.read())


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_classes():
    two()
    evaluate.main()
    result = json.loads(results.TEST.read_text())
    trust = ["calibration", "decision", "fragility", "reliability"]
    assert sorted(result) == sorted([*trust, "fine_tuned", "head", "images", "mcnemar"])
    assert result["images"] == 12
    assert {when for when, of in result["calibration"].items() if "ece_by_chance" in of} == {"after"}
    assert result["fine_tuned"]["confusion_matrix"] == [[5, 1], [0, 6]]
    assert result["head"]["accuracy"] == result["fine_tuned"]["accuracy"] == pytest.approx(11 / 12, abs=1e-6)
    assert result["mcnemar"] == {
        "fine_tuning": {"both": 10, "neither": 0, "only_fine_tuned": 1, "only_head": 1, "p": 1.0}
    }
    answers = predicted()
    assert answers.paths == [f"{name}/{i:02}.png" for name in ("blue", "red") for i in range(6, 12)]
    assert [answers.classes[label] for label in answers.labels] == ["blue"] * 6 + ["red"] * 6
    assert list(answers.predicted) == ["head", "fine_tuned"]
    for name, mistake in (("head", 2), ("fine_tuned", 0)):
        assert np.flatnonzero(answers.predicted[name] != answers.labels).tolist() == [mistake]
        np.testing.assert_array_equal(answers.predicted[name], decision.predicted(answers.probabilities[name]))
        plot = {"head": "head", "fine_tuned": "classifier"}[name]
        rows = table(results.PLOTS / "confusion" / f"{plot}.csv")
        assert len(rows) == 12 and rows[mistake] == {"actual": "blue", "predicted": "red"}
    last = table(results.PLOTS / "roc" / "head.csv")[-1]
    assert last == {"false_positive_rate": "1.0", "true_positive_rate": "1.0"}
    assert list(table(results.PLOTS / "precision_recall" / "classifier.csv")[0]) == ["recall", "precision"]
    for path in (results.WRONG, results.RIGHT, results.PICTURE):
        with Image.open(path) as picture:
            assert picture.format == "PNG"


def test_an_average_over_flips_is_a_model_of_its_own():
    two()
    evaluate.main()
    plain = predicted()
    before = json.loads(results.TEST.read_text())
    network = file.load(results.CLASSIFIER)[0].get_layer(joining.NETWORK)
    save(joining.averaged(keras.Model(network.input, network.output, name="classifier"), COLUMNS), COLUMNS)
    evaluate.main()
    result = json.loads(results.TEST.read_text())
    assert {name: result[name] for name in ("head", "fine_tuned")} == {
        name: before[name] for name in ("head", "fine_tuned")
    }
    assert result["averaged"]["accuracy"] == 1.0
    assert result["mcnemar"] == before["mcnemar"] | {
        "averaging": {"both": 11, "neither": 0, "only_averaged": 1, "only_fine_tuned": 0, "p": 1.0}
    }
    answers = predicted()
    assert list(answers.predicted) == ["head", "fine_tuned", "averaged"]
    assert plain.probabilities["fine_tuned"].tolist() == answers.probabilities["fine_tuned"].tolist()
    classifier, _ = file.load(results.CLASSIFIER)
    pixels = np.stack([decoding.read(Path("photos", path).read_bytes(), Square(SIZE)) for path in answers.paths])
    expected = decision.probabilities(classifier.predict(pixels, verbose=0))
    np.testing.assert_allclose(answers.probabilities["averaged"], expected, atol=1e-6)
    # What is delivered is what is plotted and shown.
    rows = table(results.PLOTS / "confusion" / "classifier.csv")
    assert all(row["actual"] == row["predicted"] for row in rows)
    assert not (results.PLOTS / "confusion" / "averaged.csv").exists()


@pytest.mark.parametrize("axes", [(), COLUMNS])
def test_three_classes_whatever_they_are_called(axes):
    names = ["a,b", "c:d", 'e "f"']
    project(names, 160 * np.eye(3) + 40, mistake=1, axes=axes)
    evaluate.main()
    measured = results.read()
    assert measured.images == 18
    assert measured.scores["head"]["accuracy"] == pytest.approx(17 / 18, abs=1e-6)
    assert measured.scores["fine_tuned"]["accuracy"] == pytest.approx(17 / 18, abs=1e-6)
    assert measured.scores["fine_tuned"]["roc_auc"] > 0.99
    assert sorted(measured.scores["head"]["per_class"]) == names
    assert list(measured.mcnemar) == ["fine_tuning", "averaging"][: 1 + len(axes)]
    answers = predicted()
    assert answers.classes == names
    mistakes = {name: np.flatnonzero(values != answers.labels).tolist() for name, values in answers.predicted.items()}
    assert mistakes == {"head": [1], "fine_tuned": [0], **({"averaged": []} if axes else {})}
    assert all(1 / 3 < values.max(1).min() < 1 for values in answers.probabilities.values())


def test_twice_gives_the_same_bytes():
    def written():
        evaluate.main()
        files = [path for output in OUTPUTS for path in ([output] if output.is_file() else sorted(output.rglob("*.*")))]
        return {path: path.read_bytes() for path in files}

    two(COLUMNS)
    first = written()
    assert len(first) == 11
    assert written() == first


@pytest.mark.parametrize("module", ["charts.result", "galleries.wrong", "galleries.right"])
def test_a_picture_that_fails_costs_no_run_and_no_other_picture(monkeypatch, capsys, module):
    def fail(*_, **__):
        raise ZeroDivisionError("a picture")

    two()
    monkeypatch.setattr(f"headstart.evaluation.{module}", fail)
    evaluate.main()
    assert results.read().images == len(predicted().paths) == 12
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "could not be drawn" in line]
    assert "ZeroDivisionError: a picture" in line
    sizes = []
    for path in (results.WRONG, results.RIGHT, results.PICTURE):
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes.count((800, 60)) == 1


def test_pictures_and_the_matrix_of_the_classifier_are_of_what_it_decides(monkeypatch):
    two()
    network, called = file.load(results.CLASSIFIER)[0].get_layer(joining.NETWORK), []
    whole = keras.Model(network.input, network.output, name="classifier")
    save(whole, (), goal="costs", of="red", threshold=1e-9, costs=[[0.0, 1e-9], [1.0, 0.0]])
    monkeypatch.setattr(
        evaluate.charts, "result", lambda path, predicted, **facts: called.append((predicted, facts.get("goal")))
    )
    for name in ("wrong", "right"):
        monkeypatch.setattr(
            evaluate.galleries, name, lambda path, answers, read: called.append((answers.predicted["fine_tuned"], None))
        )
    evaluate.main()
    rows = table(results.PLOTS / "confusion" / "classifier.csv")
    assert {row["predicted"] for row in rows} == {"red"} and all(len(set(of)) == 1 for of, _ in called)
    assert [goal for _, goal in called] == ["costs", None, None]
    assert {row["predicted"] for row in table(results.PLOTS / "confusion" / "head.csv")} == {"blue", "red"}
    assert len(set(predicted().predicted["fine_tuned"])) == 2, "the table has the likeliest class"


def test_an_image_that_goes_between_predicting_and_drawing(monkeypatch):
    two()
    write = results.write
    monkeypatch.setattr(results, "write", lambda measured: (write(measured), Path("photos/red/09.png").unlink()))
    evaluate.main()
    with Image.open(results.RIGHT) as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert (211, 211, 211) in [colour for _, colour in colours]


def test_the_positive_class_is_that_of_the_curves_and_changes_nothing_else():
    two()
    evaluate.main()
    before, predictions_before = results.read().scores["head"], predictions.PREDICTIONS.read_bytes()
    picture_before = results.PICTURE.read_bytes()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("positive: null", "positive: blue"))
    evaluate.main()
    after = results.read().scores["head"]
    assert {name for name in before if before[name] != after[name]} <= {"average_precision"}
    assert results.PICTURE.read_bytes() != picture_before, "it says whose curve it is"
    assert after["average_precision"] == after["per_class"]["blue"]["average_precision"]
    assert before["average_precision"] == before["per_class"]["red"]["average_precision"]
    assert predictions.PREDICTIONS.read_bytes() == predictions_before
    Path("params.yaml").write_text(text.replace("positive: null", "positive: blu"))
    with pytest.raises(UserError, match=r"dataset\.positive: got blu; did you mean blue\?"):
        evaluate.main()


def test_of_a_fold_the_corrected_images_are_those_of_the_fold():
    two()
    whole = manifest.read()
    summary = dataset.read() | {"corrections": {"labels": {"test": 5}, "left_out": {"test": 2}}}
    dataset.write(summary)
    evaluate.main()
    assert results.read().trust["corrected"] == 7
    folds = np.arange(24) % 3 + 1
    manifest.write(dataclasses.replace(whole, folds=folds))

    def corrected(row, label):
        return corrections.Correction(whole.paths[row], whole.sha256[row], "label", label)

    # Of fold 1: two whose label it gives, one that it does not, since it was passed over; and one of fold 2.
    entries = [corrected(0, "blue"), corrected(12, "red"), corrected(3, "red"), corrected(1, "blue")]
    keep = corrections.Correction(whole.paths[6], whole.sha256[6], "keep", "")
    corrections.write([*entries, keep])
    text = re.sub(r"(?m)^fold: \w+", "fold: 1", Path("params.yaml").read_text())
    Path("params.yaml").write_text(re.sub(r"(?m)^  folds: \w+", "  folds: 3", text))
    evaluate.main()
    assert results.read().trust["corrected"] == 2


def test_finished_work_of_earlier_stages_goes_and_unfinished_work_stays():
    two()
    for name in ("extract-1", "fine_tune-1"):
        (checkpoint.CHECKPOINTS / name).mkdir(parents=True)
    (checkpoint.CHECKPOINTS / "extract-1" / checkpoint.FINISHED).touch()
    evaluate.main()
    assert [path.name for path in checkpoint.CHECKPOINTS.iterdir()] == ["fine_tune-1"]


def test_only_declared_parameters_are_touched():
    two()
    declared = "[seed, fold, dataset.positive, extract.engine]"
    Path("dvc.yaml").write_text(f"stages:\n  evaluate:\n    cmd: none\n    params: {declared}\n")
    with pytest.raises(params.UndeclaredParameter, match=r"dataset"):
        evaluate.main()


def test_an_image_that_has_gone_since_the_split():
    two()
    Path("photos/red/09.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"red/09\.png.*dvc repro"):
        evaluate.main()
    assert not results.TEST.exists()
    Path("photos/red/09.png").unlink()
    with pytest.raises(UserError, match=r"red/09\.png"):
        evaluate.main()
