"""The files that the workspace has of what DVC keeps: which differ from `dvc.lock`, and what is done with them.

What a stage wrote can be had again: a file that is damaged is put aside and brought back. What a user tracks with
`dvc add` is the user's own: it is left as it is.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from headstart.base import files, progress
from headstart.team import integrity, objects


@dataclass(frozen=True)
class File:
    """A file that `dvc.lock` or a `.dvc` file has, or one too many in a folder of theirs.

    path: from the project's folder; oid: its object, None of one too many; stage: the name of what DVC has it by;
    is_own: whether it is the user's, and no stage wrote it; in_git: whether Git keeps it, and DVC just its hash.
    """

    path: str
    oid: str | None
    stage: str
    is_own: bool
    in_git: bool


def expected(repo: Repo) -> list[File]:
    """Returns the files of all outputs, those that Git keeps too, in the order of their paths.

    Of a folder whose list is not in the cache, or damaged, nothing is known.
    """
    known = []
    for out in repo.index.outs:
        if out.hash_info and out.is_in_repo:
            path = Path(out.fs_path).relative_to(repo.root_dir).as_posix()
            owner = out.stage.addressing, not out.stage.cmd, not out.use_cache
            members = objects.members(repo.cache.local, out.hash_info.value, path)
            known += [File(path, oid, *owner) for oid, path in members if not oid.endswith(objects.LIST)]
            if out.hash_info.isdir and len(members) > 1:
                inside = {path for _, path in members}
                known += [File(path, None, *owner) for path in _inside(repo, path) if path not in inside]
    return sorted(known, key=lambda file: file.path)


def differing(repo: Repo) -> list[File]:
    """Returns the files whose content is neither what DVC has of them nor anything that its cache has.

    A file that is another version, such as that of an earlier run, is none: DVC can bring it back. An empty one is no
    version.
    """
    root, cache = Path(repo.root_dir), repo.cache.local
    sizes = {file: (root / file.path).stat().st_size for file in expected(repo) if (root / file.path).is_file()}
    strange = []
    with progress.bytes_bar("check the files", sum(sizes.values())) as advance:
        for file, size in sizes.items():
            digest = objects.digest(root / file.path)
            if digest != file.oid and not (size and objects.is_intact(cache, digest)):
                strange.append(file)
            advance(size)
    return strange


def restorable(repo: Repo, strange: list[File]) -> list[File]:
    """Returns those files that the cache has, and those too many."""
    return [file for file in strange if file.oid is None or objects.is_intact(repo.cache.local, file.oid)]


def put_aside(repo: Repo, strange: list[File], aside: integrity.Aside) -> list[str]:
    """Put aside those files that stages wrote, and bring back what the cache has of them. Returns messages."""
    messages = []
    for file in (file for file in strange if not file.is_own):
        in_cache = file.oid and objects.is_intact(repo.cache.local, file.oid)
        if file.in_git and not in_cache:
            messages.append(f"{file.path}: not as dvc.lock has it, and left as it is: Git keeps it, a run makes it")
            continue
        place = aside.take(Path(repo.root_dir, file.path), file.path)
        what = "no stage wrote it" if file.oid is None else "changed or damaged"
        if in_cache:
            restore(repo, file)
            what += ", and brought back from DVC's cache"
        messages.append(f"{file.path}: {what}; what was there is now {place}")
    return messages


def restore(repo: Repo, file: File) -> None:
    """Copy the content of a file out of the cache; a link would let a change of one be a change of both."""
    with files.whole(Path(repo.root_dir, file.path)) as part:
        shutil.copyfile(repo.cache.local.oid_to_path(file.oid), part)


def intact_copy(repo: Repo, known: list[File], oid: str) -> Path | None:
    """Returns a file of the workspace that still has the content of an object; None where there is none."""
    for file in known:
        path = Path(repo.root_dir, file.path)
        if file.oid == oid and path.is_file() and objects.digest(path) == oid:
            return path
    return None


def part(repo: Repo) -> int:
    """Copy the files that are the cache's own, by a hard link, where DVC is set to copy. Returns how many they were.

    What is written into such a file is written into the cache, too. A checkout of before `cache.type` was changed has
    them.
    """
    cache, root = repo.cache.local, Path(repo.root_dir)
    if "hardlink" in cache.cache_types:
        return 0
    known = [(root / file.path, Path(cache.oid_to_path(file.oid))) for file in expected(repo) if file.oid]
    there = [(path, cached) for path, cached in known if path.is_file() and cached.exists() and not path.is_symlink()]
    linked = [path for path, cached in there if path.samefile(cached)]
    for path in linked:
        cache.unprotect(str(path))
    return len(linked)


def _inside(repo: Repo, folder: str) -> Iterator[str]:
    root = Path(repo.root_dir)
    for path in sorted((root / folder).rglob("*")):
        if path.is_file() or path.is_symlink():
            yield path.relative_to(root).as_posix()
