"""`predict --out` against the bare runtime on batches of the same images: from a folder, from a zip, and from S3."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks import serving
from benchmarks.measuring import Measurement
from benchmarks.workspace import Workspace
from headstart.artifacts import manifest
from headstart.artifacts.results import CLASSIFIER
from headstart.base import yaml12
from headstart.images import archive

IMAGES = 1024
CLASSIFIERS = {"keras": CLASSIFIER, "onnx": serving.EXPORT}
FOLDER = "photos"


def against_bare(measurement: Measurement) -> dict[str, Any]:
    """Images per second of each runtime alone, and of `predict --out` from a folder and from a zip, in turns."""
    place = serving.exported(measurement)
    packed = _unpack(place)
    return {name: _measured(place, str(path), FOLDER, packed) for name, path in CLASSIFIERS.items()}


def from_s3(measurement: Measurement) -> dict[str, Any]:
    """The same from S3. The server, moto, is on this machine: what counts are the seconds of processor, without its."""
    place = serving.exported(measurement)
    _unpack(place)
    with _s3(place) as address:
        return _measured(place, str(serving.EXPORT), FOLDER, address)


def _measured(place: Workspace, classifier: str, *paths: str) -> dict[str, Any]:
    """Of the bare runtime and of each path: images per second and, over those of the bare one, `ratio` and `cpu`."""
    log = place.python("benchmarks.predicting_in_turns", classifier, str(IMAGES), *paths).log
    turns = {name: [line for line in log if line["work"] == name] for name in ("bare", *paths)}
    numbers: dict[str, Any] = {"bare": round(median(line["count"] / line["seconds"] for line in turns["bare"]), 1)}
    for path, name in zip(paths, ("folder", "s3" if "://" in paths[-1] else "zip"), strict=True):
        pairs = list(zip(turns["bare"], turns[path], strict=True))
        numbers[name] = {
            "rate": round(median(line["count"] / line["seconds"] for line in turns[path]), 1),
            "ratio": round(median(bare["seconds"] / line["seconds"] for bare, line in pairs), 3),
            "cpu": round(median(bare["cpu"] / line["cpu"] for bare, line in pairs), 3),
        }
    return numbers


def _unpack(place: Workspace) -> str:
    """Write the first images of the data set into a folder of the project. Returns the path of the zip that has all."""
    path = yaml12.read(place.path / "params.yaml")["dataset"]["path"]
    with archive.open_source(place.path / path) as source:
        for name in sorted(manifest.read(place.path).paths)[:IMAGES]:
            file = place.path / FOLDER / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.read(name))
    return path


@contextmanager
def _s3(place: Workspace) -> Iterator[str]:
    """The address of a bucket that has the images of the folder, as long as the block runs; the environment has it."""
    import fsspec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
    }
    before = dict(os.environ)
    with subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.1)
            os.environ.update(environment)
            system = fsspec.filesystem("s3")
            system.mkdir("benchmark")
            system.put(str(place.path / FOLDER), "benchmark/photos", recursive=True)
            yield "s3://benchmark/photos"
        finally:
            os.environ.clear()
            os.environ.update(before)
            server.terminate()
