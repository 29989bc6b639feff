"""Arrays in files, each with a record of what it must be: nothing else is believed when it is read.

An array of more than `LARGEST` lies in several files, plain.npy, plain.1.npy and so on, of as many images each. In a
folder of arrays `arrays.json` is their index: it has of each file its size in bytes, its sha256, and `images`, a hash
of which images its rows are of, in which order. Where an array is of several parts side by side, it has their `widths`.
"""

import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.threads import in_order

RECORDS = "arrays.json"
LARGEST = 2**30  # bytes of one file: large ones are hashed and sent by one thread each
BLOCK = 2**20  # bytes that are hashed at a time


def names_of(pixel_hashes: Iterable[str]) -> str:
    """Returns the hash of which images the rows of an array are of. pixel_hashes: of each, as the manifest has them."""
    return hashlib.sha256("\n".join(pixel_hashes).encode()).hexdigest()


class Growing:
    """An array of float16 that is filled block by block, in any order, in one .npy file or, above `LARGEST`, several.

    path: of the file, which is made in full size, and of the first of several (`path_of`). shape: of the whole array.
    axes: how many of its first axes count rows: 1, or 2 where each image has several; a file holds whole images.

    Attributes: `files`, their paths, and `images`, the range of those in each.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], axes: int):
        self._inner, self._row = math.prod(shape[1:axes]), 2 * math.prod(shape[axes:])
        self._shape, most = shape, max(1, LARGEST // max(1, self._inner * self._row))
        self.images = [range(at, min(at + most, shape[0])) for at in range(0, max(1, shape[0]), most)]
        self.files = [path_of(path, number) for number in range(len(self.images))]
        self._open: list[BinaryIO] = []

    def go_on(self) -> bool:
        """Whether the files are there, in full size and with their headers; go on with them if so."""
        for path, images in zip(self.files, self.images, strict=True):
            if not path.is_file() or path.stat().st_size != self._size(images):
                return False
            self._open.append(path.open("r+b"))
            header = self._header(images)
            if self._open[-1].read(len(header)) != header:
                return False
        return True

    def start(self) -> None:
        """Begin in new files: the old ones may be in their place, and in DVC's cache, by a link."""
        self._open = []
        for path, images in zip(self.files, self.images, strict=True):
            path.unlink(missing_ok=True)
            file = path.open("w+b")
            file.write(self._header(images))
            file.truncate(self._size(images))
            self._open.append(file)

    def write(self, start: int, rows: np.ndarray) -> str:
        """Write float16 rows, the first of which is row `start` of all. Returns their sha256."""
        # Plain writes, not a memory map: pages that were written there would count as memory in use. Not tofile, which
        # does not say that a disk is full.
        content = np.ascontiguousarray(rows, np.float16).reshape(-1).view(np.uint8)
        for number, at, part in self._parts(start, len(rows)):
            self._open[number].seek(at)
            self._open[number].write(content[part.start : part.stop])
        return hashlib.sha256(content).hexdigest()

    def holds(self, start: int, count: int, sha256: str) -> bool:
        """Whether these rows, which were written, have this sha256."""
        if not 0 <= start <= start + count <= self._shape[0] * self._inner:
            return False
        digest = hashlib.sha256()
        for block in self._read(start, count):
            digest.update(block[1])
        return digest.hexdigest() == sha256

    def sync(self) -> None:
        """Have all rows so far on the disk."""
        for file in self._open:
            file.flush()
            files.sync_open(file.fileno())

    def close(self, written: Iterable[tuple[int, int, str]]) -> list[dict[str, str | int]]:
        """Close the full array, and return size and sha256 of each of its files.

        written: start, count and sha256 of all that was. Raises UserError where a file does not hold it any more.
        """
        at, whole = 0, [hashlib.sha256(self._header(images)) for images in self.images]
        changed = "was changed while it was written: run `dvc repro` again, which makes it anew"
        for start, count, sha256 in sorted(written):
            assert start == at, f"{self.files[0]}: row {at} is not written"
            at, digest = at + count, hashlib.sha256()
            for number, block in self._read(start, count):
                digest.update(block)
                whole[number].update(block)
            if digest.hexdigest() != sha256:
                raise UserError(f"{self.files[self._place(start)[0]]} {changed}")
        total = self._shape[0] * self._inner
        assert at == total, f"{self.files[0]}: {at} of {total} rows are written"
        self.sync()
        for file in self._open:
            file.close()
        records = []
        for path, images, digest in zip(self.files, self.images, whole, strict=True):
            size = self._size(images)
            if not path.is_file() or path.stat().st_size != size:
                raise UserError(f"{path} {changed}")
            records.append({"size": size, "sha256": digest.hexdigest()})
        return records

    def _header(self, images: range) -> bytes:
        header = io.BytesIO()
        shape = (len(images), *self._shape[1:])
        kind = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, kind)
        return header.getvalue()

    def _size(self, images: range) -> int:
        return len(self._header(images)) + len(images) * self._inner * self._row

    def _place(self, row: int) -> tuple[int, int]:
        """The number of the file that a row is in, and how many rows of the file come before it."""
        most = max(1, len(self.images[0])) * self._inner
        return divmod(row, most)

    def _parts(self, start: int, count: int) -> Iterator[tuple[int, int, range]]:
        """Of rows the files, the place of the first byte in each, and the range of the bytes that lie there."""
        done = 0
        while done < count and self._row:
            number, before = self._place(start + done)
            here = min(count - done, len(self.images[number]) * self._inner - before)
            at = len(self._header(self.images[number])) + before * self._row
            yield number, at, range(done * self._row, (done + here) * self._row)
            done += here

    def _read(self, start: int, count: int) -> Iterator[tuple[int, bytes]]:
        """The content of rows, block by block, with the number of the file; less where a file was cut."""
        for number, at, part in self._parts(start, count):
            self._open[number].seek(at)
            left = len(part)
            while left and (block := self._open[number].read(min(BLOCK, left))):
                left -= len(block)
                yield number, block


