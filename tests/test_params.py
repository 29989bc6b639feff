import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart import params
from headstart.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    put("dataset.table", {"file": "a.csv", "delimiter": ",", "header": True, "image": 0, "label": "y", "values": None})
    put("dataset.labels", "table")


def put(name: str, value) -> None:
    """Set a parameter (or a new name) in the test's params.yaml; `...` takes it out."""
    yaml, path = YAML(), Path("params.yaml")
    document = yaml.load(path)
    *sections, last = name.split(".")
    node = document
    for section in sections:
        node = node[section]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    yaml.dump(document, path)


def told() -> str:
    with pytest.raises(UserError) as raised:
        params.load()
    message = str(raised.value)
    assert "\n" not in message
    return message


SHARE = "a count of images a class (1, 2, …), or a fraction between 0 and 1"
HIDDEN = "a list of whole numbers from 1, such as [64, 32], or []"
CLASSES = "a list of two or more different names or null"
WRONG = [
    # unknown
    ("head.dropuot", 0.1, "no parameter is named head.dropuot; did you mean head.dropout?"),
    ("hed", {"dropout": 0.1}, "no parameter is named hed; did you mean head?"),
    ("image.sise", 64, "no parameter is named image.sise; did you mean image.size?"),
    ("dataset.table.lable", 1, "no parameter is named dataset.table.lable; did you mean dataset.table.label?"),
    ("image.qqqqqqqqq", 1, "no parameter is named image.qqqqqqqqq; known here: image.size"),
    ("zzz", 1, "no parameter is named zzz; known here: seed, train_images, dataset, split, "),
    # missing
    ("head.momentum", ..., "head.momentum is missing; add it"),
    ("augment", ..., "augment is missing; add it"),
    # another type
    ("image", 224, "image: got 224; takes a section with image.size"),
    ("extract", None, "extract: got null; takes a section with extract."),
    ("head.dropout", "0.5", 'head.dropout: got "0.5"; takes a number from 0 to below 1'),
    ("head.dropout", True, "head.dropout: got true; takes a number from 0 to below 1"),
    ("head.epochs", 2.0, "head.epochs: got 2.0; takes a whole number from 1"),
    ("head.epochs", None, "head.epochs: got null; takes a whole number from 1"),
    ("head.hidden", 64, f"head.hidden: got 64; takes {HIDDEN}"),
    ("head.hidden", [64, "a"], f'head.hidden: got [64, "a"]; takes {HIDDEN}'),
    ("head.hidden", [64, True], f"head.hidden: got [64, true]; takes {HIDDEN}"),
    ("train_images", 0, "train_images: got 0; takes a whole number from 1 or null"),
    ("seed", True, "seed: got true; takes a whole number from 0 to 2147483647"),
    ("image.size", "224", 'image.size: got "224"; takes a whole number from 16 to 2048'),
    ("dataset.path", None, "dataset.path: got null; takes a text"),
    ("dataset.path", "", 'dataset.path: got ""; takes a text'),
    ("dataset.table.header", "no", 'dataset.table.header: got "no"; takes true or false'),
    ("dataset.table.image", 1.5, "dataset.table.image: got 1.5; takes a column's name or a column's number from 0"),
    ("dataset.table.values", {0.5: "cats"}, "dataset.table.values: got {0.5: 'cats'}; takes VALUE: CLASS lines, both"),
    ("augment.flip_vertical", "yes", 'augment.flip_vertical: got "yes"; takes true or false'),
    # out of range
    ("head.dropout", 1, "head.dropout: got 1; takes a number from 0 to below 1"),
    ("head.dropout", float("nan"), "head.dropout: got NaN; takes a number from 0 to below 1"),
    ("head.learning_rate", 0, "head.learning_rate: got 0; takes a number above 0"),
    ("head.learning_rate", float("inf"), "head.learning_rate: got Infinity; takes a number above 0"),
    ("head.hidden", [64, 0], f"head.hidden: got [64, 0]; takes {HIDDEN}"),
    ("head.epochs", 0, "head.epochs: got 0; takes a whole number from 1"),
    ("head.early_stopping", 0, "head.early_stopping: got 0; takes a whole number from 1 or null"),
    ("head.weight_decay", -0.1, "head.weight_decay: got -0.1; takes a number from 0"),
    ("fine_tune.epochs", -1, "fine_tune.epochs: got -1; takes a whole number from 0"),
    ("fine_tune.cut", -1, "fine_tune.cut: got -1; takes a layer's name or a whole number from 0"),
    ("fine_tune.views", 0, "fine_tune.views: got 0; takes a whole number from 1 or live"),
    ("split.validation", 1.5, f"split.validation: got 1.5; takes {SHARE}"),
    ("split.validation", 0, f"split.validation: got 0; takes {SHARE}"),
    ("split.test", None, f"split.test: got null; takes {SHARE}"),
    ("split.train", "10%", f'split.train: got "10%"; takes {SHARE} or null'),
    ("split.seed", -1, "split.seed: got -1; takes a whole number from 0 to 2147483647"),
    ("image.size", 8, "image.size: got 8; takes a whole number from 16 to 2048"),
    ("augment.shear", 90, "augment.shear: got 90; takes a number from 0 to below 90"),
    ("augment.rotation", 181, "augment.rotation: got 181; takes a number from 0 to 180"),
    # another choice
    ("head.optimizer", "Adam", 'head.optimizer: got "Adam"; takes sgd, rmsprop, adam or adamw'),
    ("head.pooling", "max", 'head.pooling: got "max"; takes average or flatten'),
    ("dataset.labels", "folder", 'dataset.labels: got "folder"; takes folders, prefix or table'),
    ("fine_tune.views", "dead", 'fine_tune.views: got "dead"; takes a whole number from 1 or live'),
    ("fine_tune.label_smoothing", 1, "fine_tune.label_smoothing: got 1; takes a number from 0 to below 1"),
    ("fine_tune.average_flips", "yes", 'fine_tune.average_flips: got "yes"; takes true or false'),
    ("fine_tune.warmup", -1, "fine_tune.warmup: got -1; takes a number from 0"),
    ("fine_tune.warmup", 1e300, "fine_tune.warmup: got 1e+300; takes a number from 0 to 10000"),
    ("fine_tune.epochs", 10**9, "fine_tune.epochs: got 1000000000; takes a whole number from 0 to 10000"),
    ("head.batch_size", 10**22, f"head.batch_size: got {10**22}; takes a whole number from 1 to 2147483647"),
    ("extract.batch_size", 2**31, "extract.batch_size: got 2147483648; takes a whole number from 1 to 2147483647"),
    ("fine_tune.schedule", None, "fine_tune.schedule: got null; takes constant or cosine"),
    # what belongs together
    ("dataset.sha256", "abc", 'dataset.sha256: got "abc"; takes the 64 hexadecimal digits (lower case) of a sha256 or'),
    ("backbone.sha256", "A" * 64, f'backbone.sha256: got "{"A" * 64}"; takes the 64 hexadecimal digits (lower case)'),
    ("dataset.classes", ["cats"], f'dataset.classes: got ["cats"]; takes {CLASSES}'),
    ("dataset.classes", ["cats", "cats"], f'dataset.classes: got ["cats", "cats"]; takes {CLASSES}'),
    ("dataset.classes", [0, 1], f"dataset.classes: got [0, 1]; takes {CLASSES}"),
    ("dataset.classes", "cats", f'dataset.classes: got "cats"; takes {CLASSES}'),
    ("dataset.table", None, "dataset.table: got null; takes file, delimiter, header, image, label, values where"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=[f"{row[0]}={row[1]}"[:40] for row in WRONG])
def test_a_wrong_value_is_told_in_one_line(name, value, message):
    put(name, value)
    assert told().startswith(f"params.yaml: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head:\n  hidden: [64\nseed: 1\n", "params.yaml is not valid YAML, line 3: "),
        ("seed: 1\nseed: 2\n", 'params.yaml is not valid YAML, line 2: found duplicate key "seed"'),
        ("\tseed: 1\n", "params.yaml is not valid YAML, line 1: "),
        ("seed: \x00\n", "params.yaml is not valid YAML: "),
        ("", "params.yaml: the file: got null; takes a section with seed, train_images, dataset"),
        ("- 1\n", "params.yaml: the file: got [1]; takes a section with seed, train_images, dataset"),
    ],
)
def test_a_file_that_is_no_yaml_of_sections_is_told_in_one_line(text, message):
    Path("params.yaml").write_text(text)
    assert told().startswith(message)


