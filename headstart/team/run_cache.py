"""DVC's run cache: a record of each run, a YAML file that names what the stage read and what it wrote.

DVC keeps the records as .dvc/cache/runs/ab/ab…/cd…: a hash of what was read, then a hash of the whole record.
"""

from pathlib import Path

from dvc.exceptions import DvcException
from dvc.fs import FileSystem
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import load_yaml


def records(repo: Repo) -> list[Path]:
    """Returns the files of all records that are here, sorted."""
    return sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*"))


def is_intact(record: Path) -> bool:
    """Returns whether a record is what DVC wrote, by the hash in its name; `StageCache` itself never compares them."""
    try:
        return _get_cache_hash(load_yaml(record)) == record.name
    except DvcException:
        return False


def outputs(record: Path) -> list[tuple[str, str]]:
    """Returns the object id and the path of each output of a run, of those that Git keeps (`cache: false`), too."""
    return [(out["md5"], out["path"]) for out in load_yaml(record).get("outs", [])]


def at_remote(repo: Repo, files: list[Path]) -> tuple[FileSystem, list[str]]:
    """Returns the remote's file system, and where on it DVC keeps each of these records."""
    database = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    folder = database.fs.join(database.path, "runs")
    return database.fs, [database.fs.join(folder, *file.parts[-3:]) for file in files]
