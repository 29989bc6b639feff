"""What ran on one machine is there on another one, through real servers; and what breaks on the way does no harm."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
import workshop
from conftest import ROOT, Project
from workshop import Team, command, damaged, digests, error_line, kept, message

from headstart.team import sharing


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module", params=servers.KINDS)
def team(request, built, tmp_path_factory) -> Iterator[Team]:
    """A team whose first member has pushed; what a test changes for the members after it, it has to put back."""
    tmp = tmp_path_factory.mktemp(request.param)
    with servers.KINDS[request.param](tmp) as server:
        first = workshop.copy(built, tmp / "first", tmp, server.secrets)
        command(first, "remote", server.url, *server.arguments)
        first.commit("Where the results are")
        command(first, "sharing", "push")
        yield Team(server, first, server.secrets)


# A folder asks for no credentials and has no line that could break: a full disk is its fault, tested below.
on_a_network = pytest.mark.parametrize("team", [kind for kind in servers.KINDS if kind != "folder"], indirect=True)


def test_what_was_pushed_runs_nowhere_again(team, tmp_path):
    """treeverse/dvc#5749, closed: `dvc repro --pull` runs a stage again for want of an output with `cache: false`."""
    second = team.join(tmp_path / "second")
    assert digests(second) == digests(team.first)
    done = second.repro()
    assert second.ran(done) == []
    assert "up to date" in done.stdout
    assert second.run("git", "status", "--short").stdout == ""

    for rate in (2, 3):
        (team.first.path / "params.yaml").write_text(f"rate: {rate}\n")
        assert team.first.ran(team.first.repro()) == ["train"]
        command(team.first, "sharing", "push")
    # Also the run before the last one.
    (second.path / "params.yaml").write_text("rate: 2\n")
    done = second.repro("--pull")
    assert second.ran(done) == []
    written = {"model": "", "m.yaml": "metric_", "result.yaml": "plot_", "plots/more/p.yaml": ""}
    for name, prefix in written.items():
        assert (second.path / name).read_text() == f"{prefix}rate: 2\n"
    team.first.run("git", "checkout", "-q", ".")
    team.first.dvc("checkout", "-q")


def test_no_secret_goes_into_git(team):
    """treeverse/dvc#1615 and #9217, closed: DVC takes secrets into a file that Git keeps, or that others can read."""
    config = team.first.path / ".dvc/config.local"
    if team.secrets:
        assert all(value in config.read_text() for value in team.secrets.values())
        assert config.stat().st_mode & 0o077 == 0
        # DVC copies the file there, and anybody could read the copy.
        assert (config.parent / "tmp/exps").stat().st_mode & 0o077 == 0
    team.first.run("git", "add", "-A")
    tracked = team.first.run("git", "ls-files").stdout.split()
    assert ".dvc/config" in tracked
    assert ".dvc/config.local" not in tracked
    for value in team.secrets.values():
        assert team.first.run("git", "grep", "--cached", "-F", value, check=False).returncode == 1


@on_a_network
def test_wrong_credentials_are_one_line_and_change_nothing(team, tmp_path):
    """treeverse/dvc#7340, open: DVC says that everything is up to date; #10252, open: or that files do not exist."""
    other = team.join(tmp_path / "other", pulled=False)
    before = (other.path / ".dvc/config.local").read_bytes()
    other.environment |= team.server.wrong
    strange = [] if team.server.wrong else ["--keyfile", team.server.arguments[-1].replace("mine", "strange")]
    line = error_line(command(other, "remote", *strange, check=False))
    assert f"{team.server.url} refused your login" in line
    if "HEADSTART_REMOTE_PASSWORD" in team.server.wrong:
        # What is here already must not hide that nobody was asked.
        config = team.first.path / ".dvc/config.local"
        right = config.read_text()
        config.write_text(right.replace("opensesame", "opensezame"))
        assert "refused your login" in error_line(command(team.first, "sharing", "pull", check=False))
        config.write_text(right)
    assert not any(value in line for value in team.server.wrong.values())
    assert (other.path / ".dvc/config.local").read_bytes() == before


