"""What of DVC's cache is sent to the remote, and in which order."""

import re
from pathlib import Path

import pytest
import workshop

from headstart.team import sharing


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=4000)


@pytest.fixture
def team(built, tmp_path) -> workshop.Team:
    return workshop.in_folder(built, tmp_path)


def test_files_go_before_lists_of_folders_and_lists_before_records_of_runs(team):
    """treeverse/dvc#4343, closed: a list without its files breaks the remote; #9420: so does a record without them.

    `Repo.push` sends the records first.
    """
    objects = {path: path.stat().st_ctime_ns for path in team.server.folder.glob("files/md5/??/*")}
    records = [path.stat().st_ctime_ns for path in team.server.folder.glob("runs/*/*/*")]
    lists = [time for path, time in objects.items() if path.suffix == ".dir"]
    files = [time for path, time in objects.items() if path.suffix != ".dir"]
    assert (len(files), len(lists), len(records)) == (5, 3, 1)
    assert max(files) <= min(lists) <= max(lists) <= min(records)


def test_a_file_that_the_remote_has_lost_is_sent_again(team):
    """treeverse/dvc#10977, open, and #7532: DVC takes the files of a folder for sent when the folder's list is."""
    file = workshop.kept(team, "features/all")
    file.unlink()
    assert sharing.push(team.first.path) == f"1 file and 0 runs pushed to {team.server.url}"
    assert file.read_bytes() == (team.first.path / "features/all").read_bytes()
    assert sharing.push(team.first.path) == f"everything is on {team.server.url} already"


def test_what_arrived_short_is_sent_again(team):
    """treeverse/dvc#10498, open: DVC compares no sizes; #1570: over SSH it writes to the final name."""
    (record,) = team.server.folder.glob("runs/*/*/*")
    for path in (workshop.kept(team, "model"), workshop.folder_list(team), record):
        workshop.cut(path, 3)
    assert workshop.damaged(team.server.folder) != []
    said = sharing.push(team.first.path)
    assert said.startswith(
        f"2 files and 1 run pushed to {team.server.url}; replaced there, where it was damaged: model,"
    )
    assert said.endswith(" plots, the record of a run")
    assert workshop.damaged(team.server.folder) == []
    assert record.read_bytes() == next((team.first.path / ".dvc/cache/runs").glob("*/*/*")).read_bytes()


def test_a_metric_that_git_keeps_and_what_an_earlier_run_wrote_are_sent(team):
    """A comment in treeverse/dvc#10472: the run cache is pushed without "anything except the runs files"."""
    kept = workshop.kept(team, "m.yaml"), workshop.kept(team, "model")
    (team.first.path / "params.yaml").write_text("rate: 2\n")
    team.first.repro()
    for path in kept:
        path.unlink()
    sharing.push(team.first.path)
    assert all(path.exists() for path in kept)
    assert workshop.kept(team, "m.yaml").read_text() == "metric_rate: 2\n"


def test_a_push_shows_how_far_it_is(team, capsys):
    """One progress library: the project's counter, through fsspec's callback."""
    for name in ("model", "features/all"):
        workshop.kept(team, name).unlink()
    sharing.push(team.first.path)
    assert f"\npush to {team.server.url}: 2 files in " in capsys.readouterr().err


def test_a_pull_shows_how_far_it_is(team, tmp_path, capsys):
    second = workshop.clone(team.first, tmp_path / "second")
    sharing.pull(second.path)
    printed = capsys.readouterr().err
    of = f"^pull from {team.server.url}: "
    assert [len(re.findall(of + what, printed, re.MULTILINE)) for what in ("1 record in ", "3 files in ")] == [1, 1]
    sharing.pull(second.path)
    assert "pull from" not in capsys.readouterr().err
