"""What `make check` does, and quickly `make repro`: damage is found, put aside and said, and the next run mends it."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.config import Config
from dvc.dirs import site_cache_dir
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.rwlock import RWLOCK_FILE, _edit_rwlock
from dvc.scm import SCMError
from dvc_data.hashfile.db import HashFileDB

from headstart.base import alone, wording
from headstart.base.errors import UserError
from headstart.team import integrity, lock_file, objects, remote, run_cache, workspace

ONE_AT_A_TIME = "another dvc command is running in this folder: wait until it ends, then try again"


def check(root: Path = Path(), *, quick: bool = False) -> list[str]:
    """Hash what DVC keeps, put aside what is damaged, and mend what can be mended. Returns messages, one line each.

    root: the project's folder.
    quick: only what `dvc.lock` names and was not found intact before, and after a start of the machine what was written
        shortly before it, too; the workspace only then. Otherwise all of the cache, the records of runs, the workspace.

    Raises UserError where another dvc command is at work, or `dvc.lock` is no list of what DVC keeps.
    """
    with locked(root) as repo:
        known, aside = integrity.Known(repo), integrity.Aside(repo)
        messages = lock_file.mend(repo, aside)
        objects.refuse_strange(repo)
        messages += _free_lock(repo, known, aside)
        refuse_beside_a_run(repo)
        if not any(stage.cmd for stage in repo.index.stages):
            raise UserError("dvc.yaml: got no stages; takes the pipeline's: `git checkout dvc.yaml` brings it back")
        messages += put_records_aside(repo, aside) if not quick or known.restarted else []
        run_cache.remove_empty(repo)
        messages += mend_cache(repo, _suspects(repo, known, quick), aside, known if quick else None)
        messages += workspace.move_obstacles(repo, aside)
        if not quick or known.restarted:
            # What the cache has not is made anew by the next run in any case.
            strange = workspace.differing(repo)
            messages += workspace.put_aside(repo, workspace.restorable(repo, strange), aside)
        if quick:
            # The next run may remove it.
            messages += workspace.put_aside(repo, workspace.edited(repo), aside)
        else:
            messages += workspace.nowhere(repo) + workspace.links_out(repo)
        if count := workspace.part(repo):
            messages.append(f"{wording.count(count, 'file')} shared with DVC's cache by hard links: now copies")
        opened_up = remote.protect(Path(repo.dvc_dir))
        messages += [f"{path}: others could read the credentials in it; now only you can" for path in opened_up]
        known.write()
    return messages


def mend_cache(repo: Repo, oids: list[str], aside: integrity.Aside, known: integrity.Known | None = None) -> list[str]:
    """Put the damaged ones of these objects aside, and copy those back that the workspace has. Returns messages."""
    cache, messages = repo.cache.local, []
    damaged = integrity.damaged_objects(cache, oids, known and known.states)
    if not damaged:
        return []
    # As its name says, but no list of a folder: the remote may have it, and `dvc repro --pull` would take it again.
    foreign = {oid for oid in damaged if _is_as_named(cache, oid)}
    messages += put_records_aside(repo, aside, foreign) if foreign else []
    paths = objects.paths(repo)
    places = workspace.by_object(repo)
    for oid in damaged:
        place = aside.take(cache.oid_to_path(oid), f"cache/{oid[:2]}/{oid[2:]}")
        copy = workspace.intact_copy(repo, places.get(oid, []))
        if copy:
            cache.add(str(copy), cache.fs, oid, check_exists=False)
            then = "mended from the file here"
        elif any(file.is_own for file in places.get(oid, [])):
            then = "`make pull` brings it, if it was pushed; no stage can make it"
        elif oid in paths:
            then = "`dvc repro` makes it anew, or `make pull` brings it"
        else:
            then = "a run that needs it makes it anew"
        what = paths.get(oid, f"{oid} of an earlier run")
        messages.append(f"{what}: damaged in DVC's cache; {then}; the damaged file is now {place}")
    return messages


@contextmanager
def locked(root: Path) -> Iterator[Repo]:
    """Yields the repository, locked. Raises UserError, also for what DVC raises in the block."""
    config = remote.read_config(root)  # says what is wrong with it
    try:
        with Repo(str(root)) as repo, lock_repo(repo):
            yield repo
    except LockError:
        raise UserError(ONE_AT_A_TIME) from None
    except sqlite3.DatabaseError as error:
        raise damaged_database(config, error) from None
    except SCMError as error:
        raise UserError(
            f"{error}, and DVC takes one: clone the project (git clone), or make it one: git init, git add ., "
            'git commit -m "Headstart"'
        ) from None
    except DvcException as error:
        raise UserError(f"{error}: where Git keeps that file, `git checkout` brings it back") from None


def damaged_database(config: Config, error: sqlite3.DatabaseError) -> UserError:
    """Returns what to do where the database cannot be read in which DVC keeps the hashes of files that it has seen."""
    folder = Path(site_cache_dir(config.get("core", {}).get("site_cache_dir")), "repo")
    return UserError(f"DVC's database of hashes is damaged ({error}): remove {folder}, which DVC makes anew")


def refuse_beside_a_run(repo: Repo) -> None:
    """Raise UserError while a stage runs here: what it has not finished looks damaged."""
    if stage := alone.at_work(Path(repo.root_dir)):
        raise UserError(f"{stage} is still at work in this folder: wait until it ends, then try again")
    for writer in _writers(repo).values():
        if _is_alive(writer["pid"]):
            raise UserError(
                f"another dvc command ({writer['pid']}: {writer['cmd']}) is running in this folder: wait until it "
                "ends, then try again"
            )


def _suspects(repo: Repo, known: integrity.Known, quick: bool) -> list[str]:
    cache = repo.cache.local
    if not quick:
        return integrity.all_objects(cache)
    oids = {oid for oid in objects.paths(repo) if os.path.lexists(cache.oid_to_path(oid))}
    if known.restarted:
        oids |= set(integrity.all_objects(cache, known.since - integrity.HOUR))
    return sorted(oids)


def _is_as_named(cache: HashFileDB, oid: str) -> bool:
    return cache.exists(oid) and objects.digest(cache.oid_to_path(oid)) == oid.removesuffix(objects.LIST)


def put_records_aside(repo: Repo, aside: integrity.Aside, foreign: Collection[str] = ()) -> list[str]:
    """Put the records of runs aside that are damaged, or name one of these lists. Returns messages."""
    damaged = [
        record
        for record in run_cache.records(repo)
        if not run_cache.is_intact(record) or not set(foreign).isdisjoint(run_cache.lists(record))
    ]
    places = [aside.take(record, "/".join(["runs", *record.parts[-3:]])) for record in damaged]
    return [f"the record of a run is damaged; it is now {place}" for place in places]


def _free_lock(repo: Repo, known: integrity.Known, aside: integrity.Aside) -> list[str]:
    """Put DVC's list of who writes what aside where it is damaged, or names processes of before the last start."""
    try:
        numbers = [entry["pid"] for entry in _entries(repo)]
        # Of zero or less, the system takes it for a group of processes.
        if all(0 < number < 2**31 for number in numbers) and not (_writers(repo) and known.restarted):
            return []
    except (DvcException, ValueError, RecursionError):
        pass
    place = aside.take(Path(repo.tmp_dir, RWLOCK_FILE), RWLOCK_FILE)
    return [f"DVC's list of running commands is damaged or out of date; it is now {place}"]


def _writers(repo: Repo) -> dict[str, dict]:
    """The files that a dvc command says it writes, each with the command and its process."""
    with _edit_rwlock(repo.tmp_dir, repo.fs, hardlink=False) as entries:
        return dict(entries["write"])


def _entries(repo: Repo) -> list[dict]:
    """What dvc commands say that they read or write: each with its process."""
    with _edit_rwlock(repo.tmp_dir, repo.fs, hardlink=False) as entries:
        return [*entries["write"].values(), *(entry for readers in entries["read"].values() for entry in readers)]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
