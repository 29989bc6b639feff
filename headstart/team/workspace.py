"""The files that the workspace has of what DVC keeps: which differ from `dvc.lock`, and what is done with them.

What a stage wrote can be had again: a file that is damaged is put aside and brought back. What a user tracks with
`dvc add` is the user's own: it is left as it is.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo

from headstart.base import files, progress
from headstart.team import integrity, objects

LARGE = 64_000_000  # bytes: a larger file that differs is what a stage that was stopped has left, not an edit


@dataclass(frozen=True)
class File:
    """A file that `dvc.lock` or a `.dvc` file has, or one too many in a folder of theirs.

    path: from the project's folder; oid: its object, None of one too many; stage: the name of what DVC has it by;
    is_own: whether it is the user's, and no stage wrote it; in_git: whether Git keeps it, and DVC just its hash; stays:
    whether DVC leaves it where it is before its stage runs (`persist`).
    """

    path: str
    oid: str | None
    stage: str
    is_own: bool
    in_git: bool
    stays: bool


def expected(repo: Repo) -> list[File]:
    """Returns the files of all outputs, those that Git keeps too, in the order of their paths.

    Of a folder whose list is not in the cache, or damaged, nothing is known.
    """
    known = []
    for out in repo.index.outs:
        if out.hash_info and out.is_in_repo:
            path = Path(out.fs_path).relative_to(repo.root_dir).as_posix()
            owner = out.stage.addressing, not out.stage.cmd, not out.use_cache, out.persist
            members = objects.members(repo.cache.local, out.hash_info.value, path)
            known += [File(path, oid, *owner) for oid, path in members if not oid.endswith(objects.LIST)]
            # Of a link DVC removes the link alone.
            if out.hash_info.isdir and len(members) > 1 and not Path(out.fs_path).is_symlink():
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


def edited(repo: Repo) -> list[File]:
    """Returns those of `differing` that DVC would remove unseen before it runs their stage, but for those of `LARGE`.

    A file is hashed where DVC's own database does not know it as it is: for each run that is a look at its state.
    """
    root, cache = Path(repo.root_dir), repo.cache.local
    strange = []
    for file in (file for file in expected(repo) if not (file.is_own or file.stays)):
        path = root / file.path
        if not path.is_file() or not 0 < path.stat().st_size <= LARGE:
            continue
        known = repo.state.get(str(path), cache.fs)[1]
        oid = known.value if known else objects.digest(path)
        if oid != file.oid and not objects.is_intact(cache, oid):
            strange.append(file)
    return strange


def move_obstacles(repo: Repo, aside: integrity.Aside) -> list[str]:
    """Put aside what lies in the place of a stage's file and is none, such as a folder; and the same of its folders.

    DVC removes it, or fails on it. Files that the cache has are brought back. Returns messages.
    """
    root, known = Path(repo.root_dir), [file for file in expected(repo) if not file.is_own]
    folders = [out.fs_path for out in repo.index.outs if out.stage.cmd and out.hash_info and out.hash_info.isdir]
    folders = {Path(path).relative_to(root) for path in folders if Path(path).is_relative_to(root)}
    folders |= {parent for file in known for parent in Path(file.path).parents}
    places = [(path, Path.is_dir, "folder") for path in sorted(folders)]
    places += [(Path(file.path), Path.is_file, "file") for file in known]
    messages, moved = [], []
    for path, is_right, kind in places:
        # What lies below of one that was moved has moved with it.
        if os.path.lexists(root / path) and not is_right(root / path):
            place = aside.take(root / path, str(path))
            moved.append(path)
            messages.append(f"{path}: no {kind}, as dvc.lock has it; what was there is now {place}")
    for file in known:
        is_gone = file.oid and any(Path(file.path).is_relative_to(path) for path in moved)
        if is_gone and objects.is_intact(repo.cache.local, file.oid):
            restore(repo, file)
    return messages


def nowhere(repo: Repo) -> list[str]:
    """Returns a message for each output that is as `dvc.lock` has it neither here nor in DVC's cache."""
    root, cache, messages = Path(repo.root_dir), repo.cache.local, []
    for out in repo.index.outs:
        if not (out.hash_info and out.is_in_repo):
            continue
        path = Path(out.fs_path).relative_to(root).as_posix()
        members = objects.members(cache, out.hash_info.value, path)
        missing = [(oid, name) for oid, name in members if not cache.exists(oid)]
        if any(_is_elsewise(out, oid, root / name) for oid, name in missing):
            way = "`dvc repro` makes it anew, or `make pull` brings it"
            if not out.stage.cmd:
                way = "`make pull` brings it, if it was pushed; no stage can make it"
            messages.append(f"{path}: as DVC has noted it neither here nor in DVC's cache; {way}")
    return messages


def _is_elsewise(out: Output, oid: str, path: Path) -> bool:
    """Whether a file is something else than its object; of a folder whose list is missing, DVC can tell."""
    if oid.endswith(objects.LIST):
        return bool(out.workspace_status())
    return not path.is_file() or objects.digest(path) != oid


def links_out(repo: Repo) -> list[str]:
    """Returns a message for each link by which an output of a stage lies outside of the project."""
    root = Path(repo.root_dir).resolve()
    inside = (root, Path(repo.cache.local.path).resolve())
    outs = [Path(out.fs_path) for out in repo.index.outs if out.stage.cmd and out.is_in_repo]
    places = {path for out in outs for path in (out, *out.parents) if path.is_relative_to(repo.root_dir)}
    return [
        f"{path.relative_to(repo.root_dir)}: a link out of the project, to {path.resolve()}, where DVC writes and "
        "removes files: put a folder or a file in its place, then `dvc repro`"
        for path in sorted(places - {Path(repo.root_dir)})
        if path.is_symlink() and not any(path.resolve().is_relative_to(folder) for folder in inside)
    ]


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


def by_object(repo: Repo) -> dict[str, list[File]]:
    """Returns the files of `expected` by the id of the object that each has: of a damaged disk all may be asked for."""
    places: dict[str, list[File]] = {}
    for file in expected(repo):
        if file.oid is not None:
            places.setdefault(file.oid, []).append(file)
    return places


def intact_copy(repo: Repo, places: list[File]) -> Path | None:
    """Returns one of these files of the workspace that still has the content of its object; None: none has."""
    for file in places:
        path = Path(repo.root_dir, file.path)
        if path.is_file() and objects.digest(path) == file.oid:
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
