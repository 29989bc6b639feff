"""The objects that DVC keeps outputs in, here and at the remote: files by their hash, and lists of folders (*.dir)."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from dvc.fs import FileSystem
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from fsspec import Callback

from headstart.base import progress
from headstart.team.faults import explain

LIST = ".dir"


def paths(repo: Repo) -> dict[str, str]:
    """Returns the id of every object of the pipeline as it stands, with the paths of its files joined by commas."""
    paths_by_object: dict[str, list[str]] = {}
    for out in repo.index.outs:
        if out.use_cache and out.can_push and out.hash_info:
            for oid, path in members(repo.cache.local, out.hash_info.value, str(out)):
                paths_by_object.setdefault(oid, []).append(path)
    return {oid: ", ".join(sorted(files)) for oid, files in paths_by_object.items()}


def members(cache: HashFileDB, oid: str, path: str) -> list[tuple[str, str]]:
    """Returns an object and, where it is the list of a folder that is in the cache, all in it; each with its path.

    A list that is damaged counts as one that is not there: what it says is not believed.
    """
    if not oid.endswith(LIST) or not is_intact(cache, oid):
        return [(oid, path)]
    entries = Tree.load(cache, HashInfo("md5", oid))
    return [(oid, path), *((entry.value, "/".join([path, *key])) for key, _, entry in entries)]


def digest(path: str | Path) -> str:
    """Returns the MD5 of a file, by which DVC names it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_intact(cache: HashFileDB, oid: str) -> bool:
    """Returns whether an object is in the cache and is what its name says, hashed now.

    DVC itself believes each one that is read-only (`LocalHashFileDB.check`).
    """
    return cache.exists(oid) and digest(cache.oid_to_path(oid)) == oid.removesuffix(LIST)


def sizes(fs: FileSystem, paths: list[str], url: str) -> list[int | None]:
    """Returns the size in bytes of each file at the remote `url`, None where it is not there. Raises UserError."""
    infos = fs.info(paths, return_exceptions=True) if paths else []
    for info in infos:
        if isinstance(info, Exception) and not isinstance(info, FileNotFoundError):
            raise explain(url, info)
    return [None if isinstance(info, Exception) else info["size"] for info in infos]


def sizes_at_remote(remote: HashFileDB, oids: Collection[str], url: str) -> list[int | None]:
    """Returns the size in bytes of each object at the remote, None where it is not there. Raises UserError.

    The remote itself is asked: DVC takes the files of a folder for sent when the folder's list is there, whether or
    not they are (treeverse/dvc#7532, treeverse/dvc#10977).
    """
    return sizes(remote.fs, [remote.oid_to_path(oid) for oid in oids], url)


def to_send(cache: HashFileDB, remote: HashFileDB, oids: Collection[str], url: str) -> list[str]:
    """Returns those objects of the cache that the remote lacks, or has shorter or longer, sorted. Raises UserError."""
    ordered = sorted(oids)
    return [
        oid
        for oid, size in zip(ordered, sizes_at_remote(remote, ordered, url), strict=True)
        if size != Path(cache.oid_to_path(oid)).stat().st_size
    ]


def send(cache: HashFileDB, remote: HashFileDB, oids: Collection[str], url: str) -> None:
    """Send these objects of the cache, over those of the same names at the remote.

    They have to be intact (`is_intact`): then what they replace is not. A folder's list says that its files are there,
    so it goes after them (treeverse/dvc#4343). Raises UserError.
    """
    files = [oid for oid in oids if not oid.endswith(LIST)]
    lists = [oid for oid in oids if oid.endswith(LIST)]
    if not oids:
        return
    failures: list[BaseException] = []
    with progress.counter(f"push to {url}", len(oids), "file") as advance:
        for group in filter(None, (files, lists)):
            remote.add(
                [cache.oid_to_path(oid) for oid in group],
                cache.fs,
                group,
                callback=_Advance(advance),
                check_exists=False,
                verify=False,
                on_error=lambda _, error: failures.append(error),
            )
            if failures:
                raise explain(url, failures[0])


class _Advance(Callback):
    """Tells a progress counter of every file that has been sent."""

    def __init__(self, advance: Callable[[int], None]):
        super().__init__()
        self._advance = advance

    def relative_update(self, inc: int = 1) -> None:
        self._advance(inc)
