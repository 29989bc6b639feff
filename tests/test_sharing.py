"""What ran on one machine is there on another one, through real servers; and what breaks on the way does no harm."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import servers
from conftest import Project

ROOT = Path(__file__).parent.parent

# Like the project's: something fetched that stays, folders, a file, and a metric and a plot that Git keeps.
PIPELINE = """
stages:
  fetch:
    cmd: mkdir -p raw && cp /dev/null raw/origin && head -c 4000000 source > raw/big
    deps: [code]
    outs:
      - raw: {persist: true}
  train:
    cmd: >
      sleep $(cat slow) && mkdir -p features plots/more && cp raw/big features/all &&
      cp params.yaml model && cp params.yaml m.yaml && cp params.yaml plots/more/p.yaml &&
      cp params.yaml result.yaml
    params: [rate]
    deps: [raw]
    outs:
      - features
      - model
      - plots
    plots:
      - result.yaml: {cache: false}
    metrics:
      - m.yaml: {cache: false}
"""


@dataclass
class Team:
    """A server, and a first member whose results are there."""

    server: servers.Server
    first: Project
    secrets: dict[str, str]

    def join(self, path: Path, pulled: bool = True) -> Project:
        """A clone that has its own credentials, and what was pushed."""
        subprocess.run(["git", "clone", "-q", str(self.first.path), str(path)], check=True)
        member = Project(path)
        member.environment |= self.first.environment | {"DVC_SITE_CACHE_DIR": str(path / ".dvc/tmp/site")}
        member.run("git", "config", "user.name", "Another")
        member.run("git", "config", "user.email", "another@example.org")
        module(member, "remote", *[one for one in self.server.arguments if "endpoint" not in one and "http" not in one])
        if pulled:
            module(member, "sharing", "pull")
        return member


def module(project: Project, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    return project.run(sys.executable, "-m", f"headstart.{name}", *arguments, check=check)


def told(done: subprocess.CompletedProcess) -> str:
    """The one line in which a command says what went wrong."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def outs(project: Project) -> dict[str, str]:
    names = ["raw/big", "raw/origin", "features/all", "model", "m.yaml"]
    return {name: hashlib.md5((project.path / name).read_bytes()).hexdigest() for name in names}


def kept(team: Team, name: str) -> Path:
    """Where the folder keeps the content of the first member's file."""
    digest = outs(team.first)[name]
    return team.server.folder / "files/md5" / digest[:2] / digest[2:]


