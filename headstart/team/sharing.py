"""What ran here to the team's remote, and what ran elsewhere from there.

`dvc push --run-cache` does not send all that another machine needs to skip a stage: it leaves out the metrics
that Git keeps, and what earlier runs wrote (treeverse/dvc#10472). `dvc pull` does not say which file was damaged
(treeverse/dvc#10498).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.fs import generic
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.errors import ObjectFormatError

from headstart.base import progress, wording
from headstart.base.errors import UserError
from headstart.team import addresses, checking, integrity, lock_file, objects, remote, run_cache, workspace
from headstart.team.faults import explain, logged_errors

NOTHING = "nothing to push: nothing has run here (dvc.lock names no output), and nothing was added with `dvc add`"


@dataclass(frozen=True)
class Session:
    """A locked repository and its remote, which is there.

    database: the objects at the remote; url: the remote's address; logged: the errors that DVC logs while the session
    lasts; here: what a pull writes to, as `faults.explain` takes it.
    """

    repo: Repo
    database: HashFileDB
    url: str
    logged: list[BaseException]
    here: list[Path]


def push(root: Path = Path()) -> str:
    """Send every output of the pipeline, and of every run whose outputs are all in the cache.

    What of it is damaged at a remote that is a folder is sent again.

    A file goes before the record of the run that wrote it, and a folder's list after its files, so a push that breaks
    off leaves nothing that looks complete; the next one goes on. What a broken push left short at the remote is sent
    again. Each file is hashed before it is sent: one that is damaged here stays here, with all that would name it.

    root: the project's folder. Returns a one-line summary. Raises UserError.
    """
    with _open(root) as session:
        lock_file.refuse_damaged(session.repo)
        cache = session.repo.cache.local
        wanted = objects.paths(session.repo)
        paths = {oid: path for oid, path in wanted.items() if cache.exists(oid)}
        outputs_by_record = {}
        for record in filter(run_cache.is_intact, run_cache.records(session.repo)):
            outputs = [objects.members(cache, *output) for output in run_cache.outputs(record)]
            outputs = {oid: path for output in outputs for oid, path in output}
            # Of an old run, `dvc gc` may have removed outputs.
            if all(map(cache.exists, outputs)):
                paths = outputs | paths
                outputs_by_record[record] = outputs.keys()
        oids, mended = objects.to_send(cache, session.database, paths, session.url)
        damaged = {oid for oid in oids if not objects.is_intact(cache, oid)}
        held_back = {oid for oid in oids if damaged & {member for member, _ in objects.members(cache, oid, "")}}
        sent = [oid for oid in oids if oid not in damaged | held_back]
        objects.send(cache, session.database, sent, session.url)
        runs = [run for run, outputs in outputs_by_record.items() if not damaged & outputs]
        run_count, mended_run_count = _send_records(session, runs)
        not_here = [oid for oid in wanted if oid not in paths]
        sizes = objects.sizes_at_remote(session.database, not_here, session.url)
    if damaged:
        names = ", ".join(sorted({paths[oid] for oid in damaged}))
        raise UserError(
            f"damaged in DVC's cache, and not sent: {names}; run make check, which puts it aside, then `dvc repro`, "
            "which makes it anew; the rest is pushed"
        )
    lost = sorted({wanted[oid] for oid, size in zip(not_here, sizes, strict=True) if size is None})
    if lost:
        raise UserError(
            f"{', '.join(lost)}: neither in the cache nor on {session.url}: `dvc repro` makes it; the rest is pushed"
        )
    if not len(sent) + run_count:
        return f"everything is on {session.url} already" if wanted or runs else NOTHING
    names = sorted({paths[oid] for oid in mended}) + ["the record of a run"] * mended_run_count
    replaced = f"; replaced there, where it was damaged: {', '.join(names)}" if names else ""
    return f"{wording.count(len(sent), 'file')} and {wording.count(run_count, 'run')} pushed to {session.url}{replaced}"


def pull(root: Path = Path()) -> str:
    """Bring the records of all runs, and the outputs of the pipeline as `dvc.lock` has them.

    Every file is hashed when it has come; one that is not what was pushed is named, and not used. What is here is
    hashed too: what is damaged in the cache or in the workspace is put aside, and brought anew. What the user tracks
    with `dvc add` and has changed since stays as it is.

    root: the project's folder. Returns a one-line summary. Raises UserError.
    """
    with _open(root, writes_here=True) as session:
        repo, aside = session.repo, integrity.Aside(session.repo)
        checking.refuse_beside_a_run(repo)
        messages = lock_file.mend(repo, aside)
        objects.refuse_strange(repo)
        messages += checking.put_records_aside(repo, aside)
        count, damaged_records = run_cache.fetch(repo, session.url)
        try:
            count += _bring(session, messages)
            fault = _shortfall(session)
            if not fault and damaged_records:
                fault = _damaged([f"the record of a run ({place})" for place in damaged_records])
        except ObjectFormatError as error:
            # A folder's list, without which nothing of the folder can be asked for.
            paths = objects.paths(repo)
            oid = next(oid for oid in paths if oid in str(error))
            fault = _damaged([_place(session, oid, paths[oid])])
        except DvcException as error:
            fault = _shortfall(session) or UserError(str(error))
        if fault:
            raise UserError("; ".join([str(fault), *messages])) from None
    return "; ".join([f"{wording.count(count, 'file')} fetched from {session.url}", *messages])


def _bring(session: Session, messages: list[str]) -> int:
    """Fetch the outputs and put them in their places; messages: gets one for each file that was damaged here.

    Returns how many files came from the remote.
    """
    repo, aside = session.repo, integrity.Aside(session.repo)
    here = [oid for oid in objects.paths(repo) if repo.cache.local.exists(oid)]
    messages += checking.mend_cache(repo, here, aside)
    count = _fetch(session)
    messages += workspace.move_obstacles(repo, aside)
    strange = workspace.differing(repo)
    messages += workspace.put_aside(repo, strange, aside)
    changed = {file.stage for file in strange if file.is_own}
    others = [stage.addressing for stage in repo.index.stages if stage.addressing not in changed]
    # What no stage has made yet is not missing; `_shortfall` says what is (treeverse/dvc#9919).
    repo.checkout(others if changed else None, allow_missing=True)
    messages += [f"{name}: changed here since `dvc add`, and left as it is" for name in sorted(changed)]
    return count


def _fetch(session: Session) -> int:
    """Fetch what `objects.paths` names, then what else DVC knows of: outputs with a remote of their own, imports."""
    cache, remote_objects, count = session.repo.cache.local, session.database, 0
    # What the lists name is known when they are here.
    for kind in (lambda oid: oid.endswith(objects.LIST), lambda oid: True):
        oids = [oid for oid in objects.paths(session.repo) if kind(oid) and not cache.exists(oid)]
        if not oids:
            continue
        with progress.counter(f"pull from {session.url}", len(oids), "file") as advance:
            come, errors = objects.bring(cache, remote_objects, oids, advance)
        count += come
        session.logged.extend(errors)
    missing = [oid for oid in objects.paths(session.repo) if not cache.exists(oid)]
    sizes = objects.sizes_at_remote(remote_objects, missing, session.url)
    if session.logged or any(size is not None for size in sizes):
        return count  # what is there and did not come is damaged: DVC would remove it
    return count + session.repo.fetch()


@contextmanager
def _open(root: Path, writes_here: bool = False) -> Iterator[Session]:
    here: list[Path] = []
    config = remote.read_config(root)
    name, url = remote.default_remote(config)
    if url is None:
        raise UserError(f"no remote is configured: make remote URL=…, {addresses.FORMS}")
    # Otherwise DVC takes whatever comes (treeverse/dvc#5502). `make remote` writes it down; a remote that was set up by
    # hand may not have it.
    try:
        with Repo(str(root), remote=name, remote_config={"verify": True}) as repo, logged_errors() as logged:
            here += [Path(repo.root_dir), Path(repo.cache.local.path)] if writes_here else []
            session = Session(repo, repo.cloud.get_remote_odb(), url, logged, here)
            _reach(session)
            with lock_repo(repo):
                yield session
    except UserError:
        raise
    except LockError:
        raise UserError(checking.ONE_AT_A_TIME) from None
    except sqlite3.DatabaseError as error:
        raise checking.damaged_database(config, error) from None
    except Exception as error:
        raise explain(url, error, here) from None


def _reach(session: Session) -> None:
    """See that the remote is there.

    DVC makes a folder that is not mounted anew (treeverse/dvc#2700), and takes a server that refuses the login for an
    empty one (treeverse/dvc#7340, treeverse/dvc#10252).
    """
    if addresses.storage(session.url) == "folder":
        if not Path(session.url).is_dir():
            raise UserError(
                f"there is no folder {session.url}: mount it or, if it has moved, make remote URL=… REPLACE=1"
            )
        return
    fs = session.database.fs
    with suppress(FileNotFoundError):  # nothing was pushed yet
        fs.ls(fs.parent(fs.parent(session.database.path)))


def _send_records(session: Session, records: list[Path]) -> tuple[int, int]:
    """Send those records of runs that the remote lacks or has damaged, as `objects.to_send` tells.

    Returns how many they were, and of these how many were damaged.
    """
    is_folder = addresses.storage(session.url) == "folder"
    fs, places = run_cache.at_remote(session.repo, records)
    sizes = objects.sizes(fs, places, session.url)
    missing = [
        (record, place, size)
        for record, place, size in zip(records, places, sizes, strict=True)
        if size != record.stat().st_size or (is_folder and Path(place).read_bytes() != record.read_bytes())
    ]
    for record, place, _ in missing:
        generic.copy(session.repo.cache.legacy.fs, str(record), fs, place)
    return len(missing), sum(size is not None for *_, size in missing)


def _shortfall(session: Session) -> UserError | None:
    """Why a pull did not bring everything: the connection, a damaged file, one that nobody pushed; None: it did."""
    if session.logged:
        return explain(session.url, session.logged[0], session.here)
    cache = session.repo.cache.local
    missing = {oid: paths for oid, paths in objects.paths(session.repo).items() if not cache.exists(oid)}
    sizes = dict(zip(missing, objects.sizes_at_remote(session.database, missing, session.url), strict=True))
    damaged = [_place(session, oid, missing[oid]) for oid in missing if sizes[oid] is not None]
    if damaged:
        return _damaged(damaged)
    if missing:
        paths = ", ".join(sorted(set(missing.values())))
        return UserError(f"{paths}: not on {session.url}: run make push where it was made, or `dvc repro` here")
    return None


def _place(session: Session, oid: str, paths: str) -> str:
    fs = session.database.fs
    return f"{paths} ({fs.unstrip_protocol(session.database.oid_to_path(oid))})"


def _damaged(places: list[str]) -> UserError:
    return UserError(
        f"damaged on the remote, and not used: {', '.join(places)}; delete it there, run make push where it is "
        "intact, then make pull again"
    )