def record(folder: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write the records of the arrays in a folder, by the names of their files; nothing where there are none."""
    if records:
        files.write_text(folder / RECORDS, json.dumps(records, indent=2, sort_keys=True) + "\n")


class Rows:
    """The rows of an array in one file or several, float16 (n, …). In memory is only what is taken of it.

    Between brackets it takes what an array takes for its first axis, and after that for the others. Threads may share
    it. `counts`: the rows in each file.
    """

    dtype = np.dtype(np.float16)

    def __init__(self, paths: Sequence[Path]):
        # Not read through a memory map: pages that were read there would count as memory in use.
        maps = [np.load(path, mmap_mode="r") for path in paths]
        self.shape = (sum(map(len, maps)), *maps[0].shape[1:])
        self.counts = [len(array) for array in maps]
        self._begin, self._most = [array.offset for array in maps], max(1, self.counts[0])
        self._paths, self._open = paths, [path.open("rb", buffering=0) for path in paths]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, int | np.integer):
            return self.at(range(len(self))[rows])[tuple(rest)]
        rows = np.arange(len(self))[rows]
        taken, done = np.empty((len(rows), *self.shape[1:]), self.dtype), 0
        for run in self._runs(rows):
            read = self._read(run[0], len(run) * math.prod(self.shape[1:]))
            taken[done : done + len(run)] = read.reshape(-1, *self.shape[1:])
            done += len(run)
        return taken[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype)

    def at(self, row: int, *places: int) -> np.ndarray:
        """Return what lies at a row, and at these places in the axes after it: that alone is read."""
        shape, skipped = self.shape[1:], 0
        for place in places:
            shape = shape[1:]
            skipped += place * math.prod(shape)
        return self._read(row, math.prod(shape), skipped).reshape(shape)

    def ahead(self, rows: np.ndarray) -> None:
        """Have the system read these rows from the disk, one after the other, while something else is done."""
        if hasattr(os, "posix_fadvise"):
            for run in self._runs(np.unique(rows)):
                number, before = divmod(int(run[0]), self._most)
                row = self.dtype.itemsize * math.prod(self.shape[1:])
                place = self._begin[number] + before * row
                os.posix_fadvise(self._open[number].fileno(), place, len(run) * row, os.POSIX_FADV_WILLNEED)

    def _runs(self, rows: np.ndarray) -> list[np.ndarray]:
        """The same rows in parts that follow each other in one file."""
        if not len(rows):
            return []
        return np.split(rows, np.flatnonzero((np.diff(rows) != 1) | (np.diff(rows // self._most) != 0)) + 1)

    def _read(self, row: int, count: int, skipped: int = 0) -> np.ndarray:
        """So many numbers of one file, from a row on, or from after those of it that are skipped."""
        number, before = divmod(int(row), self._most)
        at = self._begin[number] + self.dtype.itemsize * (before * math.prod(self.shape[1:]) + int(skipped))
        content, left = [], self.dtype.itemsize * count
        while left:
            content.append(os.pread(self._open[number].fileno(), left, at))
            if not content[-1]:
                raise UserError(f"{self._paths[number]} was cut while it was read: run `make check`, then `dvc repro`")
            at, left = at + len(content[-1]), left - len(content[-1])
        return np.frombuffer(content[0] if len(content) == 1 else b"".join(content), self.dtype)


def read(path: Path, pixel_hashes: Sequence[str] | None, stage: str) -> Rows:
    """Returns the array whose first file is at `path`, after comparing each of its files with its record.

    pixel_hashes: of the images that its rows must be of; None: of any. stage: that wrote it. Raises UserError where one
    is missing, has another size or content than was written, or is of other images.
    """
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro {stage}`")
    try:
        records = json.loads((path.parent / RECORDS).read_text(encoding="utf-8"))
        count = sum(name.partition(".")[0] == path.stem for name in records)
        paths = [path_of(path, number) for number in range(max(1, count))]
        entries = [records[path.name] for path in paths]
        said = [(entry["size"], entry["sha256"], entry["images"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(path, f"{path.parent / RECORDS} does not say what is in it", stage) from None
    for file, (size, _, _) in zip(paths, said, strict=True):
        there = file.stat().st_size if file.is_file() else 0
        if there != size:
            raise _damaged(file, f"it has {there:,} bytes, {size:,} were written", stage)
    hashes = in_order(files.sha256, paths)
    for file, (_, sha256, _), found in zip(paths, said, hashes, strict=True):
        if found != sha256:
            raise _damaged(file, "it holds something else than was written", stage)
    rows, at = Rows(paths), 0
    for file, (_, _, images), count in zip(paths, said, rows.counts, strict=True):
        if pixel_hashes is not None and names_of(pixel_hashes[at : at + count]) != images:
            raise _damaged(file, "it is of other images than data/manifest.csv", stage)
        at += count
    return rows


def widths(path: Path, stage: str) -> list[int]:
    """Returns how wide each part of the array is whose first file is at `path`; an empty list where it has one.

    stage: that wrote it. Raises UserError where its record is damaged, or of an array of another width.
    """
    try:
        said = json.loads((path.parent / RECORDS).read_text(encoding="utf-8"))[path.name].get("widths", [])
        whole = type(said) is list and all(type(width) is int and width > 0 for width in said)
        if not whole or (said and sum(said) != np.load(path, mmap_mode="r").shape[-1]):
            raise ValueError("its parts are not as wide as it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(path, f"{path.parent / RECORDS} does not say how wide its parts are", stage) from None
    return said


def path_of(first: Path, number: int) -> Path:
    """The path of one of the files of an array, from 0: plain.npy, plain.1.npy, plain.2.npy, …"""
    return first.with_suffix(f".{number}{first.suffix}") if number else first


def _damaged(path: Path, why: str, stage: str) -> UserError:
    return UserError(
        f"{path} is damaged ({why}): run `make check`, which takes damaged copies out of DVC's cache, then `dvc repro "
        f"--force --single-item {stage}`, which writes it anew, and `dvc repro`"
    )
