"""A source of images, a zip (such as a wheel) or a folder, read in place."""

import itertools
import os
import posixpath
import re
import stat
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from headstart.base import origin, wording
from headstart.base.errors import Explained, UserError
from headstart.images import decoding, zip_names
from headstart.images.ranges import Range

LARGEST = 512 * 2**20  # bytes of one unpacked zip entry
HEAD = 132  # bytes: as far as the mark of a DICOM file goes
# Bytes of a zip: what stands before an entry's name, more than programs write beside it, and what is asked for at first
# where only the head of an entry is wanted.
_LOCAL, _EXTRA, _FIRST = 30, 1024, 2**14
Ahead = Callable[[int, int], AbstractContextManager]
# What DVC links a file of a tracked folder to (cache.type: symlink): named by its own md5, in a cache that may lie
# anywhere; earlier versions of DVC had no files/md5 in between.
_IN_DVC_CACHE = re.compile(r"/[0-9a-f]{2}/[0-9a-f]{30}$")
# Folders that systems keep beside images, in lower case: previews, what was deleted, earlier states.
_SYSTEM_FOLDERS = {"__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found"}
_SYSTEM_FOLDERS |= {"system volume information"}
# How those of programs begin that are hidden. Others may be somebody's classes, such as .223 beside 9mm.
_PROGRAMS_FOLDERS = ("._", ".@__thumb", ".appledouble", ".cache", ".dvc", ".fseventsd", ".git", ".hg", ".idea")
_PROGRAMS_FOLDERS += (".ipynb_checkpoints", ".snapshot", ".spotlight", ".svn", ".temporaryitems", ".thumb", ".trash")
_PROGRAMS_FOLDERS += (".venv", ".vscode")


class Unreadable(ValueError):
    """One file of a source cannot be read; the message is the reason. The other files are not affected."""


class Unreachable(Explained):
    """What a source lies on cannot be reached, nor any other file of it; the message says what to do."""


# What reading one image can raise: it is not there, its archive is damaged, or it is not an image.
UNREADABLE = (OSError, UserError, Unreadable, decoding.Broken)


def changed(path: str, why: object) -> UserError:
    """The error of an image that was split, and cannot be read any more."""
    return UserError(f"{path}: {why}; the source has changed since it was split: run `dvc repro` again")


@contextmanager
def unchanged(path: str) -> Iterator[None]:
    """Raise UserError where the image at `path`, which was split, cannot be read any more inside the block."""
    try:
        yield
    except UNREADABLE as error:
        raise changed(path, error) from None


