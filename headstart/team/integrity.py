"""DVC's cache compared with its own names, and the workspace with `dvc.lock`; what is damaged is put aside.

DVC believes each object of its cache that is read-only (`LocalHashFileDB.check`), and each file of the workspace whose
inode, time and size are those it knows (`State.get`). Neither sees what a power loss or a write in place has left.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB

from headstart.base import files, progress
from headstart.team import objects

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
HOUR = 3600  # seconds: what was written so long before a file was known is on the disk
State = tuple[int, int, int]  # of a file: its inode, when it was changed (ns), its size (bytes)


def state(path: str | Path) -> State:
    """Returns by what a file that was written since is told from the one that was looked at."""
    path = Path(path)
    status = path.stat() if path.exists() else path.lstat()  # a link may lead nowhere, or to itself
    return status.st_ino, status.st_mtime_ns, status.st_size


class Aside:
    """A folder below .dvc/tmp/damaged, made when the first file comes into it."""

    def __init__(self, repo: Repo):
        folder = Path(repo.tmp_dir, "damaged")
        taken = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
        self.folder = folder / str(max(taken, default=0) + 1)
        self.root = repo.root_dir

    def take(self, path: str | Path, name: str) -> str:
        """Move a file here. Returns where it is now, from the project's folder."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        return str(target.relative_to(self.root))


class Known:
    """Which objects of the cache were found intact since the machine was started, in .dvc/tmp/checked.json.

    restarted: whether the machine was started again since an earlier check, after which nothing counts as known.
    since: when there was a check before this one (seconds, as `st_mtime`); None: never.
    """

    def __init__(self, repo: Repo):
        self._file, self._boot = Path(repo.tmp_dir, "checked.json"), _boot()
        self.states: dict[str, State] = {}
        self.restarted, self.since = False, None
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            states = {oid: tuple(known) for oid, known in content["intact"].items()}
            self.restarted, self.since = content["boot"] != self._boot, self._file.stat().st_mtime
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.restarted, self.since = True, 0.0  # it may be a power loss that damaged it
            return
        if not self.restarted:
            self.states = states

    def write(self) -> None:
        files.write_text(self._file, json.dumps({"boot": self._boot, "intact": self.states}))


def all_objects(cache: HashFileDB, since: float = 0.0) -> list[str]:
    """Returns the objects in the cache that were written after `since` (seconds, as `st_mtime`), sorted."""
    paths = (path for path in Path(cache.path).glob("??/*") if objects.OID.fullmatch(path.parent.name + path.name))
    return sorted(path.parent.name + path.name for path in paths if path.lstat().st_mtime >= since)


def damaged_objects(cache: HashFileDB, oids: Iterable[str], known: dict[str, State] | None = None) -> list[str]:
    """Returns those objects of the cache that are not what their name says, in the order they are given in.

    known: what need not be hashed as long as it is as it was; what is found intact is put into it.
    """
    known = {} if known is None else known
    paths = {oid: cache.oid_to_path(oid) for oid in oids}
    states = {oid: state(path) for oid, path in paths.items()}
    new = [oid for oid in states if states[oid] != known.get(oid)]
    if not new:
        return []
    damaged = []
    with progress.bytes_bar("check DVC's cache", sum(states[oid][-1] for oid in new)) as advance:
        for oid in new:
            if objects.is_intact(cache, oid):
                known[oid] = states[oid]
            elif os.path.lexists(paths[oid]):  # and has not been put aside by another user of the cache
                damaged.append(oid)
            advance(states[oid][-1])
    return damaged


def _boot() -> str:
    """What is another one after each start of the machine."""
    if BOOT_ID.exists():
        return BOOT_ID.read_text().strip()
    done = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True)  # macOS
    return done.stdout.strip()
