"""`python -m headstart.sharing push|pull`: what ran here to the team's remote, and what ran elsewhere from there.

`dvc push --run-cache` does not send all that another machine needs to skip a stage: it leaves out the metrics
that Git keeps. `dvc pull` does not say which file was damaged.
"""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.fs.callbacks import TqdmCallback
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import load_yaml
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs import generic

from headstart import errors, remote
from headstart.errors import UserError


def push() -> str:
    """Send every output of the pipeline, and of every run that is whole in the cache; gives what was sent, in words.

    A file goes before the record of the run that made it, and a folder's list after its files, so a push that breaks
    off leaves nothing that looks whole; the next one goes on. What a broken push left short at the remote is sent
    again. Raises UserError.
    """
    with _opened() as (repo, odb, url, _):
        cache = repo.cache.local
        named = _named(repo)
        objects = {oid for oid in named if cache.exists(oid)}
        runs = []
        for record in filter(_whole, _records(repo)):
            outs = load_yaml(record).get("outs", [])
            made = {oid for out in outs for oid, _ in _parts(cache, out["md5"], out["path"])}
            # Of an old run, `dvc gc` may have removed what it made.
            if all(map(cache.exists, made)):
                objects |= made
                runs.append(record)
        files = _send(cache, odb, objects, url)
        records = _send_records(repo, runs, url)
        lost = [oid for oid in named if oid not in objects]
        sizes = _there(odb, lost, url)
    gone = sorted({named[oid] for oid, size in zip(lost, sizes, strict=True) if size is None})
    if gone:
        raise UserError(
            f"{', '.join(gone)}: neither in the cache nor on {url}: `dvc repro` makes it; the rest is pushed"
        )
    if not files + records:
        return f"everything is on {url} already"
    return f"{_count(files, 'file')} and {_count(records, 'run')} pushed to {url}"


def pull() -> str:
    """Bring the records of all runs, and the outputs of the pipeline as Git's `dvc.lock` has them; gives it in words.

    Every file is hashed when it has come; one that is not what was pushed is named, and not used. Raises UserError.
    """
    with _opened() as (repo, odb, url, told):
        repo.stage_cache.pull(None)
        broken = [record for record in _records(repo) if not _whole(record)]
        for record in broken:
            record.unlink()
        try:
            # What no stage has made yet is not missing.
            done = repo.pull(allow_missing=True)["stats"]
        except ObjectFormatError as error:
            # A folder's list, without which nothing of the folder can be asked for.
            oid = next(oid for oid in _named(repo) if oid in str(error))
            raise _damaged([_place(odb, oid, _named(repo)[oid])]) from None
        except DvcException as error:
            raise _why_not(repo, odb, url, told) or UserError(str(error)) from None
        if why := _why_not(repo, odb, url, told):
            raise why
        if broken:
            _, folder = _runs(repo)
            raise _damaged([f"the record of a run ({'/'.join([folder, *one.parts[-3:]])})" for one in broken])
    return f"{_count(done.get('fetched', 0), 'file')} fetched from {url}"


@contextmanager
def _opened() -> Iterator[tuple[Repo, HashFileDB, str, list[BaseException]]]:
    """The locked repository, its remote, the remote's address, and the errors that DVC logs instead of raising."""
    name, url = remote.configured(remote.configuration())
    if url is None:
        raise UserError(f"no remote is configured: make remote URL=…, {remote.TAKEN}")
    # Otherwise DVC takes whatever comes. `make remote` writes it down; who set the remote up by hand may not have.
    with Repo(remote=name, remote_config={"verify": True}) as repo, _listening() as told:
        try:
            odb = repo.cloud.get_remote_odb()
            _reach(odb, url)
            with lock_repo(repo):
                yield repo, odb, url, told
        except UserError:
            raise
        except LockError:
            raise UserError("another dvc command is at work in this folder: wait for it, then run it again") from None
        except Exception as error:
            raise remote.explain(url, error) from None


def _reach(odb: HashFileDB, url: str) -> None:
    """See that the remote is there: DVC takes one that does not answer for an empty one, or makes a folder anew."""
    if remote.kind(url) == "folder":
        if not Path(url).is_dir():
            raise UserError(f"{url} is not there: mount it, or make remote URL=… REPLACE=1 with where it is now")
        return
    with suppress(FileNotFoundError):  # nothing was pushed yet
        odb.fs.ls(odb.fs.parent(odb.fs.parent(odb.path)))


@contextmanager
def _listening() -> Iterator[list[BaseException]]:
    """The errors that DVC logs, file by file, instead of raising them; they are not printed."""
    heard: list[BaseException] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.extend(filter(None, (record.exc_info or (None,))[1:2]))
    loggers = [logging.getLogger(name) for name in (None, "dvc", "dvc_data", "dvc_objects")]
    before = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]
    try:
        yield heard
    finally:
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers = handlers


