import errno
import json
import os
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from headstart import review
from headstart.artifacts import corrections
from headstart.artifacts.corrections import Correction
from headstart.artifacts.results import PAGE
from headstart.base.errors import UserError

KEEP = {"path": "a.png", "sha256": "1", "action": "keep", "label": "", "by": "Ann", "why": ""}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PAGE.parent.mkdir()
    PAGE.write_text("the page")


@pytest.fixture
def address(here):
    made, address = review.server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield address
    made.shutdown()
    made.server_close()


def sent(*decided, undone=()):
    """What the page sends."""
    return json.dumps({"decided": decided, "undone": undone}).encode()


def ask(address, content=None):
    """The status and the text of an answer; content: to send."""
    try:
        with urllib.request.urlopen(address, content) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_shows_the_page_and_writes_what_is_decided(address):
    assert address.startswith("http://127.0.0.1:") and ask(address) == (200, "the page")
    status, text = ask(f"{address}corrections", sent(KEEP))
    assert (status, text) == (200, "1 correction written to data/corrections.csv: dvc repro takes them.")
    assert corrections.read() == [Correction("a.png", "1", "keep", "", "Ann", "")]


def test_the_last_decision_on_an_image_is_kept_and_the_others_stay(address):
    corrections.write([Correction("b.png", "2", "leave out", ""), Correction("a.png", "1", "label", "cat")])
    _, text = ask(f"{address}corrections", sent(KEEP))
    assert text.endswith("dvc repro takes them. No longer there (a.png: cat).")
    assert [(of.path, of.action) for of in corrections.read()] == [("b.png", "leave out"), ("a.png", "keep")]
    assert "No longer" not in ask(f"{address}corrections", sent(KEEP))[1]


def test_of_a_picture_that_was_renamed_the_last_decision_is_kept(address):
    corrections.write([Correction("old.png", "1", "label", "cat", "Bob")])
    assert ask(f"{address}corrections", sent(KEEP))[1].endswith("No longer there (old.png: cat, by Bob).")
    assert [of.path for of in corrections.read()] == ["a.png"]


def test_a_full_disk_is_said_and_nothing_is_lost(address, monkeypatch, capsys):
    corrections.write([Correction("b.png", "2", "keep", "")])

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(corrections.files, "write_csv", full)
    status, text = ask(f"{address}corrections", sent(KEEP))
    assert status == 507 and text.startswith("not saved: ") and text in capsys.readouterr().out
    assert [of.path for of in corrections.read()] == ["b.png"]


def test_who_does_not_wait_for_the_answer_has_saved_and_leaves_no_traceback(address, monkeypatch, capsys):
    def gone(*_):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(review._Handler, "_answer", gone)
    for content in (sent(KEEP), None):
        with pytest.raises(ConnectionError):
            ask(f"{address}corrections" if content else address, content)
    said = capsys.readouterr()
    assert "not saved" not in said.out and said.err == "" and [of.path for of in corrections.read()] == ["a.png"]


def test_several_who_save_at_once_lose_nothing(here):
    several = [review.server() for _ in range(2)]
    for made, _ in several:
        threading.Thread(target=made.serve_forever, daemon=True).start()
    names = [f"{number}.png" for number in range(24)]
    savers = [
        threading.Thread(
            target=ask, args=(f"{several[at % 2][1]}corrections", sent(KEEP | {"path": name, "sha256": name}))
        )
        for at, name in enumerate(names)
    ]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    for made, _ in several:
        made.shutdown()
        made.server_close()
    assert {of.path for of in corrections.read()} == set(names)


def test_a_page_learns_what_is_decided_by_now_and_takes_back_its_own(address):
    corrections.write([Correction("a.png", "1", "label", "cat", "Bob"), Correction("b.png", "2", "keep", "")])
    status, text = ask(f"{address}corrections")
    assert status == 200 and json.loads(text)[0] == KEEP | {"action": "label", "label": "cat", "by": "Bob"}
    status, text = ask(f"{address}corrections", sent(undone=["a.png"]))
    assert (status, text.partition(" takes them. ")[2]) == (200, "No longer there (a.png: cat, by Bob).")
    assert [of.path for of in corrections.read()] == ["b.png"]


def test_while_a_run_makes_the_page_anew_it_says_so(address):
    PAGE.unlink()
    status, text = ask(address)
    assert status == 404 and text.startswith("no metrics/report.html any more: while `dvc repro` runs")


def test_a_connection_that_says_nothing_keeps_no_other_waiting(address):
    with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(address).port)):
        assert ask(address) == (200, "the page")


@pytest.mark.parametrize("path", ["", "corrections", "../corrections", "other/corrections"])
def test_without_the_secret_nothing_is_answered_and_nothing_written(address, path):
    root = address.rsplit("/", 2)[0]
    assert ask(f"{root}/{path}")[0] == 404
    assert ask(f"{root}/{path}", sent(KEEP))[0] == 404
    assert not corrections.CORRECTIONS.exists()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[", b"{}1", b"[]", b'{"decided": []}', b'{"decided": [{"path": "a"}], "undone": []}'),
        *(b'{"decided": [], "undone": 1}', sent("a"), sent(KEEP | {"action": "burn"})),
    ],
)
def test_what_is_no_correction_is_refused(address, content):
    corrections.write([Correction("b.png", "2", "keep", "")])
    status, text = ask(f"{address}corrections", content)
    assert status == 400 and text
    assert [of.path for of in corrections.read()] == ["b.png"]


def test_a_damaged_file_is_not_written_over(address):
    corrections.CORRECTIONS.parent.mkdir()
    corrections.CORRECTIONS.write_text("mine\n")
    assert ask(f"{address}corrections", sent(KEEP))[0] == 400
    assert corrections.CORRECTIONS.read_text() == "mine\n"


def test_without_a_page_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no metrics/report.html here: run `dvc repro`"):
        review.main([])


def test_the_page_alone_is_a_file(here, capsys):
    review.main(["--page", "--quiet"])
    assert capsys.readouterr().out == "The report: metrics/report.html\n"


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none(here, port):
    with pytest.raises(UserError, match=f"--port: got {port}; takes 0 to 65535"):
        review.main(["--port", port])


def test_a_port_that_is_taken(here):
    made, _ = review.server()
    with made, pytest.raises(UserError, match="which cannot be used"):
        review.main(["--port", str(made.server_port), "--quiet"])
