"""Where the team's results are: what is written down, where, and that a mistake is told in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
import servers

from headstart import remote
from headstart.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "project"
    (path / ".dvc").mkdir(parents=True)
    (path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (path / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    monkeypatch.chdir(path)
    for name in [name for names in remote.SECRETS.values() for name in names.values()] + ["AWS_SESSION_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


@pytest.fixture(scope="module")
def webdav(tmp_path_factory):
    with servers.webdav(tmp_path_factory.mktemp("webdav")) as server:
        yield server


def config(name: str = "config") -> str:
    return Path(".dvc", name).read_text() if Path(".dvc", name).exists() else ""


def line(url: str | None, **options) -> str:
    """What is said about what cannot be; nothing is written down."""
    before = config(), config("config.local")
    with pytest.raises(UserError) as error:
        remote.settle(url, **options)
    assert (config(), config("config.local")) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_is_written_down_as_the_same_for_every_clone(tmp_path):
    said = remote.settle("../results")
    assert said == [f"{tmp_path}/results answers; its address is in .dvc/config: commit that file for the others"]
    written = "[core]\n    analytics = false\n    remote = team\n['remote \"team\"']\n"
    assert config() == written + f"    url = {tmp_path}/results\n    verify = true\n"
    assert list((tmp_path / "results").iterdir()) == []
    remote.settle(None)
    assert config() == written + f"    url = {tmp_path}/results\n    verify = true\n"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/nowhere/mounted/results", "no folder /nowhere/mounted: make it, or mount what belongs there"),
        ("https://host/results", "did you mean webdavs://host/results?"),
        ("ftp://host/results", "got ftp://host/results; takes a folder, ssh://host/folder, s3://bucket/folder"),
        ("me@host:results", "for SSH, takes ssh://host/folder"),
        ("ssh://host", "got ssh://host; takes"),
        ("s3:///folder", "got s3:///folder; takes"),
        (None, "no remote is configured: make remote URL="),
    ],
)
def test_an_address_that_is_none(url, told):
    assert told in line(url)


@pytest.mark.parametrize("url", ["ssh://anna:opensesame@host/folder", "webdavs://anna:opensesame@host/folder"])
def test_a_password_in_the_address_is_not_taken_and_not_repeated(url):
    told = line(url)
    assert "which Git would keep" in told
    assert "opensesame" not in told


def test_outside_of_the_project_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in the project's folder"):
        remote.settle("/tmp")


@pytest.mark.parametrize(
    ("url", "library", "file"),
    [
        ("s3://bucket/folder", "s3fs", "requirements-s3.txt"),
        ("ssh://host/folder", "sshfs", "requirements-ssh.txt"),
        ("webdavs://host/folder", "webdav4", "requirements-webdav.txt"),
    ],
)
def test_what_is_not_installed_is_named(url, library, file, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    told = line(url)
    assert f"pip install -r {file}" in told
    assert Path(__file__).parents[1].joinpath(file).is_file()


def test_another_address_than_before_has_to_be_meant(webdav, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
    remote.settle(webdav.url, user="anna")
    told = line("../results")
    assert f"got {tmp_path}/results, but the remote is {webdav.url}" in told
    assert "REPLACE=1" in told
    monkeypatch.delenv("HEADSTART_REMOTE_PASSWORD")
    said = remote.settle("../results", replace=True)
    assert said[0] == f"the remote was {webdav.url}: what was pushed there stays there"
    # The old server's password must not be sent to the new one.
    assert "opensesame" not in config() + config("config.local")
    assert "anna" not in config() + config("config.local")


def test_what_does_not_go_with_the_address(tmp_path):
    (tmp_path / "file").touch()
    assert "which is a file" in line("../file")
    assert "goes with an s3:// address" in line("../results", endpoint="http://127.0.0.1:1")
    assert "no file ../key" in line("ssh://127.0.0.1/srv", keyfile="../key")


def test_letters_that_dvc_cannot_keep_change_nothing(webdav, tmp_path, monkeypatch):
    remote.settle("../results")
    before = config()
    (tmp_path / "команда").mkdir()
    assert "url: got " in (told := line("../команда/results", replace=True)) and "not ASCII" in told
    assert config() == before


def test_what_the_team_set_by_hand_stays(tmp_path):
    remote.settle("../results")
    Path(".dvc/config").write_text(config() + "    jobs = 2\n")
    remote.settle("../results")
    assert "jobs = 2" in config()
    assert config("config.local") == ""


def test_a_server_that_asks_gets_an_answer_from_the_terminal(webdav, monkeypatch, capsys):
    assert "set HEADSTART_REMOTE_PASSWORD" in line(webdav.url)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: "anna")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "opensezame")
    told = line(webdav.url)
    assert "lets you not in" in told
    monkeypatch.setattr("getpass.getpass", lambda prompt: "opensesame")
    said = remote.settle(webdav.url)
    assert said[1] == "password, user: in .dvc/config.local, which Git leaves out"
    assert "opensesame" not in config() + capsys.readouterr().err + str(said)
    assert "user = anna\n    password = opensesame" in config("config.local")


def test_a_secret_is_not_written_where_git_would_take_it(webdav, monkeypatch):
    Path(".dvc/.gitignore").write_text("/tmp\n/cache\n")
    monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
    assert "put the line /config.local into .dvc/.gitignore" in line(webdav.url, user="anna")


def test_a_server_that_is_not_there_and_one_that_is_only_for_reading(tmp_path, monkeypatch):
    with servers.webdav(tmp_path, "--read-only") as server:
        server.folder.mkdir()
        address = server.url.replace("webdav://", "webdav://anna@")
        monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
        said = remote.settle(address)
        assert "can be read but not written" in said[-1]
        assert said[-1].endswith("`make pull` works, `make push` will not")
        server.cable.cut()
        told = line(None)
    assert f"{server.url} cannot be reached" in told
    assert "check the address and the network" in told


def test_a_bucket_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with servers.s3(tmp_path) as server:
        for name, value in server.secrets.items():
            monkeypatch.setenv(name, value)
        told = line("s3://taem/headstart", endpoint=server.arguments[1])
    assert "s3://taem/headstart is not there" in told
    assert "make the bucket" in told
