"""What `fetch` records is read back; what is no record counts as none."""

import json

import pytest

from headstart.base import origin


def test_a_record_is_read_back(tmp_path):
    folder = tmp_path / "data/raw"
    for record in (origin.Origin("pypi:a==1", "a.zip", "12", "34"), origin.Origin(None, None, None, None)):
        origin.write(folder, record)
        assert origin.read(folder) == record


def test_the_file_is_as_earlier_releases_wrote_it(tmp_path):
    origin.write(tmp_path, origin.Origin("random", None, None, None))
    text = '{\n  "file": null,\n  "file_sha256": null,\n  "origin": "random",\n  "sha256": null\n}\n'
    assert (tmp_path / "origin.json").read_text() == text


WRONG = [{"origin": 3}, {"file": []}, {"file": "../a.zip"}, {"file": "/etc/passwd"}, {"file": ""}, {"file": ".."}]
WRONG += [
    {"file": "x" * 5000},
    {"file": "a\0b"},
    {"file": "\ud800"},
    {"sha256": {}},
    {"file_sha256": 1.5},
    {"other": None},
]
DAMAGED = [None, "", "{", "[]", "3", "null", "{}", '{"origin": "random"}', "\xff", "[" * 100_000]
DAMAGED += [json.dumps(origin.Origin("random", "a", "1", "2")._asdict() | entry) for entry in WRONG]


@pytest.mark.parametrize("text", DAMAGED)
def test_no_record_and_a_damaged_one_are_none(tmp_path, text):
    if text is not None:
        (tmp_path / "origin.json").write_bytes(text.encode("latin-1"))
    assert origin.read(tmp_path) is None
