"""Where the team's results are: what is written down, where, and that a mistake is one line and changes nothing."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from conftest import ROOT
from workshop import message

from headstart import remote as command
from headstart.team import remote

IGNORED = "/config.local\n/tmp\n/cache\n"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A project with nothing in it, and no credentials in the environment."""
    path = tmp_path / "project"
    (path / ".dvc").mkdir(parents=True)
    (path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (path / ".dvc/.gitignore").write_text(IGNORED)
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    variables = [name for names in remote.CREDENTIALS.values() for name in names.values()]
    for name in [*variables, "AWS_SESSION_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


@pytest.fixture(scope="module")
def webdav(tmp_path_factory):
    with servers.webdav(tmp_path_factory.mktemp("webdav")) as server:
        yield server


def config(root: Path, name: str = "config") -> str:
    file = root / ".dvc" / name
    return file.read_text() if file.exists() else ""


def refusal(root: Path, url: str | None, **options) -> str:
    """The line about what cannot be; nothing is written down."""
    before = config(root), config(root, "config.local")
    line = message(remote.configure, url, root=root, **options)
    assert (config(root), config(root, "config.local")) == before
    return line


def test_a_folder_is_written_down_as_the_same_for_every_clone(root, tmp_path):
    """treeverse/dvc#3159, open: DVC writes the path of a folder relative to .dvc/config."""
    messages = remote.configure("../results", root=root)
    assert messages[0] == f"made the folder {tmp_path}/results"
    assert messages[1:] == [
        f"{tmp_path}/results answers; its address is in .dvc/config: commit that file for the others"
    ]
    written = "[core]\n    analytics = false\n    remote = team\n['remote \"team\"']\n"
    assert config(root) == written + f"    url = {tmp_path}/results\n    verify = true\n"
    assert list((tmp_path / "results").iterdir()) == []
    remote.configure(root=root)
    assert config(root) == written + f"    url = {tmp_path}/results\n    verify = true\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/nowhere/mounted/results", "no folder /nowhere/mounted: make it, or mount what belongs there"),
        ("ftp://host/results", "got ftp://host/results; takes a folder"),
        (None, "no remote is configured: make remote URL=…, a folder, ssh://host/folder"),
    ],
)
def test_an_address_that_cannot_be_one(root, url, expected):
    """treeverse/dvc#6927, closed without it: DVC has no command that tries a remote."""
    assert expected in refusal(root, url)


def test_outside_of_the_project_there_is_one_line(tmp_path):
    assert "run this in the project's folder" in message(remote.configure, "/tmp", root=tmp_path)


@pytest.mark.parametrize(
    ("url", "library", "file"),
    [
        ("s3://bucket/folder", "s3fs", "requirements-s3.txt"),
        ("ssh://host/folder", "sshfs", "requirements-ssh.txt"),
        ("webdavs://host/folder", "webdav4", "requirements-webdav.txt"),
    ],
)
def test_what_is_not_installed_is_named(root, url, library, file, monkeypatch):
    """`dvc.fs.get_cloud_fs` says `pip install 'dvc[s3]'`, which is not what the project pins."""
    monkeypatch.setitem(sys.modules, library, None)
    assert f"pip install -r {file}" in refusal(root, url)
    assert (ROOT / file).is_file()


def test_another_address_than_before_has_to_be_meant(root, webdav, tmp_path, monkeypatch):
    """treeverse/dvc#1760 and #7880, closed: the address was replaced unasked, and config.local does not follow it.

    `dvc remote add --force` still leaves the old server's password there, for the new one.
    """
    monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
    remote.configure(webdav.url, root=root, user="anna")
    line = refusal(root, "../results")
    assert f"got {tmp_path}/results, but the remote is {webdav.url}" in line
    assert "REPLACE=1" in line
    monkeypatch.delenv("HEADSTART_REMOTE_PASSWORD")
    messages = remote.configure("../results", root=root, replace=True)
    assert messages[0] == f"the remote was {webdav.url}: what was pushed there stays there"
    written = config(root) + config(root, "config.local")
    assert "opensesame" not in written
    assert "anna" not in written


def test_what_does_not_go_with_the_address(root, tmp_path):
    (tmp_path / "file").touch()
    assert "which is a file" in refusal(root, "../file")
    line = refusal(root, "../results", endpoint="http://127.0.0.1:1")
    assert "ENDPOINT: got http://127.0.0.1:1, which goes with an s3:// address; the address is" in line
    line = refusal(root, "../results", user="anna")
    assert "LOGIN: got anna, which goes with an ssh:// or webdav:// address" in line
    assert "a folder takes no LOGIN, KEY or ENDPOINT: leave LOGIN out" in line
    assert "LOGIN: got anna, which goes with" in refusal(root, "s3://anna@bucket/x")
    assert "KEY: got key, which goes with an ssh:// address" in refusal(root, "webdavs://host/x", keyfile="key")
    assert f"no file {root}/../key" in refusal(root, "ssh://127.0.0.1/srv", keyfile="../key")


def test_a_secret_that_somebody_wrote_into_the_shared_configuration_is_refused_and_not_shown(root):
    text = config(root) + "    remote = team\n['remote \"team\"']\n    url = webdavs://anna:opensesame@host/x\n"
    (root / ".dvc/config").write_text(text)
    assert "got a password or a token in webdavs://…@host/x, which Git would keep" in refusal(root, None)
    line = refusal(root, "s3://bucket/x", endpoint="https://anna:opensesame@host", replace=True)
    assert "endpoint: got a login in https://…@host" in line


