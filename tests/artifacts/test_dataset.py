import numpy as np
import pytest

from headstart.artifacts import dataset
from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError


def summary():
    labels, splits = np.array([0, 0, 1, 0]), np.array(["train", "train", "train", "test"])
    manifest = Manifest(["grün", "a"], ["1", "2", "3", "4"], labels, splits, ["0"] * 4)
    left_out = [LeftOut("z.png", "zero bytes"), LeftOut("a.txt", "not the file name of an image")]
    return dataset.summarize(
        manifest, found=9, unused=4, left_out=left_out, duplicates=[["3", "4"], ["1", "2"]], published={"train", "test"}
    )


def test_every_split_counts_every_class_and_lists_are_sorted():
    assert summary() == {
        "classes": ["grün", "a"],
        "counts": {
            "train": {"grün": 2, "a": 1},
            "validation": {"grün": 0, "a": 0},
            "test": {"grün": 1, "a": 0},
        },
        "found": 9,
        "unused": 4,
        "left_out": [
            {"path": "a.txt", "reason": "not the file name of an image"},
            {"path": "z.png", "reason": "zero bytes"},
        ],
        "duplicates": [["1", "2"], ["3", "4"]],
        "published": ["test", "train"],
    }


def test_what_was_written_is_read(tmp_path, monkeypatch):
    dataset.write(summary(), tmp_path)
    assert dataset.read(tmp_path) == summary()
    assert '"grün"' in (tmp_path / dataset.DATASET).read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    assert dataset.read() == summary()


def test_a_missing_or_damaged_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^no metrics/dataset\.json here: run `dvc repro split`"):
        dataset.read()
    dataset.write(summary())
    dataset.DATASET.write_text("<<<<<<< HEAD\n{}\n")
    with pytest.raises(UserError, match=r"^metrics/dataset\.json is damaged .*: run `dvc repro --force split`"):
        dataset.read()