class Source(Protocol):
    """The files of a zip or a folder. A context manager, which closes the zip.

    notes: what was guessed or passed over in opening it, for the user, one line each. value_range: by which its grey
    images of more than 8 bits are seen, as `decoding.decode` takes it.
    """

    notes: list[str]
    replaced: list[str]
    value_range: Range | None

    def names(self) -> list[str]:
        """Return the paths inside the source, with forward slashes, sorted.

        Hidden files and those of file managers are not among them.
        """

    def empty_folders(self) -> list[str]:
        """Return the folders, sorted, that hold none of `names()`, neither directly nor in folders below."""

    def read(self, name: str) -> bytes:
        """Return the content of one of `names()`. Raises `Unreadable`. Safe to call from several threads."""

    def head(self, name: str) -> bytes:
        """Return the first `HEAD` bytes of one of `names()`, fewer of a shorter file. Otherwise as `read`."""

    def size(self, name: str) -> int:
        """Return the bytes that one of `names()` holds, unpacked, without reading it; 0 where it cannot be known."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *error: object) -> None: ...


def open_source(path: str | Path, value_range: Range | None = None) -> Source:
    """Open a zip or a folder, here or at s3://bucket/folder, whose files are fetched each when it is read.

    path: may itself be a symbolic link to it. value_range: see `Source`; None while it is not known.

    Symbolic links in a folder are followed where DVC made them, from a tracked folder into its cache. Names in a zip
    that are not marked as UTF-8 are decoded as `zip_names.decode` guesses.

    Raises `UserError` where there is neither; for any other symbolic link (it would let in files from elsewhere that
    nobody lists) and for one of DVC's that leads to nothing; for a name that is absolute or leads out of the source
    and, in a folder, for one that is not UTF-8. Raises `Unreachable` for what cannot be listed on S3.
    """
    if origin.is_remote(path):
        from headstart.images import buckets  # which imports this

        return buckets.open_source(str(path), value_range)
    path = Path(path)
    if path.is_dir():
        return _Folder(path, value_range)
    if not path.exists():
        raise UserError(f"nothing is at {path}: set dataset.path to your zip or folder, or run `dvc repro fetch`")
    return _Zip(path, value_range)


def open_remote_zip(file: BinaryIO, path: str, ahead: Ahead, value_range: Range | None = None) -> Source:
    """Open a zip that lies elsewhere.

    file: reads it, wherever it is sought. path: its name, for messages. ahead: of the first byte and of that after the
    last one, has these bytes at hand in `file` for the calling thread, as long as the context lasts: entries are
    fetched side by side, and unpacked one by one. Both may raise `Unreachable`. Raises `UserError` as `open_source`.
    """
    return _Zip(path, value_range, file, ahead)


class _Zip:
    def __init__(
        self, path: str | Path, value_range: Range | None, file: BinaryIO | None = None, ahead: Ahead | None = None
    ):
        self.value_range, self._ahead = value_range, ahead
        # For a file that is no zip, reading the index raises far more than BadZipFile.
        try:
            self._zip = zipfile.ZipFile(file or path)
        except PermissionError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path} is neither a folder nor a whole zip ({error}): copy or fetch it again, or "
                "unpack it into a folder"
            ) from None
        self._lock = threading.Lock()
        self._entries, self._folders, self.replaced, passed_over = {}, [], [], []
        entries = self._zip.infolist()
        names, self.notes = zip_names.decode(entries, path)
        try:
            for entry, name in zip(entries, names, strict=True):
                name = _checked(name, path)
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{path} has a symbolic link, {name!r}: pack the file itself")
                if entry.filename.endswith("/"):
                    self._folders.append(name)
                elif is_system_file(name):
                    passed_over.append(name)
                else:
                    self._add(name, entry)
        except UserError:
            self._zip.close()
            raise
        if self.replaced:
            self.notes.append(
                f"{path} has {wording.count(len({*self.replaced}), 'name')} more than once, with other content, such "
                f"as {self.replaced[0]!r}: the last file of a name is taken, as in unpacking; if that is the wrong "
                "one, pack it again with a name for each"
            )
        self.notes += hidden_classes(path, passed_over)

    def _add(self, name: str, entry: zipfile.ZipInfo) -> None:
        """Take an entry; of two of one name the later one counts, as in unpacking."""
        before = self._entries.get(name)
        if before and (before.CRC, before.file_size) != (entry.CRC, entry.file_size):
            self.replaced.append(name)
        self._entries[name] = entry

    def names(self) -> list[str]:
        return sorted(self._entries)

    def empty_folders(self) -> list[str]:
        return _empty(self._folders, self._entries)

    def read(self, name: str) -> bytes:
        entry = self._entry(name)
        if entry.file_size > LARGEST:
            raise Unreadable(f"{entry.file_size:,} bytes unpacked, more than {LARGEST:,}")
        # The read is bounded, for an entry that holds more than its size says.
        data = self._unpack(entry, entry.file_size + 1)
        if len(data) != entry.file_size:
            raise Unreadable("damaged in the zip (its size is not what the zip says)")
        return data

    def head(self, name: str) -> bytes:
        return self._unpack(self._entry(name), HEAD)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self._entries:
            raise Unreadable("not in the zip any more")
        return self._entries[name]

    def _unpack(self, entry: zipfile.ZipInfo, size: int) -> bytes:
        try:
            # ZipFile counts its open entries without a lock.
            with self._at_hand(entry, size), self._lock, self._zip.open(entry) as file:
                return file.read(size)
        except (MemoryError, Unreachable):
            raise
        except zipfile.BadZipFile:
            raise Unreadable("damaged in the zip (bad checksum or header)") from None
        except RuntimeError:
            raise Unreadable(
                "encrypted in the zip, or packed by an unsupported method: unpack it into a folder"
            ) from None
        except Exception:  # by the entry's compression: zlib.error, lzma.LZMAError, EOFError, OSError, …
            raise Unreadable("damaged in the zip (cannot be unpacked)") from None

    def _at_hand(self, entry: zipfile.ZipInfo, size: int) -> AbstractContextManager:
        if self._ahead is None:
            return nullcontext()
        packed = min(entry.compress_size, LARGEST if size > HEAD else _FIRST)
        begin = entry.header_offset
        return self._ahead(begin, begin + _LOCAL + len(entry.filename.encode()) + len(entry.extra) + _EXTRA + packed)

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    def __enter__(self) -> "_Zip":
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()


class _Folder:
    def __init__(self, path: Path, value_range: Range | None):
        self.value_range = value_range
        self._path, self._folders, self._hidden, self.replaced = path, [], [], []
        self._names = sorted(self._walk(path, ""))

    @cached_property
    def notes(self) -> list[str]:
        return hidden_classes(self._path, (name for hidden in self._hidden for name in self._below(hidden)))

    def _walk(self, folder: Path, prefix: str) -> list[str]:
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if is_system_file(name):
                    self._hidden += [name] if entry.is_dir(follow_symlinks=False) else []
                    continue
                if entry.is_symlink():
                    self._refuse_link(Path(entry.path), name)
                try:
                    name.encode()
                except UnicodeEncodeError:
                    raise UserError(f"{self._path} has a file name that is not UTF-8, {name!a}: rename it") from None
                if entry.is_dir(follow_symlinks=False):
                    self._folders.append(name)
                    names += self._walk(Path(entry.path), name + "/")
                elif entry.is_file():
                    names.append(name)
        return names

    def _below(self, hidden: str) -> Iterator[str]:
        """The images in a hidden folder that may be a class; the first is enough."""
        if not _is_programs(hidden):
            files = (f"{hidden}/{name}" for _, _, names in os.walk(self._path / hidden) for name in names)
            yield from itertools.islice(filter(_hidden_folder, files), 1)

    def names(self) -> list[str]:
        return list(self._names)

    def empty_folders(self) -> list[str]:
        return _empty(self._folders, self._names)

    def _refuse_link(self, link: Path, name: str) -> None:
        """Raise UserError for a link that is not one of DVC's own, and for one of those that leads to nothing."""
        target = link.parent / link.readlink()
        if not _IN_DVC_CACHE.search(target.as_posix()):
            raise UserError(
                f"{self._path} has a symbolic link, {name!r}: put the file itself there (only DVC's own links, into "
                "its cache, are followed)"
            )
        if not target.is_file():
            raise UserError(f"{self._path}: {name!r} is a link of DVC's to what is not in its cache: run `dvc pull`")

    def read(self, name: str) -> bytes:
        return self._read(name)

    def head(self, name: str) -> bytes:
        return self._read(name, HEAD)

    def _read(self, name: str, size: int = -1) -> bytes:
        try:
            with (self._path / name).open("rb", buffering=0 if size >= 0 else -1) as file:
                return file.read(size)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None

    def size(self, name: str) -> int:
        try:
            return (self._path / name).stat().st_size
        except OSError:
            return 0

    def __enter__(self) -> "_Folder":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _checked(name: str, path: Path) -> str:
    if not name:
        raise UserError(f"{path} has a file without a name, as a damaged zip may: copy or fetch it again")
    posix = name.replace("\\", "/")  # some programs on Windows write backslashes into a zip
    if posix.startswith("/") or re.match(r"[A-Za-z]:", posix):
        raise UserError(f"{path} has an absolute file name, {name!r}: pack it with relative names")
    if ".." in posix.split("/"):
        raise UserError(f"{path} has a file name that leads out of it, {name!r}: pack it with relative names")
    return posixpath.normpath(posix)