def test_bytes_that_are_no_text_are_told_in_one_line():
    Path("params.yaml").write_bytes(b"seed: \xff\xfe\n")
    assert told().startswith("params.yaml is not valid YAML: ")


def test_a_missing_file_is_told_in_one_line():
    Path("params.yaml").unlink()
    assert told() == "no params.yaml here: run this in the project's folder"


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "0.0001", "1E-4"])
def test_scientific_notation_is_a_number(written):
    put("head.learning_rate", 0.25)
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("learning_rate: 0.25", f"learning_rate: {written}"))
    assert params.load().head.learning_rate == 0.0001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fine_tune.views", 16),
        ("fine_tune.cut", "mixed6"),
        ("fine_tune.cut", 205),
        ("fine_tune.epochs", 0),
        ("split.test", 500),
        ("split.test", 0.25),
        ("split.train", None),
        ("head.hidden", [64, 64]),
        ("head.learning_rate", 1),
        ("dataset.table.image", "path"),
        ("dataset.table.values", {"0": "cats", "1": "dogs"}),
        ("dataset.classes", None),
        ("augment.rotation", 180),
    ],
)
def test_what_is_taken_comes_out_as_it_was_written(name, value):
    put(name, value)
    node = params.load()
    for key in name.split("."):
        node = getattr(node, key)
    assert node == value
    assert isinstance(node, float if name == "head.learning_rate" or name == "augment.rotation" else type(value))


