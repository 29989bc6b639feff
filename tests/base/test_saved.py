"""Unfinished work that is damaged, or of other inputs, is thrown away in one line."""

import numpy as np
import pytest

from headstart.base import saved

ARRAYS = {"variable0": np.arange(12, dtype="float32").reshape(3, 4), "best0": np.ones(5, "float16")}
RECORD = {"epochs": [{"loss": 0.5}], "kept": 0}


def test_what_is_written_is_read(tmp_path):
    saved.write(tmp_path / "done.json", RECORD)
    assert saved.read(tmp_path / "done.json") == RECORD
    saved.write_arrays(tmp_path / "epochs.npz", RECORD, ARRAYS)
    record, arrays = saved.read_arrays(tmp_path / "epochs.npz")
    assert record == RECORD and arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.json", "epochs.npz"]


def test_what_is_not_there_is_none_without_a_word(tmp_path, capsys):
    assert saved.read(tmp_path / "done.json") is None and saved.read_arrays(tmp_path / "epochs.npz") is None
    assert capsys.readouterr().out == ""


def assert_thrown_away(path, read, capsys):
    assert read(path) is None and not path.exists()
    line, *more = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path} is damaged (") and "thrown away, and its work is done anew" in line and not more


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "3", '"x"', "{}", '{"folder": 3}', '{"folder": "another"}', "\0" * 40, "[" * 10**5]
)
def test_a_damaged_record_is_thrown_away(text, tmp_path, capsys):
    path = tmp_path / "done.json"
    path.write_text(text)
    assert_thrown_away(path, saved.read, capsys)


@pytest.fixture
def whole(tmp_path):
    saved.write_arrays(tmp_path / "epochs.npz", RECORD, ARRAYS)
    return (tmp_path / "epochs.npz").read_bytes()


@pytest.mark.parametrize("length", [0, 1, 100, 0.3, 0.5, 0.9, -1])
def test_cut_arrays_are_thrown_away(length, whole, tmp_path, capsys):
    path = tmp_path / "epochs.npz"
    path.write_bytes(whole[: int(length * len(whole)) if isinstance(length, float) else length])
    assert_thrown_away(path, saved.read_arrays, capsys)


def test_wherever_arrays_are_damaged_what_is_read_is_what_was_written(whole, tmp_path, capsys):
    """One bit, in every tenth byte: noticed, or without consequence (the time in the archive's index)."""
    path, thrown = tmp_path / "epochs.npz", 0
    for place in range(0, len(whole), 10):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = saved.read_arrays(path)
        thrown += found is None
        if found is not None:
            assert found[0] == RECORD and found[1].keys() == ARRAYS.keys()
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(found[1][name], array)
    assert thrown > len(whole) / 10 / 2
    assert len(capsys.readouterr().out.splitlines()) == thrown


def test_arrays_without_a_record_and_pickles_are_thrown_away(tmp_path, capsys):
    path = tmp_path / "epochs.npz"
    for arrays in (ARRAYS, {saved.RECORD: np.array("{")}, {saved.RECORD: np.array([{"a": 1}], object)}, {}):
        np.savez(path, **arrays)
        assert_thrown_away(path, saved.read_arrays, capsys)


def test_work_of_other_inputs_is_thrown_away(tmp_path, capsys):
    """A copy from the folder of another run, whose inputs, code or libraries were others."""
    for name, write, read in (("done.json", saved.write, saved.read), ("a.npz", saved.write_arrays, saved.read_arrays)):
        (tmp_path / "extract-1").mkdir(exist_ok=True)
        (tmp_path / "extract-2").mkdir(exist_ok=True)
        write(tmp_path / "extract-1" / name, RECORD, *([ARRAYS] if name == "a.npz" else []))
        (tmp_path / "extract-1" / name).rename(tmp_path / "extract-2" / name)
        assert_thrown_away(tmp_path / "extract-2" / name, read, capsys)
