"""Files of both formats, written by the tests without PyTorch, and files that hold more than tensors."""

import io
import os
import pickle
import struct
import sys
import tracemalloc
import types
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones import torch_pickle
from headstart.backbones.torch_pickle import MAGIC, PROTOCOL, load_tensors
from headstart.base.errors import UserError


class Storage:
    """What torch.save writes of a storage: its class, key and count; and its bytes, which follow the pickle."""

    def __init__(self, kind, key, array, count=None):
        self.kind, self.key, self.data = kind, key, array.tobytes()
        self.count = array.size if count is None else count


class Global:
    """A function of another package, by name, called with `arguments` when the pickle is read."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@contextmanager
def torch_names():
    """Modules with the names that a pickle of PyTorch holds, since pickling looks them up."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "BoolStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda: None).__code__, {}, name)
        function.__module__, function.__qualname__ = "torch._utils", name
        setattr(utils, name, function)
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch, utils
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})


def pickled(value, view):
    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                storages.setdefault(thing.key, thing)
                return ("storage", getattr(torch, thing.kind), thing.key, "cpu", thing.count, *view)
            return None

    storages, buffer = {}, io.BytesIO()
    with torch_names() as (torch, utils):
        if callable(value):
            value = value(utils)
        Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue(), list(storages.values())


def legacy(value, view=(None,)) -> bytes:
    body, storages = pickled(value, view)
    head = [MAGIC, PROTOCOL, {"little_endian": True}]
    data = b"".join(pickle.dumps(part, 2) for part in head) + body
    data += pickle.dumps([storage.key for storage in storages], 2)
    return data + b"".join(struct.pack("<q", s.count) + s.data for s in storages)


def zipped(value, view=(), byte_order="little") -> bytes:
    body, storages = pickled(value, view)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # The low byte of this time is a line feed: it ends a word in the older format, should the zip be taken for one.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl", (2026, 11, 27, 1, 16, 20)), body)
        archive.writestr("archive/byteorder", byte_order)
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.data)
    return buffer.getvalue()


