"""Sources as people have them: what `start` makes of them, and that `split` takes it."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from headstart import start
from headstart.artifacts import dataset as summary
from headstart.artifacts import manifest
from headstart.base import params, yaml12
from headstart.base.errors import UserError
from headstart.discovery import subjects
from stages import split

pytestmark = pytest.mark.real


def table(file, delimiter, image, label):
    return {
        "labels": "table",
        "table": {"file": file, "delimiter": delimiter, "header": True, "image": image, "label": label},
    }


FOLDERS = {"labels": "folders"}
# What `dataset` is to say, of which classes with how many images, and a line that is to be printed.
CASES = {
    "01-kaggle-ids": (
        table("train.csv", ",", "image_id", "label"),
        {"healthy": 20, "rust": 20},
        "40 rows of train.csv",
    ),
    "02-one-hot": (table("truth.csv", ",", "image", ["MEL", "NV", "BCC"]), {"BCC": 20, "MEL": 20, "NV": 20}, ""),
    "03-backslash-paths": (table("labels.csv", ";", "file", "class"), {"a": 20, "b": 20}, "with backslashes"),
    "06-extreme-aspect": (FOLDERS, {"photo": 24, "scan": 24}, "72x64 to 4,000x6 pixels"),
    "07-12-bit": (FOLDERS, {"checks": 60, "stripes": 60}, "grey; 16 bits per channel"),
    "08-near-duplicates": (FOLDERS, {"cats": 60, "dogs": 60}, "120 of 120 images look like copies of others"),
    "09-patients": (
        FOLDERS | {"group": {"pattern": subjects.NUMBERED}},
        {"benign": 120, "malignant": 120},
        "20 subjects, such as B000",
    ),
    "10-rare-class": (FOLDERS, {"bad": 12, "good": 600}, "bad is rare"),
    "11-many-classes": (FOLDERS, {f"{n:03}.Long_species_name_{n}": 6 for n in range(120)}, "120 classes"),
    "14-large-photo": (FOLDERS, {"cats": 16, "dogs": 18}, "to 6,000x4,500 pixels"),
    "18-cjk-names": (FOLDERS, {"خدش": 16, "划痕": 16, "정상": 16}, ""),
    "20-prefix-underscore": (
        {"labels": "pattern", "pattern": r"(?P<label>.+)_\d+"},
        {"Abyssinian": 20, "great_dane": 20},
        "NAME_12",
    ),
    "19-gbk-zip": (FOLDERS, {"划痕": 20, "合格": 20}, "read as gb18030"),
}


@pytest.fixture
def make(shared, tmp_path, monkeypatch):
    """Make a case of that name, in the folder of a project; returns its path there."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")

    def make(name: str) -> str:
        script = shared / "cases" / name / "make.py"
        if not script.exists():
            pytest.skip(f"no case {name} in {shared}")
        path = "images.zip" if name.endswith("zip") else "images"
        subprocess.run([sys.executable, script, path], check=True)
        return path

    return make


@pytest.mark.parametrize("name", CASES)
def test_a_source_is_read_as_it_is_meant(name, make, capsys):
    expected, counts, line = CASES[name]
    assert start.main([make(name)]) == 0
    dataset = yaml12.read(params.PARAMS)["dataset"]
    for key, value in expected.items():
        assert dataset[key] == value if key != "table" else value.items() <= dataset["table"].items()
    assert dataset["group"] == expected.get("group")
    printed = capsys.readouterr().out
    assert line in printed
    if len(counts) < 10:
        assert all(re.search(rf"^  {name} +{count}$", printed, re.MULTILINE) for name, count in counts.items())
    split.main()
    assert manifest.read().classes == sorted(counts)
    assert summary.read()["found"] == sum(counts.values())


def test_a_class_of_files_that_nothing_can_read_is_named(make):
    with pytest.raises(UserError, match="class birds: none of its images can be read: birds/IMG_0000.HEIC"):
        start.main([make("15-heic")])
