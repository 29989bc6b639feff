"""The objects that DVC keeps outputs in, here and at the remote: files by their hash, and lists of folders (*.dir)."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from dvc.fs import FileSystem
from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from fsspec import Callback

from headstart.base import progress, yaml12
from headstart.base.errors import UserError
from headstart.team.addresses import storage
from headstart.team.faults import explain

LIST = ".dir"
OID = re.compile(r"[0-9a-f]{32}(\.dir)?")


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


def refuse_strange(repo: Repo) -> None:
    """Raise UserError where `dvc.lock` or a `.dvc` file names an object, or a file in a folder, as DVC never does.

    DVC makes a path of whatever stands there, and reads and writes it. Also where DVC's cache is no folder.
    """
    cache = Path(repo.cache.local.path)
    for path in (cache, *cache.parents):
        if os.path.lexists(path) and not path.is_dir():
            raise UserError(f"{path} is no folder, and DVC keeps outputs below it: move it elsewhere and run it again")
    for out in _outs(repo):
        if not out.hash_info or out.hash_info.name not in ("md5", "md5-dos2unix"):
            continue
        if not OID.fullmatch(str(out.hash_info.value)) or not all(map(_is_inside, out.files or [])):
            where = "dvc.lock" if out.stage.cmd else out.stage.relpath
            raise UserError(
                f"{where}: got {out.hash_info.value!r} for {out}; takes an MD5 of 32 hexadecimal digits, and files "
                f"inside of {out}: `git checkout {where}` brings it back"
            )


def _outs(repo: Repo) -> list[Output]:
    try:
        return list(repo.index.outs)
    except RecursionError:
        raise UserError(
            "dvc.yaml, dvc.lock or a .dvc file has lists nested too deeply: `git checkout` brings back what Git keeps"
        ) from None
    except (AttributeError, TypeError):
        stages = yaml12.read(Path(repo.root_dir, "dvc.lock"))["stages"].values()
        named = [item for stage in stages for item in [*stage.get("deps", []), *stage.get("outs", [])]]
        for item in named:
            if not isinstance(item.get("md5", ""), str):
                raise UserError(
                    f"dvc.lock: got the number {item['md5']} for the MD5 of {item['path']}; takes 32 hexadecimal "
                    "digits: `git checkout dvc.lock` brings it back"
                ) from None
        raise


def is_list(path: str | Path) -> bool:
    """Returns whether a file lists a folder as DVC does, each file by its MD5 and a path inside of the folder.

    DVC writes wherever a list says, and anyone who may push can have pushed one.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(entries, list) and all(map(_is_inside, entries))


def _is_inside(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("md5", "relpath")):
        return False
    path = entry["relpath"]
    # On Windows a backslash parts folders, and what is listed here may be checked out there.
    parts = path.split("/") + (path.split("\\") if ".." in path.split("\\") else [])
    on_a_drive = re.match(r"[A-Za-z]:\\|\\", path)
    strange = "\0" in path or on_a_drive or any(part in ("", ".", "..") for part in parts)
    return not strange and re.fullmatch("[0-9a-f]{32}", entry["md5"]) is not None


def digest(path: str | Path) -> str:
    """Returns the MD5 of a file, by which DVC names it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_intact(cache: HashFileDB, oid: str) -> bool:
    """Returns whether an object is in the cache and is what its name says, hashed now; a list, whether it is one, too.

    DVC itself believes each one that is read-only (`LocalHashFileDB.check`).
    """
    path = cache.oid_to_path(oid)
    if not cache.exists(oid) or digest(path) != oid.removesuffix(LIST):
        return False
    return not oid.endswith(LIST) or is_list(path)


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


def to_send(cache: HashFileDB, remote: HashFileDB, oids: Collection[str], url: str) -> tuple[list[str], list[str]]:
    """Returns those objects of the cache that the remote lacks or has damaged, sorted, and of these the damaged ones.

    Where the remote is a folder its objects are hashed; elsewhere that would take a download, and their sizes alone
    are compared. Raises UserError.
    """
    ordered = sorted(oids)
    known = dict(zip(ordered, sizes_at_remote(remote, ordered, url), strict=True))
    there = {oid: size for oid, size in known.items() if size is not None}
    damaged = [oid for oid, size in there.items() if size != Path(cache.oid_to_path(oid)).stat().st_size]
    same = [oid for oid in there if oid not in set(damaged)]
    if storage(url) == "folder" and same:
        with progress.bytes_bar(f"check {url}", sum(there[oid] for oid in same)) as advance:
            for oid in same:
                if digest(remote.oid_to_path(oid)) != oid.removesuffix(LIST):
                    damaged.append(oid)
                advance(there[oid])
    return sorted({*known} - {*there} | {*damaged}), damaged


def bring(
    cache: HashFileDB, remote: HashFileDB, oids: Collection[str], advance: Callable[[int], None] = lambda count: None
) -> tuple[int, list[Exception]]:
    """Fetch these objects, lists before what they name. Returns how many came, and the errors that were met.

    advance: told of every one that has come.

    Each is hashed when it has come, and one that is damaged does not stay; nor does one stay that is not there.
    `Repo.fetch` hashes objects in the folder of a remote, too, and removes there what it finds damaged and may write
    (`LocalHashFileDB.check`).
    """
    before = [oid for oid in sorted(oids) if not cache.exists(oid)]
    errors: list[Exception] = []
    if before:
        cache.add(
            [remote.oid_to_path(oid) for oid in before],
            remote.fs,
            before,
            callback=_Advance(advance),
            check_exists=False,
            verify=True,
            on_error=lambda _, error: errors.append(error),
        )
    come = [oid for oid in before if cache.exists(oid)]
    strays = [oid for oid in come if oid.endswith(LIST) and not is_intact(cache, oid)]
    for oid in strays:
        Path(cache.oid_to_path(oid)).unlink()
    return len(come) - len(strays), [error for error in errors if not isinstance(error, FileNotFoundError)]


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
    """Tells a progress counter of every file that has been sent, or has come."""

    def __init__(self, advance: Callable[[int], None]):
        super().__init__()
        self._advance = advance

    def relative_update(self, inc: int = 1) -> None:
        self._advance(inc)
