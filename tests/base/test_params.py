import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from jsonschema import Draft202012Validator

from headstart import preset
from headstart.base import params, yaml12
from headstart.base.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml", "params.schema.json"):
        shutil.copy(ROOT / name, tmp_path)
    put("dataset.table", {"file": "a.csv", "delimiter": ",", "header": True, "image": 0, "label": "y", "values": None})
    put("dataset.labels", "table")


def write(file: str, document: dict) -> None:
    Path(file).write_text(yaml.safe_dump(document, sort_keys=False))


def put(name: str | int, value) -> None:
    """Set a parameter (or a new name) in the test's params.yaml; `...` takes it out."""
    document = yaml12.read(Path("params.yaml"))
    *sections, last = name.split(".") if isinstance(name, str) else [name]
    node = document
    for section in sections:
        node = node[section]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    write("params.yaml", document)


def refusal() -> str:
    with pytest.raises(UserError) as raised:
        params.load()
    message = str(raised.value)
    assert "\n" not in message
    return message


SHARE = "a count of images per class (1, 2, …) or a fraction between 0 and 1"
BACKBONE = {"name": "VGG16", "weights": "random", "sha256": None, "scaling": "native"}
CUT = "a layer's name or a whole number from 0 or a list of them, one for each backbone"
HIDDEN = "a list of whole numbers from 1, such as [64, 32] or []"
CLASSES = "a list of two or more different names or null"
WRONG = [
    # unknown
    ("head.dropuot", 0.1, "no parameter is named head.dropuot; did you mean head.dropout?"),
    ("hed", {"dropout": 0.1}, "no parameter is named hed; did you mean head?"),
    ("image.sise", 64, "no parameter is named image.sise; did you mean image.size?"),
    ("dataset.table.lable", 1, "no parameter is named dataset.table.lable; did you mean dataset.table.label?"),
    ("image.qqqqqqqqq", 1, "no parameter is named image.qqqqqqqqq; known here: image.size"),
    (7, 1, "no parameter is named 7; known here: seed, train_images, fold, dataset, split, "),
    ("zzz", 1, "no parameter is named zzz; known here: seed, train_images, fold, dataset, split, "),
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
    ("head.hidden", [64], "head.hidden: got [64]; takes [] where head.solver is logistic; hidden layers need gradient"),
    ("head.pooling", "flatten", 'head.solver: got "logistic"; takes gradient where head.pooling is flatten: logistic'),
    ("head.views", "live", 'head.views: got "live"; takes true or false'),
    ("train_images", 0, "train_images: got 0; takes a whole number from 1 or null"),
    ("seed", True, "seed: got true; takes a whole number from 0 to 2147483647"),
    ("image.size", "224", 'image.size: got "224"; takes a whole number from 16 to 2048'),
    ("fine_tune.views", True, "fine_tune.views: got true; takes a whole number from 1 or live"),
    ("split.validation", True, f"split.validation: got true; takes {SHARE}"),
    ("split.validation", 1.0, f"split.validation: got 1.0; takes {SHARE}"),
    ("dataset.table.header", 1, "dataset.table.header: got 1; takes true or false"),
    ("backbone.name", 3, "backbone.name: got 3; takes a text"),
    ("backbone", 3, "backbone: got 3; takes a section with backbone.name, backbone.weights, backbone.sha256, "),
    ("backbone", [], "backbone: got []; takes a section with backbone.name, "),
    (
        "backbone",
        [BACKBONE, BACKBONE | {"scaling": "half"}],
        'backbone.scaling: got "half" (number 2 of the list); takes native or unit',
    ),
    (
        "backbone",
        [BACKBONE | {"nam": "a"}],
        "no parameter is named backbone.nam (number 1 of the list); did you mean backbone.name?",
    ),
    ("backbone", [BACKBONE, {"name": "a"}], "backbone.weights is missing (number 2 of the list); add it"),
    ("backbone", ["VGG16"], 'backbone: got ["VGG16"]; takes a section with backbone.name, '),
    ("dataset.path", None, "dataset.path: got null; takes a text"),
    ("dataset.path", "", 'dataset.path: got ""; takes a text'),
    (
        "extract.precision",
        "bfloat16",
        'extract.precision: got "bfloat16"; takes float32 where extract.engine is tensorflow; openvino takes both',
    ),
    ("dataset.path", "~nobody-here/x", 'dataset.path: got "~nobody-here/x"; takes a path without ~, the whole one'),
    (
        "dataset.source",
        "~/x.zip",
        f'dataset.source: got "~/x.zip"; takes a path without ~, such as {Path.home()}/x.zip',
    ),
    (
        "backbone.weights",
        "~/w.h5",
        f'backbone.weights: got "~/w.h5"; takes a path without ~, such as {Path.home()}/w.h5',
    ),
    (
        "dataset.source",
        "https://anna:geheim@host/x.zip",
        'dataset.source: got "https://…@host/x.zip"; takes an address without a login, which goes into ~/.netrc: '
        "machine HOST login NAME password PASSWORD",
    ),
    (
        "backbone.weights",
        "s3://key:geheim@bucket/x",
        'backbone.weights: got "s3://…@bucket/x"; takes an address without a login, which goes into the environment, '
        "as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        "dataset.source",
        "https://host/x.zip?token=geheim",
        'dataset.source: got "https://host/x.zip?token=…"; takes an address without passwords and tokens, which Git '
        "would keep: fetch the file yourself and name it here",
    ),
    ("dataset.path", "~/photos", f'dataset.path: got "~/photos"; takes a path without ~, such as {Path.home()}/photos'),
    ("dataset.table.header", "no", 'dataset.table.header: got "no"; takes true or false'),
    ("dataset.table.image", 1.5, "dataset.table.image: got 1.5; takes a column's name or a column's number from 0"),
    ("dataset.group", "patient", 'dataset.group: got "patient"; takes a section with dataset.group.column, '),
    ("dataset.group", {}, "dataset.group: got {}; takes one of column, pattern and folder, or null"),
    (
        "dataset.group",
        {"folder": 0, "column": 1},
        "dataset.group: got {'folder': 0, 'column': 1}; takes one of column, pattern and folder, or null",
    ),
    ("dataset.group", {"colum": 1}, "no parameter is named dataset.group.colum; did you mean dataset.group.column?"),
    ("dataset.group", {"folder": "a"}, 'dataset.group.folder: got "a"; takes a whole number or null'),
    (
        "dataset.group",
        {"pattern": "(?P<group>"},
        'dataset.group.pattern: got "(?P<group>"; takes a regular expression (missing ), untermina',
    ),
    (
        "dataset.group",
        {"pattern": "P[0-9]"},
        'dataset.group.pattern: got "P[0-9]"; takes a regular expression with (?P<group>…), such as (?P<group>P\\d+)_',
    ),
    ("dataset.table", 3, "dataset.table: got 3; takes a section with dataset.table.file, dataset.table.delimiter, "),
    ("dataset.table.values", {"0": [1]}, "dataset.table.values: got {'0': [1]}; takes VALUE: CLASS lines (0: cats)"),
    ("dataset.table.weight", {"0": -1}, "dataset.table.weight: got {'0': -1}; takes a column's name or a column's num"),
    (
        "dataset.table.label",
        ["a", "a"],
        'dataset.table.label: got ["a", "a"]; takes a column\'s name or a column\'s nu',
    ),
    (
        "dataset.pattern",
        "(?P<label>.+_",
        'dataset.pattern: got "(?P<label>.+_"; takes a regular expression (missing ), untermina',
    ),
    (
        "dataset.pattern",
        "(.+)_",
        'dataset.pattern: got "(.+)_"; takes a regular expression with (?P<label>…), such as (?P<label>.+)_\\d+',
    ),
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
    ("fine_tune.cut", -1, f"fine_tune.cut: got -1; takes {CUT}"),
    ("fine_tune.cut", [], f"fine_tune.cut: got []; takes {CUT}"),
    ("fine_tune.cut", ["a", -1], f'fine_tune.cut: got ["a", -1]; takes {CUT}'),
    ("fine_tune.views", 0, "fine_tune.views: got 0; takes a whole number from 1 or live"),
    ("split.validation", 1.5, f"split.validation: got 1.5; takes {SHARE}"),
    ("split.validation", 0, f"split.validation: got 0; takes {SHARE}"),
    ("split.test", float("nan"), f"split.test: got NaN; takes {SHARE}"),
    ("split.test", None, f"split.test: got null; takes {SHARE}"),
    ("split.train", "10%", f'split.train: got "10%"; takes {SHARE} or null'),
    ("split.folds", 2, "split.folds: got 2; takes a whole number from 3 to 20 or null"),
    ("fold", 0, "fold: got 0; takes a whole number from 1 to 20 or null"),
    ("split.seed", -1, "split.seed: got -1; takes a whole number from 0 to 2147483647"),
    ("image.size", 8, "image.size: got 8; takes a whole number from 16 to 2048"),
    ("augment.shear", 90, "augment.shear: got 90; takes a number from 0 to below 90"),
    ("augment.rotation", 181, "augment.rotation: got 181; takes a number from 0 to 180"),
    # another choice
    ("head.optimizer", "Adam", 'head.optimizer: got "Adam"; takes sgd, rmsprop, adam or adamw'),
    ("head.pooling", "max", 'head.pooling: got "max"; takes average, token, both or flatten'),
    ("dataset.labels", "folder", 'dataset.labels: got "folder"; takes folders, prefix, pattern or table'),
    ("fine_tune.views", "dead", 'fine_tune.views: got "dead"; takes a whole number from 1 or live'),
    ("fine_tune.label_smoothing", 1, "fine_tune.label_smoothing: got 1; takes a number from 0 to below 1"),
    ("fine_tune.layer_decay", 1.5, "fine_tune.layer_decay: got 1.5; takes a number above 0 to 1"),
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
    ("dataset.classes", [0, True], f"dataset.classes: got [0, true]; takes {CLASSES}"),
    (
        "dataset.labels",
        "pattern",
        "dataset.pattern: got null; takes a regular expression such as (?P<label>.+)_\\d+ where",
    ),
    ("dataset.classes", "cats", f'dataset.classes: got "cats"; takes {CLASSES}'),
    (
        "decision.goal",
        "best",
        'decision.goal: got "best"; takes accuracy, balanced_accuracy, recall, precision or costs',
    ),
    ("decision.goal", "costs", "decision.costs: got null; takes TRUE CLASS: {PREDICTED CLASS: COST}"),
    ("decision.at_least", 1, "decision.at_least: got 1; takes a number above 0 to below 1"),
    ("decision.coverage", 0.2, "decision.coverage: got 0.2; takes a number from 0.5 to below 1"),
    ("dataset.positive", "defect", 'dataset.positive: got "defect"; takes functional or defective'),
    ("dataset.positive", True, "dataset.positive: got true; takes a text or a number or null"),
    ("dataset.table", None, "dataset.table: got null; takes file, delimiter, header, image, label, values, weight, p"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=[f"{row[0]}={row[1]}"[:40] for row in WRONG])
def test_a_wrong_value_is_refused_in_one_line(name, value, message):
    put(name, value)
    assert refusal().startswith(f"params.yaml: {message}")


def test_a_message_says_for_every_parameter_what_it_takes():
    def names(section: dict, prefix: str = ""):
        for name, value in section.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from names(value, f"{prefix}{name}.")

    before = Path("params.yaml").read_text()
    for name in names(yaml12.parse(before)):
        put(name, [[]])
        assert re.match(re.escape(f"params.yaml: {name}: got [[]]; takes ") + r"\w", refusal())
        Path("params.yaml").write_text(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head:\n  hidden: [64\nseed: 1\n", "params.yaml is not valid YAML, line 3: "),
        ("seed: 1\nseed: 2\n", 'params.yaml is not valid YAML, line 2: found duplicate key "seed"'),
        ("\tseed: 1\n", "params.yaml is not valid YAML, line 1: "),
        ("seed: \x00\n", "params.yaml is not valid YAML: "),
        ("", "params.yaml: the file: got null; takes a section with seed, train_images, fold, dataset"),
        ("- 1\n", "params.yaml: the file: got [1]; takes a section with seed, train_images, fold, dataset"),
    ],
)
def test_a_file_that_is_no_yaml_of_sections_is_refused_in_one_line(text, message):
    Path("params.yaml").write_text(text)
    assert refusal().startswith(message)


def test_bytes_that_are_no_text_are_refused_in_one_line():
    Path("params.yaml").write_bytes(b"seed: \xff\xfe\n")
    assert refusal().startswith("params.yaml is not valid YAML: ")


def test_a_missing_file_is_refused_in_one_line():
    Path("params.yaml").unlink()
    assert refusal() == "no params.yaml here: run this in the project's folder"


def test_an_unknown_name_comes_before_a_wrong_value():
    put("seed", -1)
    put("head.dropout", ...)
    put("head.dropuot", 0.5)
    assert refusal() == "params.yaml: no parameter is named head.dropuot; did you mean head.dropout?"


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "0.0001", "1E-4"])
def test_scientific_notation_is_a_number(written):
    put("head.learning_rate", 0.25)
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("learning_rate: 0.25", f"learning_rate: {written}"))
    assert params.load().head.learning_rate == 0.0001


