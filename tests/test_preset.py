"""A preset changes the values that it names, and nothing else in params.yaml."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.utils import hydra

from headstart import preset
from headstart.base import params, yaml12
from headstart.base.errors import UserError

NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> None:
    Path("presets", f"{name}.yaml").write_text(text)


def leaves(section: dict, prefix: str = "") -> dict:
    values = {}
    for name, value in section.items():
        values |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return values


def test_values_change_and_comments_stay():
    before = params.PARAMS.read_text()
    head = "head:\n  solver: gradient\n  dropout: 0.75\n  hidden: [64, 32]\n  early_stopping: 3\n"
    write("mine", f"{head}backbone:\n  sha256: null\n")
    old = leaves(yaml12.read(params.PARAMS))
    assert preset.apply("mine") == [
        "head.solver: logistic -> gradient",
        f"head.dropout: {old['head.dropout']} -> 0.75",
        "head.hidden: [] -> [64, 32]",
        "head.early_stopping: null -> 3",
        f"backbone.sha256: {old['backbone.sha256']} -> null",
    ]
    new = {"head.solver": "gradient", "head.dropout": 0.75, "head.hidden": [64, 32], "head.early_stopping": 3}
    new["backbone.sha256"] = None
    assert leaves(yaml12.read(params.PARAMS)) == old | new
    comments = re.compile(r"#.*")
    assert comments.findall(params.PARAMS.read_text()) == comments.findall(before)


# As DVC writes params.yaml: each list in lines of its own, with the comments on what follows at its end.
OVERRIDES = ["head.solver=gradient", "head.hidden=[64,32]", "dataset.classes=[a,b,c]", "image.range=[0,9]"]


@pytest.mark.parametrize("name", [*NAMES, "mine"])
def test_comments_stay_after_dvc_has_written_the_file(name):
    write("mine", "dataset: {classes: null, table: null, group: {folder: 0}, labels: folders}\nhead: {hidden: [8]}\n")
    hydra.apply_overrides(params.PARAMS, OVERRIDES)
    before = params.PARAMS.read_text()
    assert "- 64\n" in before
    wanted = yaml12.read(Path("presets", f"{name}.yaml"))
    preset.apply(name)
    after = leaves(yaml12.read(params.PARAMS))
    assert all(after[key] == value for key, value in leaves(wanted).items())
    comments = re.compile(r"#.*")
    lost = set(comments.findall(before)) - set(comments.findall(params.PARAMS.read_text()))
    # What is said inside of the table goes with it, and nothing else.
    inside = before[before.index("  table:") : before.index("  # What belongs together")] if name == "mine" else ""
    assert all(comment in inside for comment in lost)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("head: {solver: gradient, hidden: [64, 32]}", "  hidden: [64, 32]  "),
        ("dataset: {classes: [on, '1', 1e-4x]}", "  classes: [on, '1', 1e-4x]\n"),
        ("dataset: {classes: null}", "  classes: null\n"),
        ("head: {learning_rate: 1e-4}", "  learning_rate: 0.0001\n"),
        ("fine_tune: {cut: on}", "  cut: on  "),
        ("fine_tune: {cut: 0x10}", "  cut: 16  "),
        ("backbone: {weights: '1e-4'}", "  weights: '1e-4'\n"),
        ("dataset: {table: {values: null}}", "    values: null  "),
    ],
)
def test_a_value_is_written_as_dvc_reads_it_and_in_one_line(text, line):
    write("mine", text)
    assert preset.apply("mine")
    assert line in params.PARAMS.read_text()
    assert leaves(yaml12.parse(text)).items() <= leaves(yaml12.read(params.PARAMS)).items()


def test_a_section_that_was_null_is_written_whole():
    write("folders", "dataset: {labels: folders, table: null}")
    preset.apply("folders")
    table = {
        "file": "a.csv",
        "delimiter": ",",
        "header": False,
        "image": 0,
        "label": "1",
        "values": {"0": "a", "1": "b"},
    }
    write("mine", f"dataset: {{labels: table, table: {json.dumps(table)}}}")
    assert preset.apply("mine") == ["dataset.labels: folders -> table", f"dataset.table: null -> {json.dumps(table)}"]
    assert yaml12.read(params.PARAMS)["dataset"]["table"] == table


def test_there_and_back_gives_the_same_bytes():
    preset.apply("solar_cells")
    before = params.PARAMS.read_bytes()
    for name in NAMES:
        preset.apply(name)
    preset.apply("solar_cells")
    assert params.PARAMS.read_bytes() == before


def test_nothing_to_change_leaves_the_file_alone():
    preset.apply("article")
    params.PARAMS.write_text(params.PARAMS.read_text() + "\n\n# a note of mine\n")
    before = params.PARAMS.read_bytes()
    assert preset.apply("article") == []
    assert params.PARAMS.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head:\n  dropuot: 0.5\n", "no parameter head.dropuot"),
        ("head:\n  dropout: 1.5\n", "head.dropout: got 1.5"),
        ("head: 3\n", "does not go into"),
        ("- 1\n", "presets/wrong.yaml: got [1]; takes parameters and their values, like params.yaml"),
        ("head: [\n", "presets/wrong.yaml is not valid YAML, line 2: "),
        ("seed: 2\nseed: 3\n", 'presets/wrong.yaml is not valid YAML, line 2: found duplicate key "seed"'),
    ],
)
def test_a_preset_that_does_not_fit_changes_nothing(text, message):
    write("wrong", text)
    before = params.PARAMS.read_bytes()
    with pytest.raises(UserError, match=re.escape(message)):
        preset.apply("wrong")
    assert params.PARAMS.read_bytes() == before


RECIPE = ("split", "image", "backbone", "extract", "head", "augment", "fine_tune")


def test_a_preset_sets_every_parameter_of_the_recipe():
    there = {name for name in leaves(yaml12.read(params.PARAMS)) if name.startswith(RECIPE)}
    for name in NAMES:
        set_by_it = leaves(yaml12.read(Path(f"presets/{name}.yaml")))
        assert there - set_by_it.keys() == set(), name
        assert all(key.startswith((*RECIPE, "dataset.", "decision.")) for key in set_by_it), name


def test_the_recipe_for_photos_leaves_the_dataset_and_says_so():
    write("mine", "dataset: {source: null, path: my/photos, labels: folders, classes: [b, a]}")
    preset.apply("mine")
    mine = yaml12.read(params.PARAMS)
    assert preset.apply("photos") and preset.left("photos") == ["seed", "train_images", "fold", "dataset", "decision"]
    now = yaml12.read(params.PARAMS)
    assert now["dataset"] == mine["dataset"] and now["seed"] == mine["seed"]
    assert now["augment"]["flip_vertical"] is False


def test_a_dataset_comes_with_its_table():
    """Its values are replaced, not mixed with those of another table."""
    table = {
        "file": "a.csv",
        "delimiter": ",",
        "header": True,
        "image": "i",
        "label": "l",
        "values": {"0": "a", "1": "b"},
        "weight": None,
        "probabilities": False,
        "split": None,
    }
    before = yaml12.read(params.PARAMS)
    for mine in (table, None):
        write("mine", json.dumps({"dataset": {"labels": "folders", "table": mine}}))
        preset.apply("mine")
        preset.apply("solar_cells")
        assert yaml12.read(params.PARAMS) == before


def test_the_projects_presets_do_not_depend_on_what_was_applied_before():
    datasets = {frozenset(yaml12.read(Path(f"presets/{name}.yaml")).get("dataset", ())) - {"table"} for name in NAMES}
    assert datasets == {
        frozenset(),
        frozenset(
            {
                "source",
                "sha256",
                "path",
                "labels",
                "pattern",
                "classes",
                "positive",
                "group",
                "near_duplicates",
                "correct_test",
            }
        ),
    }
    fresh = params.PARAMS.read_bytes()
    for first, last in itertools.permutations(NAMES, 2):
        params.PARAMS.write_bytes(fresh)
        preset.apply(last)
        expected = yaml12.read(params.PARAMS)
        params.PARAMS.write_bytes(fresh)
        preset.apply(first)
        preset.apply(last)
        applied = yaml12.read(params.PARAMS)
        if "dataset" in preset.left(last):
            expected["dataset"] = applied["dataset"]
        if applied["dataset"]["labels"] != "table":  # then the table is not read, and stays
            expected["dataset"]["table"] = applied["dataset"]["table"]
        assert applied == expected, (first, last)


def test_the_default_is_the_preset_solar_cells():
    assert preset.apply("solar_cells") == []


def test_the_command_lists_applies_and_says_what_there_is():
    def run(*arguments):
        command = [sys.executable, "-m", "headstart.preset", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})

    listed = run()
    assert listed.returncode == 0
    assert [line.partition(":")[0] for line in listed.stdout.splitlines()] == NAMES
    Path("presets/mine.yaml").write_bytes("\ufeff# Für mich\n".encode() + "seed: 2 # größer\n".encode("latin-1"))
    assert "mine: Für mich" in run().stdout.splitlines()
    assert run("mine").stderr.startswith("error: presets/mine.yaml is not valid YAML: ")
    Path("presets/mine.yaml").unlink()
    applied = run("article")
    assert applied.returncode == 0
    assert "backbone.name: EfficientNetLite0 -> InceptionV3" in applied.stdout.splitlines()
    assert run("article").stdout.splitlines() == [
        "nothing to change",
        "left as in params.yaml: seed, train_images, fold, dataset.table",
    ]
    unknown = run("artcle")
    assert unknown.returncode == 1
    assert unknown.stderr.count("\n") == 1
    assert "did you mean article?" in unknown.stderr


def test_the_paper_of_the_solar_cells_is_compared_by_labels_and_weights_alone():
    ours, theirs = (yaml12.read(Path(f"presets/{name}.yaml")) for name in ("solar_cells", "solar_cells_paper"))
    table = theirs["dataset"]["table"]
    assert table["values"] == {value: "functional" if float(value) == 0 else "defective" for value in table["values"]}
    assert table["weight"] == {value: float(value) for value in table["values"] if 0 < float(value) < 1}
    ours["dataset"]["table"] |= {"values": table["values"], "weight": table["weight"]}
    assert ours == theirs