def _named(repo: Repo) -> dict[str, str]:
    """Every object of the pipeline as it stands, and what it is here: one file or several, with commas."""
    names: dict[str, list[str]] = {}
    for out in repo.index.outs:
        if out.use_cache and out.can_push and out.hash_info:
            for oid, name in _parts(repo.cache.local, out.hash_info.value, str(out)):
                names.setdefault(oid, []).append(name)
    return {oid: ", ".join(sorted(there)) for oid, there in names.items()}


def _parts(cache: HashFileDB, oid: str, name: str) -> list[tuple[str, str]]:
    """The object, and where it is a folder's list that is in the cache, everything in it; each with its name."""
    if not oid.endswith(".dir") or not cache.exists(oid):
        return [(oid, name)]
    entries = Tree.load(cache, HashInfo("md5", oid))
    return [(oid, name), *((entry.value, "/".join([name, *key])) for key, _, entry in entries)]


def _there(odb: HashFileDB, oids: list[str], url: str) -> list[int | None]:
    """The size in bytes of each object at the remote, None where it is not there.

    Asked anew: DVC's own list of what is there takes a folder's files for sent when the folder's list is.
    """
    return _sizes(odb, [odb.oid_to_path(oid) for oid in oids], url)


def _sizes(odb: HashFileDB, paths: list[str], url: str) -> list[int | None]:
    """The size in bytes of each file at the remote, None where it is not there."""
    infos = odb.fs.info(paths, return_exceptions=True) if paths else []
    for info in infos:
        if isinstance(info, Exception) and not isinstance(info, FileNotFoundError):
            raise remote.explain(url, info)
    return [None if isinstance(info, Exception) else info["size"] for info in infos]


def _send(cache: HashFileDB, odb: HashFileDB, objects: set[str], url: str) -> int:
    # A folder's list says that its files are there: it goes last.
    ordered = sorted(objects, key=lambda oid: (oid.endswith(".dir"), oid))
    sizes = _there(odb, ordered, url)
    left = [
        oid for oid, size in zip(ordered, sizes, strict=True) if size != Path(cache.oid_to_path(oid)).stat().st_size
    ]
    failed: list[BaseException] = []
    with TqdmCallback(desc=f"push to {url}", unit="file") as bar:
        for part in ([oid for oid in left if not oid.endswith(".dir")], [oid for oid in left if oid.endswith(".dir")]):
            if part and not failed:
                odb.add(
                    [cache.oid_to_path(oid) for oid in part],
                    cache.fs,
                    part,
                    callback=bar,
                    check_exists=False,
                    verify=False,
                    on_error=lambda _, error: failed.append(error),
                )
    if failed:
        raise remote.explain(url, failed[0])
    return len(left)


def _records(repo: Repo) -> list[Path]:
    """The records of all runs that are here."""
    return sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*"))


def _whole(record: Path) -> bool:
    """Whether the record of a run is what DVC wrote, which is named after the hash of its content."""
    try:
        return _get_cache_hash(load_yaml(record)) == record.name
    except DvcException:
        return False


def _runs(repo: Repo) -> tuple[HashFileDB, str]:
    """Where the remote keeps the records of runs."""
    odb = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    return odb, odb.fs.join(odb.path, "runs")


def _send_records(repo: Repo, runs: list[Path], url: str) -> int:
    odb, folder = _runs(repo)
    targets = [odb.fs.join(folder, *record.parts[-3:]) for record in runs]
    sizes = _sizes(odb, targets, url)
    left = [
        (record, target)
        for record, target, size in zip(runs, targets, sizes, strict=True)
        if size != record.stat().st_size
    ]
    for record, target in left:
        generic.copy(repo.cache.legacy.fs, str(record), odb.fs, target)
    return len(left)


def _why_not(repo: Repo, odb: HashFileDB, url: str, told: list[BaseException]) -> UserError | None:
    """Why a pull did not bring everything: the connection, a damaged file, one that nobody pushed; None: not that."""
    if told:
        return remote.explain(url, told[0])
    missing = {oid: name for oid, name in _named(repo).items() if not repo.cache.local.exists(oid)}
    sizes = dict(zip(missing, _there(odb, list(missing), url), strict=True))
    damaged = [_place(odb, oid, missing[oid]) for oid in missing if sizes[oid] is not None]
    if damaged:
        return _damaged(damaged)
    if missing:
        names = ", ".join(sorted(set(missing.values())))
        return UserError(f"{names}: not on {url}: run make push where it was made, or `dvc repro` here")
    return None


def _place(odb: HashFileDB, oid: str, name: str) -> str:
    return f"{name} ({odb.fs.unstrip_protocol(odb.oid_to_path(oid))})"


def _damaged(places: list[str]) -> UserError:
    return UserError(
        f"not what was pushed, and not used: {', '.join(places)}; delete it there, run make push where it is "
        "whole, then make pull again"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.sharing",
        description="Send what ran here to the team's remote (push), or bring what ran elsewhere (pull).",
    )
    parser.add_argument("what", choices=["push", "pull"])
    print({"push": push, "pull": pull}[parser.parse_args().what]())


if __name__ == "__main__":
    errors.run(main)
