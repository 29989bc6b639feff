"""Which addresses of a remote are taken, and that a mistake is one line."""

from pathlib import Path

import pytest
from workshop import message

from headstart.team import addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host/results", "got https://host/results; did you mean webdavs://host/results? takes a folder"),
        ("ftp://host/results", "got ftp://host/results; takes a folder, ssh://host/folder, s3://bucket/folder"),
        ("me@host:results", "for SSH, takes ssh://host/folder"),
        ("ssh://host", "got ssh://host; takes"),
        ("s3:///folder", "got s3:///folder; takes"),
    ],
)
def test_what_is_no_address(url, expected, tmp_path):
    assert expected in message(addresses.parse, url, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "ssh://anna:opensesame@host/folder",
        "webdavs://anna:opensesame@host/folder",
        "webdavs://anna:open/opensesame@host/folder",
        "webdavs://host/folder?token=opensesame",
    ],
)
def test_a_password_in_the_address_is_not_taken_and_not_repeated(url, tmp_path):
    """treeverse/dvc#1615, closed: DVC takes a password into .dvc/config, which Git keeps."""
    line = message(addresses.parse, url, tmp_path)
    assert "which Git would keep" in line
    assert "opensesame" not in line


@pytest.mark.parametrize("start", ["https://", "foo://", "", "//", "ssh://[", "SSH://"])
def test_no_refusal_repeats_a_password(start, tmp_path):
    assert "opensesame" not in message(addresses.parse, f"{start}anna:opensesame@host:/folder", tmp_path)


def test_a_folder_is_absolute_and_without_links(tmp_path):
    """treeverse/dvc#3159, open: DVC writes the path of a folder relative to .dvc/config."""
    (tmp_path / "project").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert addresses.parse("../link/results", tmp_path / "project") == (f"{tmp_path}/real/results", None)
    assert addresses.parse("~/results", tmp_path) == (str(Path.home().resolve() / "results"), None)
    # A folder that is there may have any name.
    (tmp_path / "me@host:results").mkdir()
    assert addresses.parse("me@host:results", tmp_path) == (f"{tmp_path}/me@host:results", None)


@pytest.mark.parametrize(
    ("url", "expected", "storage"),
    [
        ("ssh://anna@host:2222/srv/results/", ("ssh://host:2222/srv/results", "anna"), "ssh"),
        ("s3://bucket/results", ("s3://bucket/results", None), "s3"),
        ("webdavs://host/results", ("webdavs://host/results", None), "webdav"),
    ],
)
def test_the_address_of_a_server_is_written_without_the_user(url, expected, storage, tmp_path):
    assert addresses.parse(url, tmp_path) == expected
    assert addresses.storage(expected[0]) == storage