def damaged(folder: Path) -> list[Path]:
    """What in a remote's folder is not what its name says, temporary files left out."""
    objects = [path for path in folder.glob("files/md5/??/*") if len(path.name.removesuffix(".dir")) == 30]
    assert objects
    return [
        p for p in objects if hashlib.md5(p.read_bytes()).hexdigest() != p.parent.name + p.name.removesuffix(".dir")
    ]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("workshop") / "project"
    (path / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/.gitignore", path / ".dvc")
    (path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "params.yaml").write_text("rate: 1\n")
    (path / "code").write_text("1\n")
    (path / "slow").write_text("0\n")
    (path / "source").write_bytes(os.urandom(4_000_000))
    (path / ".gitignore").write_text("/source\n")
    project = Project(path)
    project.environment |= {"DVC_SITE_CACHE_DIR": str(path / ".dvc/tmp/site")}
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    project.repro()
    project.commit("A first run")
    return path


def member(workshop: Path, path: Path, home: Path, secrets: dict[str, str]) -> Project:
    project = Project(Path(shutil.copytree(workshop, path)))
    project.environment = {key: value for key, value in project.environment.items() if not key.startswith("AWS_")}
    project.environment |= {"DVC_SITE_CACHE_DIR": str(path / ".dvc/tmp/site"), "PYTHONPATH": str(ROOT)}
    # One try: botocore's others take half a minute where nobody listens.
    project.environment |= {"HOME": str(home), "AWS_MAX_ATTEMPTS": "1"} | secrets
    return project


@pytest.fixture(scope="module", params=servers.KINDS)
def team(request, workshop, tmp_path_factory) -> Iterator[Team]:
    tmp = tmp_path_factory.mktemp(request.param)
    with servers.KINDS[request.param](tmp) as server:
        first = member(workshop, tmp / "first", tmp, server.secrets)
        module(first, "remote", server.url, *server.arguments)
        first.commit("Where the results are")
        module(first, "sharing", "push")
        yield Team(server, first, server.secrets)


# A folder asks for no credentials and has no line that could break: a full disk is its fault, tested below.
on_a_network = pytest.mark.parametrize("team", [kind for kind in servers.KINDS if kind != "folder"], indirect=True)


def test_what_was_pushed_runs_nowhere_again(team, tmp_path):
    second = team.join(tmp_path / "second")
    assert outs(second) == outs(team.first)
    done = second.repro()
    assert second.ran(done) == []
    assert "up to date" in done.stdout
    assert second.run("git", "status", "--short").stdout == ""

    for rate in (2, 3):
        (team.first.path / "params.yaml").write_text(f"rate: {rate}\n")
        assert team.first.ran(team.first.repro()) == ["train"]
        module(team.first, "sharing", "push")
    # Also the run before the last one.
    (second.path / "params.yaml").write_text("rate: 2\n")
    done = second.repro("--pull")
    assert second.ran(done) == []
    for name in ("model", "m.yaml", "result.yaml", "plots/more/p.yaml"):
        assert (second.path / name).read_text() == "rate: 2\n"
    team.first.run("git", "checkout", "-q", ".")
    team.first.dvc("checkout", "-q")


def test_no_secret_goes_into_git(team):
    config = team.first.path / ".dvc/config.local"
    if team.secrets:
        assert all(value in config.read_text() for value in team.secrets.values())
        assert config.stat().st_mode & 0o077 == 0
    team.first.run("git", "add", "-A")
    tracked = team.first.run("git", "ls-files").stdout.split()
    assert ".dvc/config" in tracked
    assert ".dvc/config.local" not in tracked
    for value in team.secrets.values():
        assert team.first.run("git", "grep", "--cached", "-F", value, check=False).returncode == 1


@on_a_network
def test_wrong_credentials_are_one_line_and_change_nothing(team, tmp_path):
    other = team.join(tmp_path / "other", pulled=False)
    before = (other.path / ".dvc/config.local").read_bytes()
    other.environment |= team.server.wrong
    strange = [] if team.server.wrong else ["--keyfile", team.server.arguments[-1].replace("mine", "strange")]
    line = told(module(other, "remote", *strange, check=False))
    assert team.server.url in line
    assert "lets you not in" in line
    if "HEADSTART_REMOTE_PASSWORD" in team.server.wrong:
        # What is here already must not hide that nobody was asked.
        config = team.first.path / ".dvc/config.local"
        right = config.read_text()
        config.write_text(right.replace("opensesame", "opensezame"))
        assert "lets you not in" in told(module(team.first, "sharing", "pull", check=False))
        config.write_text(right)
    assert not any(value in line for value in team.server.wrong.values())
    assert (other.path / ".dvc/config.local").read_bytes() == before


@on_a_network
def test_a_line_that_breaks_in_a_push_and_in_a_pull_does_no_harm(team, tmp_path):
    second = team.join(tmp_path / "second")
    (second.path / "source").write_bytes(os.urandom(4_000_000))
    (second.path / "code").write_text("2\n")
    assert second.ran(second.repro()) == ["fetch", "train"]
    team.server.cable.cut_after(1_500_000)
    line = told(module(second, "sharing", "push", check=False))
    assert "cannot be reached" in line
    assert "run it again" in line
    team.server.cable.mend()
    module(second, "sharing", "push")
    second.commit("Another source")
    team.first.run("git", "pull", "-q", str(second.path), "HEAD")

    team.server.cable.cut_after(1_500_000)
    line = told(module(team.first, "sharing", "pull", check=False))
    assert "cannot be reached" in line
    team.server.cable.mend()
    module(team.first, "sharing", "pull")
    assert outs(team.first) == outs(second)
    assert team.first.ran(team.first.repro()) == []
    if team.server.folder:
        assert damaged(team.server.folder) == []


@pytest.fixture
def local(workshop, tmp_path) -> Team:
    """A team whose remote is a folder, and whose first member has pushed."""
    with servers.folder(tmp_path) as server:
        first = member(workshop, tmp_path / "first", tmp_path, {})
        module(first, "remote", server.url)
        first.commit("Where the results are")
        module(first, "sharing", "push")
        return Team(server, first, {})


def test_a_damaged_file_on_the_remote_is_named_and_not_used(local, tmp_path):
    path = kept(local, "raw/big")
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(b"other bytes")
    second = local.join(tmp_path / "second", pulled=False)
    assert second.dvc("pull", check=False).returncode != 0
    second.dvc("remote", "modify", "team", "verify", "false")
    line = told(module(second, "sharing", "pull", check=False))
    assert "not what was pushed" in line
    assert f"features/all, raw/big ({path})" in line
    assert not (second.path / "raw/big").exists()
    assert not (second.path / ".dvc/cache" / path.relative_to(local.server.folder)).exists()
    # What the line says to do.
    path.unlink()
    module(local.first, "sharing", "push")
    module(second, "sharing", "pull")
    assert outs(second) == outs(local.first)


def test_a_damaged_list_of_a_folder_is_named(local, tmp_path):
    (path,) = [path for path in local.server.folder.glob("files/md5/??/*.dir") if b"p.yaml" in path.read_bytes()]
    path.chmod(0o600)
    os.truncate(path, 20)
    path.chmod(0o444)
    second = local.join(tmp_path / "second", pulled=False)
    line = told(module(second, "sharing", "pull", check=False))
    assert f"not what was pushed, and not used: plots ({path}); delete it there" in line


def test_what_arrived_short_is_sent_again(local, tmp_path):
    for path in (kept(local, "features/all"), *local.server.folder.glob("runs/*/*/*")):
        path.chmod(0o600)
        os.truncate(path, 60)
    second = local.join(tmp_path / "second", pulled=False)
    line = told(module(second, "sharing", "pull", check=False))
    assert "not what was pushed, and not used" in line
    assert "1 file and 1 run pushed" in module(local.first, "sharing", "push").stdout
    assert damaged(local.server.folder) == []
    module(second, "sharing", "pull")
    assert second.ran(second.repro()) == []


def test_a_folder_that_is_not_mounted_is_not_made_anew(local):
    local.server.folder.rename(local.server.folder.with_name("away"))
    for what in ("pull", "push"):
        assert f"{local.server.url} is not there: mount it" in told(module(local.first, "sharing", what, check=False))
    assert not local.server.folder.exists()


def test_a_disk_that_is_full_in_the_middle_of_a_file(local):
    (local.first.path / "source").write_bytes(os.urandom(4_000_000))
    (local.first.path / "code").write_text("2\n")
    local.first.repro()
    code = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (2**21, 2**21)); "
    code += "from headstart import errors, sharing; errors.run(lambda: print(sharing.push()))"
    line = told(local.first.run(sys.executable, "-c", code, check=False))
    assert local.server.url in line
    assert damaged(local.server.folder) == []
    module(local.first, "sharing", "push")
    assert kept(local, "raw/big").stat().st_size == 4_000_000
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
            [sys.executable, "-m", "headstart.sharing", "push"],
            cwd=one.path,
            env=one.environment,
            stderr=subprocess.PIPE,
        )
        for one in (local.first, second)
    ]
    assert [(process.communicate()[1], process.returncode) for process in at_once] == [(b"", 0), (b"", 0)]
    assert damaged(local.server.folder) == []
    second.commit("Mine")
    third = Team(local.server, second, {}).join(tmp_path / "third")
    assert outs(third) == outs(second)
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
        assert "another dvc command is at work" in told(module(local.first, "sharing", "push", check=False))
    finally:
        holder.kill()
        holder.wait()