@on_a_network
def test_a_line_that_breaks_in_a_push_and_in_a_pull_does_no_harm(team, tmp_path):
    """treeverse/dvc#10977 and #10498, open: after a push that broke off, DVC takes what is missing or short for sent.

    What `dvc_data.hashfile.transfer._log_exception` logs of it is raised here, and says what to do.
    """
    second = team.join(tmp_path / "second")
    (second.path / "source").write_bytes(os.urandom(workshop.BIG))
    (second.path / "code").write_text("2\n")
    assert second.ran(second.repro()) == ["fetch", "train"]
    team.server.cable.cut_after(1_500_000)
    line = error_line(command(second, "sharing", "push", check=False))
    assert "cannot be reached" in line
    assert "run this again" in line
    team.server.cable.mend()
    command(second, "sharing", "push")
    second.commit("Another source")
    team.first.run("git", "pull", "-q", str(second.path), "HEAD")

    team.server.cable.cut_after(1_500_000)
    line = error_line(command(team.first, "sharing", "pull", check=False))
    assert "cannot be reached" in line
    team.server.cable.mend()
    command(team.first, "sharing", "pull")
    assert digests(team.first) == digests(second)
    assert team.first.ran(team.first.repro()) == []
    if team.server.folder:
        assert damaged(team.server.folder) == []


@pytest.fixture
def local(built, tmp_path) -> Team:
    """A team whose remote is a folder, and whose first member has pushed."""
    return workshop.in_folder(built, tmp_path)


def test_a_damaged_file_on_the_remote_is_named_and_not_used(local, tmp_path):
    """treeverse/dvc#5502, closed: what comes is hashed only with `verify`; #10498, open: and then no file is named."""
    path = kept(local, "raw/big")
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"other bytes")
    second = local.join(tmp_path / "second", pulled=False)
    assert second.dvc("pull", check=False).returncode != 0
    second.dvc("remote", "modify", "team", "verify", "false")
    line = error_line(command(second, "sharing", "pull", check=False))
    assert f"damaged on the remote, and not used: features/all, raw/big ({path}); delete it there" in line
    assert not (second.path / "raw/big").exists()
    assert not (second.path / ".dvc/cache" / path.relative_to(local.server.folder)).exists()
    # What the line says to do.
    path.unlink()
    sharing.push(local.first.path)
    assert sharing.pull(second.path) == f"1 file fetched from {local.server.url}"
    assert digests(second) == digests(local.first)


@pytest.mark.parametrize("how", ["zeroed", "cut", "a link"])
def test_a_pull_removes_nothing_from_the_remote(local, tmp_path, how):
    """`LocalHashFileDB.check` removes a damaged object that is not read-only, as an upload or a umask leaves it."""
    paths = [kept(local, "raw/big"), workshop.folder_list(local)]
    for path in paths:
        if how == "zeroed":
            workshop.zero(path)
        elif how == "cut":
            workshop.cut(path, 20)
        else:
            path.unlink()
            path.symlink_to(local.first.path / "code")
        if how != "a link":
            path.chmod(0o644)
    second = workshop.clone(local.first, tmp_path / "second")
    line = message(sharing.pull, second.path)
    assert "damaged on the remote, and not used: " in line
    assert all(str(path) in line for path in paths) and all(path.is_file() for path in paths)


def test_a_damaged_list_of_a_folder_is_named(local, tmp_path):
    """`dvc_data.hashfile.tree.Tree.load` names the hash alone; no issue of DVC is known."""
    path = workshop.folder_list(local)
    workshop.cut(path, 20)
    second = workshop.clone(local.first, tmp_path / "second")
    line = message(sharing.pull, second.path)
    assert f"damaged on the remote, and not used: plots ({path}); delete it there" in line


