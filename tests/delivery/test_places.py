"""Where images to predict are, S3 included: what is found, how it is read, and what that takes."""

import csv
import os
import random
import socket
import subprocess
import sys
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path

import colours
import pytest
from colours import photo
from conftest import ROOT

from headstart import predict
from headstart.base.errors import UserError
from headstart.delivery import places
from tests.team import servers

SECRET = "wJalrXUtnFEMI"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "chosen", lambda runtime, model: colours.classifier())
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server that lists three objects at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
        with servers.s3(tmp_path_factory.mktemp("s3")) as server:
            yield server


@pytest.fixture
def bucket(here, server, monkeypatch):
    """Puts a file into the bucket `team`, which is empty before; what runs here may read there."""
    fsspec, boto3 = pytest.importorskip("fsspec"), pytest.importorskip("boto3")
    _, endpoint = server.arguments
    for name, value in (server.secrets | {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    client = boto3.Session().client("s3")  # the default session keeps the first login it saw
    for entry in client.list_objects_v2(Bucket="team", MaxKeys=1000).get("Contents", []):
        client.delete_object(Bucket="team", Key=entry["Key"])

    def put(key, content):
        client.put_object(Bucket="team", Key=key, Body=content if isinstance(content, bytes) else content.read_bytes())

    yield put
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def rows(path="p.csv"):
    with Path(path).open(encoding="utf-8", newline="") as lines:
        return {row["path"]: row for row in csv.DictReader(lines)}


NAMES = ["a.png", "deep/er/b.png", "two words, and ünïcode.png", "c+d&e?f=%20#.png", "n1", "z.png", "zz.png"]


def put_photos(bucket, prefix="photos/"):
    """Images in a folder here, and the same in the bucket, with what is none."""
    for number, name in enumerate(NAMES):
        photo("local/photo.png", (255 - 30 * number, 0, 0))
        content = Path("local/photo.png").read_bytes() if name != "z.png" else b"no image"
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).write_bytes(content)
        bucket(prefix + name, content)
    for name in ("notes.txt", ".hidden.png", ".trash/x.png", "empty"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).write_bytes(b"")
        bucket(prefix + name, b"")
    bucket(prefix, b"")  # as consoles make a folder
    bucket(f"{prefix.rstrip('/')}-other/a.png", b"")


@pytest.mark.parametrize("address", ["s3://team/photos", "s3://team/photos/"])
def test_a_folder_on_s3_is_as_one_here(bucket, address, capsys):
    put_photos(bucket)
    assert predict.main(["photos", "--out", "local.csv"]) == 1
    assert predict.main([address, "--out", "p.csv"]) == 1
    local = rows("local.csv")
    assert list(local) == [f"photos/{name}" for name in sorted(NAMES)]
    assert rows() == {f"s3://team/{path}": row | {"path": f"s3://team/{path}"} for path, row in local.items()}
    assert len({row["probability"] for row in local.values()}) == len(NAMES)
    assert f"{address}: left out 2 that are no images: their names do not end in .jpg" in capsys.readouterr().err
    assert predict.main([address, "--out", "p.csv"]) == 1
    assert "p.csv: 0 images predicted, 7 were there before; 1 could not be read" in capsys.readouterr().err


def test_a_whole_bucket_a_single_object_and_one_that_is_missing(bucket, capsys):
    bucket("a.png", Path(photo("red.png", "red")))
    bucket("x/b.png", Path("red.png"))
    assert predict.main(["s3://team", "--csv"]) == 0
    assert [row["path"] for row in csv.DictReader(capsys.readouterr().out.splitlines())] == [
        "s3://team/a.png",
        "s3://team/x/b.png",
    ]
    assert predict.main(["s3://team/a.png", "s3://team/gone.png", "red.png", "s3://team/none"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["s3://team/a.png", "red"],
        ["s3://team/gone.png", "error:"],
        ["red.png", "red"],
        ["s3://team/none", "error:"],
    ]
    assert "S3 answers NoSuchKey" in lines[1] and "no images in it" in lines[3]


def pack(path, large=0):
    """A zip of images, stored and deflated, one of them damaged, and of `large` bytes that are none."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.bin", random.Random(1).randbytes(large))
        for number in range(40):
            photo("one.png", (6 * number, 0, 100), (40, 30))
            packed = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.write("one.png", f"in/{number:02}.png", packed)
    content = bytearray(Path(path).read_bytes())
    begin = content.index(b"in/07.png") + 60
    content[begin : begin + 20] = bytes(20)
    Path(path).write_bytes(content)


def test_of_a_zip_on_s3_only_what_is_wanted_is_fetched(bucket, server):
    pack("images.zip", 6_000_000)
    bucket("x/images.zip", Path("images.zip"))
    server.cable.cut_after(2_000_000_000)
    assert predict.main(["s3://team/x/images.zip", "--out", "p.csv"]) == 1
    fetched = 2_000_000_000 - server.cable.left
    server.cable.left = float("inf")
    assert fetched < 400_000
    assert predict.main(["images.zip", "--out", "local.csv"]) == 1
    local = rows("local.csv")
    assert rows() == {f"s3://team/x/{path}": row | {"path": f"s3://team/x/{path}"} for path, row in local.items()}
    assert [path for path, row in local.items() if row["error"]] == ["images.zip/in/07.png"]


def test_a_zip_on_s3_that_is_none_is_a_row(bucket, capsys):
    bucket("broken.zip", b"no zip")
    assert predict.main(["s3://team/broken.zip"]) == 1
    assert "s3://team/broken.zip is neither a folder nor a whole zip" in capsys.readouterr().out


@pytest.mark.parametrize("packed", [False, True])
def test_a_store_that_is_slow_and_breaks_off_once_is_asked_again(bucket, server, packed):
    if packed:
        pack("images.zip")
        bucket("images.zip", Path("images.zip"))
    else:
        for number in range(40):
            bucket(f"images.zip/{number}.png", Path(photo("one.png", "red", (300, 300))))
    cable, pieces = server.cable, []

    def breaks(data):
        pieces.append(data)
        if len(pieces) == 30:
            for end in cable.open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return data

    cable.delay, cable.tamper = 0.02, breaks
    try:
        assert predict.main(["s3://team/images.zip" + ("" if packed else "/"), "--out", "p.csv"]) == packed
    finally:
        cable.delay, cable.tamper = 0, lambda data: data
    assert len(pieces) > 40
    assert sum(not row["error"] for row in rows().values()) == 40 - packed


def test_a_store_that_goes_away_is_one_line_and_the_next_run_goes_on(bucket, server):
    for number in range(120):
        bucket(f"many/{number:03}.png", Path(photo("one.png", "red", (9, 9)) if number == 0 else "one.png"))
    pieces = []

    def cut(data):
        pieces.append(data)
        if len(pieces) == 90 + 40:
            server.cable.cut()
        return data

    server.cable.tamper = cut
    with pytest.raises(UserError, match=r"^s3://team/many cannot be reached \(.*\): check the address") as error:
        predict.main(["s3://team/many", "--out", "p.csv"])
    server.cable.mend()
    assert SECRET not in str(error.value)
    before = rows()
    assert len(before) < 120 and not any(row["error"] for row in before.values())
    assert predict.main(["s3://team/many", "--out", "p.csv"]) == 0
    assert len(rows()) == 120


@pytest.mark.parametrize("address", ["s3://team/photos", "s3://team/images.zip"])
def test_wrong_keys_are_one_line_without_them(bucket, server, monkeypatch, address):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(UserError, match=rf"^{address} refused your login \(.*\): set AWS_ACCESS_KEY_ID") as error:
        predict.main([address, "--out", "p.csv"])
    assert SECRET not in str(error.value) and "\n" not in str(error.value)
    assert Path("p.csv").read_text().count("\n") == 1


def test_who_may_list_and_not_read_is_refused_and_no_image_counts_as_broken(bucket, monkeypatch):
    import boto3

    bucket("x/a.png", Path(photo("a.png", "red")))
    iam = boto3.Session().client("iam")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="bob")
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}'
    iam.put_user_policy(UserName="bob", PolicyName="list", PolicyDocument=policy)
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    assert boto3.Session().client("s3").list_objects_v2(Bucket="team")["KeyCount"] == 1
    pytest.importorskip("fsspec").get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UserError, match=r"^s3://team/x refused your login \("):
        predict.main(["s3://team/x", "--out", "p.csv"])
    assert rows() == {}


def test_no_keys_no_bucket_and_no_server_are_one_line(bucket, monkeypatch):
    with pytest.raises(
        UserError, match=r"^s3://nobodys/x is not there \(.*\): check the address, and AWS_ENDPOINT_URL"
    ):
        predict.main(["s3://nobodys/x"])
    with pytest.raises(UserError, match=r"^s3://team/x\.zip is not there \("):
        predict.main(["s3://team/x.zip"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    pytest.importorskip("fsspec").get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UserError, match=r"^s3://team/x cannot be reached \("):
        predict.main(["s3://team/x"])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    pytest.importorskip("fsspec").get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UserError, match=r"^s3://team/x refused your login \("):
        predict.main(["s3://team/x"])


@pytest.mark.parametrize("address", ["s3://key:opensesame@team/x", "s3://team/x.png?X-Amz-Signature=opensesame"])
def test_credentials_in_an_address_are_refused_and_not_shown(here, address):
    with pytest.raises(UserError, match="leave it out, and set AWS_ACCESS_KEY_ID") as error:
        predict.main([address])
    assert "opensesame" not in str(error.value)


@pytest.mark.parametrize("address", ["s3://", "s3:///x"])
def test_an_address_without_a_bucket_is_refused(here, address):
    with pytest.raises(UserError, match="takes s3://bucket, s3://bucket/folder or s3://bucket/images.zip"):
        predict.main([address])


@pytest.mark.parametrize("address", ["s3://team/x", "s3://team/x.zip", "s3://team/x.png"])
def test_without_the_library_for_s3_one_line_says_so(here, monkeypatch, address):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UserError, match=rf"^{address}: s3:// needs s3fs: pip install -r requirements-s3\.txt$"):
        predict.main([address])


def test_a_folder_that_may_not_be_looked_into_is_named(here, capsys, monkeypatch):
    photo("photos/a.png", "red")
    Path("photos/closed").mkdir()
    scan = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert predict.main(["photos"]) == 1
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "photos/a.png red 0.9820",
        "photos/closed error: Permission denied",
    ]


HIDDEN = "1 hidden folder with images, left out since the name begins with a dot: '.223'; if that is a class of yours"


def test_a_hidden_folder_with_images_is_told_wherever_it_lies(bucket, capsys):
    """What a program keeps there is not, nor what is behind a link."""
    for name in ("a.png", ".223/b.png", ".git/c.png", ".cache/d.png"):
        photo(Path("photos", name), "red")
        bucket(f"photos/{name}", Path("photos", name))
    Path("photos/.link").symlink_to(Path("photos/.223").absolute())
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("photos/a.png", "a.png")
        archive.write("photos/.223/b.png", ".223/b.png")
    for path in ("photos", "photos.zip", "s3://team/photos"):
        assert predict.main([path]) == 0
        printed = capsys.readouterr()
        assert [line.split()[1] for line in printed.out.splitlines()] == ["red"]
        assert f"{path} has {HIDDEN}" in printed.err and printed.err.count("hidden") == 1


def test_files_that_are_named_one_by_one_are_taken_together(here):
    names = [photo(f"{number}.png", "red") for number in range(4)]
    photo("folder/a.png", "blue")
    with ExitStack() as stack:
        found = places.find([*names[:3], "missing.png", "folder", names[3]], stack)
        assert [place.names for place in found] == [[*names[:3], "missing.png"], ["a.png"], [names[3]]]
        assert found[0].read(names[1]) == Path(names[1]).read_bytes()


def test_a_machine_of_a_cluster_that_lacks_the_images_says_so(here):
    with ExitStack() as stack, pytest.raises(UserError, match=r"^\S+ has no /nowhere/photos: put the images where all"):
        places.reader("/nowhere/photos", stack)


def test_the_folder_one_is_in(here, capsys):
    photo("a.png", "red")
    photo("b/c.png", "red")
    with ExitStack() as stack:
        assert [path for path, _ in places.images(places.find([".", str(here)], stack))] == [
            "a.png",
            "b/c.png",
            f"{here}/a.png",
            f"{here}/b/c.png",
        ]


def peak(count, *arguments):
    """The most memory, in MB, that the command takes for the images `count`/, which are links to a few."""
    for number in range(count):
        target = Path(str(count), f"{number % 100}", f"{number:06}.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(f"few/{number % 7}.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, colours.__file__, str(count), "--out", f"{count}.csv", *arguments]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    assert len(rows(f"{count}.csv")) == count
    return usage.ru_maxrss / 1024


def test_memory_does_not_grow_with_the_images_but_for_their_names(here):
    for number in range(7):
        photo(f"few/{number}.png", (30 * number, 0, 0))
    few, many = peak(2_000), peak(20_000)
    assert many - few < 18_000 * 500 / 2**20  # bytes for each name
