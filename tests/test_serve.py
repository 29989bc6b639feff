"""The command: what it says, what it refuses, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from conftest import ROOT

from headstart import Classifier, serve
from headstart.base.errors import UserError

sys.path.append(str(ROOT / "tests/serving"))
from running import form, photo, save_export


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The folder of an export."""
    return save_export(tmp_path_factory.mktemp("export") / "onnx")


@contextmanager
def started(export, *options, token=None, python=sys.executable, cwd=None):
    """A server in a process of its own: the process, its address, and the lines that it said."""
    environment = {name: value for name, value in os.environ.items() if name != serve.TOKEN}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if token is None else {serve.TOKEN: token})
    command = [python, "-m", "headstart.serve", "--model", export, "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=cwd or export, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            first = process.stdout.readline()
            port = re.search(r"port (\d+)|:(\d+)/", first)
            assert port, first + process.stderr.read()
            yield process, f"http://127.0.0.1:{port[1] or port[2]}", first
        finally:
            process.kill()


def ended(process, by):
    """How a server ends by a signal: its status, and all that it said and complained of since."""
    process.send_signal(by)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_answers_and_ends_at_a_signal(export, by):
    with started(export) as (process, address, said):
        assert said == f"serve: {address}/ answers this machine alone (Ctrl-C ends it)\n"
        (entry,) = requests.post(f"{address}/predict", files=form(photo()), timeout=30).json()["images"]
        (expected,) = Classifier.load(export).predict([written(export.parent)])
        assert entry["class"] == expected.label and entry["probability"] == pytest.approx(
            expected.probability, abs=2e-6
        )
        assert ended(process, by) == (0, "serve: stopped, and all that had begun is answered\n", "")


def test_what_has_begun_when_it_is_stopped_is_finished(export):
    with started(export, "--wait", "1500", "--batch", "9") as (process, address, _), ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(requests.post, f"{address}/predict", files=form(photo(turn)), timeout=30) for turn in range(4)
        ]
        while not requests.get(f"{address}/metrics", timeout=9).text.count("headstart_queue_images 4.0"):
            time.sleep(0.05)
        status, _, complaints = ended(process, signal.SIGTERM)
        assert (status, complaints) == (0, "")
        assert [answer.result().status_code for answer in asked] == [200] * 4


def test_after_a_kill_under_load_it_starts_again_and_answers_as_before(export):
    with started(export) as (process, address, _):
        port, wrong = address.rpartition(":")[2], []
        expected = requests.post(f"{address}/predict", files=form(photo()), timeout=30).json()
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    answer = requests.post(f"{address}/predict", files=form(photo()), timeout=30)
                except requests.RequestException:
                    continue
                if answer.status_code != 200 or answer.json() != expected:
                    wrong.append(answer.text)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.kill()
        process.wait()
        with started(export, "--port", port) as (again, same, _):
            assert same == address
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert requests.post(f"{same}/predict", files=form(photo()), timeout=30).json() == expected
            stop.set()
            for thread in threads:
                thread.join()
            assert ended(again, signal.SIGTERM)[0] == 0
    assert wrong == []


def test_open_to_the_network_it_warns_and_writes_no_corrections(export, tmp_path):
    with started(export, "--host", "0.0.0.0") as (process, _, said):
        assert re.fullmatch(r"serve: port \d+ of all addresses \(Ctrl-C ends it\)\n", said)
        warning = process.stdout.readline()
        assert warning.startswith("serve: WARNING: whoever reaches this machine can use it: set HEADSTART_TOKEN")


def test_with_a_token_it_does_not_warn_and_asks_for_it(export):
    with started(export, "--host", "0.0.0.0", token="a long token") as (process, address, _):
        assert requests.get(f"{address}/model", timeout=9).status_code == 401
        headers = {"Authorization": "Bearer a long token"}
        assert requests.get(f"{address}/model", headers=headers, timeout=9).json()["corrections"] is False
        assert ended(process, signal.SIGTERM)[1] == "serve: stopped, and all that had begun is answered\n"