def test_after_a_damaged_file_and_record_are_sent_again_nothing_runs(local, tmp_path):
    workshop.cut(kept(local, "features/all"), 60)
    workshop.cut(*local.server.folder.glob("runs/*/*/*"), 60)
    second = workshop.clone(local.first, tmp_path / "second")
    assert "damaged on the remote" in message(sharing.pull, second.path)
    assert "1 file and 1 run pushed" in sharing.push(local.first.path)
    assert damaged(local.server.folder) == []
    sharing.pull(second.path)
    assert second.ran(second.repro()) == []


def test_a_folder_that_is_not_mounted_is_not_made_anew(local):
    """treeverse/dvc#2700, closed: DVC makes it; it is meant so."""
    local.server.folder.rename(local.server.folder.with_name("away"))
    for function in (sharing.pull, sharing.push):
        assert message(function, local.first.path).startswith(f"there is no folder {local.server.url}: mount it")
    assert not local.server.folder.exists()


def test_a_disk_that_is_full_in_the_middle_of_a_file(local):
    (local.first.path / "source").write_bytes(os.urandom(workshop.BIG))
    (local.first.path / "code").write_text("2\n")
    local.first.repro()
    code = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (2**21, 2**21)); "
    code += "from headstart import sharing; from headstart.base import errors; errors.run(sharing.main)"
    line = error_line(local.first.run(sys.executable, "-c", code, "push", check=False))
    assert local.server.url in line
    assert damaged(local.server.folder) == []
    sharing.push(local.first.path)
    assert kept(local, "raw/big").stat().st_size == workshop.BIG
    assert damaged(local.server.folder) == []


def test_two_push_at_once(local, tmp_path):
    second = local.join(tmp_path / "second")
    for project, rate in ((local.first, 2), (second, 3)):
        (project.path / "source").write_bytes(b"the same " * 500_000)
        (project.path / "code").write_text("3\n")
        (project.path / "params.yaml").write_text(f"rate: {rate}\n")
        project.repro()
    at_once = [
        subprocess.Popen(
            ["python", "-m", "headstart.sharing", "push"],
            cwd=project.path,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for project in (local.first, second)
    ]
    for process in at_once:
        printed, errors = process.communicate()
        assert process.returncode == 0, errors
        assert [line.split()[0] for line in errors.splitlines()] == ["check", "push"], errors
        assert printed.endswith(f" pushed to {local.server.url}\n")
    assert damaged(local.server.folder) == []
    second.commit("Mine")
    third = workshop.clone(second, tmp_path / "third")
    sharing.pull(third.path)
    assert digests(third) == digests(second)
    (third.path / "params.yaml").write_text("rate: 2\n")
    assert third.ran(third.repro("--pull")) == []


def test_a_second_repro_in_the_same_clone_says_why_it_stops(local):
    first = local.first
    (first.path / "slow").write_text("6\n")
    (first.path / "params.yaml").write_text("rate: 5\n")
    running = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=first.path, env=first.environment, stdout=subprocess.PIPE, text=True
    )
    while "Running stage 'train'" not in running.stdout.readline():
        assert running.poll() is None
    second = first.repro(check=False)
    running.stdout.read()
    assert running.wait() == 0
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stderr
    assert f"PID {running.pid}" in second.stderr
    assert (first.path / "model").read_text() == "rate: 5\n"
    assert first.ran(first.repro()) == []
    assert "up to date" in first.dvc("status").stdout


def test_a_push_beside_another_dvc_command_stops_with_one_line(local):
    """`dvc.lock.FAILED_TO_LOCK_MESSAGE` is three lines, which send the user to a page."""
    code = "import time; from dvc.repo import Repo\nwith Repo().lock: print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=local.first.path,
        env=local.first.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        assert "another dvc command is running in this folder" in message(sharing.push, local.first.path)
    finally:
        holder.kill()
        holder.wait()


