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
    assert (tmp_path / manifest.MANIFEST).read_text("utf-8").splitlines()[2] == "g/ü.png,grün,train,11,,,"
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
    assert (tmp_path / manifest.MANIFEST).read_text("utf-8").splitlines()[1] == 'b c/1.png,"b,c",test,00,P 1,,'
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
