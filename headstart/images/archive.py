"""A source of images, a zip (such as a wheel) or a folder, read in place."""

import os
import posixpath
import re
import stat
import threading
import zipfile
from pathlib import Path
from typing import Protocol

from headstart.base.errors import UserError

LARGEST = 512 * 2**20  # bytes of one unpacked zip entry


class Unreadable(ValueError):
    """One file of a source cannot be read; the message is the reason. The other files are not affected."""


class Source(Protocol):
    """The files of a zip or a folder. A context manager, which closes the zip."""

    def names(self) -> list[str]:
        """Return the paths inside the source, with forward slashes, sorted.

        Hidden files and those of file managers are not among them.
        """

    def read(self, name: str) -> bytes:
        """Return the content of one of `names()`. Raises `Unreadable`. Safe to call from several threads."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *error: object) -> None: ...


def open_source(path: str | Path) -> Source:
    """Open a zip or a folder.

    path: may itself be a symbolic link to it.

    Raises `UserError` where there is neither, and for a file in it that is a symbolic link, or whose name is absolute,
    leads out of the source or is not UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise UserError(f"nothing is at {path}: set dataset.path to your zip or folder, or run `dvc repro fetch`")
    return _Zip(path)


class _Zip:
    def __init__(self, path: Path):
        # For a file that is no zip, reading the index raises far more than BadZipFile.
        try:
            self._zip = zipfile.ZipFile(path)
        except PermissionError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path} is neither a folder nor a whole zip ({error}): copy or fetch it again, or "
                "unpack it into a folder"
            ) from None
        self._lock = threading.Lock()
        self._entries = {}
        try:
            for entry in self._zip.infolist():
                name = _checked(entry.filename, path)
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{path} has a symbolic link, {name!r}: pack the file itself")
                # Of two entries of one name the later one counts, as in unpacking.
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
            # ZipFile counts its open entries without a lock. The read is bounded, for an entry that holds more than
            # its size says.
            with self._lock, self._zip.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except MemoryError:
            raise
        except zipfile.BadZipFile:
            raise Unreadable("damaged in the zip (bad checksum or header)") from None
        except RuntimeError:
            raise Unreadable("encrypted in the zip, or packed by an unsupported method") from None
        except Exception:  # by the entry's compression: zlib.error, lzma.LZMAError, EOFError, OSError, …
            raise Unreadable("damaged in the zip (cannot be unpacked)") from None
        if len(data) != entry.file_size:
            raise Unreadable("damaged in the zip (its size is not what the zip says)")
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
                    raise UserError(f"{self._path} has a symbolic link, {name!r}: put the file itself there")
                try:
                    name.encode()
                except UnicodeEncodeError:
                    raise UserError(f"{self._path} has a file name that is not UTF-8, {name!a}: rename it") from None
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
        raise UserError(f"{path} has an absolute file name, {name!r}: pack it with relative names")
    if ".." in posix.split("/"):
        raise UserError(f"{path} has a file name that leads out of it, {name!r}: pack it with relative names")
    return posixpath.normpath(posix)


def _is_system_file(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or parts[-1] in ("Thumbs.db", "desktop.ini")
