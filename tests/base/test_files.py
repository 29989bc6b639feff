"""Files that appear whole or not at all."""

import threading
import time

import pytest

from headstart.base import files


def test_a_file_is_replaced_whole_and_its_folder_is_made(tmp_path):
    path = tmp_path / "folder" / "mark.json"
    for text in ("one\n", "two: ü\n"):
        files.write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "mark"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="full"), files.whole(path) as part:
        part.write_bytes(b"aft")
        assert path.read_bytes() == b"before"
        raise OSError("the disk is full")
    assert path.read_bytes() == b"before"


def test_one_at_a_time_has_a_folder_and_the_others_wait(tmp_path):
    inside, most = [], []

    def work():
        with files.alone(tmp_path / "data"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
