import csv
import time

import numpy as np
import pytest
from dvc_render.vega import VegaRenderer
from matplotlib.figure import Figure
from PIL import Image

from headstart.base import figures
from headstart.classifier import decision
from headstart.evaluation import charts, curves


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

    def result(labels, by_model, classes):
        *_, last = by_model.values()
        ranking = {name: curves.of(labels, values) for name, values in by_model.items()}
        charts.result(tmp_path / "new/result.png", labels, decision.predicted(last), ranking, classes)
        with Image.open(tmp_path / "new/result.png") as image:
            image.load()
            assert image.size == ((1300, 400) if len(classes) <= 6 else (1700, 700))
        axes = saved[-1].axes
        for part in axes:
            title = part.title.get_window_extent()
            assert title.x0 >= 0 and title.x1 <= image.width, f"{part.get_title()} is cut off"
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


@pytest.mark.parametrize("k", [20, 200])
def test_many_classes_are_a_matrix_or_the_pairs_that_are_confused_most(axes, k):
    labels, probabilities = drawn(5 * k, k)
    probabilities = np.eye(k)[labels] * 0.9 + 0.1 * probabilities
    # All five of class 3 and two of class 7 are taken for the next one.
    taken = [*np.flatnonzero(labels == 3), *np.flatnonzero(labels == 7)[:2]]
    probabilities[taken] = np.roll(probabilities[taken], 1, axis=1)
    names = [f"{index:03}.A_long_name_of_a_species_{index}" for index in range(k)]
    start = time.perf_counter()
    confusion, roc, _ = axes(labels, {"head alone": probabilities}, names)
    assert time.perf_counter() - start < 10
    shown = [label.get_text() for label in confusion.get_yticklabels()]
    if k == 20:
        assert [text.get_text() for text in confusion.texts if text.get_visible()].count("5") == 18 + 1
        assert len(set(shown)) == 20 and all(len(text) <= 16 for text in shown)
    else:
        assert [text.replace(charts.LEFT, "") for text in shown] == [
            "003.A_long_…_species_3 → 004.A_long_…_species_4",
            "007.A_long_…_species_7 → 008.A_long_…_species_8",
        ]
        assert [text.get_text() for text in confusion.texts] == ["5 of 5", "2 of 5"]
        assert "most confused of 200 classes" in confusion.get_title()
    assert roc.get_legend().get_title().get_text() == "mean of the classes"


def test_many_classes_without_a_mistake(axes):
    labels, _ = drawn(60, 30)
    confusion, *_ = axes(labels, {"head alone": np.eye(30)[labels]}, [str(index) for index in range(30)])
    assert [text.get_text() for text in confusion.texts] == ["none confused"]


def test_names_in_any_script_are_drawn_without_a_warning_or_a_box(axes, recwarn):
    names = ["划痕", "정상", "خدش", "a\n\0b" + "x" * 300, "दरार", "$x_$"]
    labels, probabilities = drawn(60, 6)
    confusion, *_ = axes(labels, {"head alone": probabilities}, names)
    assert not recwarn.list
    shown = [label.get_text() for label in confusion.get_yticklabels()]
    assert len(set(shown)) == 6 and "خدش" in shown and "$x_$" in shown


def test_no_name_of_a_class_ends_the_script_of_the_page_that_dvc_makes_of_the_data(tmp_path):
    labels, probabilities = drawn(30, 2)
    names = ["</script><script>alert(1)</script>", "<!--"]
    charts.data(tmp_path, labels, decision.predicted(probabilities), curves.of(labels, probabilities), names, "head")
    with (tmp_path / "confusion/head.csv").open(newline="", encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    page = VegaRenderer(points, "head", x="predicted", y="actual", template="confusion").generate_html()
    assert "alert(1)" in page and "</script><script>alert" not in page and "<!--" not in page


@pytest.mark.parametrize("classes", [["a,b", "c:d"], ["a,b", "c:d", 'e "f"']])
def test_the_data_for_dvc_is_one_table_per_plot_and_model(tmp_path, classes):
    labels, head = drawn(30, len(classes))
    classifier = drawn(30, len(classes), seed=2)[1]
    for name, values in (("head", head), ("classifier", classifier)):
        charts.data(tmp_path, labels, decision.predicted(values), curves.of(labels, values), classes, name)

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
    labels, (_, values) = np.zeros(4, int), drawn(4, 2)
    charts.data(tmp_path, labels, decision.predicted(values), curves.of(labels, values), ["a", "b"], "head")
    assert (tmp_path / "roc/head.csv").read_text() == "false_positive_rate,true_positive_rate\n"
    assert (tmp_path / "precision_recall/head.csv").read_text() == "recall,precision\n"
    assert (tmp_path / "confusion/head.csv").read_text().count("\n") == 5


def test_of_many_classes_dvc_gets_those_that_are_confused_most(tmp_path):
    labels = np.repeat(np.arange(200), 3)
    predicted = labels.copy()
    predicted[labels == 150] = 151
    ranking = curves.of(labels, np.eye(200)[predicted])
    charts.data(tmp_path, labels, predicted, ranking, [f"c{index}" for index in range(200)], "head")
    with (tmp_path / "confusion/head.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 600
    assert {"actual": "c150", "predicted": "c151"} in rows
    assert len({row["actual"] for row in rows}) == 21 and rows[-1] == {"actual": "(others)", "predicted": "(others)"}
