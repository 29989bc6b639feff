"""A server that dies, lies about sizes, gives another object, is slow or is full: nothing is lost on either side."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import servers
import workshop
from conftest import Project
from workshop import Team, command, error_line


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=200_000)


@pytest.fixture
def team(built, tmp_path) -> Iterator[Team]:
    """A team at a WebDAV server; its first member has pushed."""
    with servers.webdav(tmp_path) as server:
        first = workshop.copy(built, tmp_path / "first", tmp_path, server.secrets)
        command(first, "remote", server.url, *server.arguments)
        first.commit("Where the results are")
        command(first, "sharing", "push")
        yield Team(server, first, server.secrets)


def contents(project: Project) -> dict[str, bytes]:
    """What a project has, in its cache and outside of it, but for DVC's own notes and what it has put aside."""
    files = [path for path in project.path.rglob("*") if path.is_file()]
    left = [path for path in files if not {"tmp", "site", ".git"} & {*path.relative_to(project.path).parts}]
    return {str(path.relative_to(project.path)): path.read_bytes() for path in left}


def objects(team: Team) -> dict[str, bytes]:
    files = [path for path in team.server.folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(team.server.folder)): path.read_bytes() for path in files}


def lie(data: bytes) -> bytes:
    """Another size for each file that the server lists, of as many digits."""
    return re.sub(rb"(getcontentlength>)(\d+)", lambda match: match[1] + match[2].translate(SHIFTED), data)


SHIFTED = bytes.maketrans(b"0123456789", b"1234567899")


def test_a_server_that_lies_about_sizes(team, tmp_path):
    before, here = objects(team), contents(team.first)
    team.server.cable.tamper = lie
    command(team.first, "sharing", "push")  # what has another size there is sent again
    assert objects(team) == before
    assert contents(team.first) == here
    second = team.join(tmp_path / "second", pulled=False)
    done = command(second, "sharing", "pull", check=False)
    if done.returncode:
        assert not (second.path / "model").exists()
        error_line(done)
    team.server.cable.tamper = bytes
    command(second, "sharing", "pull")
    assert workshop.digests(second) == workshop.digests(team.first)


def test_a_server_that_gives_another_object(team, tmp_path):
    """Of the right size and under the right name: what arrives is hashed."""
    second = team.join(tmp_path / "second", pulled=False)
    team.server.cable.tamper = lambda data: data.replace(b"rate: 1", b"rate: 9")
    line = error_line(command(second, "sharing", "pull", check=False))
    assert "damaged on the remote, and not used: " in line and "model" in line
    assert [name for name, content in contents(second).items() if b"rate: 9" in content] == []
    # The first member has all of it, and looks at nothing but the records of runs.
    before = contents(team.first)
    command(team.first, "sharing", "pull")
    assert contents(team.first) == before
    team.server.cable.tamper = bytes
    command(second, "sharing", "pull")
    assert second.ran(second.repro()) == []


def test_a_server_that_gives_another_object_does_not_replace_a_good_one_here(team):
    before = contents(team.first)
    for path in team.server.folder.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(bytes(path.stat().st_size))
    command(team.first, "sharing", "pull")
    assert contents(team.first) == before


def test_a_slow_server_is_waited_for(team, tmp_path):
    team.server.cable.delay = 0.02
    second = team.join(tmp_path / "second")
    assert workshop.digests(second) == workshop.digests(team.first)
    (second.path / "params.yaml").write_text("rate: 2\n")
    second.repro()
    command(second, "sharing", "push")
    assert workshop.damaged(team.server.folder) == []


def test_a_server_that_dies_for_good_costs_nothing_here(team):
    before = contents(team.first)
    team.server.cable.cut()
    for direction in ("push", "pull"):
        assert "cannot be reached" in error_line(command(team.first, "sharing", direction, check=False))
    assert contents(team.first) == before


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Within the block `folder` is a file system of 1 MB; the test is skipped where none can be mounted."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full_here_is_not_taken_for_the_remotes(built, tmp_path):
    first = workshop.in_folder(built, tmp_path).first
    (first.path / "source").write_bytes(os.urandom(3_000_000))
    (first.path / "code").write_text("2\n")
    first.repro()
    command(first, "sharing", "push")
    first.commit("More than the disk holds")
    second = workshop.clone(first, tmp_path / "second")
    with small_disk(second.path / ".dvc/cache"):
        line = error_line(command(second, "sharing", "pull", check=False))
    assert line.startswith(f"error: the disk is full ({second.path}/.dvc/cache/") and "free some space here" in line
    command(second, "sharing", "pull")
    assert second.ran(second.repro()) == []


@pytest.mark.parametrize("kind", ["folder", "ssh"])
def test_a_server_that_is_full(built, tmp_path, kind):
    with servers.KINDS[kind](tmp_path) as server, small_disk(tmp_path / ("mounted" if kind == "folder" else "kept")):
        first = workshop.copy(built, tmp_path / "first", tmp_path, server.secrets)
        command(first, "remote", server.url, *server.arguments)
        command(first, "sharing", "push")
        first.commit("Where the results are")
        team = Team(server, first, server.secrets)
        good = objects(team)
        (first.path / "source").write_bytes(os.urandom(3_000_000))
        (first.path / "code").write_text("2\n")
        first.repro()
        before = contents(first)
        line = error_line(command(first, "sharing", "push", check=False))
        # Over SSH and WebDAV nothing says why it fails.
        assert f"{server.url} is full" in line or "that there is space left" in line
        assert contents(first) == before
        assert objects(team).items() >= good.items()
        # Who pulls what was pushed before gets it.
        second = team.join(tmp_path / "second")
        assert second.ran(second.repro("train")) == []
