"""The server under load on this machine's loopback: requests per second against the bare runtime, waiting, memory.

Each request has one image of the data set, as a file in a form; hey sends them (Debian and Homebrew have it).
"""

import csv
import io
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

from benchmarks.measuring import Measurement
from benchmarks.workspace import Workspace
from headstart.artifacts import manifest
from headstart.base import yaml12
from headstart.base.errors import UserError
from headstart.images import archive

EXPORT = Path("models/exports/onnx")
TURNS, SECONDS, SOAK, EVERY = 3, 10, 300, 5
CLIENTS = 32
BOUNDARY = "----headstart"
COLUMN = "headstart_batch_images"


def against_bare(measurement: Measurement) -> dict[str, Any]:
    """Requests per second of as many clients as keep it busy, and those of the bare runtime on batches of that size.

    Beside them, the seconds within which half of the requests and 99 in 100 are answered at half that load.
    """
    _refuse_without_hey()
    place = exported(measurement)
    served, bare, sizes = [], [], []
    with _server(place) as address:
        body = _body(place)
        _load(address, body, 2)
        for _ in range(TURNS):
            before = _metrics(address)
            served.append(_load(address, body, SECONDS)["rate"])
            after = _metrics(address)
            images, batches = (after[f"{COLUMN}_{name}"] - before[f"{COLUMN}_{name}"] for name in ("sum", "count"))
            sizes.append(images / batches)
            bare.append(place.python("benchmarks.bare_runtime", str(round(sizes[-1]))).rate("bare"))
        half = _load(address, body, SECONDS, median(served) / 2)
    return {
        "requests": round(median(served), 1),
        "bare": round(median(bare), 1),
        "batch": round(mean(sizes), 1),
        "ratio": round(median(a / b for a, b in zip(served, bare, strict=True)), 3),
        "p50": round(half["p50"], 4),
        "p99": round(half["p99"], 4),
    }


def soak(measurement: Measurement) -> dict[str, Any]:
    """The server's memory, in MB, and its open files, in the second and in the last of five minutes at half load."""
    _refuse_without_hey()
    place, seen = exported(measurement), []
    with _server(place) as address:
        body = _body(place)
        rate = _load(address, body, SECONDS)["rate"] / 2
        command, began = _command(address, body, SOAK, rate), time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as hey:
            while hey.poll() is None:
                seen.append((time.monotonic() - began, _metrics(address)))
                time.sleep(EVERY)
        requests = _metrics(address)["headstart_images_total"]
    parts = {"second": [of for at, of in seen if 60 <= at < 120], "last": [of for at, of in seen if at >= SOAK - 60]}
    return {"requests": int(requests)} | {
        f"{part}_{name}": round(mean(of[metric] for of in metrics) / unit, 1)
        for part, metrics in parts.items()
        for name, metric, unit in (
            ("megabytes", "process_resident_memory_bytes", 1e6),
            ("files", "process_open_fds", 1),
        )
    }


def exported(measurement: Measurement) -> Workspace:
    """A project with a classifier and its export."""
    place, _ = measurement.extracted()
    for stage in ("train_head", "fine_tune", "calibrate"):
        place.stage(stage)
    place.python("headstart.export", "--format", "onnx")
    return place


def _refuse_without_hey() -> None:
    if shutil.which("hey") is None:
        raise UserError("hey is not installed, which sends the requests: apt-get install hey, or brew install hey")


@contextmanager
def _server(place: Workspace) -> Iterator[str]:
    """The address of a server of the project's export, while the block runs."""
    command = [sys.executable, "-m", "headstart.serve", "--port", "0"]
    with subprocess.Popen(command, cwd=place.path, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise UserError("the server did not start: see above")
            yield found[0]
        finally:
            process.terminate()
            process.communicate()
    if process.returncode:
        raise UserError(f"the server ended with exit status {process.returncode}")


def _body(place: Workspace) -> Path:
    """A file with the body of a request: one image of the data set in a form."""
    table, settings = manifest.read(place.path), yaml12.read(place.path / "params.yaml")
    with archive.open_source(place.path / settings["dataset"]["path"]) as source:
        image = source.read(table.paths[0])
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="image"\r\n\r\n'
    path = place.path / "body"
    path.write_bytes(head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode())
    return path


def _command(address: str, body: Path, seconds: int, rate: float | None = None) -> list[str]:
    command = ["hey", "-z", f"{seconds}s", "-c", str(CLIENTS), "-m", "POST", "-D", str(body), "-o", "csv"]
    command += ["-T", f"multipart/form-data; boundary={BOUNDARY}"]
    return [*command, *(["-q", f"{rate / CLIENTS}"] if rate else []), f"{address}predict"]


def _load(address: str, body: Path, seconds: int, rate: float | None = None) -> dict[str, float]:
    """Requests per second that are answered, and seconds of waiting. rate: requests per second; None: as many as go.

    Raises UserError where one is not answered.
    """
    command = _command(address, body, seconds, rate)
    done = subprocess.run(command, capture_output=True, text=True)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    if not rows or any(row["status-code"] != "200" for row in rows):
        raise UserError(f"not all requests were answered: {' '.join(command)}")
    waited = [float(row["response-time"]) for row in rows]
    cuts = quantiles(waited, n=100, method="inclusive")
    ended = max(float(row["offset"]) + float(row["response-time"]) for row in rows)
    return {"rate": len(rows) / ended, "p50": cuts[49], "p99": cuts[98]}


def _metrics(address: str) -> dict[str, float]:
    """The server's numbers without labels, by name."""
    with urllib.request.urlopen(f"{address}metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}