def tensor(utils, storage, offset, size, stride):
    return Global(utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


def state_dict(storage, offset, size, stride):
    return lambda utils: OrderedDict(weight=tensor(utils, storage, offset, size, stride))


FORMATS = pytest.mark.parametrize("save", [legacy, zipped])
SIX = Storage("FloatStorage", "7", np.arange(6, dtype="<f4"))


@FORMATS
def test_tensors_come_back_in_shape_type_and_value(save, tmp_path):
    def state(utils):
        counter = Storage("LongStorage", "1", np.array([1234567890123], "<i8"))
        flags = Storage("BoolStorage", "2", np.array([True, False]))
        return OrderedDict(
            plain=tensor(utils, SIX, 0, (2, 3), (3, 1)),
            transposed=tensor(utils, SIX, 0, (3, 2), (1, 3)),
            part=tensor(utils, SIX, 4, (2,), (1,)),
            scalar=tensor(utils, counter, 0, (), ()),
            flags=Global(utils._rebuild_parameter, tensor(utils, flags, 0, (2,), (1,)), True, OrderedDict()),
            empty=tensor(utils, SIX, 0, (0, 3), (3, 1)),
        )

    path = tmp_path / "weights.pth"
    path.write_bytes(save(state))
    tensors = load_tensors(path)
    assert list(tensors) == ["plain", "transposed", "part", "scalar", "flags", "empty"]
    assert tensors["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["plain"].dtype == np.float32
    assert tensors["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tensors["part"].tolist() == [4, 5]
    assert (tensors["scalar"].shape, int(tensors["scalar"]), tensors["scalar"].dtype) == ((), 1234567890123, np.int64)
    assert tensors["flags"].tolist() == [True, False]
    assert tensors["empty"].shape == (0, 3)
    tensors["plain"][0, 0] = 9
    assert tensors["transposed"][0, 0] == 0


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_pickle, "LARGEST", 10**6)
    large = Storage("FloatStorage", "7", np.zeros(2**24, "<f4"))
    path = tmp_path / "weights.pth"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        zipfile.ZipFile(io.BytesIO(zipped(state_dict(large, 0, (2**24,), (1,))))) as plain,
    ):
        for entry in plain.infolist():
            archive.writestr(entry.filename, plain.read(entry))
    assert path.stat().st_size < 10**5
    tracemalloc.start()
    with pytest.raises(UserError, match="it unpacks to 67,108,864 bytes, more than 1,000,000"):
        load_tensors(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("entry", ["data.pkl", "byteorder"])
def test_nor_are_its_other_entries(monkeypatch, tmp_path, entry):
    monkeypatch.setattr(torch_pickle, "LARGEST", 10**6)
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("data.pkl", "byteorder"):
            archive.writestr(f"archive/{name}", bytes(2**26) if name == entry else b"little")
    tracemalloc.start()
    with pytest.raises(UserError, match="unpacks to|big-endian"):
        load_tensors(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@FORMATS
def test_tensors_that_share_a_storage_are_counted_each(save, monkeypatch):
    monkeypatch.setattr(torch_pickle, "LARGEST", 10**5)
    storage = Storage("FloatStorage", "7", np.zeros(10_000, "<f4"))

    def state(utils):
        return OrderedDict((f"w{i}", tensor(utils, storage, 0, (10_000,), (1,))) for i in range(3))

    with pytest.raises(UserError, match="unpacks to 120,000 bytes"):
        load_tensors(io.BytesIO(save(state)))


@pytest.mark.parametrize("operation", [b"r\xff\xff\xff\x7f", b"p2147483647\n"])
def test_an_object_with_a_huge_number_takes_no_memory(operation):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}" + operation + b".")
    with pytest.raises(UserError, match="it numbers an object 2,147,483,647"):
        load_tensors(stream)


def test_an_open_file_is_read_too():
    assert load_tensors(io.BytesIO(legacy(state_dict(SIX, 0, (6,), (1,)))))["weight"].tolist() == [0, 1, 2, 3, 4, 5]


@FORMATS
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr"), (np.load, "load")],
)
def test_a_pickle_that_names_a_function_is_refused_and_not_executed(save, function, name, tmp_path):
    trace = tmp_path / "executed"
    command = f"touch {trace}" if function is os.system else f"__import__('pathlib').Path({str(trace)!r}).touch()"
    with pytest.raises(UserError, match=rf"holds \S*{name}; takes tensors and nothing else"):
        load_tensors(io.BytesIO(save(OrderedDict(weight=Global(function, command)))))
    assert not trace.exists()


def test_a_call_in_the_pickles_around_the_state_dict_is_refused(tmp_path):
    trace = tmp_path / "executed"
    for before in ([], [MAGIC], [MAGIC, PROTOCOL]):
        data = b"".join(pickle.dumps(part, 2) for part in [*before, Global(os.system, f"touch {trace}")])
        with pytest.raises(UserError, match="takes tensors and nothing else"):
            load_tensors(io.BytesIO(data))
    assert not trace.exists()


@FORMATS
def test_a_storage_class_without_a_numpy_type_is_named(save):
    storage = Storage("BFloat16Storage", "0", np.zeros(2, "<u2"))
    with pytest.raises(
        UserError, match=r"holds tensors of torch\.BFloat16Storage; takes DoubleStorage, FloatStorage, "
    ):
        load_tensors(io.BytesIO(save(state_dict(storage, 0, (2,), (1,)))))


@FORMATS
@pytest.mark.parametrize("count", [7, 2**50, -1])
def test_a_storage_that_lies_about_its_size_is_refused(save, count):
    storage = Storage("FloatStorage", "0", np.zeros(6, "<f4"), count=count)
    with pytest.raises(UserError, match="not a complete PyTorch state dict"):
        load_tensors(io.BytesIO(save(state_dict(storage, 0, (6,), (1,)))))


@FORMATS
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (1, (6,), (1,)),
        (0, (2, 3), (4, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**40,), (0,)),
        (0, (2, 3), (3,)),
        (0, (1, 1), (2**70, 1)),
        (0, [6], [1]),
        (0, (6.0,), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(save, offset, size, stride):
    with pytest.raises(UserError, match="weight"):
        load_tensors(io.BytesIO(save(state_dict(SIX, offset, size, stride))))


@FORMATS
def test_a_file_cut_anywhere_is_refused(save, tmp_path):
    whole = save(state_dict(SIX, 0, (6,), (1,)))
    for length in range(0, len(whole), 7):
        path = tmp_path / "cut.pth"
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.pth: not a complete PyTorch state dict"):
            load_tensors(path)


@pytest.mark.parametrize("data", [b"<html>404</html>", b"\x89HDF\r\n\x1a\n" * 9, b"\x80\x02K\x01."])
def test_other_files_are_refused(data):
    with pytest.raises(UserError, match="not a complete PyTorch state dict"):
        load_tensors(io.BytesIO(data))


@FORMATS
def test_anything_but_a_dict_of_tensors_is_refused(save):
    for value in ([1], OrderedDict(epoch=3), {1: 2}, {"weight": SIX}):
        with pytest.raises(UserError, match="takes a state dict"):
            load_tensors(io.BytesIO(save(value)))


def test_a_view_of_a_storage_is_refused():
    with pytest.raises(UserError, match=r"'3', 0, 2.*; takes tensors with storages of their own"):
        load_tensors(io.BytesIO(legacy(state_dict(SIX, 0, (6,), (1,)), view=(("3", 0, 2),))))


def test_a_zip_that_is_not_one_state_dict_of_this_byte_order_is_refused():
    with pytest.raises(UserError, match="its data is big-endian; takes little-endian"):
        load_tensors(io.BytesIO(zipped(state_dict(SIX, 0, (6,), (1,)), byte_order="big")))
    for count in (0, 2):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("readme.txt", "")
            for number in range(count):
                archive.writestr(f"{number}/data.pkl", "")
        with pytest.raises(UserError, match=f"the zip holds {count} data.pkl, not one"):
            load_tensors(buffer)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"no weights at nowhere\.pth"):
        load_tensors(Path("nowhere.pth"))
