"""A server in a thread of this process, on a free port of this machine; shared by the tests of it."""

import io
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import classifiers
import numpy as np
import requests
from PIL import Image

import headstart
from headstart.base import files
from headstart.classifier import file
from headstart.classifier.details import Rule
from headstart.classifier.unlike import Known, unit
from headstart.delivery import exporting
from headstart.serving import about, app, connections
from headstart.serving.guard import Access
from headstart.serving.limits import Limits
from headstart.serving.service import Service

ANYBODY = Access()


class Server(NamedTuple):
    """`address`: http://127.0.0.1:PORT; `service`: what it answers by."""

    address: str
    port: int
    service: Service

    def post(self, path: str = "/predict", **options) -> requests.Response:
        return requests.post(self.address + path, **({"timeout": 30} | options))

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.address + path, **({"timeout": 30} | options))

    def head(self, path: str) -> requests.Response:
        return requests.head(self.address + path, timeout=30)

    def number(self, name: str) -> float:
        """The sum of a metric's numbers."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@contextmanager
def running(classifier, project=None, known=None, access: Access = ANYBODY, **limits) -> Iterator[Server]:
    """A server while the block runs. limits: other ones than the command's own."""
    allowed = Limits(**limits)
    service = Service(classifier, allowed, known)
    model = about.describe(Path("a model"), classifier, project, allowed)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = connections.server(app.build(model, service, allowed, access, project), allowed)
        thread = threading.Thread(target=made.run, args=([listening],), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        try:
            yield Server(f"http://127.0.0.1:{port}", port, service)
        finally:
            made.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def save_classifier(path: Path) -> Path:
    """Write a small classifier that is sometimes not sure, and knows random training images."""
    features = unit(np.random.default_rng(2).normal(size=(9, 4))).astype("float16")
    details = classifiers.details(
        "fine_tuned", rule=Rule(temperature=1.0, coverage=0.9, at_least=0.3), known=Known(features, 0.4)
    )
    file.save(classifiers.small(), path, details)
    return path


def save_export(folder: Path) -> Path:
    """Write the same classifier as an export to ONNX, the file of the classifier beside it."""
    path = save_classifier(folder.parent / "classifier.keras")
    exporting.write(folder, *file.load(path), files.sha256(path), "onnx", None)
    return folder


def load_classifier(path: Path) -> headstart.Classifier:
    return headstart.Classifier.load(save_classifier(path))


def photo(number: int = 0, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """An image file of noise, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind)
    return written.getvalue()


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Files as `requests` takes them for a form, by the names 0, 1, …"""
    return [("images", (str(number), content)) for number, content in enumerate(contents)]


class Slow:
    """A classifier that takes its time: `seconds` for each batch, of which `batches` notes the sizes."""

    def __init__(self, classifier, seconds: float):
        self._classifier, self.seconds, self.batches = classifier, seconds, []
        self.began = threading.Event()

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def answers(self, pixels):
        self.batches.append(len(pixels))
        self.began.set()
        threading.Event().wait(self.seconds)
        return self._classifier.answers(pixels)


if __name__ == "__main__":
    # python tests/serving/running.py FOLDER PHOTO: an export and a photo, to try a container with.
    folder, image = map(Path, sys.argv[1:])
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_export(folder)
    image.write_bytes(photo())