def test_what_is_nowhere_is_named(local, tmp_path):
    """treeverse/dvc#5248, closed: the warning has hashes; a comment in #9919: `--allow-missing` is too silent."""
    second = workshop.clone(local.first, tmp_path / "second")
    # It has nothing, and what it lacks is on the remote.
    assert "already" in sharing.push(second.path)
    shutil.rmtree(local.server.folder / "files")
    assert "features, model, plots, raw: neither in the cache nor on" in message(sharing.push, second.path)
    line = message(sharing.pull, second.path)
    assert "features, model, plots, raw: not on" in line
    assert "make push where it was made" in line


def test_where_nothing_has_run_nothing_is_called_pushed(local):
    (local.first.path / "dvc.lock").unlink()
    shutil.rmtree(local.first.path / ".dvc/cache")
    assert sharing.push(local.first.path).startswith("nothing to push: nothing has run here (dvc.lock names no output)")


def test_without_a_remote_there_is_one_line(built):
    for function in (sharing.push, sharing.pull):
        assert message(function, built).startswith("no remote is configured: make remote URL=…, a folder")


def shared_by(project: Project, folder: Path) -> Project:
    """The real project with a Makefile, its remote in `folder`."""
    for part in ("Makefile", "requirements.txt", ".dvc/.gitignore", "data/.gitignore"):
        shutil.copy(ROOT / part, project.path / part)
    project.run("git", "rm", "-rq", "--cached", "--ignore-unmatch", ".dvc/cache", ".dvc/site", ".dvc/tmp")
    with (project.path / ".dvc/.gitignore").open("a") as ignored:
        ignored.write("/site\n")
    command(project, "remote", str(folder))
    return project


def make(project: Project, target: str) -> subprocess.CompletedProcess:
    # .venv is the one that the tests run in.
    return project.run("make", "-s", "-o", ".venv/ready", target)


def clone(project: Project, path: Path) -> Project:
    subprocess.run(["git", "clone", "-q", str(project.path), str(path)], check=True)
    return Project(path)


def test_a_colleagues_first_day_and_a_result_that_was_trained_elsewhere(reproduced, tmp_path):
    first = shared_by(reproduced, tmp_path / "mounted")
    first.dvc("add", "data/my_images")
    first.commit("Shared")
    make(first, "push")

    second = clone(first, tmp_path / "second")
    make(second, "pull")
    start = time.monotonic()
    done = second.repro()
    assert time.monotonic() - start < 30
    assert second.ran(done) == []
    assert "up to date" in done.stdout
    assert second.run("git", "status", "--short").stdout == ""
    shown = second.run("python", "-m", "headstart.predict", "data/my_images/red/00.png")
    assert shown.stdout.startswith("data/my_images/red/00.png")

    first.set({"fine_tune.learning_rate": 0.003})
    assert first.ran(first.repro("fine_tune")) == ["fine_tune"]
    make(first, "push")
    second.set({"fine_tune.learning_rate": 0.003})
    assert second.ran(second.repro("--pull", "fine_tune")) == []
    for file in ("models/network.keras", "metrics/fine_tune/metrics.json", "metrics/validation.csv", "dvc.lock"):
        assert (second.path / file).read_bytes() == (first.path / file).read_bytes()


def test_what_was_fetched_needs_no_network_but_the_remote(project, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    shutil.make_archive(str(served / "images"), "zip", project.path / "data/my_images")
    shutil.copy(project.path / "data/weights.h5", served)
    port = servers.free_port()
    address = f"http://127.0.0.1:{port}"
    project.set({"dataset.source": f"{address}/images.zip", "dataset.path": "data/raw/images.zip"})
    project.set({"backbone.weights": f"{address}/weights.h5"})
    first = shared_by(project, tmp_path / "mounted")
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]
    with servers.running(server, port):
        assert first.ran(first.repro("split")) == ["fetch", "split"]
    first.commit("Shared")
    make(first, "push")

    second = clone(first, tmp_path / "second")
    make(second, "pull")
    assert second.ran(second.repro("split")) == []
    # Even where fetch has to run again.
    with (second.path / "headstart/sources/fetching.py").open("a") as code:
        code.write("# A comment more.\n")
    done = second.repro("split")
    assert second.ran(done) == ["fetch"]
    assert "is already there" in done.stdout
