"""The tensors of a PyTorch state dict, read without PyTorch by an unpickler that accepts tensors and nothing else.

A pickle is a program: one that names any other function is refused before that function is called.
"""

import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from headstart.base.errors import UserError

# The first two pickles of a file in the format before PyTorch 1.6.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

LARGEST = 2**29  # bytes: of all storages of a file, and of all tensors; a zip of 8 MB can unpack to 8 GB

MOST = 10**6  # objects of a pickle

DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


class _Storage(NamedTuple):
    key: str
    dtype: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def load_tensors(file: Path | BinaryIO) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name, each a copy in the shape and dtype in which it was saved.

    file: written by `torch.save(model.state_dict())`, in the pickle format before PyTorch 1.6 or the zip format since;
        its path, or the file itself, opened for reading bytes and seekable.

    Raises UserError for a file that is missing or incomplete, that is not a state dict, that names anything but
    tensors (which is not executed), whose tensors reach beyond their data, or that unpacks to more than `LARGEST`.
    """
    try:
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as opened:
            name = str(getattr(opened, "name", "the weights"))
            # By its first bytes: zipfile.is_zipfile looks at the end, which is what a file that was cut lacks.
            opened.seek(0)
            zipped = opened.read(2) == b"PK"
            opened.seek(0)
            tensors, data = _read_zip(opened, name) if zipped else _read_legacy(opened, name)
    except FileNotFoundError:
        raise UserError(f"no weights at {file}: check the path") from None
    views = {key: _view(key, tensor, data, name) for key, tensor in tensors.items()}
    # Any number of tensors can share one storage, and each becomes a copy.
    _limit(sum(view.nbytes for view in views.values()), name)
    return {key: view.copy() for key, view in views.items()}


class _Unpickler(pickle.Unpickler):
    """Reads storages as `_Storage` and tensors as `_Tensor`: descriptions, since their data lies after the pickle."""

    def __init__(self, file: BinaryIO, name: str):
        super().__init__(file, encoding="utf-8")
        self.file, self.name = file, name
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        # Bound methods and strings: a pickle can set attributes on what it gets, and these have none to set.
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch" and name.endswith("Storage"):
            raise UserError(
                f"{self.name}: holds tensors of {module}.{name}; takes {', '.join(DTYPES)}: "
                "save model.float().state_dict() instead"
            )
        raise UserError(
            f"{self.name}: holds {module}.{name}; takes tensors and nothing else: save model.state_dict() instead, "
            "and do not trust a file that names other functions"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, count, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or any(part is not None for part in view):
            raise UserError(
                f"{self.name}: holds {kind!r} {dtype!r} {view!r}; takes tensors with storages of their own: "
                "save model.state_dict() with a current PyTorch"
            )
        if type(key) is not str or type(count) is not int or count < 0:
            raise _damaged(self.name, f"storage {key!r} has {count!r} elements")
        return self.storages.setdefault(key, _Storage(key, dtype, count))

    def _tensor(self, storage, offset, size, stride, _requires_grad=False, _hooks=None, _metadata=None) -> _Tensor:
        return _Tensor(storage, offset, size, stride)

    def _parameter(self, tensor, _requires_grad=False, _hooks=None) -> _Tensor:
        return tensor

    def read(self) -> Any:
        try:
            start = self.file.tell()
            for operation, argument, _ in pickletools.genops(self.file):
                # Python makes room for all numbers up to this one: 16 bytes of a file for 32 GB.
                if operation.name in ("PUT", "LONG_BINPUT") and argument > MOST:
                    raise ValueError(f"it numbers an object {argument:,}")
            self.file.seek(start)
            return self.load()
        except (UserError, OSError):
            raise
        # Malformed pickles raise nearly anything, as the documentation of `pickle` says.
        except Exception as error:
            raise _damaged(self.name, str(error) or type(error).__name__) from None


def _damaged(name: str, reason: str) -> UserError:
    return UserError(f"{name}: not a complete PyTorch state dict ({reason}): fetch or save it again")


def _read_legacy(file: BinaryIO, name: str) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    if (_Unpickler(file, name).read(), _Unpickler(file, name).read()) != (MAGIC, PROTOCOL):
        raise _damaged(name, "it does not start as PyTorch files do")
    _Unpickler(file, name).read()  # byte order and sizes of the machine that wrote it; the data is little-endian
    unpickler = _Unpickler(file, name)
    tensors = _state_dict(unpickler.read(), name)
    _limit(sum(map(_length, unpickler.storages.values())), name)
    keys = _Unpickler(file, name).read()
    # Each once, compared by repr: 0 is not "0".
    if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(map(repr, unpickler.storages)):
        raise _damaged(name, "its list of storages does not match its tensors")
    data = {}
    for storage in (unpickler.storages[key] for key in keys):
        if int.from_bytes(file.read(8), "little", signed=True) != storage.count:
            raise _damaged(name, f"storage {storage.key} does not have its {storage.count} elements")
        data[storage.key] = _elements(storage, file, _remaining(file), name)
    return tensors, data


def _read_zip(file: BinaryIO, name: str) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(file) as archive:
            pickles = [entry for entry in archive.namelist() if entry.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise _damaged(name, f"the zip holds {len(pickles)} data.pkl, not one")
            folder = pickles[0].removesuffix("data.pkl")
            byte_order = f"{folder}byteorder"
            if byte_order in archive.namelist() and archive.open(byte_order).read(len("little") + 1) != b"little":
                raise UserError(f"{name}: its data is big-endian; takes little-endian: save it on such a machine")
            _limit(archive.getinfo(pickles[0]).file_size, name)
            unpickler = _Unpickler(io.BytesIO(archive.read(pickles[0])), name)
            tensors, data = _state_dict(unpickler.read(), name), {}
            _limit(sum(map(_length, unpickler.storages.values())), name)
            for storage in unpickler.storages.values():
                entry = archive.getinfo(f"{folder}data/{storage.key}")
                with archive.open(entry) as stored:
                    data[storage.key] = _elements(storage, stored, entry.file_size, name)
            return tensors, data
    except (UserError, MemoryError, PermissionError):
        raise
    # So does a malformed zip, by how its entries are compressed.
    except Exception as error:
        raise _damaged(name, str(error) or type(error).__name__) from None


def _state_dict(value: Any, name: str) -> dict[str, _Tensor]:
    if not isinstance(value, dict):
        raise UserError(f"{name}: holds a {type(value).__name__}; takes a state dict: save model.state_dict()")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, _Tensor):
            raise UserError(f"{name}: {key!r} is not a tensor; takes a state dict: save model.state_dict() alone")
    return dict(value)


def _remaining(file: BinaryIO) -> int:
    """Returns the number of bytes from here to the end of the file."""
    position = file.tell()
    count = file.seek(0, os.SEEK_END) - position
    file.seek(position)
    return count


def _length(storage: _Storage) -> int:
    return storage.count * np.dtype(storage.dtype).itemsize


def _limit(count: int, name: str) -> None:
    """Raise UserError where so many bytes would be unpacked: before they are."""
    if count > LARGEST:
        raise _damaged(name, f"it unpacks to {count:,} bytes, more than {LARGEST:,}")


def _elements(storage: _Storage, file: BinaryIO, available: int, name: str) -> np.ndarray:
    """Returns the data of a storage, one-dimensional; nothing is read where `available` bytes are too few for it."""
    length = _length(storage)
    data = file.read(length) if length <= available else b""
    if len(data) != length:
        raise _damaged(name, f"storage {storage.key} has {available} of its {length} bytes")
    return np.frombuffer(data, storage.dtype)


def _view(key: str, tensor: _Tensor, data: dict[str, np.ndarray], name: str) -> np.ndarray:
    storage, offset, size, stride = tensor
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in numbers):
        raise _damaged(name, f"{key} has no valid shape")
    elements = data[storage.key]
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=False)) if prod(size) else offset - 1
    # The last condition: a stride of 0 would make a tensor of any size out of a few bytes.
    if len(size) != len(stride) or last >= len(elements) or prod(size) > len(elements):
        raise _damaged(name, f"{key} reaches beyond its data")
    steps = [step * elements.itemsize for step in stride]
    try:
        return np.lib.stride_tricks.as_strided(elements[offset:], size, steps, writeable=False)
    except (ValueError, OverflowError) as error:
        raise _damaged(name, f"{key}: {error}") from None