RIGHT = [
    ("fine_tune.views", 16),
    ("fine_tune.cut", "mixed6"),
    ("fine_tune.cut", 205),
    ("fine_tune.cut", ["block7"]),
    ("fine_tune.epochs", 0),
    ("split.test", 500),
    ("split.test", 0.25),
    ("split.train", None),
    ("head.hidden", []),
    ("head.solver", "gradient"),
    ("head.learning_rate", 1),
    ("dataset.table.image", "path"),
    ("dataset.table.values", {"0": "cats", "1": "dogs"}),
    ("dataset.classes", None),
    ("fine_tune.views", "live"),
    ("dataset.table.values", None),
    ("augment.rotation", 180),
]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_what_is_taken_comes_out_as_it_was_written(name, value):
    put(name, value)
    node = params.load()
    for key in name.split("."):
        node = getattr(node, key)
    assert node == value
    assert isinstance(node, float if name == "head.learning_rate" or name == "augment.rotation" else type(value))


def declare(stage: str, names: list[str]) -> None:
    document = yaml12.read(Path("dvc.yaml"))
    document["stages"][stage]["params"] = names
    write("dvc.yaml", document)


def test_a_stage_gets_what_is_declared_for_it_and_nothing_else():
    declare("split", ["seed", "split", "dataset.path", "dataset.table.file"])
    put("dataset.path", "photos.zip")
    settings = params.load_stage("split")
    assert settings.dataset.path == "photos.zip"
    assert settings.dataset.table.file == "a.csv"
    assert settings.split.when_short == params.load().split.when_short
    assert settings.seed == params.load().seed
    for touch, name in [
        (lambda: settings.dataset.labels, "dataset.labels"),
        (lambda: settings.dataset.table.header, "dataset.table.header"),
        (lambda: settings.head, "head"),
        (lambda: settings.image.size, "image"),
    ]:
        with pytest.raises(params.UndeclaredParameter) as raised:
            touch()
        assert str(raised.value).startswith(f"stage split touches {name}, which dvc.yaml does not declare for it")


