"""Unfinished work in a checkpoint's folder: believed where it is whole and of that folder, else thrown away."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import files
from headstart.base.errors import Damaged, doubted
from headstart.base.terminal import say

FOLDER = "folder"  # the entry that names the checkpoint's folder, and with it the inputs that the work is of
SHA256 = "sha256"  # the entry that has the hash of all others
RECORD = "record"  # the array that holds the record beside other arrays


def write(path: Path, record: dict[str, Any]) -> None:
    """Write `record`, whole or not at all, as JSON into a checkpoint's folder, with its hash."""
    record = record | {FOLDER: path.parent.name}
    files.write_text(path, json.dumps(record | {SHA256: _hash(record)}))


def read(path: Path) -> dict[str, Any] | None:
    """Returns what `write` took; None where there is none, and where it had to be thrown away."""
    if not path.exists():
        return None
    try:
        with doubted():
            record = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(record, dict) and record.pop(SHA256, None) != _hash(record):
                raise ValueError("it is not what was written")
            return _checked(path, record)
    except Damaged as error:
        throw_away(path, error)
        return None


def write_arrays(path: Path, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a record and arrays, whole or not at all, into one .npz file."""
    text = json.dumps(record | {FOLDER: path.parent.name})
    with files.whole(path) as part, part.open("wb") as content:
        np.savez(content, **{RECORD: np.array(text)}, **arrays)


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Returns what `write_arrays` took; None where there is none, and where it had to be thrown away."""
    if not path.exists():
        return None
    try:
        with doubted():
            with zipfile.ZipFile(path) as archive:  # before an array is made as large as a damaged header says
                if broken := archive.testzip():
                    raise ValueError(f"{broken} in it has another checksum")
            with np.load(path) as content:
                arrays = dict(content)
            return _checked(path, json.loads(str(arrays.pop(RECORD)))), arrays
    except Damaged as error:
        throw_away(path, error)
        return None


def throw_away(path: Path, why: object) -> None:
    """Remove unfinished work that cannot be gone on from, and say so in one line."""
    say(f"{path} is damaged ({why}): it is thrown away, and its work is done anew")
    path.unlink(missing_ok=True)


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _checked(path: Path, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ValueError("it holds no record")
    if record.pop(FOLDER, None) != path.parent.name:
        raise ValueError("it is of other inputs")
    return record
