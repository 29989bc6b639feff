"""Where a stage finds the weights that `fetch` wrote."""

import pytest

from headstart.backbones import weights
from headstart.base import origin
from headstart.base.errors import UserError

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_fetched_file_is_found_from_the_projects_folder_and_from_elsewhere(tmp_path, monkeypatch):
    origin.write(tmp_path / origin.WEIGHTS, origin.Origin("own.h5", "weights.h5", EMPTY, EMPTY))
    (tmp_path / origin.WEIGHTS / "weights.h5").write_bytes(b"")
    assert weights.fetched(project=tmp_path)[0] == tmp_path / "data/raw/weights/weights.h5"
    monkeypatch.chdir(tmp_path)
    assert weights.fetched()[0] == origin.WEIGHTS / "weights.h5"


def test_random_weights_are_no_file(tmp_path):
    origin.write(tmp_path / origin.WEIGHTS, origin.Origin("random", None, None, None))
    assert weights.fetched(project=tmp_path)[0] is None


@pytest.mark.parametrize("record", ["none", "damaged", "of a file that is gone"])
def test_without_fetched_weights_fetch_is_to_be_run(tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    if record == "damaged":
        origin.WEIGHTS.mkdir(parents=True)
        (origin.WEIGHTS / origin.FILE).write_text("{}")
    elif record == "of a file that is gone":
        origin.write(origin.WEIGHTS, origin.Origin("own.h5", "weights.h5", "1", "1"))
    with pytest.raises(UserError, match="^no weights in data/raw/weights: run `dvc repro fetch` first$"):
        weights.fetched()[0]


def test_weights_are_not_believed_because_they_are_there(tmp_path):
    origin.write(tmp_path / origin.WEIGHTS, origin.Origin("own.h5", "weights.h5", EMPTY, EMPTY))
    (tmp_path / origin.WEIGHTS / "weights.h5").write_bytes(bytes(100))
    with pytest.raises(UserError, match=r"weights\.h5 is damaged .*`make check`.*--single-item fetch`"):
        weights.fetched(project=tmp_path)[0]
