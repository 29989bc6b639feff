import pytest

from headstart.artifacts import value_range
from headstart.base.errors import UserError


@pytest.mark.parametrize("fields", [None, {"low": -1000, "high": 0.1, "windows": True, "plain": True}])
def test_what_is_written_is_read(tmp_path, fields):
    value_range.write(fields, tmp_path)
    assert value_range.read(tmp_path) == fields


def test_a_file_that_is_missing_or_damaged_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no data/range\.json here: run `dvc repro split`"):
        value_range.read(tmp_path)
    value_range.write(None, tmp_path)
    for text in (
        "{",
        "",
        "[]",
        "3",
        "{}",
        '{"low": 1}',
        '{"low": "1", "high": 2}',
        '{"low": NaN, "high": 2}',
        '{"low": 0, "high": 1e999}',
        '{"low": 0, "high": 1' + 400 * "0" + "}",
        "[" * 10**5,
    ):
        (tmp_path / value_range.RANGE).write_text(text)
        again = "run `dvc repro --force --single-item split`"
        with pytest.raises(UserError, match=rf"data/range\.json is damaged .*: {again}"):
            value_range.read(tmp_path)
