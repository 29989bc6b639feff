import json

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


def test_the_counts_of_a_fold_are_those_of_its_run():
    labels, splits = np.array([0, 0, 1, 0, 1, 1]), np.array(["train"] * 6)
    folds = np.array([1, 1, 2, 3, 3, 4])
    names = [str(number) for number in range(6)]
    manifest = Manifest(["grün", "a"], names, labels, splits, names, folds=folds)
    folded = dataset.summarize(manifest, found=6, unused=0, left_out=[], duplicates=[])
    assert folded["folds"] == {
        "1": {"grün": 2, "a": 0},
        "2": {"grün": 0, "a": 1},
        "3": {"grün": 1, "a": 1},
        "4": {"grün": 0, "a": 1},
    }
    assert dataset.counts(folded) == folded["counts"]
    assert dataset.counts(folded, 4) == {
        "test": {"grün": 0, "a": 1},
        "validation": {"grün": 2, "a": 0},
        "train": {"grün": 1, "a": 2},
    }
    for summarised, fold in ((folded, 5), (summary(), 1)):
        with pytest.raises(ValueError, match=f"dataset.json has no fold {fold}"):
            dataset.counts(summarised, fold)


def test_what_was_written_is_read(tmp_path, monkeypatch):
    dataset.write(summary(), tmp_path)
    assert dataset.read(tmp_path) == summary()
    assert '"grün"' in (tmp_path / dataset.DATASET).read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    assert dataset.read() == summary()


CHANGES = [{"counts": {"train": {}}}, {"found": None}, {"left_out": [{"path": "a"}]}, {"near_duplicates": ["a"]}]
CHANGES += [{"corrections": {"labels": 3}}, {"classes": ["a", "b"]}, {"published": None}, {"groups": "3"}]
CHANGES += [{"found": -1}, {"groups": -1}, {"test_copies": 10**400}, {"folds": {"1": {"a": -2, "grün": 1}}}]
CHANGES += [{"counts": summary()["counts"] | {"test": {"grün": -1, "a": 0}}}]
DAMAGED = [json.dumps(summary() | change) for change in CHANGES]


def test_a_missing_or_damaged_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^no metrics/dataset\.json here: run `dvc repro split`"):
        dataset.read()
    dataset.write(summary())
    for text in ("<<<<<<< HEAD\n{}\n", "", "null", "[]", "{}", '{"counts": 1}', "[" * 10**5, *DAMAGED):
        dataset.DATASET.write_text(text)
        again = "run `dvc repro --force --single-item split`"
        with pytest.raises(UserError, match=rf"^metrics/dataset\.json is damaged .*: {again}"):
            dataset.read()
