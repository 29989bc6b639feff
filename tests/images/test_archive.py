import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from headstart.base.errors import UserError
from headstart.images import archive, buckets


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_a_zip_and_a_folder_of_the_same_files_read_the_same(tmp_path):
    files = {"b/2.txt": b"two", "a/1.txt": b"one", "a/10.txt": b"ten"}
    folder = tmp_path / "folder"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for path in (folder, zip_of(tmp_path / "files.zip", files)):
        with archive.open_source(path) as source:
            assert source.names() == ["a/1.txt", "a/10.txt", "b/2.txt"]
            assert [source.read(name) for name in source.names()] == [b"one", b"ten", b"two"]


def test_files_of_file_managers_are_skipped(tmp_path):
    names = ["__MACOSX/a/._1.jpg", "a/.DS_Store", "a/Thumbs.db", "a/._1.jpg", ".git/config", "a/1.jpg"]
    for name in names:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(b"x")
    for path in (tmp_path / "folder", zip_of(tmp_path / "files.zip", dict.fromkeys(names, b"x"))):
        with archive.open_source(path) as source:
            assert source.names() == ["a/1.jpg"]


def sources_of(tmp_path, names):
    for name in names:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(b"x")
    return tmp_path / "folder", zip_of(tmp_path / "files.zip", dict.fromkeys(names, b"x"))


def test_folders_that_systems_and_programs_leave_are_skipped_without_a_word(tmp_path):
    folders = ("a/@eaDir/1.jpg", "#recycle", "$Recycle.Bin/S-1", "System Volume Information", "a/.ipynb_checkpoints")
    folders += (".git", "__MACOSX", ".Trash-1000/files", "lost+found")
    for path in sources_of(tmp_path, ["a/1.jpg", *(f"{folder}/2.jpg" for folder in folders), "b/._1.jpg"]):
        with archive.open_source(path) as source:
            assert (source.names(), source.notes) == (["a/1.jpg"], [])


def test_hidden_folders_with_images_are_named_since_they_may_be_classes(tmp_path):
    hidden = [".223/1.jpg", ".223/2.jpg", "train/.308/deep/1.PNG", ".none/notes.txt"]
    for path in sources_of(tmp_path, ["9mm/1.jpg", *hidden]):
        with archive.open_source(path) as source:
            assert source.names() == ["9mm/1.jpg"]
            assert source.notes == [
                f"{path} has 2 hidden folders with images, left out since the name begins with a dot: '.223', "
                "'train/.308'; if that is a class of yours, rename it"
            ]
    many = archive.hidden_classes("x", (f".{number}/1.jpg" for number in range(9)))
    assert "9 hidden folders" in many[0] and "'.4', …; if" in many[0]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("../up.jpg", "leads out of it"),
        ("a/../../up.jpg", "leads out of it"),
        ("a\\..\\up.jpg", "leads out of it"),
        ("/etc/up.jpg", "absolute file name"),
        ("C:\\up.jpg", "absolute file name"),
        ("\\\\server\\up.jpg", "absolute file name"),
    ],
)
def test_names_that_leave_the_zip_are_refused(tmp_path, name, word):
    path = zip_of(tmp_path / "bad.zip", {"a/1.jpg": b"x", name: b"x"})
    with pytest.raises(UserError, match=word):
        archive.open_source(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_a_name_that_a_zip_has_twice_the_last_file_is_taken_with_a_line(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (("a/1.jpg", b"one"), ("a/2.jpg", b"x"), ("a/1.jpg", b"two"), ("a/2.jpg", b"x")):
            file.writestr(name, data)
    with archive.open_source(path) as source:
        assert (source.names(), source.read("a/1.jpg"), source.replaced) == (
            ["a/1.jpg", "a/2.jpg"],
            b"two",
            ["a/1.jpg"],
        )
        (note,) = source.notes
    assert note.startswith(f"{path} has 1 name more than once, with other content, such as 'a/1.jpg': the last")


def test_links_are_refused(tmp_path):
    entry = zipfile.ZipInfo("a/link.jpg")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "folder" / "a" / "link.jpg").symlink_to("/etc/passwd")
    for path in (tmp_path / "link.zip", tmp_path / "folder"):
        with pytest.raises(UserError, match=r"symbolic link, 'a/link\.jpg'"):
            archive.open_source(path)


@pytest.mark.parametrize("cache", [".dvc/cache/files/md5", "elsewhere/shared-cache"])  # of DVC 3, and of DVC 2
def test_dvcs_own_links_are_followed(tmp_path, cache):
    stored = tmp_path / cache / "0c" / "c175b9c0f1b6a831c399e269772661"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"a")
    (tmp_path / "images" / "cats").mkdir(parents=True)
    link = tmp_path / "images" / "cats" / "1.jpg"
    link.symlink_to(stored)
    (tmp_path / "link").symlink_to("images")
    for path in (tmp_path / "images", tmp_path / "link"):
        with archive.open_source(path) as source:
            assert source.names() == ["cats/1.jpg"]
            assert source.read("cats/1.jpg") == source.head("cats/1.jpg") == b"a"
    stored.unlink()
    with pytest.raises(UserError, match=r"'cats/1\.jpg' is a link of DVC's to what is not in its cache: run `dvc"):
        archive.open_source(tmp_path / "images")