def test_a_name_that_begins_like_a_declared_one_is_not_declared():
    declare("split", ["split.train", "dataset.table.file"])
    settings = params.load_stage("split")
    with pytest.raises(params.UndeclaredParameter, match=re.escape("split.test")):
        _ = settings.split.test
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
    document = yaml12.read(Path("dvc.yaml"))
    document["stages"]["split"]["deps"] = ["${dataset.path}", "stages/split.py", "headstart/base"]
    write("dvc.yaml", document)
    declaration = params.declaration("split")
    assert declaration.values["dataset.path"] == "data/my_images"
    assert declaration.values["split"] == params.load().split.model_dump()
    assert declaration.deps == ["data/my_images", "stages/split.py", "headstart/base"]


def test_the_project_may_be_another_folder(tmp_path, monkeypatch):
    put("dataset.path", "photos.zip")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert params.load(tmp_path).dataset.path == "photos.zip"
    assert params.load_stage("split", tmp_path).dataset.path == "photos.zip"
    assert params.declaration("split", tmp_path).values["dataset.path"] == "photos.zip"
    with pytest.raises(UserError, match="no params.yaml here"):
        params.load()
    monkeypatch.chdir(tmp_path)
    put("seed", -1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'params.yaml'}: seed: got -1; takes a whole number ")):
        params.load(tmp_path)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "headstart.params", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("path", ["data", ".", "..", "data/features/cut", "models"])
