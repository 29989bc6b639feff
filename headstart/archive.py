"""A source of images, a zip (a wheel is one) or a folder, that is read in place."""

import os
import posixpath
import re
import stat
import threading
import zipfile
from pathlib import Path
from typing import Protocol

from headstart.errors import UserError

LARGEST = 512 * 2**20  # bytes of one unpacked zip entry


class Unreadable(ValueError):
    """One file of a source cannot be read; the message is the reason. The other files are not concerned."""


class Source(Protocol):
    """The files of a zip or of a folder. A context manager; `read` may be called from several threads."""

    def names(self) -> list[str]:
        """Paths inside the source, with forward slashes, sorted; without hidden files and those of file managers."""

    def read(self, name: str) -> bytes:
        """The content of one of `names()`. Raises `Unreadable`."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *error: object) -> None: ...


def open_source(path: str | Path) -> Source:
    """Open a zip or a folder.

    Raises `UserError` where there is none, and for entries that climb out of the source, have absolute names or are
    symbolic links. `path` itself may be a link to the source.
    """
    path = Path(path)
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise UserError(f"nothing is at {path}: set dataset.path to your zip or folder, or run fetch to bring it")
    return _Zip(path)


class _Zip:
    def __init__(self, path: Path):
        # A zip's index is read by code that raises far more than BadZipFile on what is no zip.
        try:
            self._zip = zipfile.ZipFile(path)
        except PermissionError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path} is neither a folder nor a whole zip ({error}): fetch it again, or unpack it into a folder"
            ) from None
        self._lock = threading.Lock()
        self._entries = {}
        try:
            for entry in self._zip.infolist():
                name = _checked(entry.filename, path)
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{path} holds a symbolic link, {name!r}: pack the file itself")
                # An entry that stands twice was replaced by its later version, as unpacking would do.
                if not entry.is_dir() and not _is_system_file(name):
                    self._entries[name] = entry
        except UserError:
            self._zip.close()
            raise

    def names(self) -> list[str]:
        return sorted(self._entries)

    def read(self, name: str) -> bytes:
        entry = self._entries[name]
        if entry.file_size > LARGEST:
            raise Unreadable(f"{entry.file_size:,} bytes unpacked, more than {LARGEST:,}")
        try:
            # One handle's count of open entries is not safe across threads. A bounded read, for an entry
            # that holds more than it says.
            with self._lock, self._zip.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except MemoryError:
            raise
        except zipfile.BadZipFile:
            raise Unreadable("damaged in the zip (bad checksum or header)") from None
        except RuntimeError:
            raise Unreadable("encrypted in the zip, or packed by a method that is not known here") from None
        except Exception:  # zlib.error, lzma.LZMAError, EOFError, OSError, … by the entry's compression
            raise Unreadable("damaged in the zip (cannot be unpacked)") from None
        if len(data) != entry.file_size:
            raise Unreadable("damaged in the zip (shorter than it says)")
        return data

    def __enter__(self) -> "_Zip":
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()


class _Folder:
    def __init__(self, path: Path):
        self._path = path
        self._names = sorted(self._walk(path, ""))

    def _walk(self, folder: Path, prefix: str) -> list[str]:
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_system_file(name):
                    continue
                if entry.is_symlink():
                    raise UserError(f"{self._path} holds a symbolic link, {name!r}: put the file itself there")
                try:
                    name.encode()
                except UnicodeEncodeError:
                    raise UserError(f"{self._path} holds a file name that is not UTF-8, {name!a}: rename it") from None
                if entry.is_dir():
                    names += self._walk(Path(entry.path), name + "/")
                elif entry.is_file():
                    names.append(name)
        return names

    def names(self) -> list[str]:
        return list(self._names)

    def read(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None

    def __enter__(self) -> "_Folder":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _checked(name: str, path: Path) -> str:
    posix = name.replace("\\", "/")  # some programs on Windows write backslashes into a zip
    if posix.startswith("/") or re.match(r"[A-Za-z]:", posix):
        raise UserError(f"{path} holds an absolute name, {name!r}: pack it with relative names")
    if ".." in posix.split("/"):
        raise UserError(f"{path} holds a name that climbs out of it, {name!r}: pack it with plain relative names")
    return posixpath.normpath(posix)


def _is_system_file(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or parts[-1] in ("Thumbs.db", "desktop.ini")