def test_what_is_nowhere_is_named(local, tmp_path):
    second = local.join(tmp_path / "second", pulled=False)
    # It has nothing, and what it lacks is on the remote.
    assert "already" in module(second, "sharing", "push").stdout
    shutil.rmtree(local.server.folder / "files")
    line = told(module(second, "sharing", "push", check=False))
    assert "features, model, plots, raw: neither in the cache nor on" in line
    line = told(module(second, "sharing", "pull", check=False))
    assert "features, model, plots, raw: not on" in line
    assert "make push where it was made" in line


def test_without_a_remote_there_is_one_line(workshop, tmp_path):
    alone = member(workshop, tmp_path / "alone", tmp_path, {})
    for what in ("push", "pull"):
        assert "no remote is configured: make remote URL=" in told(module(alone, "sharing", what, check=False))


def shared_by(project: Project, folder: Path) -> Project:
    """The real project with a Makefile, its remote in `folder`."""
    for part in ("Makefile", "requirements.txt", ".dvc/.gitignore", "data/.gitignore"):
        shutil.copy(ROOT / part, project.path / part)
    project.run("git", "rm", "-rq", "--cached", "--ignore-unmatch", ".dvc/cache", ".dvc/site", ".dvc/tmp")
    with (project.path / ".dvc/.gitignore").open("a") as ignored:
        ignored.write("/site\n")
    module(project, "remote", str(folder))
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
    began = time.monotonic()
    done = second.repro()
    assert time.monotonic() - began < 30
    assert second.ran(done) == []
    assert "up to date" in done.stdout
    assert second.run("git", "status", "--short").stdout == ""
    shown = second.run(sys.executable, "-m", "headstart.predict", "data/my_images/red/00.png")
    assert shown.stdout.startswith("data/my_images/red/00.png")

    first.set({"fine_tune.learning_rate": 0.003})
    assert first.ran(first.repro()) == ["fine_tune", "evaluate"]
    make(first, "push")
    second.set({"fine_tune.learning_rate": 0.003})
    assert second.ran(second.repro("--pull")) == []
    for file in ("models/classifier.keras", "metrics/test.json", "metrics/predictions.csv", "dvc.lock"):
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
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]
    with servers.running(command, port):
        assert first.ran(first.repro("split")) == ["fetch", "split"]
    first.commit("Shared")
    make(first, "push")

    second = clone(first, tmp_path / "second")
    make(second, "pull")
    assert second.ran(second.repro("split")) == []
    # Even where fetch has to run again.
    with (second.path / "headstart/sources.py").open("a") as code:
        code.write("# A comment more.\n")
    done = second.repro("split")
    assert second.ran(done) == ["fetch"]
    assert "is already there" in done.stdout
