"""`python -m headstart.export`, in a project after a run."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from headstart import export
from headstart.artifacts import manifest, predictions
from headstart.base import params
from headstart.base.errors import UserError
from headstart.classifier.details import Details
from headstart.delivery import proving
from headstart.delivery.own_images import OwnImages


def run(project, *arguments, check=True):
    return project.run("python", "-m", "headstart.export", *arguments, check=check)


def test_an_export_is_proved_on_test_images_and_runs(reproduced):
    done = run(reproduced, "--format", "onnx")
    folder = reproduced.path / "models/exports/onnx"
    assert {path.name for path in folder.iterdir()} == {
        *("classifier.onnx", "classifier.json", "predict.py", "contract.py", "example.jpg"),
    }
    measured = json.loads((reproduced.path / "metrics/exports.json").read_text())
    about = json.loads((folder / "classifier.json").read_text())
    assert measured["classifier"] == about["classifier"]
    of = measured["exports"]["onnx"]
    assert of["images"] == of["agreement"] == 8 and of["largest_difference"] <= 1e-4
    assert of["bytes"] > 1e6 and of["start_seconds"] > 0 and of["images_per_second"] > 0
    assert of["same_possible"] == of["same_unlike"] == 8 and of["beside"]["images_per_second"] > 0
    assert "of 8 test images, 8 are of the same class, 8 with the same classes possible" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Written: models/exports/onnx. Try it: ")

    images = sorted(
        str(path.relative_to(reproduced.path)) for path in (reproduced.path / "data/my_images").rglob("*.png")
    )
    own = reproduced.run("python", "-m", "headstart.predict", *images[:9], "--json").stdout
    fast = reproduced.run("python", "-m", "headstart.predict", *images[:9], "--json", "--runtime", "onnx").stdout
    for one, other in zip(json.loads(own), json.loads(fast), strict=True):
        assert one.keys() == other.keys()
        assert [one[name] for name in ("path", "class", "possible", "unlike")] == [
            other[name] for name in ("path", "class", "possible", "unlike")
        ]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)

    # In 8 bits: what it costs stands beside it, and what was measured before stays.
    done = run(reproduced, "--format", "tflite", "--precision", "int8")
    exports = json.loads((reproduced.path / "metrics/exports.json").read_text())["exports"]
    assert exports["onnx"] == of and {"accuracy", "accuracy_low", "mcnemar"} <= exports["tflite-int8"].keys()

    # Another classifier: its exports are those of the one before.
    reproduced.set({"decision.coverage": None})
    reproduced.repro("calibrate")
    done = reproduced.run("python", "-m", "headstart.predict", images[0], "--runtime", "onnx", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: models/exports/onnx was made of another classifier than models/classifier.keras now is: run "
        "`make export FORMAT=onnx`"
    )


def test_an_export_is_proved_on_no_image_that_the_classifier_may_have_been_trained_on(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced.path)
    details = Details(manifest.read().classes, 32, "head")
    own = OwnImages(params.load(), details)
    pixels, labels, groups = own.tested_on(5)
    assert pixels.shape == (5, 32, 32, 3) and len(labels) == len(groups) == 5
    table = manifest.read()
    manifest.write(dataclasses.replace(table, splits=np.roll(table.splits, 1)))  # as after another split.seed
    with pytest.raises(UserError, match=r"^data/manifest\.csv has other test images than metrics/predictions\.csv"):
        OwnImages(params.load(), details).tested_on(5)
    predictions.PREDICTIONS.unlink()  # `evaluate` has not run: nobody knows
    assert len(OwnImages(params.load(), details).tested_on(5)[0]) == 5


def test_what_8_bits_cost_is_told_by_groups_where_images_belong_together():
    labels, own = np.zeros(200, int), np.tile([0.9, 0.1], (200, 1))
    given = own.copy()
    given[:40] = own[:40, ::-1]
    details = Details(["a", "b"], 8, "head")
    alone = proving.cost(details, own, given, labels, np.arange(200).astype(str), 1)
    together = proving.cost(details, own, given, labels, np.repeat(np.arange(20), 10).astype(str), 1)
    assert alone["accuracy"] == together["accuracy"] == 0.8 and alone["classifier_accuracy"] == 1
    low, high = binomtest(160, 200).proportion_ci(method="wilson")
    assert (alone["accuracy_low"], alone["accuracy_high"]) == pytest.approx((low, high), abs=1e-6)
    assert together["accuracy_low"] < low - 0.05 and together["accuracy_high"] > high + 0.05
    assert alone["mcnemar"]["p"] < 1e-6 and together["mcnemar"]["p"] == 0.125  # four groups of twenty differ


def test_what_cannot_be_exported_is_told_in_one_line(project):
    for arguments, said in (
        (("--format", "pmml"), "--format: got pmml; takes onnx, openvino, tflite, saved_model"),
        (("--format", ""), "--format: got nothing; takes onnx"),
        (("--format", "onnx", "--precision", "int4"), "--precision: got int4; takes float32, int8"),
        (("--format", "saved_model", "--precision", "int8"), "--precision: got int8, which saved_model has not"),
    ):
        with pytest.raises(UserError, match=said):
            export.main(list(arguments))
    done = run(project, "--format", "onnx", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: no models/classifier.keras: run `dvc repro`")
    done = project.run("python", "-m", "headstart.predict", "x.png", "--runtime", "onnx", check=False)
    assert done.stderr.splitlines()[-1] == (
        "error: --runtime: got onnx; there are keras here, and `make export FORMAT=onnx` writes models/exports/onnx"
    )
    done = project.run("python", "-m", "headstart.predict", "x.png", "--runtime", "pmml", check=False)
    assert done.stderr.splitlines()[-1].startswith("error: --runtime: got pmml; takes keras, onnx, openvino, tflite, ")


def test_an_export_that_fails_or_differs_leaves_the_one_before(reproduced, monkeypatch):
    """The last good one stays until another is proved."""
    monkeypatch.chdir(reproduced.path)
    export.main(["--format", "onnx"])
    folder = reproduced.path / "models/exports/onnx"
    (folder / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real = proving.compared

    def differing(*arguments):
        return real(*arguments) | {"largest_difference": float("nan")}

    monkeypatch.setattr(proving, "compared", differing)
    with pytest.raises(UserError, match="gives other probabilities than the classifier, by up to nan"):
        export.main(["--format", "onnx"])
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match="an export to onnx takes tf2onnx: pip install"):
        export.main(["--format", "onnx"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["onnx"]
