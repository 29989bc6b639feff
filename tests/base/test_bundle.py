import zipfile
from pathlib import Path

import pytest

from headstart.base import bundle
from headstart.base.errors import UserError

FILES = {"config.json": b"{}", "model.weights.h5": b"weights", "image_converter.json": b"{}"}


def folder(path: Path, files):
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def packed(path: Path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_an_archive_has_the_same_bytes_whenever_and_wherever_it_is_packed(tmp_path):
    one = folder(tmp_path / "one", FILES | {"README.md": b"hello", "pytorch_model.bin": b"pickle"})
    other = folder(tmp_path / "other", dict(reversed(FILES.items())))
    (other / "assets").mkdir()
    for path, zipped in ((one, "1.zip"), (other, "2.zip")):
        bundle.write(path, tmp_path / zipped, str(path))
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    unpacked = folder(tmp_path / "unpacked", {})
    bundle.unpack(tmp_path / "1.zip", unpacked)
    assert {path.name: path.read_bytes() for path in unpacked.iterdir()} == FILES


def test_files_are_taken_out_of_the_folders_they_lie_in_and_go_nowhere_else(tmp_path):
    files = {f"preset/{name}": content for name, content in FILES.items()} | {
        "../../evil.json": b"",
        "/etc/passwd": b"",
    }
    path, inside = packed(tmp_path / "preset.zip", files), folder(tmp_path / "inside", {})
    bundle.check(path, "preset.zip")
    bundle.unpack(path, inside)
    assert {entry.name: entry.read_bytes() for entry in inside.iterdir()} == FILES
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["inside", "preset.zip"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no config.json with model.weights.h5 or model.safetensors; takes what KerasHub's save_to_preset"),
        ({"config.json": b"{}"}, "holds no config.json with model.weights.h5"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, r"\(pytorch_model.bin may run any code: save it as safeten"),
        (FILES | {"a/config.json": b"{}"}, "holds config.json twice: pack the folder of one network alone"),
        (
            FILES | {"config.json": b" " * (bundle.LARGEST_TEXT + 1)},
            r"config.json in .* has 16,777,217 bytes; takes at",
        ),
    ],
)
def test_what_is_no_network_is_refused(files, message, tmp_path):
    path = packed(tmp_path / "preset.zip", files)
    for refused in (lambda: bundle.check(path, "it"), lambda: bundle.unpack(path, folder(tmp_path / "to", {}))):
        with pytest.raises(UserError, match=message):
            refused()
    if not any("/" in name for name in files):
        with pytest.raises(UserError, match=message):
            bundle.write(folder(tmp_path / "from", files), tmp_path / "new.zip", "it")
        assert not (tmp_path / "new.zip").exists()


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path, inside = (
        packed(tmp_path / "preset.zip", FILES | {"model.safetensors": bytes(10**6)}),
        folder(tmp_path / "to", {}),
    )
    monkeypatch.setattr(bundle, "LARGEST", 10**6)
    with pytest.raises(UserError, match="unpacks to 1,000,011 bytes; takes at most 1,000,000"):
        bundle.unpack(path, inside)
    assert list(inside.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06"])
def test_what_is_no_zip_is_refused(content, tmp_path):
    (tmp_path / "preset.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"preset.zip is not a complete zip \(.*\): fetch or pack it again"):
        bundle.unpack(tmp_path / "preset.zip", tmp_path)
