"""What DVC would have to do for the code around it in headstart/team to go.

Each test asks it of DVC's own commands and is expected to fail. One that passes fails the suite, so that a newer DVC
shows which piece it makes superfluous.
"""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import workshop
from conftest import Project
from dvc.cli import main
from dvc.fs import generic
from workshop import Team

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
ISSUE = "treeverse/dvc#"


def gap(why: str, piece: str) -> pytest.MarkDecorator:
    """Mark a test that DVC fails; `why`: its issue or its function; `piece`: what can go when the test passes."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"{why}: when this passes, {piece} can go")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=4000)


@pytest.fixture
def team(built, tmp_path) -> Team:
    """A team whose remote is a folder, and whose first member has pushed."""
    return workshop.in_folder(built, tmp_path)


@pytest.fixture
def alone(built, tmp_path) -> Project:
    """A project without a remote."""
    return workshop.copy(built, tmp_path / "alone", tmp_path)


@pytest.fixture(scope="module")
def pushed(built, tmp_path_factory) -> Path:
    """The folder that `dvc push --run-cache` has sent a run to, and another one before it."""
    tmp_path = tmp_path_factory.mktemp("pushed")
    project = workshop.copy(built, tmp_path / "project", tmp_path)
    dvc(project, "remote", "add", "--default", "team", str(tmp_path / "mounted"))
    (project.path / "params.yaml").write_text("rate: 2\n")
    dvc(project, "repro")
    dvc(project, "push", "--run-cache")
    return tmp_path / "mounted"


def dvc(project: Project, *arguments: str, status: int | None = 0) -> int:
    """Run a command of DVC's in a project's folder. Returns its exit status; another one than `status` is no gap."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path)
        actual = main(list(arguments))
    # A failure, which is not what `gap` expects.
    if status is not None and actual != status:
        pytest.fail(f"dvc {' '.join(arguments)} ended with {actual}")
    return actual


def at_remote(folder: Path, content: str) -> Path:
    digest = hashlib.md5(content.encode()).hexdigest()
    return folder / "files/md5" / digest[:2] / digest[2:]


@gap(f"{ISSUE}10472 (it sends the records of runs alone)", "what sharing.push adds of the runs' outputs")
@pytest.mark.parametrize("content", ["metric_rate: 2\n", "rate: 1\n"], ids=["a metric in Git", "an earlier run"])
def test_push_sends_what_a_run_wrote(pushed, content):
    """A comment in #10472: "I don't think this operation directly pushes/pulls anything except the runs files".

    Without its metric, or its model, `dvc repro --pull` runs the stage again, as in #5749, where `dvc push --run-cache`
    was the advice. The metric is in DVC's cache, since #3778.
    """
    assert at_remote(pushed, content).exists()


@gap(f"{ISSUE}9420 and dvc.repo.push.push", "the order in sharing.push")
def test_push_sends_files_before_the_records_of_runs(pushed):
    """`Repo.push` sends the records first. One whose files never came hides those that did (#9420).

    `StageCache._load` tries the newest record alone; #9421, which tried them all, was not merged.
    """
    changed = {path: path.stat().st_ctime_ns for path in pushed.rglob("*") if path.is_file()}
    records = [time for path, time in changed.items() if path.is_relative_to(pushed / "runs")]
    files = [time for path, time in changed.items() if path.is_relative_to(pushed / "files")]
    assert max(files) <= min(records)


@gap(f"{ISSUE}7532 and {ISSUE}10977", "objects.sizes_at_remote")
def test_push_sees_that_a_file_of_a_folder_is_missing(team):
    """#10977, open: "Everything is up to date", while files are missing. #7532, closed: asks for a way to force it."""
    file = workshop.kept(team, "features/all")
    file.unlink()
    dvc(team.first, "push")
    assert file.exists()


@gap(f"{ISSUE}10498", "the comparison of sizes in objects.to_send")
def test_push_sends_again_what_arrived_short(team):
    """#10498, open: "add verification (corruption checks) for dvc push".

    SSH has no temporary file (#1570, closed), so a line that breaks leaves a file short, under its final name.
    """
    file = workshop.kept(team, "model")
    workshop.cut(file, 3)
    dvc(team.first, "push")
    assert file.stat().st_size > 3


@gap(f"{ISSUE}5502", "verify in remote.configure and sharing._open")
def test_pull_takes_no_damaged_file(team, tmp_path):
    """#5502, closed: "DVC pulls corrupted file"; hashing what comes is an option, off unless `verify` is on (#3200)."""
    second = workshop.clone(team.first, tmp_path / "second")
    dvc(second, "remote", "modify", "team", "verify", "false")
    workshop.cut(workshop.kept(team, "model"), 3)
    dvc(second, "pull")
    assert not (second.path / "model").exists()


@gap(f"{ISSUE}10498 and {ISSUE}5248", "sharing._shortfall's list of what is damaged")
def test_pull_names_the_damaged_file(team, tmp_path, caplog):
    """#10498, open: with `verify`, "dvc fetch tells me the corrupted files are getting fetched", and checkout fails."""
    second = workshop.clone(team.first, tmp_path / "second")
    file = workshop.kept(team, "raw/big")
    workshop.cut(file, 3)
    dvc(second, "pull", status=1)
    assert "raw/big" in caplog.text
    assert str(file) in caplog.text


@gap("dvc_data.hashfile.tree.Tree.load", "what sharing.pull says of an ObjectFormatError")
def test_pull_names_the_output_whose_list_is_damaged(team, tmp_path, caplog):
    """It is "unexpected error - object … is corrupted", with the hash alone; no issue of DVC is known."""
    second = workshop.clone(team.first, tmp_path / "second")
    workshop.cut(workshop.folder_list(team), 20)
    dvc(second, "pull", status=255)
    assert "plots" in caplog.text


