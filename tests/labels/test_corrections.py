import dataclasses
from pathlib import Path

import numpy as np
import pytest

from headstart.artifacts import corrections as file
from headstart.artifacts.corrections import CORRECTIONS, Correction
from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.labels import corrections

PATHS = ["a/1.png", "a/2.png", "a/copy.png", "b/1.png", "b/2.png", "b/3.png"]
HASHES = ["1", "2", "2", "4", "5", "6"]
SPLITS = ["train", "train", "train", "train", "validation", "test"]
TABLE = Manifest(["a", "b"], PATHS, np.array([0, 0, 0, 1, 1, 1]), np.array(SPLITS), HASHES)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def applied(*written, of_test=False, table=TABLE):
    file.write(list(written))
    return corrections.apply(table, of_test)


def test_without_a_file_or_with_an_empty_one_nothing_changes():
    assert corrections.apply(TABLE, False).table.labels.tolist() == TABLE.labels.tolist()
    done = applied()
    assert (done.left_out, done.lines) == ([], []) and done.table.paths == PATHS


def test_another_label_goes_to_exact_copies_too():
    done = applied(Correction("a/2.png", "2", "label", "b", "Ann", "look again"))
    assert done.table.labels.tolist() == [0, 1, 1, 1, 1, 1]
    assert done.lines == ["data/corrections.csv: 2 labels changed, 0 images left out"]
    assert done.counts["labels"] == {"train": 2, "validation": 0, "test": 0}


def test_what_is_left_out_is_named_with_the_reason():
    done = applied(Correction("b/1.png", "4", "leave out", "", "Ann", "two animals"), table=more())
    assert "b/1.png" not in done.table.paths and len(done.table.labels) == len(done.table.paths)
    (entry,) = done.left_out
    assert entry == ("b/1.png", "left out by data/corrections.csv (two animals, by Ann)")


def more():
    """The table with one more image of b in training."""
    return dataclasses.replace(
        TABLE,
        paths=[*PATHS, "b/4.png"],
        labels=np.append(TABLE.labels, 1),
        splits=np.append(TABLE.splits, "train"),
        sha256=[*HASHES, "7"],
        groups=np.append(TABLE.groups, "b/4.png"),
    )


def test_keep_changes_nothing_and_is_remembered():
    done = applied(Correction("a/1.png", "1", "keep", ""))
    assert done.lines == [] and done.table.labels.tolist() == TABLE.labels.tolist()
    assert file.looked_at() == {"1"}


def test_test_images_are_corrected_with_the_flag_alone():
    table = dataclasses.replace(more(), splits=np.array([*SPLITS[:4], "test", "test", "validation"]))
    correction = Correction("b/3.png", "6", "label", "a")
    done = applied(correction, table=table)
    assert done.table.labels.tolist() == table.labels.tolist()
    assert done.lines == [
        "data/corrections.csv: 1 correction of test images, which are corrected with dataset.correct_test: true alone"
        ": b/3.png"
    ]
    done = applied(correction, of_test=True, table=table)
    assert done.table.labels[5] == 0 and done.counts["labels"]["test"] == 1
    assert done.lines == ["data/corrections.csv: 1 label changed, 0 images left out, 1 of them of the test split"]


def test_a_correction_of_another_picture_or_of_none_is_passed_over_and_said():
    done = applied(Correction("a/1.png", "old", "label", "b"), Correction("gone.png", "9", "leave out", ""))
    assert done.table.labels.tolist() == TABLE.labels.tolist()
    assert done.lines == [
        "data/corrections.csv: 1 correction of images that are not in use: gone.png",
        "data/corrections.csv: 1 correction of images that show something else by now: a/1.png",
    ]


@pytest.mark.parametrize("path", ["cats/old name.png", "b/1.png"])
def test_an_image_that_was_renamed_is_corrected_too(path):
    done = applied(Correction(path, "1", "label", "b"))
    assert done.table.labels.tolist() == [1, *TABLE.labels.tolist()[1:]]
    assert done.lines == ["data/corrections.csv: 1 label changed, 0 images left out"]


def test_an_image_that_was_sent_to_the_server_waits_for_its_copy_in_the_source():
    sent = Correction("data/corrections/9.jpg", "9", "label", "b", "Ann")
    done = applied(sent)
    assert done.table.labels.tolist() == TABLE.labels.tolist()
    assert done.lines == [
        "data/corrections.csv: 1 correction of images that were sent to the server and lie in data/corrections/: to "
        "train on one, put a copy of it into the source, as an image of its label: data/corrections/9.jpg"
    ]
    added = dataclasses.replace(more(), sha256=[*HASHES, "9"])  # as b/4.png, where it belongs
    assert applied(sent, table=added).lines == []


def test_a_copy_in_the_wrong_place_is_corrected_as_the_image_that_was_sent():
    done = applied(Correction("data/corrections/1.png", "1", "label", "b"))
    assert done.table.labels.tolist() == [1, 0, 0, 1, 1, 1]
    assert done.lines == ["data/corrections.csv: 1 label changed, 0 images left out"]


def test_an_unsure_label_that_is_corrected_is_certain():
    unsure = dataclasses.replace(TABLE, probabilities=np.tile(np.array([0.6, 0.4], "float32"), (6, 1)))
    done = applied(Correction("a/1.png", "1", "label", "b"), table=unsure)
    assert done.table.probabilities[0].tolist() == [0, 1]
    np.testing.assert_allclose(done.table.probabilities[1], [0.6, 0.4])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([Correction("a/1.png", "1", "label", "c")], r"a/1\.png: got the label c; takes a, b"),
        (
            [Correction("a/2.png", "2", "label", "b"), Correction("a/copy.png", "2", "leave out", "")],
            r"two things of the same picture, a/2\.png: b and a/copy\.png: leave out",
        ),
        ([Correction("b/1.png", "4", "leave out", "")], "takes the last train image of class b away"),
        ([Correction("b/2.png", "5", "label", "a")], "takes the last validation image of class b away"),
    ],
)
def test_what_cannot_be_is_refused(written, message):
    with pytest.raises(UserError, match=message):
        applied(*written)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,b\n", r"got the columns path,label; takes path,sha256,action,label,by,why$"),
        ("path;sha256;action;label;by;why\n", "takes path,.*,why: save it with commas between the cells"),
        ("path,sha256,action,label,by,why\na,1,label,,,\n", "row 2: got the action label with no label"),
        ("path,sha256,action,label,by,why\na,1,keep,b,,\n", "row 2: got the action keep with b label"),
        ("path,sha256,action,label,by,why\na,1,leave,,,\n", "row 2: got the action leave; did you mean leave out"),
        ("path,sha256,action,label,by,why\na,1\n", "row 2: got 2 cells; takes 6"),
        ("path,sha256,action,label,by,why\n\na,1,keep,,,\n,,,,,\na,1\n", "row 5: got 2 cells; takes 6"),
        ('path,sha256,action,label,by,why\n"a,1\n', "is no CSV in UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_corrections_is_told_with_its_row(text, message):
    CORRECTIONS.parent.mkdir()
    CORRECTIONS.write_text(text)
    with pytest.raises(UserError, match=message):
        corrections.apply(TABLE, False)


def test_what_a_spreadsheet_program_writes_is_read():
    Path("data").mkdir()
    rows = 'path,sha256,action,label,by,why\r\na/1.png,1,label,b,Ann,"a, b"\r\n,,,,,\r\n'
    CORRECTIONS.write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert file.read() == [Correction("a/1.png", "1", "label", "b", "Ann", "a, b")]
