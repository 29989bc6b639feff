"""Inputs after public bug reports: what split, evaluate and the report make of rare, many and oddly named classes."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from classifiers import details
from conftest import ROOT, put_array
from PIL import Image
from rich.cells import cell_len
from ruamel.yaml import YAML

from headstart import report
from headstart.artifacts import features, manifest, models, results
from headstart.base.runtime import keras
from headstart.classifier import file, joining
from headstart.evaluation import charts
from headstart.evaluation.lettering import Lettering
from headstart.images import decoding
from stages import evaluate, split

pytestmark = pytest.mark.real
SIZE = 16


def by_colour(inputs, pixels, classes, kernel):
    """A classifier that goes by the mean of the pixels, from 0 to 1; of two classes, class 1 where all are 0."""
    units = 1 if len(classes) == 2 else len(classes)
    layer = keras.layers.Dense(units, "sigmoid" if units == 1 else "softmax")
    features = keras.layers.Identity(name=joining.FEATURES)(pixels)
    model = keras.Model(inputs, layer(keras.layers.GlobalAveragePooling2D()(features)))
    layer.set_weights([kernel, np.full(units, 4.0 if units == 1 else 0.0)])
    return model


@pytest.fixture
def evaluated(shared, tmp_path, monkeypatch, capsys):
    """A function that makes a case, splits it and evaluates a classifier by colour; it returns what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(case, kernel, **dataset):
        script = shared / "cases" / case / "make.py"
        if not script.exists():
            pytest.skip(f"no {script}")
        subprocess.run([sys.executable, script, "images"], check=True)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update(source=None, path="images", labels="folders", classes=None, table=None, **dataset)
        values["split"].update(validation=0.25, test=0.25)
        yaml.dump(values, Path("params.yaml"))
        Path("dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
        split.main()
        table = manifest.read()
        means = [decoding.decode(Path("images", path).read_bytes()).mean(axis=(0, 1)) / 255 for path in table.paths]
        put_array(features.BOTTLENECK / "plain.npy", np.array(means, "float16")[:, None, None])
        kernel = kernel(table, np.array(means))
        inputs = keras.Input((1, 1, 3))
        models.save(by_colour(inputs, inputs, table.classes, kernel), models.HEAD)
        inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
        model = by_colour(inputs, keras.layers.Rescaling(1 / 255)(inputs), table.classes, kernel)
        file.save(model, results.CLASSIFIER, details("averaged", table.classes, SIZE))
        evaluate.main()
        report.main()
        return capsys.readouterr()

    return run


def nothing(table, means):
    return np.zeros((3, 1))


def nearest(table, means):
    """The kernel by which the class of the nearest direction from the mean colour is the likeliest."""
    centres = np.stack([means[table.labels == label].mean(axis=0) for label in range(len(table.classes))])
    kernel = 200 * (centres - means.mean(axis=0)).T
    return kernel if len(table.classes) > 2 else kernel[:, 1:] - kernel[:, :1]


def test_a_class_fifty_times_rarer_that_is_never_predicted(evaluated):
    output = " ".join(evaluated("10-rare-class", nothing, positive="bad").out.split())
    for sentence in (
        "class bad has 6 training images, good has 300: accuracy alone says little here",
        "Every test image is called good: bad is never predicted.",
        "An accuracy of 0.9804 is no more than always saying good reaches (0.9804).",
        "try head.class_weights and fine_tune.class_weights: balanced, and fine_tune.select_by: balanced_accuracy.",
    ):
        assert sentence in output
    score = results.read().scores["fine_tuned"]
    assert list(score)[:3] == ["balanced_accuracy", "lowest_recall", "macro_f1"]
    assert (score["balanced_accuracy"], score["lowest_recall"]) == (0.5, 0.0)
    assert score["average_precision"] == pytest.approx(3 / 153, abs=1e-6), "of the bad ones"
    assert manifest.read().classes == ["bad", "good"], "the positive class moves no other"
    assert output.index("macro") < output.index("95 %")


def test_a_hundred_and_twenty_classes_read_well(evaluated):
    started = time.perf_counter()
    output = evaluated("11-many-classes", nearest).out
    assert time.perf_counter() - started < 60
    rows = [line for line in output.splitlines() if line.startswith("│")]
    assert sum("Long_species_name" in row for row in rows) == 10 and any("110 between" in row for row in rows)
    assert max(map(cell_len, output.splitlines())) < 140 and max(map(cell_len, rows)) <= 80
    assert len(results.read().scores["head"]["per_class"]) == 120
    assert len(json.loads(results.TEST.read_text())["head"]["per_class"]) == 120
    with (results.PLOTS / "confusion/head.csv").open(newline="", encoding="utf-8") as table:
        assert len({name for row in csv.DictReader(table) for name in row.values()}) <= charts.WHOLE + 1
    with Image.open(results.PICTURE) as picture:
        assert picture.size == (1700, 700)


def test_strips_pass_through_every_gallery(evaluated):
    output = evaluated("06-extreme-aspect", nearest).out
    assert "could not be drawn" not in output
    for path in (results.PICTURE, results.WRONG, results.RIGHT):
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    right = np.asarray(Image.open(results.RIGHT).convert("RGB")).astype(int)
    assert results.read().scores["fine_tuned"]["per_class"]["scan"]["recall"] > 0
    assert len(np.unique(right.reshape(-1, 3), axis=0)) > 300, "the images are in it"


def test_names_in_chinese_korean_and_arabic(evaluated, recwarn):
    done = evaluated("18-cjk-names", nearest)
    names = manifest.read().classes
    assert sorted(names) == sorted(["划痕", "정상", "خدش"])
    assert sorted(results.read().scores["head"]["per_class"]) == sorted(names)
    rows = [line for line in done.out.splitlines() if line.startswith("│")][:3]
    assert len({cell_len(row) for row in rows}) == 1
    assert "Glyph" not in done.err + done.out and not [w for w in recwarn.list if "Glyph" in str(w.message)]
    assert ("no font on this machine" in done.out) == bool(Lettering(names).substituted)
    assert "could not be drawn" not in done.out
