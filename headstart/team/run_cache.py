"""DVC's run cache: a record of each run, a YAML file that names what the stage read and what it wrote.

DVC keeps the records as .dvc/cache/runs/ab/ab…/cd…: a hash of what was read, then a hash of the whole record.
"""

import re
import shutil
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.fs import FileSystem, generic
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import load_yaml

from headstart.base import progress
from headstart.team import objects


def records(repo: Repo) -> list[Path]:
    """Returns the files of all records that are here, sorted."""
    return sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*"))


def is_intact(record: Path) -> bool:
    """Returns whether a record is what DVC wrote, by the two hashes in its path; `StageCache` never compares them.

    The first one is of the command, of what it read and of the paths that it wrote: so no record makes DVC write
    elsewhere than the stage itself would. What a folder holds is in its list, which `objects.is_list` looks at.
    """
    if not record.is_file():
        return False
    try:
        content = load_yaml(record)
        if not all(map(_is_plain, content.get("outs", []))):
            return False
        # In this order: the second call leaves nothing but the paths of what was written.
        return _get_cache_hash(content) == record.name and _get_cache_hash(content, key=True) == record.parent.name
    # Whatever a record is, and a remote may hold anything.
    except (DvcException, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False


def _is_plain(out: dict) -> bool:
    """Whether an output is named by its MD5 alone: DVC takes a list of files beside it, too, wherever they lie."""
    return out.keys() <= {"path", "hash", "md5", "size", "nfiles"} and (
        "md5" not in out or (out.get("hash") == "md5" and objects.OID.fullmatch(out["md5"]) is not None)
    )


def lists(record: Path) -> list[str]:
    """Returns the lists of the folders that a run wrote."""
    return [oid for oid, _ in outputs(record) if oid.endswith(objects.LIST)]


def remove_empty(repo: Repo) -> None:
    """Remove the folders that hold no record, as a kill and what was put aside leave them: DVC fails on one."""
    for folder in sorted(Path(repo.stage_cache.cache_dir).glob("*/*")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def outputs(record: Path) -> list[tuple[str, str]]:
    """Returns the object id and the path of each output of a run, of those that Git keeps (`cache: false`), too."""
    return [(out["md5"], out["path"]) for out in load_yaml(record).get("outs", []) if "md5" in out]


def fetch(repo: Repo, url: str) -> tuple[int, list[str]]:
    """Bring the records that are not here from the remote `url`, and the lists of the folders that they name.

    Returns how many lists came, and where the remote has a record that is damaged or of which a list is. A record whose
    lists are not there is not taken: `dvc repro --pull` would take the list that somebody pushes later, unseen.
    `StageCache.pull` writes what comes over an intact record; here it is looked at first.
    """
    database = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    fs, folder = database.fs, database.fs.join(database.path, "runs")
    incoming, damaged, count = Path(repo.tmp_dir, "incoming"), [], 0
    here = {place: Path(repo.stage_cache.cache_dir, *fs.parts(place)[-3:]) for place in _found(fs, folder)}
    # What a push left that broke off has another name.
    named = {place: record for place, record in here.items() if re.fullmatch("[0-9a-f]{64}", record.name)}
    lacking = [place for place, record in named.items() if not (record.exists() and is_intact(record))]
    for place in progress.track(lacking, f"pull from {url}", unit="record") if lacking else []:
        record, parts = here[place], fs.parts(place)[-3:]
        new = incoming.joinpath(*parts)
        new.parent.mkdir(parents=True, exist_ok=True)
        generic.copy(fs, place, repo.cache.legacy.fs, str(new))
        if not is_intact(new):
            damaged.append(place)
            continue
        come, errors = objects.bring(repo.cache.local, repo.cloud.get_remote_odb(), lists(new))
        count += come
        if errors:
            raise errors[0]
        if all(objects.is_intact(repo.cache.local, oid) for oid in lists(new)):
            repo.cache.legacy.makedirs(str(record.parent))
            repo.cache.legacy.move(str(new), str(record))
        elif any(map(repo.cloud.get_remote_odb().exists, lists(new))):
            damaged.append(place)
    shutil.rmtree(incoming, ignore_errors=True)
    return count, damaged


def _found(fs: FileSystem, folder: str) -> list[str]:
    return sorted(fs.find(folder)) if fs.exists(folder) else []


def at_remote(repo: Repo, files: list[Path]) -> tuple[FileSystem, list[str]]:
    """Returns the remote's file system, and where on it DVC keeps each of these records."""
    database = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    folder = database.fs.join(database.path, "runs")
    return database.fs, [database.fs.join(folder, *file.parts[-3:]) for file in files]
