import zipfile
import zlib

import pytest

from headstart.images import archive


def packed(path, names, encoding, extra=lambda name: b""):
    """A zip with files of these names, stored in `encoding` without the flag that says UTF-8."""

    class Entry(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):
            return self.filename.encode(encoding), self.flag_bits & ~0x800

    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            entry = Entry(name)
            entry.extra = extra(name)
            file.writestr(entry, name)
    return path


@pytest.mark.parametrize(
    ("encoding", "classes"),
    [
        ("gbk", ["合格", "划痕"]),
        ("gbk", ["正常", "异常"]),
        ("cp932", ["りんご", "みかん"]),
        ("cp932", ["良品", "不良品"]),
        ("cp949", ["고양이", "개"]),
        ("cp949", ["정상", "불량"]),
        ("big5", ["正常", "異常"]),
        ("cp866", ["кошки", "собаки"]),
        ("cp1251", ["Годен", "Брак"]),
        ("cp1252", ["Äpfel", "Birnen"]),
        ("cp437", ["défaut", "intact"]),
    ],
)
def test_names_in_the_code_page_of_windows(tmp_path, encoding, classes):
    names = sorted(f"{name}/{number:03}.png" for name in classes for number in range(12))
    path = packed(tmp_path / "source.zip", names, encoding)
    with archive.open_source(path) as source:
        assert source.names() == names
        assert source.read(names[-1]) == names[-1].encode()
        (note,) = source.notes
    assert "does not say what encoding its names are in: they are read as" in note
    assert any(repr(name) in note for name in names)
    assert "unpack it into a folder" in note


def test_one_name_that_the_page_does_not_have_does_not_stop_the_others(tmp_path):
    path = packed(tmp_path / "source.zip", [f"合格/{number}.png" for number in range(5)] + ["划痕/1.png"], "gbk")
    data = path.read_bytes().replace("合格/4".encode("gbk"), b"\xff\xff\xff\xff/4")
    path.write_bytes(data)
    with archive.open_source(path) as source:
        assert len(source.names()) == 6
        assert all(source.read(name) for name in source.names())


@pytest.mark.parametrize("names", [["a/1.png"], ["grün/1.png", "猫/2.png"], ["u\u0308/1.png"]])
def test_utf_8_is_taken_for_it_whether_it_is_flagged_or_not(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "flagged.zip", "w") as file:
        for name in names:
            file.writestr(name, name)
    for path in (tmp_path / "flagged.zip", packed(tmp_path / "plain.zip", names, "utf-8")):
        with archive.open_source(path) as source:
            assert (source.names(), source.notes) == (names, [])


def test_the_unicode_path_of_info_zip_counts_where_it_belongs_to_the_name(tmp_path):
    def field(name, stored):
        content = b"\1" + zlib.crc32(stored).to_bytes(4, "little") + name.encode()
        return b"\x75\x70" + len(content).to_bytes(2, "little") + content

    names = ["划痕/1.png", "合格/2.png"]
    path = packed(tmp_path / "right.zip", names, "gbk", lambda name: b"\1\0\2\0ab" + field(name, name.encode("gbk")))
    with archive.open_source(path) as source:
        assert (source.names(), source.notes) == (names, [])
        assert source.read(names[0]) == names[0].encode()
    path = packed(tmp_path / "stale.zip", names, "gbk", lambda name: field("old/name.png", b"old/name.png"))
    with archive.open_source(path) as source:
        assert source.names() == names


def test_a_folder_has_no_such_doubts(tmp_path):
    (tmp_path / "猫.png").write_bytes(b"")
    with archive.open_source(tmp_path) as source:
        assert (source.names(), source.notes) == (["猫.png"], [])
