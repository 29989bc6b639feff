import csv
import io

import numpy as np
import pytest

from headstart.artifacts import predictions
from headstart.artifacts.predictions import Predictions


def drawn(classes, paths, models):
    """Predictions drawn at random: what a model predicts is not always its most probable class, as with ties."""
    rng, n, k = np.random.default_rng(1), len(paths), len(classes)
    return Predictions(
        classes,
        paths,
        rng.integers(0, k, n),
        {model: rng.integers(0, k, n) for model in models},
        {model: rng.dirichlet(np.ones(k), n).astype("float32") for model in models},
    )


@pytest.mark.parametrize(
    "classes",
    [
        ["cat", "dog"],
        ["cat", "dog", "owl"],
        ["a,b", "c:d", ':"e": f', "", "two\nlines", "two\r\nlines", "head", "label"],
    ],
)
@pytest.mark.parametrize("models", [["head", "fine_tuned"], ["head", "fine_tuned", "averaged"]])
def test_what_is_written_is_read_whatever_the_classes_are_called(tmp_path, classes, models):
    written = drawn(classes, ["a,b/1.png", 'c:d/"2".png', "2.png", "käfer.png"], models)
    predictions.write(written, tmp_path)
    with (tmp_path / predictions.PREDICTIONS).open(encoding="utf-8", newline="") as file:
        read = predictions.parse(file.read())
    assert (read.classes, read.paths) == (classes, written.paths)
    np.testing.assert_array_equal(read.labels, written.labels)
    assert list(read.predicted) == list(read.probabilities) == models
    for model in models:
        np.testing.assert_array_equal(read.predicted[model], written.predicted[model])
        np.testing.assert_allclose(read.probabilities[model], written.probabilities[model], atol=5e-7)
        assert (read.predicted[model].dtype, read.probabilities[model].dtype) == (np.int64, np.float32)


def test_the_columns_are_those_that_the_documentation_names(tmp_path):
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], "float32")
    predicted = np.array([1, 0])
    written = Predictions(
        ["cat", "dog"], ["1.png", "2.png"], np.array([1, 1]), {"head": predicted}, {"head": probabilities}
    )
    predictions.write(written, tmp_path)
    assert (tmp_path / "metrics/predictions.csv").read_text() == (
        "image,label,head,head:cat,head:dog\n1.png,dog,dog,0.250000,0.750000\n2.png,dog,cat,0.500000,0.500000\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image,label\n",
        "image,label,head,fine_tuned\n1.png,cat,0.250000,0.750000\n",
        "image,label,head,fine_tuned,head_probability,fine_tuned_probability\n1.png,cat,cat,dog,0.9,0.8\n",
        "image,label,head,head:cat,head:dog,fine_tuned,fine_tuned:cat\n",
        "label,image,head,head:cat,head:dog\n",
    ],
)
def test_columns_of_an_earlier_version_are_refused(text):
    with pytest.raises(ValueError, match=r"metrics/predictions\.csv has the columns of an earlier version"):
        predictions.parse(text)


@pytest.mark.parametrize("row", ["1.png,cow,cat,0.9,0.1", "1.png,cat,cow,0.9,0.1", "1.png,cat,cat,x,0.1", "1.png,cat"])
def test_damaged_rows_are_refused(row):
    text = io.StringIO()
    csv.writer(text).writerows([["image", "label", "head", "head:cat", "head:dog"], row.split(",")])
    with pytest.raises(ValueError, match=r"metrics/predictions\.csv is damaged"):
        predictions.parse(text.getvalue())