def test_a_folder_that_the_pipeline_writes_to_is_refused(tmp_path, path):
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "dvc.yaml", project)
    text = (ROOT / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("path: data/raw/elpv-dataset.zip", f"path: {path}"))
    with pytest.raises(
        UserError, match=f"dataset.path: got {re.escape(path)}, where the pipeline writes .*: move yours"
    ):
        params.load(project)
    (project / "params.yaml").write_text(text.replace("path: data/raw/elpv-dataset.zip", "path: data/my_images"))
    assert params.load(project).dataset.path == "data/my_images"


def test_as_many_cuts_as_backbones():
    put("fine_tune.cut", ["block7", "block10"])
    assert "fine_tune.cut: got a list of 2; takes one for each of the 1 in backbone" in refusal()
    put("fine_tune.cut", ["block7"])
    params.load()


@pytest.mark.parametrize("views", [1, "live"])
def test_a_head_on_views_needs_fixed_ones(views):
    put("head.views", True)
    params.load()
    assert schema_accepts()
    put("fine_tune.views", views)
    assert f"head.views: got true; takes false where fine_tune.views is {views}: set that to 2 or more" in refusal()
    assert not schema_accepts()
    put("head.views", False)
    params.load()
    assert schema_accepts()


def test_the_command_is_silent_or_says_what_is_wrong():
    Path("data").mkdir()
    Path("data/corrections.csv").touch()
    right = run()
    assert (right.returncode, right.stdout, right.stderr) == (0, "", "")
    put("head.dropout", 3)
    wrong = run()
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "error: params.yaml: head.dropout: got 3; takes a number from 0 to below 1\n"


