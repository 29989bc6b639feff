from dataclasses import replace

import numpy as np
import pytest

from headstart.artifacts import manifest
from headstart.base.errors import UserError

LABELS = np.array([1, 0, 1])
SPLITS = np.array(["test", "train", "test"])
PATHS = ["b c/1.png", "g/ü.png", 'x"y.png']
GROUPS = np.array(["P 1", "g/ü.png", "P 1"])
TABLE = manifest.Manifest(["grün", "b,c"], PATHS, LABELS, SPLITS, ["00", "11", "22"], GROUPS)


def test_what_was_written_is_read(tmp_path):
    manifest.write(TABLE, tmp_path)
    read = manifest.read(tmp_path)
    assert (read.classes, read.paths, read.sha256) == (TABLE.classes, TABLE.paths, TABLE.sha256)
    np.testing.assert_array_equal(read.labels, LABELS)
    np.testing.assert_array_equal(read.splits, SPLITS)
    np.testing.assert_array_equal(read.groups, GROUPS)
    assert read.labels.dtype == np.int64
    assert [read.rows(split).tolist() for split in manifest.SPLITS] == [[1], [], [0, 2]]


def test_an_image_that_belongs_to_no_other_is_a_group_of_its_own(tmp_path):
    alone = manifest.Manifest(TABLE.classes, TABLE.paths, LABELS, SPLITS, TABLE.sha256)
    assert alone.groups.tolist() == PATHS
    manifest.write(alone, tmp_path)
    assert (tmp_path / manifest.MANIFEST).read_text("utf-8").splitlines()[2] == "g/ü.png,grün,train,11,,,,"
    assert manifest.read(tmp_path).groups.tolist() == PATHS


def test_weights_and_probabilities_come_back_as_they_were(tmp_path):
    weights = np.array([1, 1 / 3, 0.25], "float32")
    probabilities = np.array([[0, 1], [2 / 3, 1 / 3], [0.1, 0.9]], "float32")
    manifest.write(replace(TABLE, weights=weights, probabilities=probabilities), tmp_path)
    read = manifest.read(tmp_path)
    np.testing.assert_array_equal(read.weights, weights)
    np.testing.assert_array_equal(read.probabilities, probabilities)
    assert read.weights.dtype == read.probabilities.dtype == np.float32
    manifest.write(TABLE, tmp_path)
    assert manifest.read(tmp_path).weights is manifest.read(tmp_path).probabilities is None


def test_the_files_are_those_of_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest.write(TABLE)
    assert (tmp_path / manifest.MANIFEST).read_text("utf-8").splitlines()[1] == 'b c/1.png,"b,c",test,00,P 1,,,'
    assert manifest.read().paths == manifest.read(tmp_path).paths


@pytest.mark.parametrize("missing", [manifest.MANIFEST, manifest.CLASSES])
def test_a_missing_file_is_named(tmp_path, missing):
    manifest.write(TABLE, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match=rf"^no .*/{missing} here: run `dvc repro split`"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("classes", ['["b,c", "red"]', "[", '["b,c"]'])
def test_classes_that_do_not_match_the_manifest_are_an_error(tmp_path, classes):
    manifest.write(TABLE, tmp_path)
    (tmp_path / manifest.CLASSES).write_text(classes)
    with pytest.raises(UserError, match="do not match .*: run `dvc repro --force split`"):
        manifest.read(tmp_path)


FOLDED = replace(TABLE, folds=np.array([2, 0, 1]))
TEN = manifest.Manifest(
    ["a", "b"],
    [f"{number}.png" for number in range(10)],
    np.arange(10) % 2,
    np.array(["train"] * 6 + ["validation", "test", "test", manifest.NOT_DEALT]),
    [f"{number:02}" for number in range(10)],
    folds=np.array([1, 1, 2, 2, 3, 3, 4, 4, 0, 1]),
)


def test_folds_that_were_written_are_read(tmp_path):
    manifest.write(FOLDED, tmp_path)
    assert manifest.read(tmp_path).folds.tolist() == [2, 0, 1]
    manifest.write(TABLE, tmp_path)
    assert manifest.read(tmp_path).folds is None


@pytest.mark.parametrize(
    ("fold", "test", "validation"), [(1, [0, 1, 9], [2, 3]), (3, [4, 5], [6, 7]), (4, [6, 7], [0, 1, 9])]
)
def test_a_fold_is_tested_on_the_next_validates_and_the_others_train(tmp_path, fold, test, validation):
    manifest.write(TEN, tmp_path)
    table = manifest.read(tmp_path, fold)
    rows = {split: table.rows(split).tolist() for split in manifest.SPLITS}
    train = sorted(set(range(10)) - {8} - set(test) - set(validation))
    assert rows == {"train": train, "validation": validation, "test": test}
    assert (table.paths, table.labels.tolist()) == (TEN.paths, TEN.labels.tolist())


def test_every_image_of_a_fold_is_tested_once_and_trained_on_by_others():
    tested = [row for fold in range(1, 5) for row in TEN.for_fold(fold).rows("test")]
    assert sorted(tested) == TEN.trained_on().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    for fold in (None, 1, 2, 3, 4):
        table = TEN.for_fold(fold)
        assert table.trained_on().tolist() == TEN.trained_on().tolist()
        assert set(table.rows("train")) <= set(table.trained_on())


def test_a_fold_that_is_not_there_is_refused(tmp_path):
    for table, folds in ((TABLE, "no"), (TEN, 4)):
        manifest.write(table, tmp_path)
        with pytest.raises(
            UserError, match=rf"^fold: got 5, but data/manifest.csv has {folds} folds: run `dvc repro sp"
        ):
            manifest.read(tmp_path, 5)


DAMAGES = {
    "empty": (manifest.MANIFEST, lambda text: ""),
    "cut in a row": (manifest.MANIFEST, lambda text: text[:-7]),
    "cut at the end of a line": (manifest.MANIFEST, lambda text: text[:-1]),
    "zeroed": (manifest.MANIFEST, lambda text: "\0" * len(text)),
    "one cell more": (manifest.MANIFEST, lambda text: text + "x\n"),
    "an unknown split": (manifest.MANIFEST, lambda text: text.replace(",train,", ",learn,")),
    "a negative fold": (manifest.MANIFEST, lambda text: text.replace(",1,,", ",-1,,")),
    "a fold that is no number": (manifest.MANIFEST, lambda text: text.replace(",1,,", ",one,,")),
    "no classes": (manifest.CLASSES, lambda text: "null"),
    "classes that are no list": (manifest.CLASSES, lambda text: '{"a": 1}'),
    "classes that are no names": (manifest.CLASSES, lambda text: "[[1], {}]"),
    "other classes": (manifest.CLASSES, lambda text: '["x", "y"]'),
    "nested classes": (manifest.CLASSES, lambda text: "[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_one_line(tmp_path, damage):
    manifest.write(TEN, tmp_path)
    path, change = DAMAGES[damage]
    before = (tmp_path / path).read_text("utf-8")
    assert change(before) != before
    (tmp_path / path).write_text(change(before), "utf-8")
    with pytest.raises(UserError, match=r"data/manifest\.csv and .* do not match .*: run `dvc repro --force split`"):
        manifest.read(tmp_path)