def test_a_folder_that_dvc_keeps_as_links_is_read(project):
    """`cache.type: symlink` is what DVC advises for large data."""
    project.run("git", "init", "-q")
    project.dvc("config", "cache.type", "symlink")
    project.dvc("add", "-q", "data/my_images")
    link = project.path / "data/my_images/red/00.png"
    assert link.is_symlink()
    project.run("python", "-m", "headstart.params")
    with archive.open_source(project.path / "data/my_images") as source:
        assert len(source.names()) == 32
        assert source.read("red/00.png") == link.read_bytes()
    link.resolve().unlink()
    done = project.run("python", "-m", "headstart.params", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: dataset.path: data/my_images/red/00.png is a link to ")
    assert "where nothing is: `dvc pull` brings back" in done.stderr and done.stderr.count("\n") == 1


def test_the_head_of_a_file_is_its_first_bytes(tmp_path):
    files = {"long": bytes(range(256)) * 4, "short": b"x", "none": b""}
    (tmp_path / "folder").mkdir()
    for name, data in files.items():
        (tmp_path / "folder" / name).write_bytes(data)
    for path in (tmp_path / "folder", zip_of(tmp_path / "files.zip", files)):
        with archive.open_source(path) as source:
            assert {name: source.head(name) for name in files} == {
                name: data[: archive.HEAD] for name, data in files.items()
            }


def test_a_link_to_the_source_itself_is_followed(tmp_path):
    (tmp_path / "link.zip").symlink_to(zip_of(tmp_path / "real.zip", {"a/1.jpg": b"x"}))
    with archive.open_source(tmp_path / "link.zip") as source:
        assert source.read("a/1.jpg") == b"x"


def test_a_missing_path_and_a_file_that_is_no_zip_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"nothing is at .*none: set dataset\.path"):
        archive.open_source(tmp_path / "none")
    whole = zip_of(tmp_path / "whole.zip", {"a/1.jpg": b"x" * 1000}).read_bytes()
    for number, data in enumerate([b"", b"not a zip", whole[:-30]]):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        with pytest.raises(UserError, match="neither a folder nor a whole zip"):
            archive.open_source(path)


def test_one_damaged_entry_does_not_affect_the_others(tmp_path):
    path = tmp_path / "files.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("bad.txt", b"BAD BAD BAD")
        file.writestr("good.txt", b"good")
    path.write_bytes(path.read_bytes().replace(b"BAD BAD BAD", b"BAD bad BAD"))
    with archive.open_source(path) as source:
        with pytest.raises(archive.Unreadable, match="checksum"):
            source.read("bad.txt")
        assert source.read("good.txt") == b"good"


@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 99)])  # in the index: flags (encrypted), method
def test_an_entry_that_is_encrypted_or_packed_by_an_unknown_method_is_unreadable(tmp_path, offset, value):
    path = zip_of(tmp_path / "files.zip", {"bad.txt": b"bad", "good.txt": b"good"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(data)
    with archive.open_source(path) as source:
        with pytest.raises(archive.Unreadable, match="encrypted in the zip, or packed by an unsupported method"):
            source.read("bad.txt")
        assert source.read("good.txt") == b"good"


def test_an_entry_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 1000)
    with archive.open_source(zip_of(tmp_path / "bomb.zip", {"big": bytes(1001), "fits": bytes(1000)})) as source:
        with pytest.raises(archive.Unreadable, match="1,001 bytes unpacked"):
            source.read("big")
        assert len(source.read("fits")) == 1000


def test_an_entry_that_holds_more_than_its_size_says_is_unreadable(tmp_path):
    path = zip_of(tmp_path / "liar.zip", {"big": bytes(10_000_000)})
    size = (10_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with archive.open_source(path) as source, pytest.raises(archive.Unreadable, match="damaged"):
        source.read("big")


def test_several_threads_read_one_zip(tmp_path):
    files = {f"{number}.bin": os.urandom(20_000) for number in range(40)}
    with (
        archive.open_source(zip_of(tmp_path / "files.zip", files)) as source,
        ThreadPoolExecutor(8) as pool,
    ):
        names = source.names() * 5
        assert list(pool.map(source.read, names)) == [files[name] for name in names]


def test_on_s3_too_what_is_hidden_is_passed_over_and_named():
    class Bucket:
        address, read = "s3://bucket/shots", None

        def sizes(self):
            return {"9mm/1.jpg": 7, ".223/1.jpg": 8, "9mm/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": 9}

    source = buckets._Objects(Bucket(), None)
    assert (source.names(), source.size("9mm/1.jpg")) == (["9mm/1.jpg"], 7)
    assert source.notes[0].startswith(
        "s3://bucket/shots has 1 hidden folder with images, left out since the name begins"
    )


def test_an_image_that_vanished_after_it_was_split_is_a_line_with_what_to_do(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    with archive.open_source(tmp_path) as source:
        (tmp_path / "1.png").unlink()
        why = r"^1\.png: .*; the source has changed since it was split: run `dvc repro`"
        with pytest.raises(UserError, match=why), archive.unchanged("1.png"):
            source.read("1.png")
    with pytest.raises(archive.Unreachable), archive.unchanged("1.png"):
        raise archive.Unreachable("no network")