def test_a_fold_is_one_of_the_folds():
    put("fold", 2)
    assert (
        refusal() == "params.yaml: fold: got 2; takes null where split.folds is null: set that to a number, such as 5"
    )
    put("split.folds", 5)
    put("fold", 5)
    assert params.load().fold == 5
    put("fold", 6)
    assert refusal() == "params.yaml: fold: got 6; takes 1 to 5, the number of split.folds, or null"


def test_the_schema_is_current_and_params_yaml_names_it():
    name = (ROOT / "params.yaml").read_text().partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert name == "params.schema.json"
    Path(name).unlink()
    assert run("--schema").returncode == 0
    assert Path(name).read_bytes() == (ROOT / name).read_bytes(), "run: python -m headstart.params --schema"


def test_the_schema_describes_every_parameter():
    schema = json.loads(Path("params.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    for section in (schema, *schema["$defs"].values()):
        assert [name for name, parameter in section["properties"].items() if not parameter.get("description")] == []


def schema_accepts() -> bool:
    schema = json.loads(Path("params.schema.json").read_text())
    return Draft202012Validator(schema).is_valid(yaml12.read(Path("params.yaml")))


@pytest.mark.parametrize("name", sorted(path.stem for path in ROOT.glob("presets/*.yaml")))
def test_the_schema_accepts_params_yaml_with_a_preset(name):
    shutil.copytree(ROOT / "presets", "presets")
    put("train_images", 0)
    assert not schema_accepts()
    put("train_images", 10)
    preset.apply(name)
    assert schema_accepts()


def json_sees_it(value) -> bool:
    """JSON schema has no bounds for not-a-number; 2.0 is a whole number to it, and every key of a mapping a text."""
    if isinstance(value, float):
        return math.isfinite(value) and value != int(value)
    # Nor does it see what another parameter holds, such as the classes' names.
    return value not in ({0.5: "cats"}, "defect")


WRONG_IN_JSON = [(name, value) for name, value, _ in WRONG if name != 7 and json_sees_it(value)]


@pytest.mark.parametrize(("name", "value"), WRONG_IN_JSON)
def test_the_schema_refuses_what_the_stages_refuse(name, value):
    assert schema_accepts()
    put(name, value)
    assert not schema_accepts()


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_the_schema_accepts_what_the_stages_take(name, value):
    put(name, value)
    assert schema_accepts()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"goal": "recall", "of": "defect"}, "decision.of: got defect; did you mean defective? takes functional, defe"),
        ({"goal": "costs", "costs": {"bad": {"defective": 2}}}, "decision.costs: got bad; takes functional, defective"),
        (
            {"goal": "costs", "costs": {"defective": {"functional": 0}}},
            "decision.costs: got 0 for taking defective for",
        ),
    ],
)
def test_a_decision_that_does_not_go_with_the_classes_is_refused_before_anything_runs(values, message):
    for name, value in values.items():
        put(f"decision.{name}", value)
    assert refusal().startswith(f"params.yaml: {message}")


def test_a_class_that_no_goal_is_about_does_not_matter():
    put("decision.of", "defect")
    params.load()
