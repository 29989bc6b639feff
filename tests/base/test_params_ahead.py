"""What `make repro` checks before DVC removes what a stage wrote last time."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from headstart import params as command
from headstart.backbones import registry
from headstart.base import params, yaml12
from headstart.base.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project of which everything has run once, by its dvc.lock."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    set_to({"backbone.name": "MobileNet", "image.size": 32, "fine_tune.cut": "conv_pw_12_relu", "fine_tune.views": 2})
    lock(dict(params.declaration("extract").values))


def set_to(values: dict) -> None:
    document = yaml12.read(Path("params.yaml"))
    for name, value in values.items():
        section, last = name.split(".")
        document[section][last] = value
    Path("params.yaml").write_text(yaml.safe_dump(document))


def lock(values: dict) -> None:
    content = {"stages": {"extract": {"params": {"params.yaml": values}}}}
    Path("dvc.lock").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fine_tune.cut": 500}, r"fine_tune\.cut: got 500; takes 0 to 86, .* such as .*\(conv_pw_13_relu\)"),
        ({"fine_tune.cut": "conv_pw_12_rel"}, r"fine_tune\.cut: got conv_pw_12_rel, .*conv_pw_12_relu"),
        ({"fine_tune.cut": 0}, r"fine_tune\.cut: got 0, but fixed views need a layer"),
        ({"backbone.name": "MobilNet"}, r"backbone\.name: got MobilNet; did you mean MobileNet"),
        ({"backbone.name": "InceptionV3"}, r"image\.size: got 32; InceptionV3 says"),
        ({"fine_tune.cut": 500, "fine_tune.views": "live"}, r"fine_tune\.cut: got 500"),
    ],
)
def test_a_network_or_a_cut_that_is_not_there_is_refused(values, message):
    set_to(values)
    with pytest.raises(UserError, match=message):
        command.refuse_network(params.load())


@pytest.mark.parametrize(
    "values", [{"fine_tune.cut": "conv_pw_11_relu"}, {"fine_tune.cut": 0, "fine_tune.views": "live"}]
)
def test_what_fits_is_not(values):
    set_to(values)
    command.refuse_network(params.load())


def test_nothing_is_built_where_the_last_run_had_the_same_or_there_was_none(monkeypatch):
    monkeypatch.setattr(registry, "build", lambda *_: pytest.fail("it takes seconds"))
    command.refuse_network(params.load())
    set_to({"fine_tune.cut": 500, "head.dropout": 0.1})
    # The last two are as a kill leaves it: no YAML, which `make check` mends.
    for content in ("{}", "[]", "", "stages: {extract: null}", "stages:\n  extract:\n    dep", "\0\0"):
        Path("dvc.lock").write_text(content)
        command.refuse_network(params.load())
    Path("dvc.lock").unlink()
    command.refuse_network(params.load())


def test_an_engine_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command.refuse_engine("tensorflow")
    with pytest.raises(UserError, match=r"extract\.engine: got openvino, which is not installed"):
        command.refuse_engine("openvino")


def test_a_class_that_there_is_not_is_refused_before_anything_is_trained():
    set_to({"dataset.classes": None, "dataset.labels": "folders"})
    last = dict(params.declaration("split").values)
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"split": {"params": {"params.yaml": last}}}}))
    Path("data").mkdir()
    Path("data/classes.json").write_text('["functional", "defective"]')
    set_to({"decision.goal": "recall", "decision.of": "defectiv"})
    with pytest.raises(UserError, match=r"decision\.of: got defectiv; did you mean defective"):
        command.refuse_decision(params.load())
    set_to({"decision.of": "defective"})
    command.refuse_decision(params.load())
    set_to({"decision.of": "cat", "dataset.path": "data/pets"})  # the classes are those of other images
    command.refuse_decision(params.load())


def test_corrections_that_are_gone_are_said(monkeypatch):
    monkeypatch.setattr("sys.argv", ["params"])
    with pytest.raises(UserError, match=r"no data/corrections\.csv here: `git checkout data/corrections\.csv` brings"):
        command.main()


@pytest.mark.parametrize(
    ("weights", "backbone", "takes"),
    [
        ("/etc/passwd", "MobileNet", ".h5"),
        ("own.pth", "MobileNet", ".h5"),
        ("own.h5", "EfficientNetLite0", ".pth"),
        ("https://host/x.zip?a=x.h5", "MobileNet", ".h5"),
    ],
)
def test_weights_whose_name_does_not_fit_are_refused_before_anything_is_removed(weights, backbone, takes, monkeypatch):
    set_to({"backbone.weights": weights, "backbone.name": backbone, "image.size": 64})
    for path in ("dvc.lock", "own.pth", "own.h5"):
        Path(path).write_text("{}")
    monkeypatch.setattr("sys.argv", ["headstart.params"])
    with pytest.raises(UserError) as caught:
        command.main()
    assert str(caught.value) == f"backbone.weights: got {weights}; {backbone} takes a {takes} file: name one"


@pytest.mark.parametrize("weights", ["imagenet", "random", "pypi:a==1", "b.h5", "https://host/x.h5?raw=true", "gone"])
def test_weights_whose_name_fits_or_says_nothing_are_taken(weights, monkeypatch):
    Path("data").mkdir()
    for path in ("b.h5", "data/corrections.csv"):
        Path(path).touch()
    set_to({"backbone.weights": weights})
    monkeypatch.setattr("sys.argv", ["headstart.params"])
    command.main()


@pytest.mark.parametrize("place", ["data", "data/features", "data/features/cut", "data/raw", "metrics"])
def test_a_link_out_of_the_project_in_the_place_of_an_output_is_refused(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).symlink_to(elsewhere)
    with pytest.raises(UserError, match=f"^{place} is a link to {elsewhere}, outside of the project") as caught:
        params.refuse_linked_outs()
    stages = {"data/raw": "fetch", "metrics": "evaluate"}
    with pytest.raises(UserError, match=str(caught.value)[:30]):
        params.load_stage(stages.get(place, "extract"))
    assert list(elsewhere.iterdir()) == []


def test_links_that_stay_in_the_project_and_those_of_dvc_are_taken(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache") / "1234"
    cache.touch()
    for folder in ("models", "data", "big"):
        Path(folder).mkdir()
    Path("models/head.keras").symlink_to(cache)
    Path("data/features").symlink_to("../big")
    params.refuse_linked_outs()
