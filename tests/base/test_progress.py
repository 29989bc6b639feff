import json
import re
import time

import pytest

from headstart.base import progress


def test_the_end_says_what_how_much_and_how_fast(capsys):
    assert list(progress.track(range(3), "decoding")) == [0, 1, 2]
    assert re.fullmatch(r"decoding: 3 images in [\d.]+ s, [\d,.]+ images/s\n", capsys.readouterr().err)


def test_now_and_then_a_line_says_how_long_still(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.counter("extract", 4, "image") as advance:
        advance(1)
        advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"extract: 3/4 images, [\d,.]+ images/s, 0 s left", lines[1]) and len(lines) == 3


def test_bytes_are_counted_in_megabytes(capsys):
    with progress.bytes_bar("fetch", None) as advance:
        advance(2_500_000)
    assert capsys.readouterr().err.startswith("fetch: 2.5 MB in ")


@pytest.mark.parametrize("named", [True, False])
def test_how_long_work_took_is_logged_where_a_log_is_named(named, tmp_path, monkeypatch):
    monkeypatch.delenv("HEADSTART_LOG", raising=False)
    if named:
        monkeypatch.setenv("HEADSTART_LOG", str(tmp_path / "log"))
    list(progress.track(range(3), "decoding"))
    progress.log(work="fine_tune", epoch=1, seconds=2.5)
    if not named:
        assert list(tmp_path.iterdir()) == []
        return
    decoding, epoch = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert decoding.pop("seconds") >= 0 and decoding.pop("steady") > 0
    assert decoding == {"work": "decoding", "count": 3, "unit": "image"}
    assert epoch == {"work": "fine_tune", "epoch": 1, "seconds": 2.5}


def test_what_starts_and_ends_once_is_no_part_of_the_steady_speed(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_LOG", str(tmp_path / "log"))
    with progress.counter("extract", 4, "image") as advance:
        for pause in (0.4, 0.01, 0.01, 0.01):
            time.sleep(pause)
            advance(1)
        time.sleep(0.4)
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert line["steady"] > 10 > 4 / 0.8 >= line["count"] / line["seconds"]