@gap("dvc.stage.cache.StageCache.transfer", "run_cache.is_intact")
def test_pull_takes_no_damaged_record_of_a_run(team):
    """It writes over an intact record, and `_load_cache` asks for a valid schema alone; no issue of DVC is known."""
    (record,) = team.server.folder.glob("runs/*/*/*")
    workshop.cut(record, 60)
    dvc(team.first, "pull", "--run-cache")
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    assert here.stat().st_size > 60


@gap("dvc.stage.cache.StageCache.transfer", "faults.logged_errors")
def test_pull_fails_where_the_record_of_a_run_cannot_be_read(team, monkeypatch):
    """It logs the error and goes on; no issue of DVC is known."""
    monkeypatch.setattr(generic, "copy", workshop.broken)
    assert dvc(team.first, "pull", "--run-cache", status=None) != 0


@gap(f"{ISSUE}2700", "sharing._reach, for folders")
def test_push_makes_no_folder_that_is_not_mounted(team):
    """#2700, closed: "remote: fail if does not exist"; it is meant so."""
    team.server.folder.rename(team.server.folder.with_name("away"))
    dvc(team.first, "push", "--run-cache")
    assert not team.server.folder.exists()


@gap(f"{ISSUE}7340", "sharing._reach, for servers")
def test_pull_fails_where_the_remote_cannot_be_reached(alone):
    """#7340, open: with a wrong password "DVC more or less ignores it and tells me that everything is up-to-date"."""
    dvc(alone, "remote", "add", "--default", "team", "webdav://127.0.0.1:1/results")
    assert dvc(alone, "pull", "--run-cache", status=None) != 0


@gap(f"{ISSUE}5248 and dvc_data.index.push._log_missing", "the names in sharing.push's and sharing._shortfall's errors")
@pytest.mark.parametrize("command", [["push"], ["pull", "--allow-missing"]], ids=" ".join)
def test_what_is_nowhere_is_named(team, tmp_path, caplog, command):
    """The warning has hashes alone, and the exit status is 0 (#5248; for --allow-missing see a comment in #9919)."""
    second = workshop.clone(team.first, tmp_path / "second")
    shutil.rmtree(team.server.folder / "files")
    assert dvc(second, *command, status=None) != 0
    assert "model" in caplog.text


@gap(f"{ISSUE}10252 and {ISSUE}6138", "faults.explain")
def test_an_error_of_a_server_says_what_to_do(alone, caplog):
    """#10252, open: "Make dvc pull error message clearer when there is a downloading problem"."""
    dvc(alone, "remote", "add", "--default", "team", "webdav://127.0.0.1:1/results")
    dvc(alone, "push", status=255)
    assert "unexpected error" not in caplog.text


@gap(f"{ISSUE}6927", "remote.probe")
def test_an_address_is_tried_before_it_is_written_down(alone):
    """#6927, closed: "remote: test"."""
    assert dvc(alone, "remote", "add", "--default", "team", "/nowhere/mounted/results", status=None) != 0


@gap(f"{ISSUE}3159", "the absolute path in addresses.parse")
def test_a_folder_means_the_same_in_every_clone(alone):
    """#3159, open: "whether storing the relative path to remote is a good thing"."""
    dvc(alone, "remote", "add", "--default", "team", "../results")
    assert "url = ../" not in (alone.path / ".dvc/config").read_text()


@gap(f"{ISSUE}1615 and {ISSUE}9217", "what addresses.parse says of a password")
def test_a_password_does_not_go_into_git(alone):
    """#1615, closed: "ssh: disable repository config password"; #9217, closed, asks it of every secret."""
    dvc(alone, "remote", "add", "--default", "team", "webdav://anna:opensesame@127.0.0.1:1/results")
    assert "opensesame" not in (alone.path / ".dvc/config").read_text()


@gap(f"{ISSUE}9217", "the mode in remote._write")
def test_others_cannot_read_a_secret(alone):
    """A comment in #9217 recommends `chmod 600`; #4021, closed: a config gets the permissions of any file."""
    umask = os.umask(0o022)
    try:
        dvc(alone, "remote", "add", "--default", "team", "webdav://127.0.0.1:1/results")
        dvc(alone, "remote", "modify", "--local", "team", "password", "opensesame")
    finally:
        os.umask(umask)
    assert (alone.path / ".dvc/config.local").stat().st_mode & 0o077 == 0


@gap(f"{ISSUE}7880", "the new sections in remote._write")
def test_a_new_address_does_not_get_the_old_ones_secrets(alone):
    """#7880, closed: "dvc remote rename: does not change config.local"; `dvc remote add --force` still does not."""
    dvc(alone, "remote", "add", "--default", "team", "webdav://127.0.0.1:1/results")
    dvc(alone, "remote", "modify", "--local", "team", "password", "opensesame")
    dvc(alone, "remote", "add", "--force", "--default", "team", "webdav://127.0.0.1:2/results")
    assert "opensesame" not in (alone.path / ".dvc/config.local").read_text()


@gap("dvc.config.Config._save_config", "remote._check_letters")
def test_letters_that_are_not_ascii_do_not_empty_the_file(alone):
    """It opens the file before it fails to encode them; no issue of DVC is known."""
    dvc(alone, "remote", "add", "--default", "team", "/mnt/команда", status=255)
    assert (alone.path / ".dvc/config").read_text() != ""
