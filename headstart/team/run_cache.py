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


def records(repo: Repo) -> list[Path]:
    """Returns the files of all records that are here, sorted."""
    return sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*"))


def is_intact(record: Path) -> bool:
    """Returns whether a record is what DVC wrote, by the two hashes in its path; `StageCache` never compares them.

    The first one is of the command, of what it read and of the paths that it wrote: so no record makes DVC write
    elsewhere than the stage itself would.
    """
    try:
        content = load_yaml(record)
        # In this order: the second call leaves nothing but the paths of what was written.
        return _get_cache_hash(content) == record.name and _get_cache_hash(content, key=True) == record.parent.name
    # Whatever a record is, and a remote may hold anything.
    except (DvcException, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False


def remove_empty(repo: Repo) -> None:
    """Remove the folders that hold no record, as a kill and what was put aside leave them: DVC fails on one."""
    for folder in sorted(Path(repo.stage_cache.cache_dir).glob("*/*")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def outputs(record: Path) -> list[tuple[str, str]]:
    """Returns the object id and the path of each output of a run, of those that Git keeps (`cache: false`), too."""
    return [(out["md5"], out["path"]) for out in load_yaml(record).get("outs", []) if "md5" in out]


def fetch(repo: Repo) -> list[str]:
    """Bring the records that are not here from the remote. Returns where the remote has one that is damaged.

    `StageCache.pull` writes what comes over an intact record; here it is looked at first.
    """
    database = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    fs, folder = database.fs, database.fs.join(database.path, "runs")
    incoming, damaged = Path(repo.tmp_dir, "incoming"), []
    for place in sorted(fs.find(folder)) if fs.exists(folder) else []:
        parts = fs.parts(place)[-3:]
        record = Path(repo.stage_cache.cache_dir, *parts)
        # What a push left that broke off has another name.
        if not re.fullmatch("[0-9a-f]{64}", record.name) or (record.exists() and is_intact(record)):
            continue
        new = incoming.joinpath(*parts)
        new.parent.mkdir(parents=True, exist_ok=True)
        generic.copy(fs, place, repo.cache.legacy.fs, str(new))
        if is_intact(new):
            repo.cache.legacy.makedirs(str(record.parent))
            repo.cache.legacy.move(str(new), str(record))
        else:
            damaged.append(place)
    shutil.rmtree(incoming, ignore_errors=True)
    return damaged


def at_remote(repo: Repo, files: list[Path]) -> tuple[FileSystem, list[str]]:
    """Returns the remote's file system, and where on it DVC keeps each of these records."""
    database = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    folder = database.fs.join(database.path, "runs")
    return database.fs, [database.fs.join(folder, *file.parts[-3:]) for file in files]
