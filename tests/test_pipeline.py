"""The whole pipeline through the real `dvc repro`, on drawn images: exactly what depends on a change runs again."""

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COLOURS, ROOT, SMALL, Project, draw
from PIL import Image

from headstart.base import params, yaml12

ALL = ["fetch", "split", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report"]

# Every parameter, another value than the tests' project has, and the stages that take it.
PARAMETERS = [
    ("seed", 2, "inspect train_head fine_tune calibrate evaluate report"),
    ("train_images", 4, "train_head fine_tune"),
    ("fold", 2, "train_head fine_tune calibrate evaluate report"),
    ("dataset.source", "pypi:elpv-dataset==1.0.0.post1", "fetch"),
    ("dataset.sha256", "0" * 64, "fetch"),
    ("dataset.labels", "prefix", "split"),
    ("dataset.pattern", "(?P<label>[0-9])", "split"),
    ("dataset.classes", ["red", "blue"], "split"),
    ("dataset.positive", "blue", "calibrate evaluate report"),
    ("dataset.table.file", "b.csv", "split"),
    ("dataset.table.delimiter", "whitespace", "split"),
    ("dataset.table.header", True, "split"),
    ("dataset.table.image", 1, "split"),
    ("dataset.table.label", "label", "split"),
    ("dataset.table.values", {"0": "blue"}, "split"),
    ("dataset.table.weight", 2, "split"),
    ("dataset.table.probabilities", True, "split"),
    ("dataset.table.split", 2, "split"),
    ("dataset.group", {"pattern": "(?P<group>[0-9])"}, "split"),
    ("dataset.near_duplicates", "ignore", "split"),
    ("dataset.correct_test", True, "split"),
    ("split.train", 4, "split"),
    ("split.validation", 2, "split"),
    ("split.test", 2, "split"),
    ("split.when_short", "share", "split"),
    ("split.folds", 5, "split"),
    ("split.seed", 2, "split"),
    ("image.size", 64, "fetch extract fine_tune"),
    ("image.resizing", "crop", "extract fine_tune"),
    ("image.range", [0, 4095], "split"),
    ("backbone.name", "MobileNetV2", "fetch extract fine_tune"),
    ("backbone.weights", "random", "fetch extract fine_tune"),
    ("backbone.sha256", "0" * 64, "fetch extract fine_tune"),
    ("backbone.scaling", "unit", "fetch extract fine_tune"),
    ("extract.engine", "openvino", "extract evaluate"),
    ("extract.precision", "bfloat16", "extract evaluate"),
    ("extract.batch_size", 16, "extract"),
    ("head.pooling", "flatten", "extract train_head fine_tune"),
    ("head.solver", "logistic", "train_head fine_tune"),
    ("head.views", True, "extract train_head fine_tune"),
    ("head.hidden", [4], "train_head fine_tune"),
    ("head.dropout", 0.5, "train_head fine_tune"),
    ("head.optimizer", "sgd", "train_head fine_tune"),
    ("head.learning_rate", 0.01, "train_head fine_tune"),
    ("head.momentum", 0.9, "train_head fine_tune"),
    ("head.weight_decay", 0.1, "train_head fine_tune"),
    ("head.epochs", 2, "train_head fine_tune"),
    ("head.batch_size", 4, "train_head fine_tune"),
    ("head.class_weights", "balanced", "train_head fine_tune"),
    ("head.early_stopping", 1, "train_head fine_tune"),
    ("augment.shear", 5.0, "extract fine_tune"),
    ("augment.zoom", 0.2, "extract fine_tune"),
    ("augment.shift", 0.2, "extract fine_tune"),
    ("augment.rotation", 5.0, "extract fine_tune"),
    ("augment.flip_horizontal", False, "extract fine_tune"),
    ("augment.flip_vertical", True, "extract fine_tune"),
    ("fine_tune.views", 3, "extract fine_tune"),
    ("fine_tune.cut", "conv4_relu", "extract fine_tune"),
    ("fine_tune.optimizer", "adam", "fine_tune"),
    ("fine_tune.learning_rate", 0.01, "fine_tune"),
    ("fine_tune.schedule", "cosine", "fine_tune"),
    ("fine_tune.warmup", 0.5, "fine_tune"),
    ("fine_tune.momentum", 0.9, "fine_tune"),
    ("fine_tune.weight_decay", 0.1, "fine_tune"),
    ("fine_tune.epochs", 2, "fine_tune"),
    ("fine_tune.batch_size", 4, "fine_tune"),
    ("fine_tune.class_weights", "balanced", "fine_tune"),
    ("fine_tune.select_by", "accuracy", "fine_tune"),
    ("fine_tune.choose_on", "folds", "fine_tune"),
    ("fine_tune.refit", True, "fine_tune"),
    ("fine_tune.early_stopping", 1, "fine_tune"),
    ("fine_tune.label_smoothing", 0.1, "fine_tune"),
    ("fine_tune.mixup", 0.2, "fine_tune"),
    ("fine_tune.ema", 0.9, "fine_tune"),
    ("fine_tune.layer_decay", 0.8, "fine_tune"),
    ("fine_tune.average_flips", True, "fine_tune"),
    ("decision.goal", "balanced_accuracy", "calibrate"),
    ("decision.of", "blue", "calibrate"),
    ("decision.at_least", 0.9, "calibrate"),
    ("decision.costs", {"red": {"blue": 5}}, "calibrate"),
    ("decision.coverage", 0.9, "calibrate"),
    ("dataset.path", "data/other_images", "fetch split extract inspect fine_tune evaluate report"),
]

# Every package of headstart/, and the stages that run it; what lies beside them, the commands, changes no stage.
PACKAGES = {
    "base": "fetch split extract inspect train_head fine_tune calibrate evaluate report",
    "artifacts": "split extract inspect train_head fine_tune calibrate evaluate report",
    "sources": "fetch",
    "images": "split extract inspect fine_tune calibrate evaluate report",
    "labels": "split",
    "backbones": "extract fine_tune",
    "training": "inspect train_head fine_tune",
    "inspection": "inspect",
    "classifier": "fine_tune calibrate evaluate report",
    "calibration": "calibrate",
    "evaluation": "evaluate report",
    "page": "report",
    "team": "",
    "discovery": "",
    "cluster": "extract",
    "delivery": "",
    "serving": "",
}


@pytest.fixture(scope="module")
def settled(_reproduced, tmp_path_factory) -> Project:
    """The project after its run; the tests that use it change one file, ask for the status, and put it back."""
    project = Project(tmp_path_factory.mktemp("settled") / "project")
    shutil.copytree(_reproduced, project.path)
    shutil.copytree(project.path / "data/my_images", project.path / "data/other_images")
    return project


@pytest.fixture
def changed(settled, monkeypatch):
    """A function that gives the stages which DVC finds changed."""
    from dvc.repo import Repo

    monkeypatch.chdir(settled.path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", settled.environment["DVC_SITE_CACHE_DIR"])
    files = [Path("params.yaml"), *Path("headstart").rglob("*.py"), *Path("stages").glob("*.py")]
    kept = {path: path.read_bytes() for path in files}

    def stages() -> set[str]:
        with Repo() as repo:
            return set(repo.status())

    yield stages
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


def test_after_a_run_nothing_has_changed(changed):
    assert changed() == set()


@pytest.mark.parametrize(("name", "value", "stages"), PARAMETERS, ids=[row[0] for row in PARAMETERS])
def test_a_parameter_changes_exactly_the_stages_that_take_it(settled, changed, name, value, stages):
    # A fold is one of the folds, and another precision is known to another engine.
    also = {"fold": {"split.folds": 3}, "extract.precision": {"extract.engine": "openvino"}}.get(name, {})
    settled.set(also | {name: value})
    params.load()
    # The page lists all parameters.
    assert changed() == {*stages.split(), "report"} | ({"split"} if name == "fold" else set())


@pytest.mark.parametrize(("package", "stages"), PACKAGES.items(), ids=PACKAGES)
def test_a_package_changes_exactly_the_stages_that_run_it(settled, changed, package, stages):
    comment(settled, f"headstart/{package}/__init__.py")
    assert changed() == set(stages.split())


def test_a_new_module_touches_no_yaml(settled, changed):
    (settled.path / "headstart/labels/handwriting.py").write_text("")
    assert changed() == {"split"}
    (settled.path / "headstart/labels/handwriting.py").unlink()


def test_what_python_compiles_changes_nothing(settled, changed):
    compiled = settled.path / "headstart/base/__pycache__"
    compiled.mkdir(exist_ok=True)
    (compiled / "other.pyc").write_bytes(b"compiled")
    assert changed() == set()


def test_a_command_changes_no_stage(settled, changed):
    for path in (settled.path / "headstart").glob("*.py"):
        comment(settled, f"headstart/{path.name}")
    assert changed() == set()


@pytest.mark.parametrize("stage", ALL)
def test_a_script_changes_exactly_its_stage(settled, changed, stage):
    comment(settled, f"stages/{stage}.py")
    assert changed() == {stage}


def test_no_parameter_and_no_package_is_forgotten_above():
    document = yaml12.read(ROOT / "params.yaml")
    assert leaves(document, "") == set(SMALL)
    assert {row[0] for row in PARAMETERS} == set(SMALL) - {"dataset.table"} | {
        f"dataset.table.{name}" for name in params.Table.model_fields
    }
    assert set(PACKAGES) == {path.parent.name for path in (ROOT / "headstart").glob("*/__init__.py")}


def leaves(section: dict[str, Any], prefix: str) -> set[str]:
    names = set()
    for key, value in section.items():
        name = prefix + key
        names |= leaves(value, name + ".") if isinstance(value, dict) and name != "dataset.table" else {name}
    return names


def comment(project: Project, file: str) -> None:
    with (project.path / file).open("a") as code:
        code.write("# A comment more.\n")


def outputs(project: Project) -> dict[str, str]:
    """The hashes of everything that the stages wrote, from dvc.lock."""
    lock = yaml12.read(project.path / "dvc.lock")
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def test_a_second_run_runs_nothing_a_head_parameter_runs_from_the_head_on_and_going_back_nothing(reproduced):
    before = outputs(reproduced)
    assert reproduced.ran(reproduced.repro()) == []
    reproduced.set({"head.dropout": 0.5})
    assert reproduced.ran(reproduced.repro()) == ["train_head", "fine_tune", "calibrate", "evaluate", "report"]
    assert outputs(reproduced) != before

    changes = json.loads(reproduced.dvc("params", "diff", "--json").stdout)
    assert changes["params.yaml"] == {"head.dropout": {"old": 0.0, "new": 0.5, "diff": 0.5}}
    metrics = json.loads(reproduced.dvc("metrics", "diff", "--json").stdout)
    assert "head.loss" in metrics["metrics/test.json"]
    assert any("head" in file for file in metrics)
    assert "split" not in json.dumps(metrics), "the metrics of a stage that did not run have not changed"

    page = reproduced.dvc("plots", "show", "-o", "page").stdout.strip()
    html = Path(page.removeprefix("file://")).read_text()
    for title in ("Head: loss per epoch", "test images: classifier", "ROC curve, test images", "wrong.png"):
        assert title in html

    reproduced.set({"head.dropout": 0.0})
    assert reproduced.ran(reproduced.repro()) == []
    assert outputs(reproduced) == before
    assert (reproduced.path / "metrics/plots/roc/head.csv").is_file()


def test_other_views_and_another_backbone_of_the_same_features_leave_the_head(reproduced):
    """The table above says what runs at first; what is the same bytes after that goes no further."""
    before = outputs(reproduced)
    reproduced.set({"fine_tune.views": 3})
    assert reproduced.ran(reproduced.repro("fine_tune", "inspect")) == ["extract", "fine_tune"]
    network = outputs(reproduced)["models/network.keras"]
    comment(reproduced, "headstart/backbones/registry.py")
    assert reproduced.ran(reproduced.repro("fine_tune", "inspect")) == ["extract", "fine_tune"]
    after = outputs(reproduced)
    assert after["models/network.keras"] == network != before["models/network.keras"]
    assert [after[name] for name in ("data/features/bottleneck", "models/head.keras")] == [
        before[name] for name in ("data/features/bottleneck", "models/head.keras")
    ]
    assert after["data/features/cut"] != before["data/features/cut"]


def test_a_change_that_gives_the_same_outputs_goes_no_further(reproduced):
    before = outputs(reproduced)
    for module in ("sources/web", "labels/splitting", "evaluation/scores"):
        comment(reproduced, f"headstart/{module}.py")
    assert reproduced.ran(reproduced.repro()) == ["fetch", "split", "evaluate", "report"]
    assert outputs(reproduced) == before


def test_a_zip_gives_the_same_as_the_folder_that_it_was_made_of(reproduced):
    before = outputs(reproduced)
    folder = reproduced.path / "data/my_images"
    with zipfile.ZipFile(reproduced.path / "data/images.zip", "w") as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(file, file.relative_to(folder))
    reproduced.set({"dataset.path": "data/images.zip"})
    assert reproduced.ran(reproduced.repro()) == [
        "fetch",
        "split",
        "extract",
        "inspect",
        "fine_tune",
        "evaluate",
        "report",
    ]
    after = outputs(reproduced)
    for page in ("metrics/report.html", "models/MODEL_CARD.md"):
        assert before.pop(page) != after.pop(page), "it names the folder"
    assert after == before


def test_of_several_backbones_the_head_takes_all_and_fine_tuning_trains_the_first(reproduced):
    before = outputs(reproduced)
    tiny = {"name": "TinyNet", "weights": "data/weights.h5", "sha256": None, "scaling": "native"}
    other = {"name": "MobileNet", "weights": "random", "sha256": None, "scaling": "unit"}
    reproduced.set({"backbone": [tiny, other], "fine_tune.average_flips": True})
    rerun = ["fetch", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report"]
    assert reproduced.ran(reproduced.repro()) == rerun
    assert json.loads((reproduced.path / "data/raw/weights/2/origin.json").read_text())["origin"] == "random"
    features = np.load(reproduced.path / "data/features/bottleneck/plain.npy")
    assert features.shape[1:] == (1, 1, 1024 + 1024)
    assert np.load(reproduced.path / "data/features/cut/plain.npy").ndim == 2
    record = json.loads((reproduced.path / "data/features/bottleneck/arrays.json").read_text())
    assert record["plain.npy"]["widths"] == [1024, 1024]
    with zipfile.ZipFile(reproduced.path / "models/classifier.keras") as archive:
        assert json.loads(archive.read("headstart.json"))["unlike"]["widths"] == [1024, 1024]
    card = (reproduced.path / "models/MODEL_CARD.md").read_text()
    assert "TinyNet and MobileNet with a head of its own" in card
    assert "| pretrained weights of MobileNet | none: they were random | none needed |" in card
    answer = reproduced.run("python", "-m", "headstart.predict", "data/my_images/red/00.png")
    assert "red" in answer.stdout
    assert reproduced.ran(reproduced.repro()) == []

    width = np.load(reproduced.path / "data/features/cut/plain.npy").shape[1]
    reproduced.set({"fine_tune.cut": ["conv3_relu", "conv_dw_12_relu"]})
    assert "fine_tune" in reproduced.ran(reproduced.repro("fine_tune"))
    of_both = np.load(reproduced.path / "data/features/cut/plain.npy").shape[1]
    assert of_both == width - 1024 + 512, "of the second the activations at its cut, in the place of its features"

    reproduced.set({"backbone": tiny, "fine_tune.average_flips": False, "fine_tune.cut": "conv3_relu"})
    reproduced.repro()
    assert outputs(reproduced) == before
    assert not (reproduced.path / "data/raw/weights/2").exists()


def test_three_classes_go_through_and_the_model_tells_them_apart(reproduced):
    draw(reproduced.path / "data/my_images", ["green"])
    reproduced.set({"split.seed": 2, "fine_tune.views": "live", "fine_tune.cut": 0})
    done = reproduced.repro("evaluate")
    assert reproduced.ran(done) == ["split", "extract", "train_head", "fine_tune", "calibrate", "evaluate"]
    # How far the work is, and how fast.
    for line in (
        r"extract: 48 images in [\d.]+ s, [\d,]+ images/s",
        r"fine_tune: 3 batches in [\d.]+ s, [\d.,]+ batches/s",
    ):
        assert re.search(line, done.stderr)
    for picture in ("metrics/result.png", "metrics/galleries/right.png", "metrics/galleries/wrong.png"):
        with Image.open(reproduced.path / picture) as image:
            image.load()
            assert min(image.size) > 100
    facts = json.loads((reproduced.path / "metrics/dataset.json").read_text())
    assert facts["classes"] == sorted(COLOURS)
    assert facts["counts"]["test"] == {"blue": 4, "green": 4, "red": 4}
    scores = json.loads((reproduced.path / "metrics/test.json").read_text())
    assert [len(row) for row in scores["head"]["confusion_matrix"]] == [3, 3, 3]
    assert scores["head"]["accuracy"] > 0.6
    assert scores["fine_tuned"]["accuracy"] > 0.6
    shown = reproduced.run("python", "-m", "headstart.predict", "data/my_images/green/00.png", "--json")
    assert json.loads(shown.stdout)