@pytest.mark.parametrize("url", [".", ".dvc/cache", "data/results", "..", "/", "link"])
def test_the_project_is_not_its_own_remote(root, url):
    (root / "link").symlink_to(".")
    line = refusal(root, url)
    assert f"but {root} is the project itself: take a folder that is neither in it nor around it" in line
    assert not (root / "data").exists()


def test_the_cache_of_dvc_is_no_remote(root, tmp_path):
    (root / ".dvc/config").write_text("[cache]\n    dir = ../../shared\n")
    assert f"but {tmp_path}/shared is DVC's cache" in refusal(root, "../shared")


def test_a_folder_is_made_only_where_something_is_mounted_or_kept(root, tmp_path):
    (tmp_path / "mnt").mkdir()
    assert f"{tmp_path}/mnt is empty and nothing is mounted there" in refusal(root, "../mnt/results")
    assert list((tmp_path / "mnt").iterdir()) == []
    (tmp_path / "mnt/results").mkdir()
    assert " answers; " in remote.configure("../mnt/results", root=root)[0]
    (tmp_path / "mnt/results").rmdir()
    assert f"there is no folder {tmp_path}/mnt/results: mount it" in refusal(root, None)


def test_an_address_is_checked_before_anybody_is_asked(root, tmp_path, monkeypatch, capsys):
    """`make remote` runs this before it installs what speaks to that kind of remote."""
    monkeypatch.chdir(root)
    monkeypatch.setitem(sys.modules, "sshfs", None)
    monkeypatch.setattr("sys.argv", ["headstart.remote", "--check", "ssh://host/folder"])
    command.main()
    assert (capsys.readouterr().out, config(root)) == ("", "[core]\n    analytics = false\n")
    monkeypatch.setattr("sys.argv", ["headstart.remote", "--check", "ssh://anna:opensesame@host/folder"])
    assert "got a password" in message(command.main)


def test_letters_that_dvc_cannot_write_change_nothing(root, tmp_path):
    """`dvc.config.Config._save_config` opens the file before it fails to encode such letters: it is empty then."""
    remote.configure("../results", root=root)
    (tmp_path / "команда").mkdir()
    line = refusal(root, "../команда/results", replace=True)
    assert line.startswith(f"url: got {tmp_path}/команда/results with letters that are not ASCII, which DVC cannot")


def test_what_the_team_set_by_hand_stays(root):
    remote.configure("../results", root=root)
    (root / ".dvc/config").write_text(config(root) + "    jobs = 2\n")
    remote.configure("../results", root=root)
    assert "jobs = 2" in config(root)
    assert config(root, "config.local") == ""


def test_a_server_that_refuses_the_login_gets_an_answer_from_the_terminal(root, webdav, monkeypatch, capsys):
    """treeverse/dvc#9217, closed without it: DVC writes secrets into a file that others can read."""
    assert "set HEADSTART_REMOTE_PASSWORD" in refusal(root, webdav.url)
    monkeypatch.setattr("builtins.input", lambda prompt: "anna")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "opensezame")
    assert f"{webdav.url} refused your login" in refusal(root, webdav.url, prompt=command.ask)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "opensesame")
    (root / ".dvc/config.local").touch(mode=0o644)
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["headstart.remote", webdav.url])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    command.main()
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1] == "password, user: in .dvc/config.local, which Git leaves out"
    assert "opensesame" not in config(root) + printed.err + printed.out
    assert "user = anna\n    password = opensesame" in config(root, "config.local")
    assert (root / ".dvc/config.local").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("url", "help"), [("webdav://h/x", "give your name with LOGIN="), ("s3://b/x", "set AWS_")])
def test_who_answers_with_ctrl_d_is_told_what_else_to_do(url, help, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert message(command.ask, url, None).startswith(f"{url} was not told who you are: {help}")


def test_a_secret_is_not_written_where_git_would_take_it(root, webdav, monkeypatch):
    (root / ".dvc/.gitignore").write_text(IGNORED.replace("/config.local\n", ""))
    monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
    assert "put the line /config.local into .dvc/.gitignore" in refusal(root, webdav.url, user="anna")


def test_a_server_that_is_not_there_and_one_that_is_only_for_reading(root, tmp_path, monkeypatch):
    """treeverse/dvc#6927, closed without it: DVC has no command that tries a remote."""
    with servers.webdav(tmp_path, "--read-only") as server:
        server.folder.mkdir()
        address = server.url.replace("webdav://", "webdav://anna@")
        monkeypatch.setenv("HEADSTART_REMOTE_PASSWORD", "opensesame")
        messages = remote.configure(address, root=root)
        assert "can be read but not written" in messages[-1]
        assert messages[-1].endswith("`make pull` works, `make push` will not")
        server.cable.cut()
        line = refusal(root, None)
    assert f"{server.url} cannot be reached" in line
    assert "check the address and the network" in line


def test_a_bucket_that_is_not_there(root, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with servers.s3(tmp_path) as server:
        for name, value in server.secrets.items():
            monkeypatch.setenv(name, value)
        line = refusal(root, "s3://taem/headstart", endpoint=server.arguments[1])
    assert "s3://taem/headstart is not there" in line
    assert "make the bucket" in line
