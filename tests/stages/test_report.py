"""The stage report: what it needs, and that it is the same twice; tests/page/ looks at the page itself."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import data_of

from headstart.artifacts import dataset, manifest, predictions, results
from headstart.base import files
from headstart.base.errors import UserError
from headstart.classifier.details import Rule
from headstart.page import CARD
from stages import report


@pytest.fixture
def run(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced.path)
    return reproduced


def test_twice_the_same_bytes_of_one_file_that_fetches_nothing(run):
    before = results.PAGE.read_text(encoding="utf-8")
    assert 4e6 < len(before.encode()) < 8e6
    card = CARD.read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: keras\n") and files.sha256(results.CLASSIFIER) in card
    static = before.split("<script")[0]
    assert "src=" not in static and "http" not in static.replace("http-equiv", "")
    run.stage("report", check=True)
    assert results.PAGE.read_text(encoding="utf-8") == before
    assert CARD.read_text(encoding="utf-8") == card


def test_what_is_wrong_is_what_the_decision_gets_wrong(run):
    run.set({"decision.goal": "costs", "decision.costs": {"blue": {"red": 1e6}}})  # all are called blue
    run.repro()
    data, table = data_of(results.PAGE), manifest.read()
    red = {table.paths[row] for row in table.rows("test") if table.labels[row]}
    assert red and {data["images"][str(row)]["path"] for row in data["galleries"]["wrong"]} == red
    assert [pair for pair, _ in data["cells"]] == ["1,0", "0,0"]
    assert data["charts"]["confusion"]["data"][0]["text"] == [["4", ""], ["4", ""]]
    assert "By <code>decision.goal: costs</code>." in results.PAGE.read_text(encoding="utf-8")
    card = CARD.read_text(encoding="utf-8")
    assert "- `red` called `blue`: 4 of 4 images\n" in card and "| `red` | 4 | 0.000 (0.000 – 0.490) | 0 | – |" in card


def test_what_the_card_says_of_how_to_run_it_runs(run):
    command, script = re.findall(r"```(?:console\n\$ python|python\n)(.*?)```", CARD.read_text(), re.DOTALL)
    shutil.copy("data/my_images/red/00.png", "photo.jpg")
    shutil.copytree("data/my_images/blue", "more")
    shown = run.run("python", *command.split())
    assert [line.split()[0] for line in shown.stdout.splitlines()][:2] == ["photo.jpg", "more/00.png"]
    shutil.copy(results.CLASSIFIER, ".")
    assert run.run("python", "-c", script).stdout.split()[0] in ("red", "blue")


def test_an_image_that_goes_while_it_runs_is_one_line(run, monkeypatch):
    def go_after(*arguments, looks=report.looking.looks):
        shutil.rmtree("data/my_images/red")
        return looks(*arguments)

    monkeypatch.setattr(report.looking, "looks", go_after)
    with pytest.raises(
        UserError, match=r"^red/.*\.png: .*; the source has changed since it was split: run `dvc repro`"
    ):
        report.main()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (predictions.PREDICTIONS, None, r"no metrics/predictions\.csv here: run `dvc repro evaluate`"),
        (predictions.PREDICTIONS, "", r"metrics/predictions\.csv has the columns of an earlier version"),
        (predictions.PREDICTIONS, "image,label,head,head:blue,head:red\nx,red,red,0,1\n", "is of other images"),
        (Path("metrics/inspection.json"), "[]", r"metrics/inspection\.json is damaged"),
        (
            Path("metrics/inspection.json"),
            '{"warnings": []}',
            r"metrics/inspection\.json is damaged \(it lacks suspects",
        ),
        (
            Path("metrics/dataset.json"),
            "null",
            r"metrics/dataset\.json is damaged \(it is null\): .*--single-item split",
        ),
        (Path("metrics/calibration.json"), "[]", r"metrics/calibration\.json is damaged \(it is \[\]\): .*calibrate"),
        (results.TEST, "{}", r"metrics/test\.json is not what the stage evaluate writes"),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_one_line(run, path, content, message):
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        report.main()


def test_files_that_are_left_out_and_not_listed_are_counted(run):
    summary = dataset.read()
    left_out = [{"path": f"{number:04}.png", "reason": "zero bytes"} for number in range(1200)]
    dataset.write(summary | {"left_out": left_out, "found": 9000})
    report.main()
    text = results.PAGE.read_text(encoding="utf-8")
    assert "Left out, and why (the first 500 of 1,200; <code>metrics/dataset.json</code> has all)" in text
    assert "0499.png" in text and "0500.png" not in text
    dataset.write(summary | {"left_out": left_out[:3], "found": 9000})
    report.main()
    assert "<summary>Left out, and why</summary>" in results.PAGE.read_text(encoding="utf-8")


def test_what_the_likeliest_class_is_says_evaluate_and_not_a_rounded_table(run):
    text = predictions.PREDICTIONS.read_text().splitlines()
    image, label, head, _, _, *others = text[1].split(",")
    text[1] = ",".join([image, label, head, "0.500000", "0.500000", *others])
    before = predictions.parse("\n".join([*text, ""]))
    assert Rule().decided(before) is before, "class 1 would be taken from 0.5 on, and it may have been 0.4999996"
    costly = Rule(costs=[[0, 1], [9, 0]]).decided(before)
    model = list(before.predicted)[-1]
    assert costly.predicted[model].tolist() == (before.probabilities[model][:, 1] >= 0.1).astype(int).tolist()