def declare(stage: str, names: list[str]) -> None:
    yaml, path = YAML(), Path("dvc.yaml")
    document = yaml.load(path)
    document["stages"][stage]["params"] = names
    yaml.dump(document, path)


def test_a_stage_gets_what_is_declared_for_it_and_nothing_else():
    declare("split", ["seed", "split", "dataset.path", "dataset.table.file"])
    put("dataset.path", "photos.zip")
    declared = params.load_stage("split")
    assert declared.dataset.path == "photos.zip"
    assert declared.dataset.table.file == "a.csv"
    assert declared.split.when_short == params.load().split.when_short
    assert declared.seed == params.load().seed
    for touch, name in [
        (lambda: declared.dataset.labels, "dataset.labels"),
        (lambda: declared.dataset.table.header, "dataset.table.header"),
        (lambda: declared.head, "head"),
        (lambda: declared.image.size, "image"),
    ]:
        with pytest.raises(params.UndeclaredParameter) as raised:
            touch()
        assert str(raised.value).startswith(f"stage split touches {name}, which dvc.yaml does not declare for it")


def test_a_name_that_begins_like_a_declared_one_is_not_declared():
    declare("split", ["split.train", "dataset.table.file"])
    declared = params.load_stage("split")
    with pytest.raises(params.UndeclaredParameter, match=re.escape("split.test")):
        _ = declared.split.test
    declare("fetch", ["dataset.sha256"])
    with pytest.raises(params.UndeclaredParameter, match=re.escape("dataset.source")):
        _ = params.load_stage("fetch").dataset.source


def test_a_stage_stops_at_a_wrong_value_of_another_stage_too():
    declare("split", ["split"])
    put("head.dropout", 3)
    with pytest.raises(UserError, match=re.escape("head.dropout: got 3")):
        params.load_stage("split")


def test_a_declaration_has_the_values_and_the_files_of_a_stage():
    put("dataset.path", "data/my_images")
    declaration = params.declaration("split")
    assert declaration.values["dataset.path"] == "data/my_images"
    assert declaration.values["split"] == params.load().split.model_dump()
    assert declaration.deps[0] == "data/my_images"
    assert "stages/split.py" in declaration.deps
