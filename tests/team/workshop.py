"""A small DVC pipeline of two stages, and a team that shares what it makes."""

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import servers
from conftest import ROOT, Project

from headstart.base.errors import UserError
from headstart.team import remote, sharing

# Like the project's: something fetched that stays, folders, a file, and a metric and a plot that Git keeps.
PIPELINE = """
stages:
  fetch:
    cmd: mkdir -p raw && cp /dev/null raw/origin && cp source raw/big
    deps: [code]
    outs:
      - raw: {persist: true}
  train:
    cmd: >
      sleep $(cat slow) && mkdir -p features plots/more && cp raw/big features/all &&
      cp params.yaml model && cp params.yaml plots/more/p.yaml &&
      sed s/^/metric_/ params.yaml > m.yaml && sed s/^/plot_/ params.yaml > result.yaml
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
BIG = 4_000_000  # bytes of the largest file


@dataclass
class Team:
    """A server, and a first member whose results are there."""

    server: servers.Server
    first: Project
    secrets: dict[str, str] = field(default_factory=dict)

    def join(self, path: Path, pulled: bool = True) -> Project:
        """A clone that has its own credentials, and what was pushed."""
        member = clone(self.first, path)
        # The address of an S3-compatible store is in the repository already.
        command(member, "remote", *([] if "--endpoint" in self.server.arguments else self.server.arguments))
        if pulled:
            command(member, "sharing", "pull")
        return member


def build(folder: Path, size: int = BIG) -> Path:
    """A project in `folder`, with its own Git repository, whose pipeline has run; its largest file has `size` bytes."""
    path = folder / "project"
    (path / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc/.gitignore", path / ".dvc")
    # What DVC keeps of a repository outside of it stays in the test's folder.
    (path / ".dvc/config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {folder / 'site'}\n")
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "params.yaml").write_text("rate: 1\n")
    (path / "code").write_text("1\n")
    (path / "slow").write_text("0\n")
    (path / "source").write_bytes(os.urandom(size))
    (path / ".gitignore").write_text("/source\n")
    project = _project(path)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    project.repro()
    project.commit("A first run")
    return path


def copy(built: Path, path: Path, home: Path, secrets: dict[str, str] | None = None) -> Project:
    """A copy of what `build` made, whose commands see nothing of the tester's home and credentials."""
    project = _project(Path(shutil.copytree(built, path)))
    project.environment = {key: value for key, value in project.environment.items() if not key.startswith("AWS_")}
    # One try: botocore's others take half a minute where nobody listens.
    project.environment |= {"PYTHONPATH": str(ROOT), "HOME": str(home), "AWS_MAX_ATTEMPTS": "1"} | (secrets or {})
    return project


def clone(project: Project, path: Path) -> Project:
    subprocess.run(["git", "clone", "-q", str(project.path), str(path)], check=True)
    member = Project(path)
    member.environment = dict(project.environment)
    member.run("git", "config", "user.name", "Another")
    member.run("git", "config", "user.email", "another@example.org")
    return member


def _project(path: Path) -> Project:
    project = Project(path)
    del project.environment["DVC_SITE_CACHE_DIR"]  # it would count more than the configuration
    return project


def in_folder(built: Path, tmp_path: Path) -> Team:
    """A team whose remote is a folder, and whose first member has pushed."""
    first = copy(built, tmp_path / "first", tmp_path)
    folder = tmp_path / "mounted"
    remote.configure(str(folder), root=first.path)
    first.commit("Where the results are")
    sharing.push(first.path)
    return Team(servers.Server(str(folder), folder=folder), first)


def command(project: Project, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    return project.run("python", "-m", f"headstart.{name}", *arguments, check=check)


def error_line(done: subprocess.CompletedProcess) -> str:
    """The one line in which a command that failed says why, after those of its progress."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    *progress, last = done.stderr.strip().splitlines()
    assert all(line.startswith(("push to ", "pull from ", "check ")) for line in progress), done.stderr
    assert last.startswith("error: ")
    return last


def message(function: Callable, *arguments, **options) -> str:
    """The one line of the UserError that a call raises."""
    with pytest.raises(UserError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def digests(project: Project) -> dict[str, str]:
    names = ["raw/big", "raw/origin", "features/all", "model", "m.yaml"]
    return {name: hashlib.md5((project.path / name).read_bytes()).hexdigest() for name in names}


def kept(team: Team, name: str) -> Path:
    """Where the remote's folder has the content of the first member's file."""
    digest = hashlib.md5((team.first.path / name).read_bytes()).hexdigest()
    return team.server.folder / "files/md5" / digest[:2] / digest[2:]


def folder_list(team: Team) -> Path:
    """Where the remote's folder has the list of the output `plots`."""
    (path,) = [path for path in team.server.folder.glob("files/md5/??/*.dir") if b"p.yaml" in path.read_bytes()]
    return path


def broken(*arguments, **options) -> None:
    """In the place of a function of DVC's that reads or writes: a disk that does not work."""
    raise OSError(errno.EIO, "Input/output error")


def cut(path: Path, size: int) -> None:
    """Shorten a file of DVC's and leave it read-only, as DVC leaves what it takes for whole."""
    path.chmod(0o600)
    os.truncate(path, size)
    path.chmod(0o444)


def damaged(folder: Path) -> list[Path]:
    """What in a remote's folder is not what its name says, temporary files left out."""
    objects = [path for path in folder.glob("files/md5/??/*") if len(path.name.removesuffix(".dir")) == 30]
    assert objects
    return [
        path
        for path in objects
        if hashlib.md5(path.read_bytes()).hexdigest() != path.parent.name + path.name.removesuffix(".dir")
    ]


def zero(path: Path) -> None:
    """Write zeros over a file; its time, size and mode stay, so that nobody can see it without reading it."""
    status = path.stat()
    path.chmod(0o600)
    path.write_bytes(bytes(status.st_size))
    path.chmod(status.st_mode & 0o777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
