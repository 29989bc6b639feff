"""Arrays that are written row by row, each with a record of what it must be: nothing else is believed when it is read.

In a folder of arrays `arrays.json` has of each file its size in bytes, its sha256, and `images`: a hash of which images
its rows are of, in which order.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError

RECORDS = "arrays.json"
BLOCK = 2**20  # bytes that are hashed at a time


def names_of(pixel_hashes: Iterable[str]) -> str:
    """Returns the hash of which images the rows of an array are of. pixel_hashes: of each, as the manifest has them."""
    return hashlib.sha256("\n".join(pixel_hashes).encode()).hexdigest()


class Growing:
    """An .npy file of float16 that is filled from its first row to its last.

    path: of the file, which is made in full size. shape: of the whole array. axes: how many of its first axes count
    rows: 1, or 2 where each image has several.

    Attributes: `rows`, how many are written; `size`, the bytes of the whole file.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], axes: int):
        self.path, self._total = path, math.prod(shape[:axes])
        header = io.BytesIO()
        kind = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, kind)
        self._header, self._row = header.getvalue(), 2 * math.prod(shape[axes:])
        self.size = len(self._header) + self._total * self._row

    def go_on(self, rows: int, sha256: str) -> bool:
        """Whether the file holds the `rows` that were written, which have this `sha256`; go on after them if so."""
        if not 0 <= rows <= self._total or not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        self._file, self.rows = self.path.open("r+b"), rows
        self._digest, left = hashlib.sha256(), len(self._header) + rows * self._row
        while left:
            block = self._file.read(min(BLOCK, left))
            if not block:
                return False
            self._digest.update(block)
            left -= len(block)
        return self._digest.hexdigest() == sha256

    def start(self) -> None:
        """Begin with the first row, in a new file: the old one may be in its place, and in DVC's cache, by a link."""
        self.path.unlink(missing_ok=True)
        self._file, self.rows, self._digest = self.path.open("w+b"), 0, hashlib.sha256(self._header)
        self._file.write(self._header)
        self._file.truncate(self.size)

    def write(self, rows: np.ndarray) -> None:
        """Append float16 rows."""
        # Plain writes, not a memory map: pages that were written there would count as memory in use. Not tofile, which
        # does not say that a disk is full.
        content = np.ascontiguousarray(rows, np.float16).reshape(-1).view(np.uint8)
        self._file.write(content)
        self._digest.update(content)
        self.rows += len(rows)

    def sync(self) -> str:
        """Have all rows so far on the disk, and return their sha256."""
        self._file.flush()
        files.sync_open(self._file.fileno())
        return self._digest.hexdigest()

    def close(self, images: str) -> dict[str, str | int]:
        """Close the full array, and return its record. images: as `names_of` returns it.

        Raises UserError where the file is not what was written.
        """
        assert self.rows == self._total, f"{self.path}: {self.rows} of {self._total} rows are written"
        sha256 = self.sync()
        self._file.close()
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            raise UserError(f"{self.path} was changed while it was written: run `dvc repro` again, which makes it anew")
        return {"size": self.size, "sha256": sha256, "images": images}


def record(folder: Path, records: dict[str, dict[str, str | int]]) -> None:
    """Write the records of the arrays in a folder, by the names of their files; nothing where there are none."""
    if records:
        files.write_text(folder / RECORDS, json.dumps(records, indent=2, sort_keys=True) + "\n")


def read(path: Path, pixel_hashes: Iterable[str] | None, stage: str) -> np.memmap:
    """Returns the array at `path` as a memory map, after comparing it with its record.

    pixel_hashes: of the images that its rows must be of; None: of any. stage: that wrote it. Raises UserError where it
    is missing, has another size or content than was written, or is of other images.
    """
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro {stage}`")
    try:
        entry = json.loads((path.parent / RECORDS).read_text(encoding="utf-8"))[path.name]
        size, sha256, images = entry["size"], entry["sha256"], entry["images"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        why = f"{path.parent / RECORDS} does not say what is in it"
    else:
        if path.stat().st_size != size:
            why = f"it has {path.stat().st_size:,} bytes, {size:,} were written"
        elif files.sha256(path) != sha256:
            why = "it holds something else than was written"
        elif pixel_hashes is not None and names_of(pixel_hashes) != images:
            why = "it is of other images than data/manifest.csv"
        else:
            return np.load(path, mmap_mode="r")
    raise UserError(
        f"{path} is damaged ({why}): run `make check`, which takes damaged copies out of DVC's cache, then `dvc repro "
        f"--force --single-item {stage}`, which writes it anew, and `dvc repro`"
    )
