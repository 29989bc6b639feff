"""Labels of sources as people have them: what `split` makes of them."""

import subprocess
import sys

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from headstart.artifacts import dataset, manifest
from stages import split

pytestmark = pytest.mark.real


@pytest.fixture
def split_case(shared, tmp_path, monkeypatch, capsys):
    """Make a case of that name, split it by these parameters of the dataset, and return the manifest and the output."""
    cases = shared / "cases"

    def split_case(name, **parameters):
        if not (cases / name).is_dir():
            pytest.skip(f"no case {name} in {cases}")
        subprocess.run([sys.executable, cases / name / "make.py", tmp_path / "images"], check=True)
        monkeypatch.chdir(tmp_path)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update({"path": "images", "classes": None, "table": None, **parameters})
        values["split"].update({"train": None, "validation": 0.25, "test": 0.25})
        yaml.dump(values, tmp_path / "params.yaml")
        pipeline = yaml.load(ROOT / "dvc.yaml")
        yaml.dump({"stages": {"split": pipeline["stages"]["split"]}}, tmp_path / "dvc.yaml")
        split.main()
        return manifest.read(), capsys.readouterr().out

    return split_case


def table(file, delimiter, image, label):
    return {"file": file, "delimiter": delimiter, "header": True, "image": image, "label": label, "values": None}


def labelled(images):
    return {path: images.classes[label] for path, label in zip(images.paths, images.labels, strict=True)}


def test_ids_without_folder_and_ending(split_case):
    images, output = split_case("01-kaggle-ids", labels="table", table=table("train.csv", ",", "image_id", "label"))
    kinds = ["healthy", "rust"]
    assert labelled(images) == {f"images/Train_{i}.jpg": kinds[i % 2] for i in range(40)}
    assert "40 rows of train.csv name images without folder and ending: matched by what is alike" in output
    assert dataset.read()["left_out"] == []


def test_one_column_for_each_class(split_case):
    kinds = ["MEL", "NV", "BCC"]
    images, _ = split_case("02-one-hot", labels="table", table=table("truth.csv", ",", "image", kinds))
    assert images.classes == sorted(kinds)
    assert labelled(images) == {f"images/I_{i:04}.jpg": kinds[i % 3] for i in range(60)}


def test_names_with_a_pattern(split_case):
    images, output = split_case("20-prefix-underscore", labels="pattern", pattern=r"(?P<label>.+)_\d+")
    assert images.classes == ["Abyssinian", "great_dane"]
    assert labelled(images) == {f"{name}_{i}.jpg": name for name in images.classes for i in range(20)}
    assert "0 files left out" in output


def test_paths_with_backslashes(split_case):
    images, output = split_case("03-backslash-paths", labels="table", table=table("labels.csv", ";", "file", "class"))
    assert labelled(images) == {f"img/{i}.png": "ab"[i % 2] for i in range(40)}
    assert "40 rows of labels.csv name images with backslashes" in output
