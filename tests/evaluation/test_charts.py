import csv

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from headstart.evaluation import charts, figures


def drawn(count, k, seed=1):
    """Labels and fairly good probabilities of `count` images in k classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % k
    return labels, rng.dirichlet(np.ones(k), count) * 0.6 + 0.4 * np.eye(k)[labels]


@pytest.fixture
def axes(monkeypatch, tmp_path):
    """A function that draws the result and gives its three axes, as they were saved."""
    saved: list[Figure] = []
    save = figures.save
    monkeypatch.setattr(figures, "save", lambda figure, path: (saved.append(figure), save(figure, path)))

    def result(*arguments):
        charts.result(tmp_path / "new/result.png", *arguments)
        with Image.open(tmp_path / "new/result.png") as image:
            image.load()
            assert image.size == (1300, 400)
        axes = saved[-1].axes
        for part in axes:
            title = part.title.get_window_extent()
            assert title.x0 >= 0 and title.x1 <= 1300, f"{part.get_title()} is cut off"
        return axes

    return result


@pytest.mark.parametrize(("k", "models"), [(2, 2), (2, 3), (3, 2), (3, 3)])
def test_the_picture_has_the_last_models_matrix_and_the_curves_of_all(axes, k, models):
    names = ["head alone", "fine-tuned", "averaged over flips"][:models]
    labels, _ = drawn(60, k)
    by_model = {name: drawn(60, k, seed)[1] for seed, name in enumerate(names)}
    confusion, roc, precision_recall = axes(labels, by_model, list("abc"[:k]))
    assert confusion.get_title() == f"{names[-1]}: 60 test images"
    right = int((by_model[names[-1]].argmax(1) == labels).sum())
    counts = np.array([int(text.get_text()) for text in confusion.texts]).reshape(k, k)
    assert (counts.sum(), counts.trace()) == (60, right)
    assert roc.get_title() == "ROC curve (AUC)"
    assert precision_recall.get_title() == "Precision–recall curve (average precision)"
    for curve in (roc, precision_recall):
        labelled = [text.get_text() for text in curve.get_legend().get_texts()]
        assert [label.rpartition(", ")[0] for label in labelled] == names
        assert all(0.5 < float(label.rpartition(", ")[2]) <= 1 for label in labelled)


def test_a_model_that_is_always_wrong_has_an_area_of_zero(axes):
    labels = np.array([0, 0, 1, 1])
    _, roc, _ = axes(labels, {"head alone": np.eye(2)[1 - labels]}, ["a", "b"])
    assert [text.get_text() for text in roc.get_legend().get_texts()] == ["head alone, 0.0000"]


def test_images_of_one_class_have_a_matrix_and_no_curves(axes):
    confusion, roc, precision_recall = axes(np.zeros(4, int), {"head alone": drawn(4, 2)[1]}, ["a", "b"])
    assert len(confusion.texts) == 4
    assert len(roc.lines) == len(precision_recall.lines) == 0


def test_class_names_with_dollar_signs_and_many_classes(axes):
    labels, probabilities = drawn(12, 6)
    names = ["$a_$", "$\\no$", "a,b", "c:d", 'e "f"', "käfer"]
    confusion, *_ = axes(labels, {"head alone": probabilities}, names)
    assert [label.get_text() for label in confusion.get_xticklabels()] == names


@pytest.mark.parametrize("classes", [["a,b", "c:d"], ["a,b", "c:d", 'e "f"']])
def test_the_data_for_dvc_is_one_table_per_plot_and_model(tmp_path, classes):
    labels, head = drawn(30, len(classes))
    classifier = drawn(30, len(classes), seed=2)[1]
    charts.data(tmp_path, labels, {"head": head, "classifier": classifier}, classes)

    def table(name):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 6
    for name, probabilities in (("head", head), ("classifier", classifier)):
        pairs = [(row["actual"], row["predicted"]) for row in table(f"confusion/{name}.csv")]
        assert pairs == [(classes[a], classes[b]) for a, b in zip(labels, probabilities.argmax(1), strict=True)]
        ends = [{"false_positive_rate": str(end), "true_positive_rate": str(end)} for end in (0.0, 1.0)]
        assert [table(f"roc/{name}.csv")[i] for i in (0, -1)] == ends
        assert table(f"precision_recall/{name}.csv")[0] == {"recall": "0.0", "precision": "1.0"}


def test_the_data_of_a_curve_that_is_not_defined_is_a_header(tmp_path):
    charts.data(tmp_path, np.zeros(4, int), {"head": drawn(4, 2)[1]}, ["a", "b"])
    assert (tmp_path / "roc/head.csv").read_text() == "false_positive_rate,true_positive_rate\n"
    assert (tmp_path / "precision_recall/head.csv").read_text() == "recall,precision\n"
    assert (tmp_path / "confusion/head.csv").read_text().count("\n") == 5