def _empty(folders: Iterable[str], names: Iterable[str]) -> list[str]:
    """The folders that hold none of the files, sorted."""
    holding = {""}
    for name in names:
        while (name := posixpath.dirname(name)) not in holding:
            holding.add(name)
    return sorted(folder for folder in set(folders) - holding if not is_system_file(folder))


def is_system_file(name: str) -> bool:
    """Whether a path inside a source is hidden, or one that file managers and storage systems leave."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or part.lower() in _SYSTEM_FOLDERS for part in parts)
    return hidden or parts[-1] in ("Thumbs.db", "desktop.ini")


def hidden_classes(path: str | Path, names: Iterable[str]) -> list[str]:
    """Return a line on hidden folders that may be classes, if there are any.

    path: of the source. names: of its files by `is_system_file`.
    """
    folders = sorted({folder for folder in map(_hidden_folder, names) if folder})
    if not folders:
        return []
    shown = ", ".join(map(repr, folders[:5])) + (", …" if len(folders) > 5 else "")
    return [
        f"{path} has {wording.count(len(folders), 'hidden folder')} with images, left out since the name begins with a "
        f"dot: {shown}; if that is a class of yours, rename it"
    ]


def _hidden_folder(name: str) -> str | None:
    """The outermost hidden folder of an image's path; None for another file, and where a program made the folder."""
    from headstart.images import finding  # which imports this

    *folders, file = name.split("/")
    if file.startswith(".") or not finding.is_image_name(file) or any(map(_is_programs, folders)):
        return None
    ends = (end for end, folder in enumerate(folders, 1) if folder.startswith("."))
    return next(("/".join(folders[:end]) for end in ends), None)


def _is_programs(folder: str) -> bool:
    own = folder.rpartition("/")[2].lower()
    return own in _SYSTEM_FOLDERS or own.startswith(_PROGRAMS_FOLDERS)
