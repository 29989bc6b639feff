"""`python -m headstart.publish` against a hub on the loopback interface: what arrives there, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hub import TOKEN, Hub, Repository

from headstart import publish
from headstart.base import files
from headstart.base.errors import UserError
from headstart.classifier.details import Details, fields
from headstart.delivery import proving
from headstart.page import CARD

CONTENT = b"a classifier\0" * 1000
CARD_TEXT = "---\nlibrary_name: keras\ntags:\n- headstart\n---\n\n# Classifier: `猫`\n\nsha256 `{}`\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with a classifier, its card, and an export of it."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_OIDC_RESOURCE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    put(CONTENT)
    return tmp_path


def put(content: bytes) -> None:
    publish.CLASSIFIER.parent.mkdir(exist_ok=True)
    publish.CLASSIFIER.write_bytes(content)
    sha256 = files.sha256(publish.CLASSIFIER)
    CARD.write_text(CARD_TEXT.format(sha256), encoding="utf-8")
    export("onnx", sha256)


def export(name: str, sha256: str) -> None:
    folder = publish.EXPORTS / name
    folder.mkdir(parents=True, exist_ok=True)
    about = fields(Details(["a", "b"], 8, "head")) | {"format": "onnx", "classifier": sha256}
    (folder / "classifier.onnx").write_bytes(b"\0onnx" * 100)
    about["files"] = {"classifier.onnx": files.sha256(folder / "classifier.onnx")}
    (folder / "classifier.json").write_text(json.dumps(about))
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__/contract.pyc").write_bytes(b"compiled")


@pytest.fixture
def hub(monkeypatch):
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The command as a user has it."""
    return subprocess.run(
        [sys.executable, "-m", "headstart.publish", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def refused(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


def test_all_of_it_arrives_in_one_commit_in_a_new_private_repository(folder, hub):
    done = run("anna/cats")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["anna/cats"]
    assert repository.private and len(repository.commits) == 1
    assert repository.files == {
        "README.md": CARD.read_bytes() + publish.exports(publish.parts()).encode(),
        "classifier.keras": CONTENT,
        "exports/onnx/classifier.json": Path("models/exports/onnx/classifier.json").read_bytes(),
        "exports/onnx/classifier.onnx": b"\0onnx" * 100,
    }
    assert hub.asked[-1] == "POST /api/models/anna/cats/commit/main"
    assert [line.split()[0] for line in hub.asked].count("PUT") == 2
    first, *named, last = done.stdout.splitlines()
    assert first == f"to {hub.url}/anna/cats, a new private repository:"
    assert [line.split()[0] for line in named] == [*sorted(repository.files), "licence:"]
    assert named[-1].endswith("not stated (--license ID states it)")
    assert last == f"published: {hub.url}/anna/cats/commit/{'1' * 40}"


def test_the_card_says_how_the_exports_compare(folder):
    sha256 = files.sha256(publish.CLASSIFIER)
    found = {"images": 200, "agreement": 199, "largest_difference": 3.1e-5}
    proving.write(sha256, {"onnx": found})
    export("tflite", sha256)
    *_, onnx, tflite = publish.exports(publish.parts()).splitlines()
    assert onnx == "| `exports/onnx` | 0.0 | 199 of 200 images | 3.1e-05 |  |"
    assert tflite == "| `exports/tflite` | 0.0 | not compared |  |  |"
    rounded = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.95}
    proving.write(sha256, {"onnx": found | rounded})
    assert "| 0.9000 (0.8500 – 0.9500) |" in publish.exports(publish.parts())
    for path in Path("models/exports").iterdir():
        shutil.rmtree(path)
    assert publish.exports(publish.parts()) == ""


def test_a_second_version_replaces_the_first_and_takes_its_exports_away(folder, hub, capsys):
    publish.main(["anna/cats"])
    put(CONTENT + b"2")
    Path("models/exports/onnx").rename("models/exports/tflite")
    hub.repositories["anna/cats"].files["notes.txt"] = b"somebody's own"
    capsys.readouterr()
    publish.main(["anna/cats"])
    said = capsys.readouterr().out
    repository = hub.repositories["anna/cats"]
    assert len(repository.commits) == 2 and repository.files["classifier.keras"] == CONTENT + b"2"
    exported = {f"exports/tflite/classifier.{ending}" for ending in ("json", "onnx")}
    assert set(repository.files) == {"README.md", "classifier.keras", "notes.txt", *exported}
    assert "the private repository" in said
    assert "exports/onnx/classifier.onnx    is removed there" in said


def test_a_file_that_is_of_no_export_stays_here_and_there(folder, hub, capsys):
    Path("models/exports/onnx/.env").write_text("PASSWORD=1")
    Path("models/exports/notes.txt").write_text("a draft")
    publish.main(["anna/cats"])
    said = capsys.readouterr().out
    for name in ("notes.txt", "onnx/.env"):
        assert f"models/exports/{name} is left out: it is no file of an export" in said
    repository = hub.repositories["anna/cats"]
    assert not any("notes" in place or "env" in place for place in repository.files)
    repository.files |= {"exports/README.md": b"by hand", "exports/coreml/model": b"a colleague's"}
    publish.main(["anna/cats"])
    assert repository.files.keys() >= {"exports/README.md", "exports/coreml/model"}


def test_an_export_that_is_damaged_is_not_sent(folder, hub):
    Path("models/exports/onnx/classifier.onnx").write_bytes(b"\0")
    with pytest.raises(
        UserError, match=r"^models/exports/onnx/classifier\.onnx is damaged, or of another export: run `"
    ):
        publish.main(["anna/cats"])
    assert not hub.repositories


def test_what_has_not_changed_is_not_sent_again(folder, hub, capsys):
    publish.main(["anna/cats"])
    uploads = [line for line in hub.asked if line.startswith("PUT")]
    Path("models/exports/onnx/predict.py").write_text("print()\n")
    publish.main(["anna/cats"])
    assert [line for line in hub.asked if line.startswith("PUT")] == uploads
    assert hub.repositories["anna/cats"].files["exports/onnx/predict.py"] == b"print()\n"
    publish.main(["anna/cats"])
    said = capsys.readouterr()
    assert said.err == "" and len(hub.repositories["anna/cats"].commits) == 2
    assert said.out.splitlines()[-1] == f"already there: {hub.url}/anna/cats/commit/{'0' * 40}"


def test_what_is_public_takes_a_word(folder, hub):
    hub.repositories["anna/cats"] = Repository(private=False)
    with pytest.raises(UserError, match="anna/cats is public, where everybody may read what is sent: add --public"):
        publish.main(["anna/cats"])
    assert hub.repositories["anna/cats"].files == {}
    publish.main(["anna/cats", "--public"])
    publish.main(["anna/dogs", "--public"])
    assert hub.repositories["anna/cats"].files and not hub.repositories["anna/dogs"].private


def test_a_licence_goes_into_the_header(folder, hub, capsys):
    hub.remark = "a remark\non two lines"
    publish.main(["anna/cats", "--license", "cc-by-4.0"])
    card = hub.repositories["anna/cats"].files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: keras\n") and "\nlicense: cc-by-4.0\n---\n\n# Classifier: `猫`\n" in card
    assert "license" not in CARD.read_text("utf-8")
    said = capsys.readouterr()
    assert "licence: cc-by-4.0" in said.out
    (line,) = said.err.splitlines()
    assert line.startswith("the hub remarks: ") and line.endswith("a remark on two lines")


def test_a_hub_that_refuses_or_fails_is_one_line(folder, hub, monkeypatch):
    hub.full = True
    with pytest.raises(UserError, match=rf"^{hub.url} did not take it: 507 no space left$"):
        publish.main(["anna/cats"])
    assert hub.repositories["anna/cats"].files == {}
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(UserError, match="refuses to let this token write to anna/cats .401 Invalid") as error:
        publish.main(["anna/cats"])
    assert "hf_other" not in str(error.value)


def test_no_token_and_a_hub_that_is_not_there_are_one_line(folder, hub):
    said = refused(run("anna/cats", HF_ENDPOINT="http://127.0.0.1:9"))
    assert said.startswith("http://127.0.0.1:9 does not answer (") and TOKEN not in said
    assert refused(run("anna/cats", HF_TOKEN="")).startswith("no token: set HF_TOKEN")


def test_an_address_that_is_none_is_one_line(folder):
    said = refused(run("anna/cats", HF_ENDPOINT="http://[::bad", HF_TOKEN=TOKEN))
    assert said.startswith("HF_ENDPOINT: got http://[::bad; takes an address, such as ")


@pytest.mark.parametrize("token", ["hf_é", "hf_a\x01b", "hf_a b", "hf_a\x7f"])
def test_what_is_no_token_is_said(folder, hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match="^HF_TOKEN is no token: set HF_TOKEN to one"):
        publish.main(["anna/cats"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: publish.CLASSIFIER.unlink(), r"no models/classifier\.keras: run `dvc repro calibrate`"),
        (lambda: CARD.unlink(), r"no models/MODEL_CARD\.md: run `dvc repro report`"),
        (
            lambda: publish.CLASSIFIER.write_bytes(b"2"),
            r"MODEL_CARD\.md is of another classifier than models/classifier",
        ),
        (lambda: export("tflite", "0" * 64), r"models/exports/tflite is of another classifier .*: `make export` makes"),
        (lambda: export("my", ""), r"models/exports/my is of another classifier than .*, or is no whole"),
        (lambda: Path("models/exports/empty").mkdir(), r"models/exports/empty is of another .* or is no whole"),
        (
            lambda: CARD.write_text(f"# {files.sha256(publish.CLASSIFIER)}"),
            r"models/MODEL_CARD\.md does not begin with a header: run `dvc repro",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused_before_the_hub_is_asked(folder, change, message):
    change()
    with pytest.raises(UserError, match=message):
        publish.main(["anna/cats"])


@pytest.mark.parametrize(
    "name", ["cats", "a/b/c", "", "anna/cats dogs", "../cats/..", "https://huggingface.co/anna/cats"]
)
def test_a_name_that_is_no_repository_is_refused(folder, name):
    with pytest.raises(UserError, match="takes OWNER/NAME, such as anna/solar-cells"):
        publish.main(["--", name])
