"""Files that appear whole or not at all, whatever ends the run: written under a temporary name, synced, renamed."""

import errno
import fcntl
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.base import cells
from headstart.base.errors import UserError

# What a file system answers that has nothing to sync, or cannot.
UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY, errno.EROFS)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; sync it and rename it to `path` when the block ends without an error.

    The folder is made where it is missing. A block that fails leaves what was at `path` before. After a power loss
    `path` is what it was before or what it is now; once this returns, what it is now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    sync(part)
    part.replace(path)
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8 with plain line feeds, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, rows: Iterable[Iterable]) -> None:
    """Write a table, its header first, whole or not at all; `cells.read` reads it."""
    write_text(path, "".join(map(cells.line, rows)))


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's list of names, is on the disk, where a power loss leaves it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_open(descriptor)
    finally:
        os.close(descriptor)


def sync_open(descriptor: int) -> None:
    """The same for an open file."""
    try:
        # On macOS fsync leaves the content in the disk's own memory.
        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise


def sync_all(path: Path) -> None:
    """Sync a file, or a folder and all in it, then the folders above it up to the current one."""
    if path.is_dir():
        for folder, _, names in os.walk(path, topdown=False):
            for name in sorted(names):
                sync(Path(folder, name))
            sync(Path(folder))
    else:
        sync(path)
    for folder in path.parents:
        sync(folder)


def refuse_link(path: Path, project: Path = Path()) -> None:
    """Raise UserError where `path`, or a folder above it in `project`, is a link to a folder outside of the project.

    What is written there DVC finds outside of its repository, and fails when the work is done. Links to files are
    DVC's own, into its cache: they are replaced, and not followed.
    """
    for place in (path, *path.parents):
        link = project / place
        if link.is_symlink() and link.is_dir() and not link.resolve().is_relative_to(project.resolve()):
            raise UserError(
                f"{place} is a link to {link.readlink()}, outside of the project, where DVC keeps no results: remove "
                "the link (what it leads to stays), or move the whole project there"
            )


def lock(descriptor: int) -> bool:
    """Whether an open file or folder is this process's alone, from now on until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While the block runs, be the only one of all threads and programs that is in such a block with this folder.

    Others wait. The folder is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Returns the sha256 of a file, as 64 hexadecimal digits; of one that stays as it is, it is computed once."""
    status = path.stat()
    return _sha256(path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.cache
def _sha256(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
