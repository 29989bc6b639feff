"""The readers of files that come from outside, each with good files to damage, and what it may answer to a damaged one.

A reader passes where it returns, or raises what it promises; any other error is a fault.
"""

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from conftest import ROOT
from hypothesis import strategies as st
from mutations import as_json, changed, damaged
from PIL import Image

from headstart.base.errors import UserError
from headstart.images import archive, decoding
from headstart.images.decoding import Square

DATE = (2026, 11, 27, 1, 2, 4)
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


class Reader(NamedTuple):
    strategy: Callable[[], st.SearchStrategy]
    read: Callable[[Any], Any]
    promised: tuple[type[Exception], ...]  # the errors that it may raise


def _picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    rng = np.random.default_rng(1)
    if mode in ("I;16", "F"):
        image = Image.fromarray(rng.integers(0, 4000, (12, 16)).astype("uint16" if mode == "I;16" else "float32"))
    else:
        image = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype="uint8")).convert(mode)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@cache
def pictures() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = [_picture("JPEG", exif=exif), _picture("JPEG", progressive=True), _picture("JPEG", "CMYK"), _picture("PNG")]
    seeds += [_picture("PNG", mode) for mode in ("P", "LA", "RGBA", "1", "I;16")]
    seeds += [_picture("TIFF", mode) for mode in ("RGB", "I;16", "F", "1")]
    seeds += [_picture("TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "tiff_deflate", "packbits")]
    seeds += [_picture(kind) for kind in ("GIF", "BMP", "WEBP", "JPEG2000", "PPM", "AVIF")]
    return [*seeds, (ROOT / "tests/images/turned.heic").read_bytes(), _dicom()]


def _dicom() -> bytes:
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.7",
        generate_uid(None, ["a"]),
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 12, 16, 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleSlope, image.RescaleIntercept = 2, -1024
    image.PixelData = np.arange(192, dtype="<u2").tobytes()
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def read_picture(data: bytes) -> None:
    promised = (decoding.Broken,)
    for read in (
        lambda: decoding.kind(data[:132]),
        lambda: decoding.depth(data),
        lambda: decoding.examine(data, True),
        lambda: decoding.read(data, Square(16), None),
    ):
        with contextlib.suppress(promised):
            read()


@cache
def zips() -> list[bytes]:
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as packed:
            packed.comment = b"a comment"
            for name in ("cats/1.png", "dogs/2.png", "käfer/ü.png", "labels.csv", "empty/"):
                entry = zipfile.ZipInfo(name, DATE)
                entry.compress_type = method
                packed.writestr(entry, b"" if name.endswith("/") else b"name,label\na,b\n" * 9)
        seeds.append(stream.getvalue())
        seeds.append(seeds[-1].replace("käfer".encode(), b"k\x84fer\x00"[:6]))
    return seeds


def read_zip(data: bytes) -> None:
    path = FOLDER / "images.zip"
    path.write_bytes(data)
    with archive.open_source(path) as source:
        source.empty_folders()
        for name in source.names():
            source.size(name)
            for read in (source.head, source.read):
                with contextlib.suppress(archive.Unreadable):
                    read(name)


class Table(NamedTuple):
    content: bytes
    delimiter: str
    header: bool
    image: str | int
    label: Any
    options: dict


@cache
def tables() -> st.SearchStrategy:
    seeds = [
        "name,label,weight\na.png,cat,1\nb/c.png,dog,0.5\n",
        "a.png;1\r\nb/c.png;0\r\n",
        '"a.png"\t"x""y"\nb\\c.png\t\n',
    ]
    seeds += ["\ufeffname,cat,dog\na.png,1,0\nb/c.png,0,1\n", "name,cat,dog\na.png,0.2,0.8\nC:\\x\\b\\c.png,1,0\n"]
    column = st.sampled_from([0, 1, 2, 9, 10**30, "name", "label", "cat", "nothing"])
    label = st.one_of(column, st.sampled_from([["cat", "dog"], [1, 2], ["cat", 9]]))
    values = st.sampled_from([None, {"cat": "a", "dog": "b"}, {"1": "a", "0": "b"}])
    weights = st.sampled_from([None, "weight", 2, {"cat": 0.5}, {"x": 0.0}])
    options = st.fixed_dictionaries({"values": values, "weight": weights, "probabilities": st.booleans()})
    delimiter = st.sampled_from([",", ";", "\t", "whitespace", "|", "\n", '"', "é", "\0", " "])
    content = damaged([seed.encode() for seed in seeds])
    return st.builds(Table, content, delimiter, st.booleans(), column, label, options)


def read_table(drawn: Table) -> None:
    from headstart.base import params
    from headstart.labels import tables as reader

    path = FOLDER / "table.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("a.png", "b/c.png", "d.png"):
            packed.writestr(name, b"")
        packed.writestr("labels.csv", drawn.content)
    values = {"file": "labels.csv", "delimiter": drawn.delimiter, "header": drawn.header, "image": drawn.image}
    table = params.Table(**values, label=drawn.label, **drawn.options)
    with archive.open_source(path) as source:
        reader.read_labels(source, table, ["cat", "dog"])


@cache
def classifier() -> bytes:
    import keras

    from headstart.classifier import file, joining
    from headstart.classifier.details import Details

    inputs = keras.Input((16, 16, 3), dtype="uint8")
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(means))
    path = FOLDER / "good.keras"
    file.save(joining.averaged(model, ()), path, Details(["a", "b"], 16, "averaged"))
    return path.read_bytes()


@st.composite
def classifiers(draw: st.DrawFn) -> bytes:
    """A classifier's file with its bytes damaged, or with one of its parts changed and packed again."""
    import json

    good = classifier()
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged([good]))
    with zipfile.ZipFile(io.BytesIO(good)) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    name = draw(st.sampled_from(sorted(parts)))
    if name.endswith(".json"):
        parts[name] = as_json(draw(changed([json.loads(parts[name])])))
    else:
        parts[name] = draw(damaged([parts[name]]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for part, data in parts.items():
            packed.writestr(part, data)
    return stream.getvalue()


def read_classifier(data: bytes) -> None:
    from headstart.classifier import file

    path = FOLDER / "classifier.keras"
    path.write_bytes(data)
    file.load(path)


ORIGIN = {"origin": "https://x/y.pth", "file": "weights.pth", "sha256": "0" * 64, "file_sha256": "0" * 64}


def read_origin(data: bytes) -> None:
    from headstart.backbones import weights
    from headstart.base import origin

    folder = FOLDER / "project"
    (folder / origin.WEIGHTS).mkdir(parents=True, exist_ok=True)
    (folder / origin.WEIGHTS / origin.FILE).write_bytes(data)
    origin.read(folder / origin.WEIGHTS)
    weights.fetched(project=folder)


def parameters() -> st.SearchStrategy:
    text = (ROOT / "params.yaml").read_text()
    documents = changed([yaml.safe_load(text)]).map(lambda values: yaml.safe_dump(values, allow_unicode=True))
    return st.one_of(damaged([text.encode()]), documents.map(lambda text: text.encode("utf-8", "surrogatepass")))


def read_parameters(data: bytes) -> None:
    from headstart.base import editing, params

    path = FOLDER / "params"
    path.mkdir(exist_ok=True)
    (path / "params.yaml").write_bytes(data)
    settings = params.load(path)
    assert settings.seed >= 0
    # What is valid can be edited: the comments and all other values stay.
    text, _ = editing.merged(data.decode(), {"seed": 7, "head": {"solver": "gradient", "hidden": [8, 4]}}, "the fuzzer")
    assert params.check(yaml12(text)).head.hidden == [8, 4]


def yaml12(text: str) -> Any:
    from headstart.base import yaml12

    return yaml12.parse(text)


@cache
def torch_files() -> list[bytes]:
    import sys

    sys.path.insert(0, str(ROOT / "tests/backbones"))
    from test_torch_pickle import SIX, legacy, state_dict, zipped

    return [save(state_dict(SIX, 0, (2, 3), (3, 1))) for save in (legacy, zipped)]


def read_torch(data: bytes) -> None:
    from headstart.backbones.torch_pickle import load_tensors

    load_tensors(io.BytesIO(data))


PRESET = {"config.json": b"{}", "model.safetensors": b"tensors", "a/model.weights.h5": b"weights" * 99}


def presets() -> list[bytes]:
    packed = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, content in PRESET.items():
                archive.writestr(zipfile.ZipInfo(name, DATE), content, method)
        packed.append(stream.getvalue())
    return packed


def read_preset(data: bytes) -> None:
    from headstart.base import bundle

    path = FOLDER / "preset.zip"
    path.write_bytes(data)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        bundle.unpack(path, Path(folder))
        assert {inside.name for inside in Path(folder).iterdir()} <= {Path(name).name for name in PRESET}


def tensors() -> list[bytes]:
    header = {"a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}, "__metadata__": {"format": "pt"}}
    header |= {"b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]}}
    text = as_json(header)
    return [len(text).to_bytes(8, "little") + text + bytes(10)]


def read_tensors(data: bytes) -> None:
    from headstart.backbones import safetensors

    path = FOLDER / "model.safetensors"
    path.write_bytes(data)
    safetensors.read(path)


def read_tables_of_ours(data: bytes) -> None:
    from headstart.artifacts import manifest, predictions

    text = data.decode("utf-8", "replace")
    for read in (lambda: manifest.parse(text, '["a", "b"]'), lambda: predictions.parse(text)):
        with contextlib.suppress(KeyError, ValueError):
            read()


OURS = [
    b"path,label,split,sha256,group,fold,weight,probabilities\n1.png,a,train,00,,1,0.5,0.5 0.5\n"
    b"2.png,b,test,01,g,2,1.0,0 1\n",
    b'image,label,head,head:a,head:b\n1.png,a,b,0.4,0.6\n"\'=2.png",b,b,0.1,0.9\n',
]
READERS = {
    "image": Reader(lambda: damaged(pictures()), read_picture, ()),
    "zip": Reader(lambda: damaged(zips()), read_zip, (UserError,)),
    "table": Reader(tables, read_table, (UserError,)),
    "classifier": Reader(lambda: classifier() and classifiers(), read_classifier, (UserError,)),
    "origin": Reader(
        lambda: st.one_of(damaged([as_json(ORIGIN)]), changed([ORIGIN]).map(as_json)), read_origin, (UserError,)
    ),
    "params": Reader(parameters, read_parameters, (UserError,)),
    "torch": Reader(lambda: damaged(torch_files()), read_torch, (UserError,)),
    "preset": Reader(lambda: damaged(presets()), read_preset, (UserError,)),
    "tensors": Reader(lambda: damaged(tensors()), read_tensors, (ValueError,)),
    "csv": Reader(lambda: damaged(OURS), read_tables_of_ours, ()),
}


def attempt(name: str, drawn: Any) -> None:
    """Read what was drawn. Raises what the reader does not promise."""
    reader = READERS[name]
    before = Path.cwd()
    os.chdir(FOLDER)
    try:
        reader.read(drawn)
    except reader.promised:
        pass
    finally:
        os.chdir(before)
