"""Clients that break off, say nothing, send nonsense or too much: nobody else notices, and nothing is left over."""

import contextlib
import gc
import json
import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import Slow, form, load_classifier, photo, running

LINUX = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux says what a process and its connections hold"
)
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_classifier(tmp_path_factory.mktemp("faults") / "classifier.keras")


def connected(server, sent=b""):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(sent)
    return connection


def received(connection):
    """All that comes until the server closes the connection, or cuts it."""
    text = b""
    try:
        while part := connection.recv(65536):
            text += part
    except ConnectionResetError:
        pass
    return text


def test_a_client_that_stops_sending_is_told_and_keeps_nobody_waiting(classifier):
    with running(classifier, seconds=1) as server:
        began = time.monotonic()
        with connected(server, HEAD + b"Content-Length: 1000\r\n\r\n--x\r\n") as connection:
            assert server.post(files=form(photo())).status_code == 200
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert (
                json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "the request did not arrive within 1 seconds"
            )
            assert 0.9 < time.monotonic() - began < 3
            assert received(connection) == b""  # and is cut in the end
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD])
def test_a_client_that_does_not_finish_its_head_is_cut(classifier, sent):
    with running(classifier, seconds=1) as server, connected(server, sent) as connection:
        began = time.monotonic()
        assert received(connection) == b"" and 0.9 < time.monotonic() - began < 5


def test_a_client_that_sends_its_head_letter_by_letter_is_cut(classifier):
    with running(classifier, seconds=1) as server, connected(server) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            for letter in b"GET /" + b"a" * 500:
                connection.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.monotonic() - began < 5


@LINUX
def test_a_client_that_reads_no_answer_is_cut(classifier):
    with running(classifier, seconds=5) as server:
        head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        photos = [photo(number, (640, 640), "JPEG") for number in range(30)]
        body = b"".join(head + content + b"\r\n" for content in photos) + b"--x--\r\n"
        one = HEAD.replace(b"/predict", b"/predict?explain=true") + b"Content-Length: %d\r\n\r\n" % len(body) + body
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        with connection:
            connection.sendall(one)
            assert in_time(lambda: unsent(server.port)), "the answer is smaller than what the system holds"
            assert in_time(lambda: not unsent(server.port))
            assert server.service.under_way == 0


def in_time(of, seconds=40):
    """Whether something becomes true."""
    deadline = time.monotonic() + seconds
    while not of():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def unsent(port):
    """How many connections of a server hold what it could not send yet."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [cells for cells in lines if cells[1] == f"0100007F:{port:04X}" and cells[3] == "01"]
    return sum(int(cells[4].partition(":")[0], 16) > 0 for cells in ours)


def test_a_full_queue_answers_503_and_later_all_is_well(classifier):
    slow = Slow(classifier, 0.5)
    with running(slow, queue=4, files=4, batch=1) as server, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: server.post(files=form(photo(number))), range(8)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503} and statuses.count(200) >= 4
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert int(refused.headers["retry-after"]) >= 1
        assert "of 4 images are under way, and 1 more have no room: try again" in refused.json()["detail"]
        assert server.number("headstart_queue_images") == 0
        assert server.post(files=form(photo())).status_code == 200


def test_a_full_queue_is_not_ready(classifier):
    slow = Slow(classifier, 1)
    with running(slow, queue=2, files=2) as server, ThreadPoolExecutor(1) as pool:
        slow.began.clear()
        asked = pool.submit(server.post, files=form(photo(), photo()))
        slow.began.wait(10)
        answer = server.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "the queue is full")
        assert server.get("/healthz").status_code == 200 and asked.result().status_code == 200
        assert server.get("/readyz").status_code == 200


def test_what_takes_too_long_answers_504_and_the_rest_of_it_is_not_computed(classifier):
    slow = Slow(classifier, 1.5)
    with running(slow, seconds=1, batch=1) as server:
        done = len(slow.batches)
        answer = server.post(files=form(*map(photo, range(6))))
        assert (answer.status_code, answer.headers["retry-after"]) == (504, "2")
        assert answer.json()["detail"].startswith("no answer within 1 seconds")
        time.sleep(1)
        slow.seconds = 0
        assert server.post(files=form(photo())).status_code == 200
        assert len(slow.batches) - done == 2


def test_a_network_that_fails_is_an_error_of_the_server_and_the_next_is_answered(classifier, caplog):
    class Failing(Slow):
        def answers(self, pixels):
            if self.seconds:
                raise RuntimeError("secret of the house")
            return super().answers(pixels)

    failing = Failing(classifier, 0)
    with running(failing) as server:
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        failing.seconds = 1
        answer = server.post(files=form(photo()))
        assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
        assert "secret" not in answer.text
        assert in_time(lambda: "secret of the house" in caplog.text)
        failing.seconds = 0
        assert server.post(files=form(photo())).status_code == 200


NONSENSE = {
    "words": b"nonsense\r\n\r\n",
    "length": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
    "long": b"GET / HTTP/1.1\r\nA: " + b"a" * 10**6,
}


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_http_is_a_problem_too(classifier, sent):
    with running(classifier) as server, connected(server) as connection:
        with contextlib.suppress(OSError):  # it has answered by then
            connection.sendall(sent)
        head, _, body = received(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request") and b"application/problem+json" in head
        assert json.loads(body)["status"] == 400


@LINUX
def test_ten_thousand_broken_files_leave_nothing_behind(classifier):
    good = photo()
    broken = [good[:60], good[:-200], b"GIF89a" + bytes(20), b"\xff\xd8\xff\xe0" + bytes(50), b"RIFF\0\0\0\0WEBPVP8 "]
    with running(classifier, queue=64) as server:

        def ask(turn):
            files = form(*(broken[(turn + at) % len(broken)] for at in range(31)), good)
            entries = server.post(files=files).json()["images"]
            return [entry for entry in entries if "error" not in entry]

        with ThreadPoolExecutor(2) as pool:
            expected = ask(0)
            assert len(expected) == 1
            before = resources()
            for entries in pool.map(ask, range(320)):
                assert entries == expected
        after = resources()
        assert server.number("headstart_errors_total") >= 320 * 31 - 31
    assert after["files"] <= before["files"] + 6 and after["threads"] <= before["threads"] + 2
    assert after["megabytes"] <= before["megabytes"] + 60


def resources():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    }


@LINUX
def test_clients_that_break_off_leave_nothing_behind(classifier):
    with running(classifier) as server:
        server.post(files=form(photo()))
        before = resources()
        for turn in range(100):
            with connected(server, HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(50 * turn)):
                pass
        assert in_time(lambda: resources()["files"] <= before["files"]) and server.service.under_way == 0
        assert server.post(files=form(photo())).status_code == 200


def test_too_many_connections_are_closed_and_those_that_are_there_go_on(classifier, monkeypatch):
    from headstart.serving import connections

    monkeypatch.setattr(connections.protocol, "__defaults__", (5,))
    with running(classifier, seconds=2) as server:
        idle = [connected(server) for _ in range(5)]
        time.sleep(0.2)
        with connected(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as refused:
            assert received(refused) == b""
        idle[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert received(idle[0]).endswith(b'{"status":"ok"}')
        for connection in idle:
            connection.close()
