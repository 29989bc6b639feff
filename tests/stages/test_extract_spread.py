"""`extract` on a cluster of Ray's: the same bytes, whatever happens to its processes."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_extract import arrays, prepared, weights  # noqa: F401

from headstart.artifacts import features, manifest
from headstart.base.errors import UserError
from headstart.cluster import spreading, where
from stages import extract

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
# As many threads as TensorFlow takes here: with another number of them, so small batches round differently.
RAY = {where.RAY: where.LOCAL, where.WORKERS: "1", where.CORES: str(os.cpu_count())}
BOMB = b"and here it ends"
# What the processes of the cluster start with: reading takes its time, and of a bomb they die.
START = f"""
import os, sys, time
if "ray" in " ".join(sys.orig_argv):
    from headstart.images import decoding
    read = decoding.read
    def watched(data, *more):
        time.sleep(0.1)
        return os.kill(os.getpid(), 9) if data.endswith({BOMB!r}) else read(data, *more)
    decoding.read = watched
"""


@pytest.fixture
def spread(prepared, tmp_path):  # noqa: F811
    """The project after split, in four blocks of images; what its stages run, they run on Ray."""
    prepared.set({"extract.batch_size": 1, "fine_tune.views": 3})
    Path(tmp_path, "start").mkdir()
    Path(tmp_path, "start/sitecustomize.py").write_text(START)
    prepared.environment |= RAY | {"PYTHONPATH": f"{tmp_path / 'start'}{os.pathsep}{prepared.path}"}
    return prepared


def content():
    return {name: (features.FEATURES / name).read_bytes() for name in arrays()}


@pytest.fixture
def expected(spread):
    """The bytes without Ray."""
    extract.main()
    kept = content()
    assert sorted(kept) == ["bottleneck/plain.npy", "cut/plain.npy", "cut/views.npy"]
    for path in features.FEATURES.rglob("*.*"):
        path.unlink()
    return kept


def test_the_bytes_are_the_same_and_so_they_are_after_the_driver_was_killed(expected, spread):
    command = ["python", "-m", "stages.extract"]
    with subprocess.Popen(command, cwd=spread.path, env=spread.environment, stderr=subprocess.PIPE) as process:
        while not list(Path(".headstart").rglob("done.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not list(features.FEATURES.rglob("*.npy"))
    done = spread.stage("extract")
    assert done.returncode == 0 and content() == expected, done.stderr
    line = [line for line in done.stderr.splitlines() if line.startswith("extract: ")][-1]
    assert 8 <= int(line.split()[1]) < 64, "of 32 images and 32 views at least a block was done, and one was left"
    assert "ray" not in done.stdout.lower() + done.stderr.lower()


def test_an_image_that_kills_its_worker_is_named(spread, monkeypatch):
    path = Path("data/my_images", manifest.read().paths[20])
    path.write_bytes(path.read_bytes() + BOMB)
    for name in (*RAY, "PYTHONPATH"):
        monkeypatch.setenv(name, spread.environment[name])
    monkeypatch.setattr(spreading, "TRIES", 1)  # how often it is tried is shown in tests/cluster
    with pytest.raises(UserError, match=f"^{re.escape(manifest.read().paths[20])}: workers die of it: leave it out"):
        extract.main()
    assert set(json.loads(next(Path(".headstart").rglob("done.json")).read_text())) >= {"0", "1", "3"}, (
        "the rest is kept"
    )


def test_an_image_that_is_gone_is_one_line(spread):
    name = manifest.read().paths[20]
    Path("data/my_images", name).unlink()
    done = spread.stage("extract")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {name}: ")