def test_neither_tensorflow_nor_dvc_is_imported(export):
    code = f"""if True:
        import signal, sys, threading
        from headstart import serve
        threading.Timer(1, lambda: signal.raise_signal(signal.SIGINT)).start()
        serve.main(["--model", {str(export)!r}, "--port", "0"])
        print(sorted({{"tensorflow", "keras", "dvc", "sklearn", "scipy", "matplotlib", "jinja2"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_without_what_it_needs_it_says_what_to_install():
    code = "import sys; sys.modules['uvicorn'] = None; import headstart.serve"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "error: serving takes uvicorn, which is not here: pip install -r requirements-serve.txt\n",
    )


REFUSED = [
    (["--model", "nothing/here"], "no nothing/here here: `make export FORMAT=onnx` writes it, and `make serve` does"),
    (
        ["--model", "classifier.keras"],
        "--model: got classifier.keras, which needs TensorFlow: `make export FORMAT=onnx`",
    ),
    (["--model", "."], ". holds no classifier.json: takes models/classifier.keras, or the folder of an export"),
    (["--port", "65536"], "--port: got 65536; takes 0 to 65535"),
    (["--host", "no such host"], "--host: got no such host, which is no address of this machine"),
    (["--host", "a..b"], "--host: got a..b, which is no address of this machine"),
    (["--files", "0"], "--files: got 0; takes 1 or more"),
    (["--files", "1001"], "--files: got 1001; takes up to 1000: send more in several requests"),
    (["--wait", "-1"], "--wait: got -1; takes 0 or more"),
    (["--queue", "3"], "--queue: got 3, but a request may have 32 files: a queue takes at least as many"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_served_is_one_line(export, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "classifier.keras").touch()
    given = options if options[0] == "--model" else ["--model", str(export), *options]
    with pytest.raises(UserError) as error:
        serve.main(given)
    assert str(error.value).startswith(message)


def test_a_port_that_is_taken(export):
    with (
        started(export) as (_, address, _),
        pytest.raises(UserError, match=r"which cannot be used .*: 0 takes a free"),
    ):
        serve.main(["--model", str(export), "--port", address.rpartition(":")[2]])


@pytest.mark.parametrize("token", ["", " ", "short", " short  "])
def test_a_token_that_is_none_is_refused(export, monkeypatch, token):
    monkeypatch.setenv(serve.TOKEN, token)
    with pytest.raises(UserError, match=r"HEADSTART_TOKEN: got \d letters; takes 8 or more"):
        serve.main(["--model", str(export)])


def test_openvino_serves_the_same(export, tmp_path):
    pytest.importorskip("openvino")
    from headstart.base import files
    from headstart.classifier import file
    from headstart.delivery import exporting

    keras = export.parent / "classifier.keras"
    exporting.write(tmp_path / "openvino", *file.load(keras), files.sha256(keras), "openvino", None)
    answers = []
    for folder in (export, tmp_path / "openvino"):
        with started(folder) as (_, address, _):
            answers.append(requests.post(f"{address}/predict", files=form(photo()), timeout=30).json()["images"][0])
    assert answers[0]["class"] == answers[1]["class"]
    assert answers[0]["probabilities"] == pytest.approx(answers[1]["probabilities"], abs=1e-4)


def test_the_environment_of_its_requirements_is_enough(export, tmp_path):
    """A clean environment, of the same file as the Docker image's; it lacks TensorFlow, and serves."""
    made = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", made], check=True)
    python = made / "bin/python"
    install = ["install", "--quiet", "--disable-pip-version-check", "--requirement", ROOT / "requirements-serve.txt"]
    done = subprocess.run([python, "-m", "pip", *install], capture_output=True, text=True)
    if re.search(
        "NewConnectionError|NameResolutionError|ConnectTimeout|Could not fetch URL|Temporary failure", done.stderr
    ):
        pytest.skip("no package index is reached from here")
    assert done.returncode == 0, done.stderr
    script = (
        "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'dvc', 'sklearn') if u.find_spec(n)])"
    )
    assert subprocess.check_output([python, "-c", script], text=True) == "[]\n"
    with started(export, python=python, cwd=tmp_path) as (process, address, _):
        (entry,) = requests.post(f"{address}/predict?explain=1", files=form(photo()), timeout=30).json()["images"]
        (expected,) = Classifier.load(export.parent / "classifier.keras").predict([written(tmp_path)])
        assert entry["class"] == expected.label
        assert entry["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
        assert ended(process, signal.SIGTERM) == (0, "serve: stopped, and all that had begun is answered\n", "")


def written(folder):
    path = folder / "photo.png"
    path.write_bytes(photo())
    return path
