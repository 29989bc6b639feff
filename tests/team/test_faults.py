"""What an error of DVC or of a server's library means: one line that says what to do next.

treeverse/dvc#10252, open: with wrong credentials `dvc pull` speaks of files that do not exist. treeverse/dvc#6138,
open: whatever keeps SSH from connecting is "unexpected error - Can't create any SFTP connections!".
"""

import errno
import logging
from pathlib import Path

import pytest
from dvc.config import ConfigError
from dvc.exceptions import DvcException

from headstart.base.errors import UserError
from headstart.team import faults

SSH, FOLDER = "ssh://host/srv", "/mnt/results"
# By the name of its class: no server's library need be installed.
NoCredentials = type("NoCredentialsError", (Exception,), {})
Connect = type("ConnectError", (Exception,), {})


@pytest.mark.parametrize(
    ("url", "error", "expected"),
    [
        (FOLDER, PermissionError(errno.EACCES, "Permission denied"), "no permission for /mnt/results ([Errno 13] "),
        (FOLDER, OSError(errno.ENOSPC, "No space left"), "/mnt/results is full ([Errno 28] No space left): free some"),
        (SSH, ValueError("received 507 (Insufficient Storage)"), "ssh://host/srv is full (received 507"),
        (FOLDER, FileNotFoundError("gone"), "/mnt/results is not there (gone): make the bucket or the folder first"),
        (SSH, Connect("no route"), "ssh://host/srv cannot be reached (no route): check the address and the network"),
        (SSH, Connect("host 127.0.0.1:40401 ssl:default"), "ssh://host/srv cannot be reached (host 127.0.0.1:40401 "),
        (SSH, ConfigError("no url"), ".dvc/config: config file error: no url: correct it, or make remote URL="),
        (SSH, DvcException("of two\nlines"), "of two lines"),
        (SSH, ValueError(), "ssh://host/srv: ValueError: check the address, and that there is space left"),
    ],
)
def test_what_is_wrong_and_what_to_do(url, error, expected):
    fault = faults.explain(url, error)
    assert str(fault).startswith(expected)
    assert not isinstance(fault, faults.Refused)


@pytest.mark.parametrize(
    ("url", "error", "help"),
    [
        (SSH, DvcException("HTTP 401 Unauthorized"), "give your name with LOGIN="),
        ("s3://bucket/results", NoCredentials("Unable to locate credentials"), "set AWS_ACCESS_KEY_ID and"),
        ("webdavs://host/results", Exception("received 403 (Forbidden)"), "HEADSTART_REMOTE_PASSWORD"),
    ],
)
def test_a_refused_login(url, error, help):
    fault = faults.explain(url, error)
    assert isinstance(fault, faults.Refused)
    assert str(fault).startswith(f"{url} refused your login ({error}): ")
    assert help in str(fault)


HERE = [Path("/home/me/clone"), Path("/srv/cache")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left", f"{FOLDER}/ab", None, "/srv/cache/ab"),
            "the disk is full (/srv/cache/ab): free some space here and run this again",
        ),
        (OSError(errno.ENOSPC, "No space left"), "the disk is full (while writing): free some space here"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/home/me/clone/model"),
            "no permission for /home/me/clone/model: Permission denied; change its owner or its mode",
        ),
        (PermissionError(errno.EACCES, "Permission denied", f"{FOLDER}/ab"), f"no permission for {FOLDER} ("),
    ],
)
def test_of_a_pull_it_is_the_disk_of_this_machine_that_is_full(error, expected):
    assert str(faults.explain(FOLDER, error, HERE)).startswith(expected)


def test_the_cause_counts_where_the_error_itself_says_nothing():
    try:
        try:
            raise Connect("no route")
        except Connect as error:
            raise RuntimeError from error
    except RuntimeError as error:
        assert "cannot be reached (no route)" in str(faults.explain(SSH, error))


def test_a_logged_error_is_collected_and_not_printed(capsys):
    """`dvc_data.hashfile.transfer._log_exception` and `StageCache.transfer` log what did not go, file by file."""
    logger = logging.getLogger("dvc_data.hashfile.transfer")
    root = logging.getLogger()
    handlers = root.handlers
    with pytest.raises(UserError, match="out"), faults.logged_errors() as caught:
        logger.warning("a word")
        logger.error("failed to transfer 'ab'", exc_info=ValueError("broken"))
        raise UserError("out")
    assert [str(error) for error in caught] == ["broken"]
    assert capsys.readouterr() == ("", "")
    assert root.handlers is handlers
